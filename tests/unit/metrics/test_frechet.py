"""Frechet distances: closed forms, refusal below full rank, the floor by patient, the extrapolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.frechet import frechet_distance, pixelrow_frechet, real_floor


def features(seed: int, n: int, d: int) -> np.ndarray:
    rng = make_rng(seed, "features")
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def test_one_feature_has_a_closed_form() -> None:
    a, b = features(0, 30, 1), features(1, 20, 1)
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    found = frechet_distance(a, b)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert (found.n, found.d, found.singular, found.reason) == (20, 1, False, "")


def test_scaling_has_a_closed_form() -> None:
    """b = 2 a + 3: the roots of the covariances commute, so the distance is |m|^2 + tr(S) (2 - 1)^2."""
    a = features(2, 50, 4)
    gap = a.mean(axis=0) + 3
    assert frechet_distance(a, 2 * a + 3).value == pytest.approx(gap @ gap + np.trace(np.cov(a.T)), rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_identity_symmetry_and_rotation(seed: int, d: int) -> None:
    a, b = features(seed, 15, d), features(seed + 1, 12, d)
    value = frechet_distance(a, b).value
    scale = np.trace(np.atleast_2d(np.cov(a.T))) + np.trace(np.atleast_2d(np.cov(b.T)))
    assert frechet_distance(a, a).value == pytest.approx(0, abs=1e-12 * max(scale, 1))
    assert value >= 0
    assert frechet_distance(b, a).value == pytest.approx(value, rel=1e-9, abs=1e-11 * scale)
    turn = np.linalg.qr(make_rng(seed, "turn").normal(size=(d, d)))[0]
    assert frechet_distance(a @ turn + 5, b @ turn + 5).value == pytest.approx(value, rel=1e-8, abs=1e-10 * scale)
    assert frechet_distance(a[::-1], b).value == pytest.approx(value, rel=1e-9, abs=1e-11 * scale)


@pytest.mark.parametrize("n", [5, 6, 7])
def test_refused_unless_more_rows_than_features(n: int) -> None:
    a, b = features(3, 40, 6), features(4, n, 6)
    for found in (frechet_distance(a, b), frechet_distance(b, a)):
        assert np.isnan(found.value) == found.singular == (n <= 6)
        assert found.n == n and found.d == 6
        assert found.reason == ("" if n > 6 else f"covariance of rank {n - 1} at most for 6 features ({n} rows)")


def test_refused_when_features_repeat_each_other() -> None:
    a, b = features(5, 40, 3), features(6, 40, 3)
    doubled = frechet_distance(np.hstack([a, a[:, :1] * 1e6]), np.hstack([b, b[:, :1] * 1e6]))
    assert np.isnan(doubled.value) and doubled.reason == "covariance of rank 3 at most for 4 features (40 rows)"
    scaled = frechet_distance(a * [1, 1e6, 1e-6], b * [1, 1e6, 1e-6])
    assert np.isfinite(scaled.value) and not scaled.singular


def test_allowed_singular_sets_are_flagged_and_agree_with_the_subspace() -> None:
    """Rows of three dimensions, seen in ten: the distance is that of the three."""
    a, b = features(7, 8, 3), features(8, 9, 3)
    frame = np.linalg.qr(make_rng(7, "frame").normal(size=(10, 10)))[0][:3]
    found = frechet_distance(a @ frame, b @ frame, allow_singular=True)
    assert found.singular and found.reason == ""
    assert found.value == pytest.approx(frechet_distance(a, b).value, rel=1e-9)
    assert frechet_distance(a @ frame, a @ frame, allow_singular=True).value == pytest.approx(0, abs=1e-10)


def test_unusable_features() -> None:
    a = features(9, 20, 2)
    one_row = frechet_distance(a[:1], a, allow_singular=True)
    assert np.isnan(one_row.value) and one_row.reason == "1 rows of 2 features: a covariance needs 2 rows"
    hole = np.where(np.arange(40).reshape(20, 2) == 7, np.nan, a)
    assert frechet_distance(a, hole, allow_singular=True).reason == "features that are not finite"
    with pytest.raises(ValueError, match=r"need \[n, d\] and \[m, d\]"):
        frechet_distance(a, features(9, 20, 3))


def test_pixelrow_is_the_singular_distance_between_rows() -> None:
    a, b = make_rng(10, "images").random((2, 16, 16))
    assert pixelrow_frechet(a, b) == pytest.approx(frechet_distance(a, b, allow_singular=True).value)
    assert pixelrow_frechet(a, a[::-1]) == pytest.approx(0, abs=1e-10)  # blind to the order of rows
    with pytest.raises(ValueError, match="need two of the same"):
        pixelrow_frechet(a, b[:8])


def test_floor_splits_patients_not_images() -> None:
    """Halves share no patient: with images nearly equal within a patient, shared patients would give about 0."""
    patients = np.repeat(np.arange(6), 4)
    seen = []

    def shared(a: np.ndarray, b: np.ndarray) -> float:
        seen.append((set(a[:, 0]) & set(b[:, 0]), len(a), len(b)))
        return float(a.mean() - b.mean())

    found = real_floor(patients[:, None].astype(float), patients, shared, halvings=20, rng=make_rng(0, "floor"))
    assert seen == [(set(), 12, 12)] * 20
    assert found.low < found.value < found.high
    assert found.n == 6 and found.method == "20 random halves by patient, middle 95 %"


def test_floor_reports_what_it_could_not_compute() -> None:
    x, patients = np.arange(8.0)[:, None], np.arange(8)
    none = real_floor(x, patients, lambda a, b: float("nan"), halvings=4, rng=make_rng(0, "floor"))
    assert np.isnan(none.value) and none.method == "none: no halving has a distance"
    few = real_floor(x[:3], patients[:3], lambda a, b: 1.0, halvings=4, rng=make_rng(0, "floor"))
    assert np.isnan(few.value) and few.method == "none: 3 patients cannot be halved"

    def only_with_first(a: np.ndarray, b: np.ndarray) -> float:
        return 1.0 if 0 in a else float("nan")

    some = real_floor(x, patients, only_with_first, halvings=10, rng=make_rng(0, "floor"))
    assert some.value == 1 and "without a value left out" in some.method
