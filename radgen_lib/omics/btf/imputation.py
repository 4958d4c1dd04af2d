"""Missing values with predictive intervals: loadings, factors and measurement noise all uncertain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from radgen_lib.omics.btf.data import Observed
from radgen_lib.omics.btf.model import Draws
from radgen_lib.omics.btf.projection import Conditional, as_observed, conditionals

BLOCK = 1 << 21  # entries x draws at a time
MOST_STEPS, SMALL_STEP = 60, 1e-3


class Imputed(NamedTuple):
    """Predictive mean and limits of every entry, float32 [n, D, L]; NaN for a patient with no omic."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def impute(draws: Draws, values: np.ndarray | Observed, *, level: float = 0.95) -> Imputed:
    """Predict every entry of some patients from what was measured in them; no sampling, so no seed.

    values: float [n, D, L] with NaN for missing. Given a draw of loadings and noise an entry is Gaussian; its
    predictive distribution is the equal mixture over ``draws`` (as sampled) and the limits are its exact quantiles
    (1 - level) / 2 and (1 + level) / 2. Entries that were measured get the interval of a repeated measurement. Raises
    ValueError for a level outside (0, 1) and for other genes or omics than the draws.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    observed = as_observed(values, draws)
    found = Imputed(*(np.full(observed.shape, np.nan, dtype=np.float32) for _ in range(3)))
    given = list(conditionals(draws, observed))
    known = np.flatnonzero(observed.patients.any(axis=1))
    step = max(BLOCK // (len(draws) * observed.shape[1]), 1)
    for omic in range(observed.shape[2]):
        for begin in range(0, len(known), step):
            rows = known[begin : begin + step]
            mean, sd = _moments(draws, given, rows, omic)
            found.mean[rows, :, omic] = mean.mean(axis=0)
            for limits, share in ((found.low, (1 - level) / 2), (found.high, (1 + level) / 2)):
                limits[rows, :, omic] = mixture_quantile(mean, sd, share)
    return found


def _moments(draws: Draws, given: list[Conditional], rows: np.ndarray, omic: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of all genes of an omic in some patients given every draw, each [S, rows, D]."""
    groups, at = np.unique(given[0].group[rows], return_inverse=True)
    mean = np.empty((len(given), len(rows), draws.w.shape[1]))
    sd = np.empty_like(mean)
    for number, one in enumerate(given):
        loading = draws.w[number] * draws.u[number, omic]
        mean[number] = one.mean[rows] @ loading.T
        spread = loading @ one.roots[groups].transpose(0, 2, 1)
        sd[number] = np.sqrt((spread**2).sum(axis=2) + 1 / draws.tau[number, omic])[at]
    return mean, sd


def mixture_quantile(mean: np.ndarray, sd: np.ndarray, share: float) -> np.ndarray:
    """Quantile of equal mixtures of Gaussians, means and SDs [S, ...], by Newton steps from the moments' Gaussian.

    It lies between the smallest and the largest quantile of the parts; a step that leaves what is still possible halves
    it instead. The mixture over draws is close to Gaussian, so that two steps do: the last is below a thousandth of the
    SD, after which what is left is about its square.
    """
    whole = np.sqrt((sd**2).mean(axis=0) + mean.var(axis=0))
    parts = mean + sd * ndtri(share)
    low, high = parts.min(axis=0), parts.max(axis=0)
    place = np.clip(mean.mean(axis=0) + whole * ndtri(share), low, high)
    for _ in range(MOST_STEPS):
        z = (place - mean) / sd
        density = (np.exp(-(z**2) / 2) / sd).mean(axis=0) / np.sqrt(2 * np.pi)
        excess = ndtr(z).mean(axis=0) - share
        low, high = np.where(excess < 0, place, low), np.where(excess > 0, place, high)
        following = place - excess / np.maximum(density, np.finfo(float).tiny)
        following = np.where((following < low) | (following > high), (low + high) / 2, following)
        done = bool((np.abs(following - place) < SMALL_STEP * whole).all())
        place = following
        if done:
            break
    return np.asarray(place)
