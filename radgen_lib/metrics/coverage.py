"""Fidelity and diversity apart: precision, recall, density and coverage from k nearest neighbours (PROTOCOLS 8.2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Manifold(NamedTuple):
    """Precision, recall (Kynkaanniemi 2019), density, coverage (Naeem 2020) and the number of neighbours used."""

    precision: float
    recall: float
    density: float
    coverage: float
    k: int


def neighbours(n: int) -> int:
    """Neighbours for a smaller set of ``n`` rows: 5, or 3 below 20."""
    return 5 if n >= 20 else 3


def manifold_scores(real: np.ndarray, generated: np.ndarray, *, k: int | None = None) -> Manifold:
    """How much of the generated set lies among the real one and the reverse.

    real: [n, d], generated: [m, d], already on one scale; Euclidean distances. A row's own ball reaches to its k-th
    nearest other row of the same set. Precision: share of generated rows inside a real ball; recall: the reverse;
    density: real balls around a generated row, over k (may exceed 1); coverage: share of real balls that hold a
    generated row. All NaN when a set has no k + 1 rows or features that are not finite.
    """
    from scipy.spatial.distance import cdist

    real, generated = np.asarray(real, dtype=float), np.asarray(generated, dtype=float)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"features {real.shape} and {generated.shape}: need [n, d] and [m, d]")
    k = neighbours(min(len(real), len(generated))) if k is None else k
    enough = min(len(real), len(generated)) > k
    if not enough or not (np.isfinite(real).all() and np.isfinite(generated).all()):
        return Manifold(np.nan, np.nan, np.nan, np.nan, k)
    between = cdist(real, generated)
    in_real = between <= _radii(cdist(real, real), k)[:, None]
    in_generated = between <= _radii(cdist(generated, generated), k)[None, :]
    return Manifold(
        precision=float(in_real.any(axis=0).mean()),
        recall=float(in_generated.any(axis=1).mean()),
        density=float(in_real.sum(axis=0).mean() / k),
        coverage=float(in_real.any(axis=1).mean()),
        k=k,
    )


def _radii(distances: np.ndarray, k: int) -> np.ndarray:
    """Distance of each row to its k-th nearest other row (the row itself is at distance 0, first in order)."""
    return np.partition(distances, k, axis=1)[:, k]
