"""Concordance of risks with survival over many patient resamples at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radgen_lib.metrics.survival import comparable_pairs, pair_scores


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
