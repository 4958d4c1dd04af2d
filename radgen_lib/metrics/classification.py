"""Two-class prediction: ranking, precision-recall, thresholds and their uncertainty (PROTOCOLS 8.4).

Everywhere ``y`` is 0/1 [n], ``score`` is [n] with higher meaning positive, and a row is called positive when its score
is at or above the threshold. Without both classes the answer is NaN; labels or scores that are not numbers raise
ValueError.
"""

from __future__ import annotations

import numpy as np

from radgen_lib.metrics.intervals import Interval


def _checked(y: np.ndarray, *scores: np.ndarray) -> tuple[np.ndarray, ...]:
    labels = np.asarray(y, dtype=float)
    values = [np.asarray(score, dtype=float) for score in scores]
    if any(v.shape != labels.shape or labels.ndim != 1 for v in values):
        raise ValueError(f"labels {labels.shape} and scores {[v.shape for v in values]} must be vectors of one length")
    if not np.isin(labels, (0.0, 1.0)).all() or not all(np.isfinite(v).all() for v in values):
        raise ValueError("labels must be 0 or 1 and scores finite")
    return (labels.astype(int), *values)


def _both(y: np.ndarray) -> bool:
    return 0 < y.sum() < len(y)


def auroc(y: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: probability that a positive scores above a negative, ties counting half."""
    from scipy.stats import rankdata

    y, score = _checked(y, score)
    if not _both(y):
        return float("nan")
    positives = int(y.sum())
    ranks = rankdata(score)[y == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))


def average_precision(y: np.ndarray, score: np.ndarray) -> float:
    """Average precision (step-wise area under the precision-recall curve); chance level is the prevalence."""
    from sklearn.metrics import average_precision_score

    y, score = _checked(y, score)
    return float(average_precision_score(y, score)) if _both(y) else float("nan")


def auprc_trapz(y: np.ndarray, score: np.ndarray) -> float:
    """Trapezoid area under the precision-recall curve, as published for systems A and B (optimistic)."""
    from sklearn.metrics import auc, precision_recall_curve

    y, score = _checked(y, score)
    if not _both(y):
        return float("nan")
    precision, recall, _ = precision_recall_curve(y, score)
    return float(auc(recall, precision))


def f1(y: np.ndarray, score: np.ndarray, threshold: float) -> float:
    """F1 at ``threshold``; 0 when no positive is found, NaN when the threshold is NaN."""
    y, score = _checked(y, score)
    if not _both(y) or not np.isfinite(threshold):
        return float("nan")
    called = score >= threshold
    return float(2 * np.sum(called & (y == 1)) / (called.sum() + y.sum()))


def _threshold_counts(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores from high to low, with the true and false positives of calling from each upwards."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))
    true = np.cumsum(y[order])[last]
    return score[order][last], true, last + 1 - true


def best_f1_threshold(y: np.ndarray, score: np.ndarray) -> float:
    """Observed score with the highest F1 (the highest such score). Use on training data only."""
    y, score = _checked(y, score)
    if not _both(y):
        return float("nan")
    thresholds, true, false = _threshold_counts(y, score)
    return float(thresholds[np.argmax(2 * true / (true + false + y.sum()))])


def youden_threshold(y: np.ndarray, score: np.ndarray) -> float:
    """Observed score with the highest sensitivity + specificity (the highest such score). On training data only."""
    y, score = _checked(y, score)
    if not _both(y):
        return float("nan")
    thresholds, true, false = _threshold_counts(y, score)
    # In whole numbers, so that rounding does not decide between equally good thresholds.
    return float(thresholds[np.argmax(true * (len(y) - y.sum()) - false * y.sum())])


def _placements(y: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Placement values of positives [k, m] and negatives [k, n] of ``k`` scores, from mid-ranks (Sun and Xu 2014)."""
    from scipy.stats import rankdata

    positive, negative = scores[:, y == 1], scores[:, y == 0]
    m, n = positive.shape[1], negative.shape[1]
    ranks = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    above = (ranks[:, :m] - rankdata(positive, axis=1)) / n
    below = 1 - (ranks[:, m:] - rankdata(negative, axis=1)) / m
    return above, below


def _delong(y: np.ndarray, *scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    above, below = _placements(y, np.stack(scores))
    covariance = np.cov(above) / above.shape[1] + np.cov(below) / below.shape[1]
    return above.mean(axis=1), np.atleast_2d(covariance)


def delong(y: np.ndarray, score: np.ndarray, *, level: float = 0.95) -> Interval:
    """AUROC with DeLong's variance (DeLong 1988), normal limits cut to [0, 1]; ``n`` counts rows, one a patient.

    Limits are NaN below two rows of a class, and when the classes are perfectly ordered (the variance is then zero).
    """
    from scipy.stats import norm

    y, score = _checked(y, score)
    value = auroc(y, score)
    fewest = int(min(y.sum(), len(y) - y.sum()))
    if fewest < 2:
        return Interval(value, np.nan, np.nan, len(y), f"none: {fewest} rows of the smaller class")
    _, covariance = _delong(y, score)
    if covariance[0, 0] <= 0:
        return Interval(value, np.nan, np.nan, len(y), "none: DeLong variance is zero")
    half = norm.ppf((1 + level) / 2) * np.sqrt(covariance[0, 0])
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    return Interval(value, float(low), float(high), len(y), f"DeLong, {100 * level:g} %")
