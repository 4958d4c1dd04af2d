"""Intervals over patients: the patient, never the image or the draw, is what is resampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

FEWEST_PATIENTS = 5


class Interval(NamedTuple):
    """An estimate with its limits; ``n`` counts patients, ``method`` says how the limits came about or why not."""

    value: float
    low: float
    high: float
    n: int
    method: str


def patient_counts(patients: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each row stands in each bootstrap sample of patients: int [draws, rows].

    As many patients are drawn with replacement as there are; all rows of a patient share its count.
    """
    people, row_patient = np.unique(patients, return_inverse=True)
    drawn = rng.integers(len(people), size=(draws, len(people))) + len(people) * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=draws * len(people)).reshape(draws, len(people))
    return counts[:, row_patient]


def patient_bootstrap(
    statistic: Callable[[np.ndarray], float],
    patients: np.ndarray,
    *,
    draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
    bca: bool = False,
) -> Interval:
    """Bootstrap ``statistic`` over patients.

    Args:
        statistic: maps row indices (int [m], ascending, with repeats) to a number, NaN where it has none.
        patients: [n] the patient of each row; all rows of a patient are drawn together.
        draws: bootstrap samples; rng: source of randomness; level: of the interval.
        bca: bias-corrected and accelerated limits (Efron 1987; acceleration by leaving out one patient at a time)
            instead of plain percentiles.

    Draws without a value are left out and counted in ``method``. Limits are NaN below five patients or when more than
    half of the draws have no value.
    """
    patients = np.asarray(patients)
    rows = np.arange(len(patients))
    n = len(np.unique(patients))
    value = float(statistic(rows)) if n else float("nan")
    if n < FEWEST_PATIENTS or not np.isfinite(value):
        return percentile_interval(value, np.empty(0), n, level)
    counts = patient_counts(patients, draws, rng)
    drawn = np.array([statistic(np.repeat(rows, count)) for count in counts], dtype=float)
    if not bca:
        return percentile_interval(value, drawn, n, level)
    left_out = np.array([statistic(rows[patients != one]) for one in np.unique(patients)], dtype=float)
    return percentile_interval(value, drawn, n, level, left_out=left_out)


def percentile_interval(
    value: float, drawn: np.ndarray, n: int, level: float = 0.95, *, left_out: np.ndarray | None = None
) -> Interval:
    """Interval from bootstrap draws of a statistic; BCa when the leave-one-patient-out values are given."""
    if n < FEWEST_PATIENTS:
        return Interval(value, np.nan, np.nan, n, f"none: {n} patients, an interval needs {FEWEST_PATIENTS}")
    if not np.isfinite(value):
        return Interval(value, np.nan, np.nan, n, "none: the statistic has no value")
    found = drawn[np.isfinite(drawn)]
    missing = len(drawn) - len(found)
    if len(found) < 2 or missing > len(found):
        return Interval(value, np.nan, np.nan, n, f"none: {missing} of {len(drawn)} draws have no value")
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    kind = "patient bootstrap"
    if left_out is not None:
        kind, ends = "patient bootstrap (BCa)", _bca_ends(value, found, left_out, ends)
    low, high = np.quantile(found, ends)
    undefined = f", {missing} draws without a value left out" if missing else ""
    return Interval(value, float(low), float(high), n, f"{kind}, {len(drawn)} draws, {100 * level:g} %{undefined}")


def _bca_ends(value: float, drawn: np.ndarray, left_out: np.ndarray, ends: np.ndarray) -> np.ndarray:
    from scipy.stats import norm

    below = np.mean(drawn < value) + np.mean(drawn == value) / 2
    shift = norm.ppf(np.clip(below, 1 / (2 * len(drawn)), 1 - 1 / (2 * len(drawn))))
    kept = left_out[np.isfinite(left_out)]
    gap = kept.mean() - kept if len(kept) else kept
    spread = np.sum(gap**2) ** 1.5
    acceleration = np.sum(gap**3) / (6 * spread) if spread else 0.0
    moved = shift + norm.ppf(ends)
    return norm.cdf(shift + moved / (1 - acceleration * moved))


def weighted_auroc(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC under each row of ``weights`` [draws, n]: [draws]; NaN where a class has no weight. Ties count half.

    Raises ValueError for labels that are not 0 or 1 and for scores that are not finite.
    """
    y, score = np.asarray(y, dtype=float), np.asarray(score, dtype=float)
    if not np.isin(y, (0.0, 1.0)).all() or not np.isfinite(score).all():
        raise ValueError("labels must be 0 or 1 and scores finite")
    if not len(y):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    weighted = np.asarray(weights, dtype=float)[:, order]
    positive = np.add.reduceat(weighted * y[order], starts, axis=1)
    negative = np.add.reduceat(weighted * (1 - y[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * below).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(weighted), np.nan), where=pairs > 0)
