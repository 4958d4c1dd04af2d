"""Patient bootstrap of scores, vectorised over draws, so that arms share the same resampled patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.intervals import patient_counts, percentile_interval

LEVEL = 95
FEWEST_TRAININGS = 3


def patient_weights(n: int, draws: int, seed: int, *names: object) -> np.ndarray:
    """How often each of ``n`` patients was drawn: float64 [draws, n]; same seed, names and n give the same draws."""
    rng = make_rng(seed, "patient bootstrap", *names, n)
    return patient_counts(np.arange(n), draws, rng).astype(float)


def _by_score(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drawn positives and negatives at each distinct score, descending: two arrays [draws, distinct scores]."""
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    drawn = weights[:, order]
    positive = (y[order] == 1).astype(float)
    return (
        np.add.reduceat(drawn * positive, starts, axis=1),
        np.add.reduceat(drawn * (1.0 - positive), starts, axis=1),
    )


def average_precision_draws(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision (step rule) of every draw: [draws]; NaN without a positive; tied scores share a threshold."""
    positive, negative = _by_score(y, score, weights)
    hits = np.cumsum(positive, axis=1)
    called = hits + np.cumsum(negative, axis=1)
    precision = np.divide(hits, called, out=np.zeros_like(called), where=called > 0)
    total = hits[:, -1]
    summed = (precision * positive).sum(axis=1)
    return np.divide(summed, total, out=np.full(len(weights), np.nan), where=total > 0)


def auprc_trapz_draws(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Trapezoid area under the precision-recall curve (as published, optimistic) of every draw: [draws].

    Equals :func:`radgen_lib.metrics.classification.auprc_trapz` on the drawn rows; NaN unless both classes are drawn.
    """
    positive, negative = _by_score(y, score, weights)
    hits, missed = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
    called, total = hits + missed, hits[:, -1:]
    # Before anything is called precision is 1 by convention; scores nobody drawn has add no width.
    precision = np.divide(hits, called, out=np.ones_like(called), where=called > 0)
    recall = np.divide(hits, total, out=np.zeros_like(called), where=total > 0)
    height = (precision + np.hstack([np.ones((len(weights), 1)), precision[:, :-1]])) / 2
    area = (np.diff(recall, prepend=0.0, axis=1) * height).sum(axis=1)
    return np.where((total[:, 0] > 0) & (missed[:, -1] > 0), area, np.nan)


def f1_draws(y: np.ndarray, called: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """F1 of fixed calls (0 or 1) of every draw: [draws]; NaN where no positive was drawn."""
    positives = weights @ (y == 1).astype(float)
    hit = weights @ ((y == 1) * called)
    total = positives + weights @ called.astype(float)
    return np.divide(2 * hit, total, out=np.full(len(weights), np.nan), where=positives > 0)


def banded(
    value: float,
    drawn: np.ndarray,
    n: int,
    *,
    paired: bool = False,
    scheme: str = "",
    left_out: np.ndarray | None = None,
) -> dict[str, Any]:
    """Fields ``value, low, high, n, interval`` of a result row, from the draws of a statistic over ``n`` patients.

    BCa limits where the values without each patient are given (``left_out`` [n]).
    """
    found = percentile_interval(float(value), drawn, n, LEVEL / 100, left_out=left_out)
    method = f"paired {found.method}" if paired and not found.method.startswith("none") else found.method
    return {"value": float(value), "low": found.low, "high": found.high, "n": n, "interval": method + scheme}


def trainings_band(values: np.ndarray) -> dict[str, Any]:
    """Fields ``value, low, high, interval`` of a metric over trainings from several seeds: [t] finite values, t > 1.

    From three on Student's t interval of the mean; of two their range, which is no interval. Neither knows of other
    patients: all trainings are tested on the same images.
    """
    t, mean = values.size, float(values.mean())
    if np.ptp(values) == 0:
        return {"value": mean, "low": np.nan, "high": np.nan, "interval": f"none: {t} trainings gave the same value"}
    if t < FEWEST_TRAININGS:
        low, high = float(values.min()), float(values.max())
        return {"value": mean, "low": low, "high": high, "interval": f"range of {t} trainings"}
    from scipy.stats import t as student

    half = float(student.ppf(0.5 + LEVEL / 200, t - 1) * values.std(ddof=1) / np.sqrt(t))
    method = f"t interval of the mean over {t} trainings, {LEVEL} %"
    return {"value": mean, "low": mean - half, "high": mean + half, "interval": method}


def spread(values: np.ndarray, what: str) -> dict[str, Any]:
    """Fields ``low, high, interval``: 2.5 to 97.5 percentile of repeated values (seeds, draws), not a confidence."""
    usable = values[np.isfinite(values)]
    if usable.size < 2:
        return {"low": np.nan, "high": np.nan, "interval": f"none: {usable.size} of {values.size} {what} gave a value"}
    low, high = np.percentile(usable, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    lost = f", {values.size - usable.size} without a value" if usable.size < values.size else ""
    return {"low": float(low), "high": float(high), "interval": f"spread over {values.size} {what}{lost}, {LEVEL} %"}
