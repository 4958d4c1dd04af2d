"""Centring and scaling of the tensor, learned in training patients and applied to any."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

Centre = Literal["gene", "none"]
Scale = Literal["slab", "gene", "omic", "none"]
# Which axes of [genes, omics] share one standard deviation.
_SHARED: dict[str, tuple[int, ...]] = {"slab": (1,), "gene": (), "omic": (0,)}
_CENTRES = ("gene", "none")
_SHOWN = 10
_Rule = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class TensorScaler(TransformerMixin, BaseEstimator):
    """Centres and scales a tensor float [patients, genes, omics] with NaN for missing, which stays NaN.

    ``centre``: "gene" subtracts the mean of each gene in each omic over the training patients (fibre centring), "none"
    nothing. ``scale`` divides by a standard deviation (n - 1) of the centred training values: "slab" one a gene over
    all its omics, which keeps how the omics of a gene compare (both as R tensorBF recommends: normFiberCentering mode
    1, normSlabScaling mode 2), "gene" one a gene and omic, "omic" one an omic, "none" nothing.

    After ``fit``: ``centre_`` and ``scale_`` float64 [genes, omics]; ``flat_`` bool [genes, omics], True where the
    training part has no variance (a standard deviation of zero is replaced by 1, and the log names the genes). A gene
    that no training patient has in an omic cannot be centred: its centre is NaN, and so are its transformed values.
    """

    def __init__(self, centre: Centre = "gene", scale: Scale = "slab") -> None:
        self.centre, self.scale = centre, scale

    def fit(
        self, values: np.ndarray, y: object = None, *, genes: Sequence[str] = (), omics: Sequence[str] = ()
    ) -> TensorScaler:
        """Learn centre and scale from the training patients ``values`` [n, genes, omics]; names are for messages.

        Raises ValueError for an unknown option, another number of axes, infinite values, names that do not fit, or
        fewer than two patients.
        """
        self._check_options()
        values = _tensor(values)
        if len(values) < 2:
            raise ValueError(f"centring and scaling need 2 patients or more, got {len(values)}")
        shape = values.shape[1:]
        for what, names, size in (("genes", genes, shape[0]), ("omics", omics, shape[1])):
            if names and len(names) != size:
                raise ValueError(f"{len(names)} names of {what} for {size} {what}")
        count, mean, squares = (np.empty(shape) for _ in range(3))
        for omic in range(shape[1]):
            count[:, omic], mean[:, omic], squares[:, omic] = _moments(values[:, :, omic])
        self.flat_ = _spread(count, mean, squares, ()) <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        self.centre_ = np.where(count > 0, mean, np.nan) if self.centre == "gene" else np.zeros(shape)
        left = np.zeros(shape) if self.centre == "gene" else mean
        self.scale_ = np.ones(shape)
        if self.scale != "none":
            found = np.broadcast_to(_spread(count, left, squares, _SHARED[self.scale]), shape)
            usable = found > 1e-12 * np.maximum(np.abs(mean), 1e-300)
            self.scale_ = np.where(usable, found, 1.0)
        self._name_flat(genes, omics, count > 0)
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Centred and scaled copy of ``values`` [n, genes, omics], float32 when they are float32, else float64."""
        return self._apply(values, lambda part, centre, scale: (part - centre) / scale)

    def inverse_transform(self, values: np.ndarray) -> np.ndarray:
        """Back to the scale of the input: values x scale + centre."""
        return self._apply(values, lambda part, centre, scale: part * scale + centre)

    def state(self) -> dict[str, np.ndarray]:
        """The fitted arrays [genes, omics]: centre and scale (float64), flat (bool)."""
        self._check_fitted()
        return {"centre": self.centre_, "scale": self.scale_, "flat": self.flat_}

    @classmethod
    def from_state(
        cls, state: Mapping[str, np.ndarray], *, centre: Centre = "gene", scale: Scale = "slab"
    ) -> TensorScaler:
        """Rebuild from :meth:`state`; raises ValueError naming an array that is absent or of another shape."""
        scaler = cls(centre, scale)
        scaler._check_options()
        shape = state["centre"].shape if "centre" in state else ()
        for key in ("centre", "scale", "flat"):
            if key not in state or state[key].ndim != 2 or state[key].shape != shape:
                raise ValueError(f"tensor scaler: array {key!r} must be there with shape [genes, omics]")
        scaler.centre_, scaler.scale_ = (np.asarray(state[key], dtype=np.float64) for key in ("centre", "scale"))
        scaler.flat_ = np.asarray(state["flat"], dtype=bool)
        return scaler

    def _apply(self, values: np.ndarray, rule: _Rule) -> np.ndarray:
        self._check_fitted()
        values = _tensor(values)
        if values.shape[1:] != self.centre_.shape:
            known = " x ".join(map(str, self.centre_.shape))
            raise ValueError(f"tensor of shape {values.shape}: the scaler was fitted on [patients x {known}]")
        out = np.empty(values.shape, dtype=np.float32 if values.dtype == np.float32 else np.float64)
        # Omic by omic: one float64 matrix is held beside the tensor.
        for omic in range(values.shape[2]):
            out[:, :, omic] = rule(values[:, :, omic].astype(np.float64), self.centre_[:, omic], self.scale_[:, omic])
        return out

    def _check_options(self) -> None:
        if self.centre not in _CENTRES:
            raise ValueError(f"centre {self.centre!r}: allowed are {', '.join(_CENTRES)}")
        if self.scale != "none" and self.scale not in _SHARED:
            raise ValueError(f"scale {self.scale!r}: allowed are {', '.join(_SHARED)}, none")

    def _check_fitted(self) -> None:
        if not hasattr(self, "centre_"):
            raise NotFittedError("the tensor scaler is not fitted; call fit with the training patients first")

    def _name_flat(self, genes: Sequence[str], omics: Sequence[str], measured: np.ndarray) -> None:
        found = [
            f"{genes[i] if genes else f'gene {i}'} ({omics[j] if omics else f'omic {j}'})"
            for i, j in np.argwhere(self.flat_ & measured)
        ]
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            names = ", ".join(found[:_SHOWN])
            logging.getLogger("radgen").warning("genes without variance in the training part: %s%s", names, more)


def _tensor(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 3:
        raise ValueError(f"a tensor [patients, genes, omics] is needed, not an array of shape {values.shape}")
    for omic in range(values.shape[2]):
        if np.isinf(values[:, :, omic]).any():
            raise ValueError(f"omic {omic} holds infinite values: set them missing (NaN) first")
    return values


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number, mean (0 for none) and sum of squared deviations of each column of [patients, genes]."""
    there = ~np.isnan(values)
    exact = values.astype(np.float64)
    count = there.sum(axis=0).astype(np.float64)
    mean = np.where(there, exact, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(there, exact - mean, 0.0) ** 2).sum(axis=0)
    return count, mean, squares


def _spread(count: np.ndarray, mean: np.ndarray, squares: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Standard deviation (n - 1) of the values behind moments [genes, omics], pooled over ``axes``."""
    total = count.sum(axis=axes, keepdims=True)
    grand = (count * mean).sum(axis=axes, keepdims=True) / np.maximum(total, 1)
    pooled = (squares + count * (mean - grand) ** 2).sum(axis=axes, keepdims=True)
    return np.sqrt(pooled / np.maximum(total - 1, 1))
