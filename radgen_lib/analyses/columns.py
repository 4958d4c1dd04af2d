"""The guard against features that do not vary over the training patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

RELATIVE = 1e-9


class VaryingColumns(TransformerMixin, BaseEstimator):
    """Keeps the columns whose spread over the training rows is more than rounding noise.

    A column that is constant in training but not in test (one-bin texture, copies of one image) would otherwise enter
    a distance-based classifier unscaled. Where no column varies, one column of zeros is kept, so that the next step
    still has an input and every row looks the same to it.
    """

    def fit(self, x: np.ndarray, y: Any = None) -> VaryingColumns:
        """Choose the columns of ``x`` [n, d]."""
        x = np.asarray(x, dtype=float)
        size = np.maximum(np.abs(x).max(axis=0), np.finfo(float).tiny)
        self.keep_ = np.ptp(x, axis=0) > RELATIVE * size
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Kept columns of ``x``: float64 [n, kept], or [n, 1] of zeros."""
        x = np.asarray(x, dtype=float)
        return x[:, self.keep_] if self.keep_.any() else np.zeros((len(x), 1))
