"""Kernel distance: unbiased, and its bootstrap is not misled by rows that meet their own copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.frechet import real_floor
from radgen_lib.metrics.intervals import patient_counts
from radgen_lib.metrics.kid import kid, kid_floor, kid_interval


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return float((x @ y / len(x) + 1) ** 3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 6), st.integers(1, 5))
def test_equals_the_mean_over_pairs(seed: int, n: int, m: int, d: int) -> None:
    rng = make_rng(seed, "kid")
    a, b = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    within_a = np.mean([kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j])
    within_b = np.mean([kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j])
    between = np.mean([kernel(x, y) for x in a for y in b])
    assert kid(a, b) == pytest.approx(within_a + within_b - 2 * between, abs=1e-10)
    assert kid(b, a) == pytest.approx(kid(a, b), abs=1e-10)


def test_equal_distributions_average_to_zero_even_with_few_rows() -> None:
    found = [kid(*make_rng(i, "null").normal(size=(2, 6, 4))) for i in range(800)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert min(found) < 0  # an unbiased estimate of 0 must fall below it


def test_grows_with_the_gap() -> None:
    a, b = make_rng(0, "gap").normal(size=(2, 40, 4))
    assert kid(a, b) < kid(a, b + 0.5) < kid(a, b + 1.0)


def test_without_value() -> None:
    a = make_rng(1, "x").normal(size=(5, 3))
    assert np.isnan(kid(a[:1], a)) and np.isnan(kid(a, a[:0]))
    assert np.isnan(kid(a, np.where(a == a[2, 1], np.inf, a)))
    with pytest.raises(ValueError, match=r"need \[n, d\] and \[m, d\]"):
        kid(a, a[:, :2])


def test_interval_holds_the_estimate_and_the_truth_under_no_difference() -> None:
    """Copies compared with themselves would push every limit above 0."""
    covered, above = 0, 0
    for i in range(60):
        rng = make_rng(i, "cover")
        a, b = rng.normal(size=(2, 25, 6))
        found = kid_interval(a, b, np.arange(25), np.arange(25) + 100, draws=200, rng=rng)
        assert found.value == pytest.approx(kid(a, b), abs=1e-10)
        assert found.low < found.value < found.high
        covered += found.low <= 0 <= found.high
        above += found.low > 0
    assert covered >= 51 and above <= 6


def test_draws_compare_no_row_with_its_own_copy() -> None:
    """The draws equal the mean over pairs of distinct rows of the resample, counted as often as they meet."""
    rng = make_rng(2, "draws")
    a, b = rng.normal(size=(6, 3)), rng.normal(size=(7, 3))
    found = kid_interval(a, b, np.arange(6), np.arange(7) + 10, draws=30, rng=make_rng(2, "boot"))
    repeat = make_rng(2, "boot")
    drawn = []
    counts = zip(patient_counts(np.arange(6), 30, repeat), patient_counts(np.arange(7) + 10, 30, repeat), strict=True)
    for rows_a, rows_b in ((np.repeat(np.arange(6), u), np.repeat(np.arange(7), v)) for u, v in counts):
        within_a = np.mean([kernel(a[i], a[j]) for i in rows_a for j in rows_a if i != j])
        within_b = np.mean([kernel(b[i], b[j]) for i in rows_b for j in rows_b if i != j])
        drawn.append(within_a + within_b - 2 * np.mean([kernel(a[i], b[j]) for i in rows_a for j in rows_b]))
    np.testing.assert_allclose([found.low, found.high], np.quantile(drawn, [0.025, 0.975]), atol=1e-10)


def test_images_of_one_patient_are_not_compared_with_each_other() -> None:
    """Four equal images a patient carry the information of one."""
    rng = make_rng(3, "images")
    a, b = rng.normal(size=(2, 12, 5))
    one = kid_interval(a, b, np.arange(12), np.arange(12) + 50, draws=100, rng=make_rng(3, "boot"))
    four_a, four_b = np.repeat(a, 4, axis=0), np.repeat(b, 4, axis=0)
    who = np.repeat(np.arange(12), 4)
    four = kid_interval(four_a, four_b, who, who + 50, draws=100, rng=make_rng(3, "boot"))
    np.testing.assert_allclose(four[:3], one[:3], atol=1e-10)
    assert four.n == one.n == 24
    assert kid(four_a, four_b) > one.value  # rows taken for independent look like a difference


def test_patients_on_both_sides_never_meet_their_own_image() -> None:
    """The paired U-statistic: mean over i != j of k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)."""
    rng = make_rng(4, "paired")
    a, who = rng.normal(size=(9, 4)), np.array([f"TCGA-{i}" for i in range(9)])
    b = a + 0.3 * rng.normal(size=(9, 4))
    pairs = [(i, j) for i in range(9) for j in range(9) if i != j]
    expected = np.mean(
        [kernel(a[i], a[j]) + kernel(b[i], b[j]) - kernel(a[i], b[j]) - kernel(a[j], b[i]) for i, j in pairs]
    )
    found = kid_interval(a, b, who, who, draws=50, rng=rng)
    assert found.value == pytest.approx(expected, abs=1e-10)
    assert found.n == 9


def test_a_good_copy_of_each_patient_is_not_rewarded_beyond_zero() -> None:
    """Generated images that follow their patient, from the true distribution: zero lies inside, not above."""
    inside = 0
    for i in range(40):
        rng = make_rng(i, "follow")
        shared, who = rng.normal(size=(25, 6)), np.arange(25)
        a, b = (shared + rng.normal(size=(25, 6)) for _ in range(2))
        found = kid_interval(a, b, who, who, draws=200, rng=rng)
        inside += found.low <= 0 <= found.high
        assert kid(a, b) < found.value  # the plain value counts each patient's likeness to itself
    assert inside >= 33


def test_a_common_shift_is_seen_more_sharply_when_pairs_stay_together() -> None:
    rng = make_rng(5, "shift")
    a = rng.normal(size=(30, 4))
    b, who = a + 1.0, np.arange(30)
    paired = kid_interval(a, b, who, who, draws=400, rng=make_rng(5, "boot"))
    apart = kid_interval(a, b, who, who + 100, draws=400, rng=make_rng(5, "boot"))
    assert paired.low > 0
    assert paired.high - paired.low < 0.9 * (apart.high - apart.low)
    assert (paired.n, apart.n) == (30, 60)


def test_too_few_patients() -> None:
    rng = make_rng(5, "few")
    a, b = rng.normal(size=(2, 8, 3))
    who = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    four = kid_interval(a, b, who, np.arange(8) + 10, draws=20, rng=rng)
    assert np.isfinite(four.value) and np.isnan(four.low)
    assert four.method == "none: 4 patients, an interval needs 5" and four.n == 12
    single = kid_interval(a, b, np.zeros(8), np.arange(8) + 10, draws=20, rng=rng)
    assert np.isnan(single.value) and single.method == "none: 1 patients on one side"
    with pytest.raises(ValueError, match="7 and 8 patients for 8 and 8 rows"):
        kid_interval(a, b, np.arange(7), np.arange(8), draws=20, rng=rng)
    hole = kid_interval(a * np.nan, b, np.arange(8), np.arange(8), draws=20, rng=rng)
    assert np.isnan(hole.value) and hole.method == "none: features that are not finite"


def test_floor_of_real_features_is_about_zero() -> None:
    x = make_rng(6, "floor").normal(size=(60, 5))
    found = real_floor(x, np.arange(60), kid, halvings=40, rng=make_rng(6, "halves"))
    assert found.low < 0 < found.high
    assert abs(found.value) < 0.1 * kid(x, x + 1)


def test_floor_is_not_raised_by_several_images_of_a_patient() -> None:
    rng = make_rng(7, "images")
    one, who = rng.normal(size=(40, 5)), np.arange(40)
    three = np.repeat(one, 3, axis=0)
    single = kid_floor(one, who, halvings=30, rng=make_rng(7, "halves"))
    tripled = kid_floor(three, np.repeat(who, 3), halvings=30, rng=make_rng(7, "halves"))
    np.testing.assert_allclose(tripled[:3], single[:3], atol=1e-10)
    plain = real_floor(three, np.repeat(who, 3), kid, halvings=30, rng=make_rng(7, "halves"))
    assert plain.value > tripled.high


def test_floor_of_one_image_a_patient_is_that_of_the_plain_distance() -> None:
    x, who = make_rng(8, "floor").normal(size=(30, 5)), np.array([f"TCGA-{i:02d}" for i in range(30)])
    ours = kid_floor(x, who, halvings=10, rng=make_rng(8, "halves"))
    plain = real_floor(x, who, kid, halvings=10, rng=make_rng(8, "halves"))
    assert (ours.n, ours.method) == (plain.n, plain.method)
    np.testing.assert_allclose(ours[:3], plain[:3], atol=1e-10)
