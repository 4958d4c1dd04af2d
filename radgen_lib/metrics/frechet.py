"""Frechet distances between sets of features, their floor, and the published pixel-row statistic (PROTOCOLS 8.2, B.5).

The trace of the matrix root is taken as a nuclear norm: with centred rows A, B divided by sqrt(n - 1) the covariances
are A'A and B'B and tr sqrt(A'A B'B) is the sum of the singular values of A B'. It is exact, real and stable also where
the covariances have no full rank, unlike a matrix square root.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from radgen_lib.metrics.intervals import Interval


class Frechet(NamedTuple):
    """A Frechet distance; ``n`` is the smaller number of rows, ``d`` the features, ``reason`` why value is NaN."""

    value: float
    n: int
    d: int
    singular: bool
    reason: str


def _root(x: np.ndarray) -> np.ndarray:
    """A matrix R [<= d, d] with R'R the sample covariance of x [n, d]."""
    centred = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(x) > x.shape[1] else centred


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    root_a, root_b = _root(a), _root(b)
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    gap = a.mean(axis=0) - b.mean(axis=0)
    return float(max(gap @ gap + np.sum(root_a**2) + np.sum(root_b**2) - 2 * cross, 0.0))


def _rank(x: np.ndarray) -> int:
    """Rank of the covariance, each feature in units of its own spread."""
    spread = x.std(axis=0)
    scaled = (x - x.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    return int(np.linalg.matrix_rank(scaled)) if scaled.size else 0


def frechet_distance(a: np.ndarray, b: np.ndarray, *, allow_singular: bool = False) -> Frechet:
    """Frechet distance between the Gaussians fitted to a [n, d] and b [m, d]: float64, covariances with n - 1.

    Sets whose covariance has no full rank (always so when min(n, m) <= d) are refused with a reason, unless
    ``allow_singular``: then the distance is given and ``singular`` is set; it mostly measures n, never make it a
    headline. Raises ValueError when the two sets have different features.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features {a.shape} and {b.shape}: need [n, d] and [m, d]")
    n, d = min(len(a), len(b)), a.shape[1]
    if n < 2 or d == 0:
        return Frechet(np.nan, n, d, True, f"{n} rows of {d} features: a covariance needs 2 rows")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Frechet(np.nan, n, d, False, "features that are not finite")
    rank = n - 1 if n <= d else min(_rank(a), _rank(b))
    if rank >= d or allow_singular:
        return Frechet(_distance(a, b), n, d, rank < d, "")
    return Frechet(np.nan, n, d, True, f"covariance of rank {rank} at most for {d} features ({n} rows)")


def pixelrow_frechet(real: np.ndarray, generated: np.ndarray) -> float:
    """The published "FID" of system B: rows of one image [H, W] against rows of another, in pixel units of [0, 1].

    No network: each row is one sample of W dimensions, so at H = W the covariances never have full rank. Kept to
    reproduce the published statistic, with its reference values beside it (register entry B-W02).
    """
    real, generated = np.asarray(real, dtype=float), np.asarray(generated, dtype=float)
    if real.ndim != 2 or real.shape != generated.shape or len(real) < 2:
        raise ValueError(f"images {real.shape} and {generated.shape}: need two of the same [H, W]")
    return _distance(real, generated)


def real_floor(
    features: np.ndarray,
    patients: np.ndarray,
    distance: Callable[[np.ndarray, np.ndarray], float],
    *,
    halvings: int,
    rng: np.random.Generator,
) -> Interval:
    """What a perfect generator would score: distance between random halves of the patients.

    features: [n, d]; patients: [n]; distance: of two feature sets, NaN where it has none. The value is the mean over
    ``halvings``, the limits hold the middle 95 % of them; with an odd number one patient sits out.
    """
    people = np.unique(patients)
    half = len(people) // 2
    if half < 2:
        return Interval(np.nan, np.nan, np.nan, len(people), f"none: {len(people)} patients cannot be halved")
    found = np.empty(halvings)
    for i in range(halvings):
        order = rng.permutation(people)
        first, second = np.isin(patients, order[:half]), np.isin(patients, order[half : 2 * half])
        found[i] = distance(features[first], features[second])
    known = found[np.isfinite(found)]
    if not len(known):
        return Interval(np.nan, np.nan, np.nan, len(people), "none: no halving has a distance")
    low, high = np.quantile(known, [0.025, 0.975])
    left_out = f", {halvings - len(known)} without a value left out" if len(known) < halvings else ""
    method = f"{halvings} random halves by patient, middle 95 %{left_out}"
    return Interval(float(known.mean()), float(low), float(high), len(people), method)
