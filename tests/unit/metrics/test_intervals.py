"""Patient bootstrap: what is resampled, what is refused, and that the fast paths draw the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.classification import auroc
from radgen_lib.metrics.intervals import (
    Interval,
    patient_bootstrap,
    patient_counts,
    percentile_interval,
    weighted_auroc,
)


def test_all_rows_of_a_patient_are_drawn_together() -> None:
    patients = np.array(["A", "B", "B", "C", "A", "D", "E"])
    counts = patient_counts(patients, 300, make_rng(0, "counts"))
    assert (counts[:, 0] == counts[:, 4]).all() and (counts[:, 1] == counts[:, 2]).all()
    assert (counts[:, [0, 1, 3, 5, 6]].sum(axis=1) == 5).all()
    assert len(np.unique(counts, axis=0)) > 50


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 1000))
def test_each_draw_holds_as_many_patients_as_there_are(owners: list[int], seed: int) -> None:
    patients = np.array(owners)
    counts = patient_counts(patients, 20, make_rng(seed, "counts"))
    first = np.unique(patients, return_index=True)[1]
    assert (counts[:, first].sum(axis=1) == len(first)).all()


def test_mean_interval_agrees_with_theory() -> None:
    values = make_rng(1, "values").normal(10, 2, 200)
    found = patient_bootstrap(
        lambda rows: float(values[rows].mean()), np.arange(200), draws=2000, rng=make_rng(1, "draws")
    )
    half = 1.96 * values.std() / np.sqrt(200)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    assert (found.n, found.method) == (200, "patient bootstrap, 2000 draws, 95 %")


def test_copies_of_rows_do_not_narrow_the_interval() -> None:
    values = make_rng(2, "values").normal(size=30)
    repeated = np.repeat(values, 20)

    def width(x: np.ndarray, patients: np.ndarray) -> float:
        found = patient_bootstrap(lambda r: float(x[r].mean()), patients, draws=500, rng=make_rng(2, "draws"))
        assert found.n == 30
        return found.high - found.low

    assert width(repeated, np.repeat(np.arange(30), 20)) == pytest.approx(width(values, np.arange(30)))


def test_level_and_seed() -> None:
    values = make_rng(3, "values").normal(size=40)

    def interval(seed: int, level: float) -> Interval:
        rng = make_rng(seed, "draws")
        return patient_bootstrap(lambda r: float(values[r].mean()), np.arange(40), draws=400, rng=rng, level=level)

    wide, narrow = interval(0, 0.95), interval(0, 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert narrow.method.endswith("50 %")
    assert interval(0, 0.95) == wide != interval(1, 0.95)


def test_below_five_patients_there_is_a_value_and_a_reason() -> None:
    found = patient_bootstrap(
        lambda r: float(len(r)), np.array(["A", "A", "B", "C", "D"]), draws=100, rng=make_rng(0, "x")
    )
    assert found.value == 5 and found.n == 4
    assert np.isnan([found.low, found.high]).all()
    assert found.method == "none: 4 patients, an interval needs 5"


def test_no_rows_have_no_value() -> None:
    found = patient_bootstrap(lambda r: 1 / len(r), np.array([], dtype=str), draws=10, rng=make_rng(0, "x"))
    assert np.isnan(found.value) and found.n == 0 and found.method.startswith("none: 0 patients")


def test_a_statistic_without_value_is_not_resampled() -> None:
    calls: list[int] = []

    def nothing(rows: np.ndarray) -> float:
        calls.append(len(rows))
        return float("nan")

    found = patient_bootstrap(nothing, np.arange(9), draws=50, rng=make_rng(0, "x"))
    assert calls == [9]
    assert found.method == "none: the statistic has no value"


def test_draws_without_value_are_counted() -> None:
    def only_with_first(rows: np.ndarray) -> float:
        return float(rows.mean()) if 0 in rows else float("nan")

    found = patient_bootstrap(only_with_first, np.arange(20), draws=400, rng=make_rng(0, "x"))
    missing = int(found.method.split("%, ")[1].split()[0])
    assert 100 < missing < 190  # (19/20)^20 = 36 % of 400
    assert np.isfinite([found.low, found.high]).all()


def test_mostly_missing_draws_give_no_limits() -> None:
    drawn = np.array([1.0, 2.0, *[np.nan] * 8])
    found = percentile_interval(1.5, drawn, 10)
    assert np.isnan(found.low) and found.method == "none: 8 of 10 draws have no value"


def test_bca_agrees_with_scipy() -> None:
    values = make_rng(4, "values").lognormal(size=60)
    found = patient_bootstrap(
        lambda r: float(values[r].mean()), np.arange(60), draws=4000, rng=make_rng(4, "draws"), bca=True
    )
    peer = scipy_bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=make_rng(4, "peer"))
    limits = peer.confidence_interval
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=0.04)
    plain = patient_bootstrap(lambda r: float(values[r].mean()), np.arange(60), draws=4000, rng=make_rng(4, "draws"))
    assert found.low > plain.low and found.high > plain.high  # a skewed mean moves both limits up
    assert "BCa" in found.method


def test_bca_without_leave_one_out_values_falls_back_on_the_bias_correction() -> None:
    drawn = make_rng(5, "drawn").normal(size=1000)
    found = percentile_interval(0.0, drawn, 10, left_out=np.full(10, np.nan))
    same = percentile_interval(0.0, drawn, 10, left_out=np.zeros(10))
    assert found == same and np.isfinite(found.low)


def test_weighted_auroc_equals_repeated_rows() -> None:
    rng = make_rng(6, "data")
    y, score = np.array([0, 1, 0, 1, 1, 0]), np.array([0.1, 0.4, 0.4, 0.3, 0.9, 0.2])
    weights = rng.integers(3, size=(40, 6))
    found = weighted_auroc(y, score, weights)
    expected = [auroc(np.repeat(y, w), np.repeat(score, w)) for w in weights]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_weighted_auroc_refuses_what_auroc_refuses() -> None:
    weights = np.ones((2, 5))
    for y, score in (([0, 1, 2, 1, 0], [1, 2, 3, 4, 5]), ([0, 1, 0, 1, 0], [1, 2, np.nan, 4, 5])):
        with pytest.raises(ValueError, match="labels must be 0 or 1 and scores finite"):
            weighted_auroc(np.array(y), np.array(score), weights)
    assert np.isnan(weighted_auroc(np.ones(5), np.arange(5), weights)).all()
    assert np.isnan(weighted_auroc(np.array([]), np.array([]), np.empty((2, 0)))).all()
