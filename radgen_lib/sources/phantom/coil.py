"""Receive sensitivity of a breast coil: largest at the breast it encloses, falling towards the chest and the back."""

from __future__ import annotations

import numpy as np

from radgen_lib.sources.phantom.grid import Grid


def sensitivity(
    grid: Grid, centres: list[tuple[float, float, float]], reach: float, rng: np.random.Generator
) -> np.ndarray:
    """Sensitivity (about 1 in a breast, float32, shape of ``grid``) of elements around ``centres`` (x, y, z mm).

    Each element falls off as 1 / (1 + (d / reach)^2), d the distance with the direction into the body counted less,
    as for a pair of loops on either side; the elements are joined as a sum of squares, as multi-coil images are
    (Roemer, Magn Reson Med 1990;16:192). A smooth random part of a few per cent stands for loading and position.
    """
    total = np.zeros(grid.shape, dtype=np.float32)
    for x, y, z in centres:
        distance = ((grid.x - x) / 1.0) ** 2 + ((grid.y - y) / 1.15) ** 2 + ((grid.z - z) / 1.1) ** 2
        total += np.square(np.float32(rng.uniform(0.92, 1.08)) / (1 + distance.astype(np.float32) / reach**2))
    drift = np.ones((1, 1, 1), dtype=np.float32)
    for place in (grid.x, grid.y, grid.z):
        phase, size = rng.uniform(0, 6.283), rng.uniform(0.02, 0.09)
        drift = drift * (1 + np.float32(size) * np.sin(place / np.float32(70) + np.float32(phase)))
    return np.asarray(np.sqrt(total) * drift, dtype=np.float32)
