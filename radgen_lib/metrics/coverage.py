"""Fidelity and diversity apart: precision, recall, density and coverage from k nearest neighbours (PROTOCOLS 8.2)."""

from __future__ import annotations

import numpy as np


def neighbours(n: int) -> int:
    """Neighbours for a smaller set of ``n`` rows: 5, or 3 below 20."""
    return 5 if n >= 20 else 3


def manifold_members(real: np.ndarray, made: np.ndarray, *, k: int | None = None) -> dict[str, np.ndarray]:
    """How much of the generated set lies among the real one and the reverse, row by row; the scores are the means.

    real: [n, d], made: [m, d], already on one scale; Euclidean distances. A row's own ball reaches to its k-th nearest
    other row of the same set. ``precision`` [m]: the generated row lies in a real ball; ``recall`` [n]: the reverse
    (Kynkäänniemi 2019); ``density`` [m]: real balls around the generated row, over k (may exceed 1); ``coverage`` [n]:
    the real ball holds a generated row (Naeem 2020). Given by row so that the balls stay while patients are resampled.
    All NaN when a set has no k + 1 rows or features that are not finite. Raises ValueError for other shapes.
    """
    from scipy.spatial.distance import cdist

    real, made = np.asarray(real, dtype=float), np.asarray(made, dtype=float)
    if real.ndim != 2 or made.ndim != 2 or real.shape[1] != made.shape[1]:
        raise ValueError(f"features {real.shape} and {made.shape}: need [n, d] and [m, d]")
    fewest = min(len(real), len(made))
    k = neighbours(fewest) if k is None else k
    if fewest <= k or not (np.isfinite(real).all() and np.isfinite(made).all()):
        nothing = {"precision": made, "recall": real, "density": made, "coverage": real}
        return {name: np.full(len(rows), np.nan) for name, rows in nothing.items()}
    between = cdist(real, made)
    in_real = between <= _radii(cdist(real, real), k)[:, None]
    in_made = between <= _radii(cdist(made, made), k)[None, :]
    return {
        "precision": in_real.any(axis=0).astype(float),
        "recall": in_made.any(axis=1).astype(float),
        "density": in_real.sum(axis=0) / k,
        "coverage": in_real.any(axis=1).astype(float),
    }


def _radii(distances: np.ndarray, k: int) -> np.ndarray:
    """Distance of each row to its k-th nearest other row (the row itself is at distance 0, first in order)."""
    return np.partition(distances, k, axis=1)[:, k]
