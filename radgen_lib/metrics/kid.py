"""Kernel distance (KID): unbiased at small n, hence the headline of every comparison of image sets (PROTOCOLS 8.2)."""

from __future__ import annotations

import numpy as np

from radgen_lib.metrics.frechet import real_floor
from radgen_lib.metrics.intervals import FEWEST_PATIENTS, Interval, patient_counts, percentile_interval


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1.0) ** 3


def _sets(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features {a.shape} and {b.shape}: need [n, d] and [m, d]")
    return a, b


def kid(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski 2018).

    a: [n, d], b: [m, d]. One block holds all rows (the U-statistic over all pairs, of which the usual average over
    blocks is a noisier version). NaN below two rows a side or with features that are not finite; may be negative.
    """
    a, b = _sets(a, b)
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    owners = np.arange(len(a) + len(b))
    return float(_weighted(a, b, owners[: len(a)], owners[len(a) :], np.ones((1, len(a))), np.ones((1, len(b))))[0])


def kid_interval(
    a: np.ndarray,
    b: np.ndarray,
    patients_a: np.ndarray,
    patients_b: np.ndarray,
    *,
    draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Interval:
    """KID between patients with a patient bootstrap, all draws at once.

    Only pairs of rows of *different* patients count, within a set and between the sets. A patient drawn twice would
    otherwise meet its own copy (k(x, x) is the largest value of the kernel) and every interval would sit above its
    estimate; several images of one patient would do the same to a lesser degree. Patients that stand on both sides
    (a real image and one made for it) are drawn together on both; their own pair would pull value and, twice as hard,
    limits below zero, so that without it the estimate is the paired U-statistic (Gretton 2012, lemma 6). With one row
    a patient and no patient on both sides the value equals :func:`kid`. ``n`` counts distinct patients; limits are NaN
    when either side has fewer than five.
    """
    a, b = _sets(a, b)
    if (len(patients_a), len(patients_b)) != (len(a), len(b)):
        raise ValueError(f"{len(patients_a)} and {len(patients_b)} patients for {len(a)} and {len(b)} rows")
    names, owners = np.unique(np.concatenate([patients_a, patients_b]), return_inverse=True)
    who_a, who_b = owners[: len(a)], owners[len(a) :]
    people, fewest = len(names), min(len(np.unique(who_a)), len(np.unique(who_b)))
    if fewest < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        why = f"none: {fewest} patients on one side" if fewest < 2 else "none: features that are not finite"
        return Interval(np.nan, np.nan, np.nan, people, why)
    value = float(_weighted(a, b, who_a, who_b, np.ones((1, len(a))), np.ones((1, len(b))))[0])
    if fewest < FEWEST_PATIENTS:
        return percentile_interval(value, np.empty(0), fewest, level)._replace(n=people)
    if len(np.intersect1d(who_a, who_b)):
        counts = patient_counts(owners, draws, rng)
        counts_a, counts_b = counts[:, : len(a)], counts[:, len(a) :]
    else:
        counts_a, counts_b = patient_counts(who_a, draws, rng), patient_counts(who_b, draws, rng)
    return percentile_interval(value, _weighted(a, b, who_a, who_b, counts_a, counts_b), people, level)


def kid_floor(features: np.ndarray, patients: np.ndarray, *, halvings: int, rng: np.random.Generator) -> Interval:
    """Floor of :func:`kid_interval`: KID between random halves of the patients, about 0 whatever their number.

    features: [n, d]; patients: [n]. The same estimator as the headline. A floor of plain :func:`kid` would compare
    images of one patient with each other inside a half, never across, and stand above 0 for that alone.
    """
    features, owners = _sets(features, features)[0], np.unique(patients, return_inverse=True)[1]

    def between_patients(first: np.ndarray, second: np.ndarray) -> float:
        a, b = first[:, 0], second[:, 0]
        once = np.ones((1, len(a))), np.ones((1, len(b)))
        return float(_weighted(features[a], features[b], owners[a], owners[b], *once)[0])

    return real_floor(np.arange(len(features))[:, None], owners, between_patients, halvings=halvings, rng=rng)


def _weighted(
    a: np.ndarray, b: np.ndarray, who_a: np.ndarray, who_b: np.ndarray, weight_a: np.ndarray, weight_b: np.ndarray
) -> np.ndarray:
    """KID under each row of weights [draws, n] and [draws, m]; only pairs of different owners count."""
    sets = ((a, who_a, weight_a), (b, who_b, weight_b))
    within_a, within_b, between = (
        _mean(_kernel(x, y), (who_x[:, None] != who_y[None, :]).astype(float), weight_x, weight_y)
        for (x, who_x, weight_x), (y, who_y, weight_y) in ((sets[0], sets[0]), (sets[1], sets[1]), sets)
    )
    return within_a + within_b - 2 * between


def _mean(kernel: np.ndarray, counts: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mean of ``kernel`` [n, m] over pairs with ``counts``, under each row of weights; NaN without a pair."""
    left, right = left.astype(float), right.astype(float)
    total = ((left @ (kernel * counts)) * right).sum(axis=1)
    pairs = ((left @ counts) * right).sum(axis=1)
    return np.divide(total, pairs, out=np.full(len(left), np.nan), where=pairs > 0)
