"""Two-class scores: hand-computed cases, brute force over pairs and thresholds, and refusal of nonsense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics import classification as cls

NAN_WITHOUT_BOTH: list[Callable[[np.ndarray, np.ndarray], float]] = [
    cls.auroc,
    cls.average_precision,
    cls.auprc_trapz,
    cls.best_f1_threshold,
    cls.youden_threshold,
    lambda y, s: cls.f1(y, s, 0.5),
    lambda y, s: cls.delong(y, s).value,
]
two_classes = st.tuples(st.integers(0, 10_000), st.integers(4, 30), st.integers(2, 8))


def drawn(case: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Random labels of both classes (two rows each at least) and scores with ties."""
    seed, n, levels = case
    rng = make_rng(seed, "classification")
    y = rng.integers(2, size=n)
    y[:4] = 0, 0, 1, 1
    return y, rng.integers(levels, size=n) / levels


@settings(max_examples=50, deadline=None)
@given(two_classes)
def test_auroc_is_the_share_of_pairs_won(case: tuple[int, int, int]) -> None:
    y, score = drawn(case)
    gap = score[y == 1][:, None] - score[y == 0][None, :]
    assert cls.auroc(y, score) == pytest.approx(((gap > 0) + (gap == 0) / 2).mean(), abs=1e-12)
    assert cls.auroc(y, -score) == pytest.approx(1 - cls.auroc(y, score), abs=1e-12)
    assert cls.auroc(y, np.exp(3 * score)) == pytest.approx(cls.auroc(y, score), abs=1e-12)


def test_average_precision_and_trapezoid_on_a_toy_curve() -> None:
    """Ranked 1, 0, 1: precision 1 at recall 1/2, then 2/3 at recall 1. The step rule is 5/6, the trapezoid less."""
    y, score = np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])
    assert cls.average_precision(y, score) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    # the trapezoid joins (0, 1), (1/2, 1), (1/2, 1/2), (1, 2/3)
    assert cls.auprc_trapz(y, score) == pytest.approx(1 / 2 + 1 / 2 * (1 / 2 + 2 / 3) / 2)


def test_trapezoid_flatters_a_useless_score() -> None:
    """One score for all: the step rule gives the prevalence, the trapezoid an area halfway to one."""
    y = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert cls.average_precision(y, np.ones(10)) == pytest.approx(0.1)
    assert cls.auprc_trapz(y, np.ones(10)) == pytest.approx(0.55)


def test_f1_by_hand() -> None:
    y, score = np.array([1, 1, 0, 0, 1]), np.array([0.9, 0.5, 0.5, 0.1, 0.2])
    assert cls.f1(y, score, 0.5) == pytest.approx(2 * 2 / (3 + 3))  # at the threshold counts as positive
    assert cls.f1(y, score, 0.6) == pytest.approx(2 * 1 / (1 + 3))
    assert cls.f1(y, score, 2.0) == 0
    assert np.isnan(cls.f1(y, score, float("nan")))


@settings(max_examples=50, deadline=None)
@given(two_classes)
def test_thresholds_are_the_best_observed_scores(case: tuple[int, int, int]) -> None:
    y, score = drawn(case)
    levels = np.unique(score)[::-1]
    best = [cls.f1(y, score, t) for t in levels]
    assert cls.best_f1_threshold(y, score) == levels[np.argmax(np.round(best, 12))]
    youden = [np.mean(score[y == 1] >= t) - np.mean(score[y == 0] >= t) for t in levels]
    assert cls.youden_threshold(y, score) == levels[np.argmax(np.round(youden, 12))]


def test_of_equally_good_thresholds_the_highest_is_chosen() -> None:
    """Sensitivity less false-positive rate is 1/9 at 0.8 and at 0.6, in floating point a little more at 0.6."""
    y = np.array([0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1])
    score = np.array([0.4, 0.8, 0.6, 0.4, 0.6, 0.8, 0.0, 0.6, 0.8, 0.8, 0.8, 0.6])
    assert cls.youden_threshold(y, score) == 0.8


@settings(max_examples=40, deadline=None)
@given(two_classes)
def test_delong_variance_equals_the_sum_over_pairs(case: tuple[int, int, int]) -> None:
    """The definition of DeLong 1988, pair by pair, against the version from ranks."""
    y, score = drawn(case)
    gap = score[y == 1][:, None] - score[y == 0][None, :]
    won = (gap > 0) + (gap == 0) / 2
    variance = won.mean(axis=1).var(ddof=1) / len(won) + won.mean(axis=0).var(ddof=1) / won.shape[1]
    found = cls.delong(y, score)
    assert found.value == pytest.approx(won.mean(), abs=1e-12)
    if variance < 1e-12:
        assert np.isnan(found.low) and found.method == "none: DeLong variance is zero"
        return
    half = 1.959963984540054 * np.sqrt(variance)
    assert found.low == pytest.approx(max(won.mean() - half, 0), abs=1e-9)
    assert found.high == pytest.approx(min(won.mean() + half, 1), abs=1e-9)
    assert (found.n, found.method) == (len(y), "DeLong, 95 %")


def test_perfect_and_tiny_samples_have_no_interval() -> None:
    perfect = cls.delong(np.array([0, 0, 1, 1]), np.array([1, 2, 3, 4]))
    assert perfect.value == 1 and np.isnan(perfect.low) and "variance is zero" in perfect.method
    tiny = cls.delong(np.array([0, 0, 0, 1]), np.array([1, 5, 3, 4]))
    assert tiny.value == pytest.approx(2 / 3) and np.isnan(tiny.high)
    assert tiny.method == "none: 1 rows of the smaller class"


@pytest.mark.parametrize("score_of", NAN_WITHOUT_BOTH)
@pytest.mark.parametrize("y", [np.ones(5), np.zeros(5), np.array([])])
def test_one_class_is_nan(score_of: Callable[[np.ndarray, np.ndarray], float], y: np.ndarray) -> None:
    assert np.isnan(score_of(y, np.arange(len(y), dtype=float)))


@pytest.mark.parametrize("score_of", NAN_WITHOUT_BOTH)
def test_missing_labels_and_scores_raise(score_of: Callable[[np.ndarray, np.ndarray], float]) -> None:
    with pytest.raises(ValueError, match="labels must be 0 or 1 and scores finite"):
        score_of(np.array([0, 1, np.nan]), np.array([0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match="labels must be 0 or 1 and scores finite"):
        score_of(np.array([0, 1, 1]), np.array([0.1, np.inf, 0.3]))
    with pytest.raises(ValueError, match="vectors of one length"):
        score_of(np.array([0, 1]), np.array([0.1, 0.2, 0.3]))
