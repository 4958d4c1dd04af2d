"""Spaces in which images are compared: block-averaged pixels, and standardised feature tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


def block_mean(images: np.ndarray, size: int = 32) -> np.ndarray:
    """Average [n, H, W] over equal blocks to float64 [n, size * size]; H and W must be multiples of ``size``.

    Comparing at 32 x 32 keeps anatomy and drops the pixel noise that would make every synthetic image look new.
    """
    n, height, width = images.shape
    if height % size or width % size:
        raise ValueError(f"images of {height} x {width} do not divide into {size} x {size} blocks")
    blocks = np.asarray(images, dtype=np.float64).reshape(n, size, height // size, size, width // size)
    averaged: np.ndarray = blocks.mean(axis=(2, 4)).reshape(n, size * size)
    return averaged


def extractors(*tables: pd.DataFrame) -> list[str]:
    """Names before the colon of feature columns that all tables share, sorted."""
    shared = set.intersection(*(set(table.columns) for table in tables))
    return sorted({column.split(":", 1)[0] for column in shared if ":" in column})


def feature_columns(extractor: str, *tables: pd.DataFrame) -> list[str]:
    """Columns ``extractor:...`` of the first table that all tables share, in its order."""
    others = set.intersection(*(set(table.columns) for table in tables))
    return [column for column in tables[0].columns if column.startswith(f"{extractor}:") and column in others]


@dataclass(frozen=True)
class Owned:
    """Rows [m, d] and whose they are [m]."""

    values: np.ndarray
    owners: np.ndarray

    def means(self) -> Owned:
        """Mean row of each owner, owners sorted."""
        return Owned(*patient_means(self.values, self.owners))

    def of(self, names: np.ndarray) -> Owned:
        """The rows of the owners ``names``, in their order here."""
        keep = np.isin(self.owners, names)
        return Owned(self.values[keep], self.owners[keep])


def patient_means(values: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean row of each patient and the patients, sorted: [p, d] and [p]."""
    names, member = np.unique(patients, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, member, values)
    return sums / np.bincount(member)[:, None], names


@dataclass(frozen=True)
class FeatureSpace:
    """A feature table standardised by its training images: columns kept, their centre and scale."""

    columns: tuple[str, ...]
    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, table: pd.DataFrame, columns: list[str], patients: np.ndarray) -> FeatureSpace:
        """Centre and SD over patient means of ``table`` (training images only), so a patient counts once.

        Columns that are not finite or do not vary between the training patients are left out: they cannot order
        anything, and a division by their SD would only amplify rounding.
        """
        means, _ = patient_means(table[columns].to_numpy(dtype=float), patients)
        centre, scale = means.mean(axis=0), means.std(axis=0, ddof=1) if len(means) > 1 else np.zeros(len(columns))
        keep = np.isfinite(centre) & np.isfinite(scale) & (scale > 1e-9 * np.maximum(np.abs(centre), 1e-300))
        return cls(tuple(np.array(columns, dtype=object)[keep]), centre[keep], scale[keep])

    def transform(self, table: pd.DataFrame) -> np.ndarray:
        """Standardised values, float64 [n, kept columns]; NaN stays NaN."""
        values: np.ndarray = (table[list(self.columns)].to_numpy(dtype=float) - self.centre) / self.scale
        return values

    def without(self, missing: np.ndarray) -> FeatureSpace:
        """The space without the columns marked in the boolean ``missing`` [kept columns]."""
        keep = ~missing
        names = tuple(name for name, kept in zip(self.columns, keep, strict=True) if kept)
        return FeatureSpace(names, self.centre[keep], self.scale[keep])
