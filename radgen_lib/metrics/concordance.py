"""Concordance of risks with survival over many patient resamples at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radgen_lib.metrics.intervals import FEWEST_PATIENTS, Interval, patient_counts, percentile_interval
from radgen_lib.metrics.survival import checked_risk, checked_survival, comparable_pairs, pair_scores


@dataclass(frozen=True)
class Pairs:
    """Comparable pairs of a cohort of ``n``: earlier and later patient (indices [p]) and the weight of the pair."""

    earlier: np.ndarray
    later: np.ndarray
    weight: np.ndarray
    n: int


def harrell_pairs(time: np.ndarray, event: np.ndarray) -> Pairs:
    """All comparable pairs, weighted alike."""
    earlier, later = comparable_pairs(time, event)
    return Pairs(earlier, later, np.ones(len(earlier)), len(time))


def uno_pairs(time: np.ndarray, event: np.ndarray, horizon: float) -> Pairs:
    """Pairs of deaths before ``horizon``, weighted by the inverse squared chance of not being censored yet.

    The censoring distribution is that of the cohort itself (Kaplan-Meier) and stays fixed over resamples.
    """
    from sksurv.nonparametric import CensoringDistributionEstimator
    from sksurv.util import Surv

    earlier, later = comparable_pairs(time, event)
    inside = time[earlier] < horizon
    earlier, later = earlier[inside], later[inside]
    if not len(earlier):
        return Pairs(earlier, later, np.ones(0), len(time))
    known = CensoringDistributionEstimator().fit(Surv.from_arrays(np.asarray(event) == 1, time))
    deaths, position = np.unique(time[earlier], return_inverse=True)
    chance = known.predict_proba(deaths)[position]
    weight = np.divide(1.0, chance**2, out=np.zeros(len(chance)), where=chance > 0)
    return Pairs(earlier, later, weight, len(time))


def concordance_draws(pairs: Pairs, risk: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """C-index of every draw (tied risks count half): [draws]; NaN where no pair was drawn. weights: [draws, n]."""
    deaths, row = np.unique(pairs.earlier, return_inverse=True)
    comparable, won = np.zeros((2, len(deaths), pairs.n))
    comparable[row, pairs.later] = pairs.weight
    won[row, pairs.later] = pairs.weight * pair_scores(risk[pairs.earlier], risk[pairs.later])
    drawn_deaths = weights[:, deaths]
    total = ((drawn_deaths @ comparable) * weights).sum(axis=1)
    concordant = ((drawn_deaths @ won) * weights).sum(axis=1)
    return np.divide(concordant, total, out=np.full(len(weights), np.nan), where=total > 0)


def c_index_interval(
    time: np.ndarray,
    event: np.ndarray,
    risk: np.ndarray,
    patients: np.ndarray,
    *,
    draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Interval:
    """Harrell's C with a patient bootstrap, all draws at once; the same numbers as drawing rows and recomputing.

    A patient's copies in a draw are never compared with each other. Draws without a comparable pair are left out.
    """
    time, event = checked_survival(time, event)
    risk = checked_risk(risk, len(time))
    pairs, n = harrell_pairs(time, event), len(np.unique(patients))
    value = float(concordance_draws(pairs, risk, np.ones((1, len(time))))[0])
    if n < FEWEST_PATIENTS or not np.isfinite(value):
        return percentile_interval(value, np.empty(0), n, level)
    counts = patient_counts(patients, draws, rng).astype(float)
    return percentile_interval(value, concordance_draws(pairs, risk, counts), n, level)
