"""The observed tensor as the samplers read it: one block an omic, what is missing written beside it.

Whole missing fibres (a patient without an omic, a gene without an omic) cost nothing: their entries are zero in the
block and their patients or genes share a precision matrix. Scattered missing entries ("holes") are listed one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike


@dataclass(frozen=True)
class Observed:
    """A tensor patients x genes x omics [N, D, L] with its missing values.

    ``blocks`` are L C-contiguous arrays [N, D], zero wherever a value is missing. ``patients`` [N, L] says which omics
    were measured in a patient, ``genes`` [D, L] which omics have the gene. ``holes`` holds, per omic, the rows and the
    columns of entries that are missing although patient and gene have the omic.
    """

    blocks: tuple[np.ndarray, ...]
    patients: np.ndarray
    genes: np.ndarray
    holes: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of patients, genes and omics (N, D, L)."""
        return len(self.patients), len(self.genes), len(self.blocks)

    def n_observed(self, omic: int) -> int:
        """Number of measured entries of one omic."""
        full = int(self.patients[:, omic].sum()) * int(self.genes[:, omic].sum())
        return full - len(self.holes[omic][0])

    def mask(self, omic: int) -> np.ndarray:
        """Boolean array [N, D], true where the omic was measured; for checks and small tensors."""
        measured: np.ndarray = np.logical_and.outer(self.patients[:, omic], self.genes[:, omic])
        measured[self.holes[omic]] = False
        return measured


def observe(values: np.ndarray, *, dtype: DTypeLike = np.float64) -> Observed:
    """Read a tensor [N, D, L] with NaN for missing values, omic by omic, so that it may be memory-mapped.

    A patient without any value in an omic, and a gene without any, count as missing fibres; any other NaN is a hole.
    Raises ValueError for another number of axes, for an empty axis and for infinite values, with the first such entry.
    """
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"a tensor patients x genes x omics is needed, not an array of shape {values.shape}")
    blocks, patients, genes, holes = [], [], [], []
    for omic in range(values.shape[2]):
        block = np.array(values[:, :, omic], dtype=dtype, order="C")
        missing = np.isnan(block)
        block[missing] = 0.0
        if not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise ValueError(f"infinite value in omic {omic}, patient {row}, gene {column}: set it missing or mend it")
        has_patient, has_gene = ~missing.all(axis=1), ~missing.all(axis=0)
        missing &= has_patient[:, None]
        missing &= has_gene
        rows, columns = np.nonzero(missing)
        blocks.append(block)
        patients.append(has_patient)
        genes.append(has_gene)
        holes.append((rows, columns))
    return Observed(tuple(blocks), np.stack(patients, axis=1), np.stack(genes, axis=1), tuple(holes))


def patterns(measured: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield every distinct row of a boolean array [n, L] with the indices of the rows that equal it."""
    kinds, which = np.unique(measured, axis=0, return_inverse=True)
    for number, kind in enumerate(kinds):
        yield kind, np.flatnonzero(which.ravel() == number)
