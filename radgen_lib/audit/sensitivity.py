"""Test 1 of condition adherence: does the image vary more between conditions than between draws of one condition?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from radgen_lib.metrics.intervals import Interval


@dataclass(frozen=True)
class Draws:
    """K draws of every held-out condition of one fold: values [p, K, d] and the patients [p]."""

    values: np.ndarray
    patients: np.ndarray


@dataclass(frozen=True)
class Sensitivity:
    """Ratio of variances and one-way ICC with their intervals, or the reason why there is none."""

    ratio: Interval | None
    icc: Interval | None
    reason: str = ""


def sensitivity(folds: Sequence[Draws], *, level: float = 0.95) -> Sensitivity:
    """One-way random-effects analysis of variance, summed over coordinates and pooled over folds.

    ``ratio`` = between-condition variance / within-condition variance, with the unbiased estimates (MSB - MSW) / K and
    MSW; 0 = the condition changes nothing beyond noise (the estimate may fall below 0). ``icc`` = (MSB - MSW) /
    (MSB + (K - 1) MSW). Mean squares are taken inside folds, so differences between the folds' generators do not
    count. The interval leaves out one patient at a time, in all folds (jackknife with Student's t): a bootstrap that
    draws a patient twice would shrink the variance between four patients by a quarter.
    ICC(1,1) of Shrout and Fleiss 1979.
    """
    usable = [fold for fold in folds if len(fold.patients) > 1 and fold.values.size]
    if not usable:
        return Sensitivity(None, None, "no fold holds two held-out conditions")
    if min(fold.values.shape[1] for fold in usable) < 2:
        return Sensitivity(None, None, "one draw per condition: the variance within a condition cannot be estimated")
    if len({fold.values.shape[1] for fold in usable}) > 1:
        return Sensitivity(None, None, "the folds hold different numbers of draws per condition")
    parts = [_centred(fold) for fold in usable]
    between, within = _mean_squares(parts, usable, leave=None)
    if within <= 1e-20 * max(between, 1.0):
        what = "and between conditions too" if between <= 1e-20 else "the ratio is infinite"
        return Sensitivity(None, None, f"the generator is deterministic: no variance within a condition, {what}")
    draws = usable[0].values.shape[1]
    names = np.unique(np.concatenate([fold.patients for fold in usable]))
    left = [_mean_squares(parts, usable, leave=name) for name in names]
    ratio = _jackknife([_ratio(b, w, draws) for b, w in left], _ratio(between, within, draws), level)
    icc = _jackknife([_icc(b, w, draws) for b, w in left], _icc(between, within, draws), level)
    return Sensitivity(ratio, icc)


def _ratio(between: float, within: float, draws: int) -> float:
    return (between - within) / draws / within if within else math.nan


def _icc(between: float, within: float, draws: int) -> float:
    total = between + (draws - 1) * within
    return (between - within) / total if total else math.nan


def _centred(fold: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Patient means about the fold's mean [p, d], and each patient's sum of squares within [p]."""
    means = fold.values.mean(axis=1)
    within = ((fold.values - means[:, None]) ** 2).sum(axis=(1, 2))
    return means - means.mean(axis=0), within


def _mean_squares(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], folds: Sequence[Draws], *, leave: str | None
) -> tuple[float, float]:
    """Mean squares between and within conditions without patient ``leave``; (NaN, NaN) when nothing is left."""
    between = within = free_between = free_within = 0.0
    for (means, inside), fold in zip(parts, folds, strict=True):
        keep = fold.patients != leave
        n, draws = int(keep.sum()), fold.values.shape[1]
        if n < 2:
            continue
        rest = means[keep] - means[keep].mean(axis=0)
        between += draws * float((rest**2).sum())
        within += float(inside[keep].sum())
        free_between, free_within = free_between + n - 1, free_within + n * (draws - 1)
    return (between / free_between, within / free_within) if free_between else (math.nan, math.nan)


def _jackknife(left_out: Sequence[float], value: float, level: float) -> Interval:
    """Delete-one interval; low and high are NaN when a left-out value cannot be computed."""
    from scipy.stats import t

    values = np.asarray(left_out)
    n = len(values)
    if n < 3 or not np.isfinite(values).all():
        return Interval(value, math.nan, math.nan, n, "none: too few patients to leave one out")
    spread = math.sqrt((n - 1) / n * float(((values - values.mean()) ** 2).sum()))
    half = float(t.ppf((1 + level) / 2, n - 1)) * spread
    return Interval(value, value - half, value + half, n, f"patient jackknife, {100 * level:g} %")
