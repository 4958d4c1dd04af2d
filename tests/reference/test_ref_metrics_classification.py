"""Ranking scores and thresholds against scikit-learn, DeLong against jackknife and bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score, roc_curve

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics import classification as cls

cases = st.tuples(st.integers(0, 10_000), st.integers(4, 40), st.integers(2, 50))


def drawn(case: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = make_rng(case[0], "reference")
    y = rng.integers(2, size=case[1])
    y[:2] = 0, 1
    return y, rng.integers(case[2], size=case[1]) / case[2]


@settings(max_examples=40, deadline=None)
@given(cases)
def test_scores_equal_scikit_learn(case: tuple[int, int, int]) -> None:
    y, score = drawn(case)
    assert cls.auroc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert cls.average_precision(y, score) == pytest.approx(average_precision_score(y, score), abs=1e-12)
    for threshold in (0.0, 0.3, 0.9):
        expected = f1_score(y, score >= threshold, zero_division=0)
        assert cls.f1(y, score, threshold) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_thresholds_reach_the_best_point_of_scikit_learns_curves(case: tuple[int, int, int]) -> None:
    y, score = drawn(case)
    precision, recall, _ = precision_recall_curve(y, score)
    total = precision + recall
    best = np.max(2 * precision * recall / np.where(total > 0, total, 1))
    assert cls.f1(y, score, cls.best_f1_threshold(y, score)) == pytest.approx(best, abs=1e-12)
    false, true, _ = roc_curve(y, score, drop_intermediate=False)
    chosen = cls.youden_threshold(y, score)
    reached = np.mean(score[y == 1] >= chosen) - np.mean(score[y == 0] >= chosen)
    # the curve also has the point that calls nobody positive, which is no observed score
    assert reached == pytest.approx(np.max((true - false)[1:]), abs=1e-12)


def test_delong_agrees_with_the_jackknife_and_the_bootstrap() -> None:
    """Two independent estimates of the same standard error."""
    rng = make_rng(1, "se")
    y = np.repeat([0, 1], [60, 40])
    score = y + rng.normal(size=100)
    found = cls.delong(y, score)
    error = (found.high - found.low) / (2 * 1.959964)
    left_out = np.array([roc_auc_score(np.delete(y, i), np.delete(score, i)) for i in range(100)])
    jackknife = np.sqrt(
        sum((n - 1) / n * np.sum((left_out[y == k] - left_out[y == k].mean()) ** 2) for k, n in ((0, 60), (1, 40)))
    )
    assert error == pytest.approx(jackknife, rel=1e-2)
    stratified = [
        np.concatenate([rng.choice(np.flatnonzero(y == k), n) for k, n in ((0, 60), (1, 40))]) for _ in range(600)
    ]
    assert error == pytest.approx(np.std([cls.auroc(y[r], score[r]) for r in stratified]), rel=0.1)
