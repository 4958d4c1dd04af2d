"""Penalised Cox regression of many settings and folds at once, and their test concordance.

The objective is that of ``lifelines.CoxPHFitter(penalizer, l1_ratio)``: covariates are scaled by their standard
deviation in the training part, and the log partial likelihood (Efron ties) less
``n * penalizer * (l1_ratio * |b|_1 + (1 - l1_ratio) / 2 * |b|_2^2)`` is maximised. lifelines nears the absolute value
by a smooth one and stops on its way; here the optimum itself is found, and ``zeros`` says whether the coefficients that
the LASSO removes are exactly zero or what the smoothing leaves of them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NotRequired, TypedDict, Unpack

import numpy as np

from radgen_lib.metrics.cox_likelihood import PartialLikelihood
from radgen_lib.metrics.cox_newton import Penalty, minimise, smoothed_zeros
from radgen_lib.metrics.survival import checked_survival, comparable_pairs, pair_scores

CHUNK = 512  # fits whose curvatures stay in the cache together


@dataclass(frozen=True)
class CoxBatch:
    """Fits of a batch: beta [B, p] per unit of each covariate, converged [B], iterations [B]."""

    beta: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray


def fit_cox(
    x: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    *,
    penalizer: np.ndarray | float,
    l1_ratio: np.ndarray | float,
    ties: str = "efron",
    train: np.ndarray | None = None,
    zeros: str = "smoothed",
) -> CoxBatch:
    """Fit B penalised Cox models to subsets of the same patients.

    Args:
        x: [n, p] covariates; time: [n]; event: 0/1 [n].
        penalizer: [B] or one number, at least 0; l1_ratio: [B] or one number in [0, 1] (1 is the LASSO).
        ties: "efron" (as lifelines) or "breslow".
        train: bool [B, n], the patients of each fit; all patients in one fit when None.
        zeros: "smoothed" leaves coefficients of at most 1e-5 that rank patients as lifelines' do, "exact" removes them.

    A covariate that is constant in a training part has coefficient 0 there. A part without a death, or a fit whose
    optimum is not reached (see :func:`radgen_lib.metrics.cox_newton.minimise`), is marked as not converged.
    """
    time, event = checked_survival(time, event)
    x = np.asarray(x, dtype=float)
    if x.ndim != 2 or len(x) != len(time) or not np.isfinite(x).all():
        raise ValueError(f"covariates {x.shape} for {len(time)} patients: need finite [n, p]")
    train = np.ones((1, len(x)), dtype=bool) if train is None else np.asarray(train, dtype=bool)
    if train.ndim != 2 or train.shape[1] != len(x):
        raise ValueError(f"training parts {train.shape} for {len(x)} patients: need [B, n]")
    penalizer, l1_ratio = (np.broadcast_to(np.asarray(v, dtype=float), len(train)) for v in (penalizer, l1_ratio))
    if (penalizer < 0).any() or (l1_ratio < 0).any() or (l1_ratio > 1).any():
        raise ValueError("penalizer must not be negative, l1_ratio must lie in [0, 1]")
    if zeros not in ("smoothed", "exact"):
        raise ValueError(f"zeros {zeros!r}: allowed are smoothed, exact")
    spread = x.std(axis=0)
    units = np.where(spread > 0, spread, 1.0)
    likelihood = PartialLikelihood((x - x.mean(axis=0)) / units, time, event, ties)
    batch = CoxBatch(np.zeros((len(train), x.shape[1])), np.zeros(len(train), dtype=bool), np.zeros(len(train), int))
    # Ridge and LASSO fits take different steps, and fits of like strength take equally many: keep them together.
    order = np.lexsort((penalizer, l1_ratio > 0))
    with_deaths = order[(train[order] & event).any(axis=1)]
    ridge, lasso = (with_deaths[(penalizer * l1_ratio > 0)[with_deaths] == flag] for flag in (False, True))
    for group in (ridge, lasso):
        for start in range(0, len(group), CHUNK):
            _fit_chunk(likelihood, train, penalizer, l1_ratio, group[start : start + CHUNK], batch, zeros)
    batch.beta[:] /= units
    return batch


def _fit_chunk(
    likelihood: PartialLikelihood,
    train: np.ndarray,
    penalizer: np.ndarray,
    l1_ratio: np.ndarray,
    rows: np.ndarray,
    batch: CoxBatch,
    zeros: str,
) -> None:
    """Fit the models at ``rows`` and enter them into ``batch``."""
    scale = _training_spread(likelihood.x, train[rows])
    strength = (train[rows].sum(axis=1) * penalizer[rows])[:, None]
    share = l1_ratio[rows][:, None]
    penalty = Penalty(lasso=strength * share * scale, ridge=strength * (1 - share) * scale**2)
    subsets = likelihood.subsets(train[rows])
    beta, batch.converged[rows], batch.iterations[rows] = minimise(likelihood, subsets, penalty, scale)
    if zeros == "smoothed" and penalty.lasso.any():
        beta = smoothed_zeros(likelihood, subsets, penalty, scale, beta)
    batch.beta[rows] = beta


def _training_spread(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Standard deviation (n - 1) of each covariate in each training part: [B, p]; 0 where it is constant."""
    weights = train.astype(float)
    count = weights.sum(axis=1, keepdims=True)
    mean = weights @ x / count
    squares = weights @ (x * x) - count * mean**2
    spread = np.sqrt(np.maximum(squares, 0.0) / np.maximum(count - 1, 1))
    return np.where(squares > 1e-12 * np.maximum(count, weights @ (x * x)), spread, 0.0)


class CoxSettings(TypedDict):
    """Keywords of :func:`fit_cox`."""

    penalizer: np.ndarray | float
    l1_ratio: np.ndarray | float
    ties: NotRequired[str]
    train: NotRequired[np.ndarray | None]
    zeros: NotRequired[str]


def fit_cox_batch(x: np.ndarray, time: np.ndarray, event: np.ndarray, **settings: Unpack[CoxSettings]) -> np.ndarray:
    """Coefficients [B, p] of :func:`fit_cox`; fits that did not converge keep their last and are counted in the log."""
    batch = fit_cox(x, time, event, **settings)
    failed = int((~batch.converged).sum())
    if failed:
        logging.getLogger("radgen").warning("%d of %d Cox fits did not converge", failed, len(batch.beta))
    return batch.beta


def batched_harrell_c(time: np.ndarray, event: np.ndarray, risk: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Harrell's C of each row of ``risk`` [B, n] over the patients of its ``test`` part, bool [B, n]: [B].

    Equal to :func:`radgen_lib.metrics.survival.harrell_c` of each part; NaN where a part has no comparable pair.
    """
    risk, test = np.asarray(risk, dtype=float), np.asarray(test, dtype=bool)
    earlier, later = comparable_pairs(time, event)
    found = np.full(len(risk), np.nan)
    for start in range(0, len(risk), CHUNK):
        part = slice(start, start + CHUNK)
        both = test[part][:, earlier] & test[part][:, later]
        won = (pair_scores(risk[part][:, earlier], risk[part][:, later]) * both).sum(axis=1)
        pairs = both.sum(axis=1)
        np.divide(won, pairs, out=found[part], where=pairs > 0)
    return found
