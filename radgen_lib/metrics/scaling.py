"""One scale for all distances between image sets: z-scores on real images, limited so that no column decides alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIMIT = 5.0  # SD
CONSTANT = 1e-9  # a column whose SD is less than this share of its size is rounding noise
NOTE = f"z-scored on training images, limited to {LIMIT:g} SD"
FLOOR_NOTE = f"z-scored on all real images, limited to {LIMIT:g} SD"


@dataclass(frozen=True)
class RealScale:
    """Mean and SD (n - 1) of each column of real images, float [d]; ``varying`` bool [d]: not constant."""

    centre: np.ndarray
    scale: np.ndarray
    varying: np.ndarray

    @classmethod
    def fit(cls, real: np.ndarray) -> RealScale:
        """Measure the columns of ``real`` [n, d]; finite, n of at least 2 (ValueError)."""
        real = np.asarray(real, dtype=float)
        if real.ndim != 2 or len(real) < 2 or not np.isfinite(real).all():
            raise ValueError(f"features {real.shape}: need two rows or more, all finite")
        scale = real.std(axis=0, ddof=1)
        varying = scale > CONSTANT * np.abs(real).max(axis=0)
        return cls(real.mean(axis=0), np.where(varying, scale, 1.0), varying)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """``values`` [m, d] in SD of the real images, cut at -5 and 5: float64 [m, d], constant columns included.

        Texture features of images unlike any real one reach thousands of SD; a cubic kernel or a covariance would then
        measure that one column and nothing else.
        """
        return np.clip((np.asarray(values, dtype=float) - self.centre) / self.scale, -LIMIT, LIMIT)
