"""Finds one matrix under two names, also after a monotone rescaling or as a subset, and patients that stand twice."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from radgen_lib.omics.tensor_table import OmicMatrix

SAME = 0.999
FEWEST_PATIENTS, FEWEST_GENES, MOST_GENES = 10, 5, 300
FEWEST_GENE_VALUES = 3


class Likeness(NamedTuple):
    """Median of the absolute rank correlation per gene, over so many genes and at least so many patients each."""

    rho: float
    genes: int
    patients: int

    @property
    def same(self) -> bool:
        """True when the two matrices order the patients of nearly every gene alike, which two assays never do."""
        return self.genes >= FEWEST_GENES and self.rho >= SAME


def likeness(first: np.ndarray, second: np.ndarray) -> Likeness:
    """Compare two float [patients, genes] matrices of the same patients and genes, NaN for missing.

    Spearman's correlation with mid-ranks per gene does not change under any monotone rescaling of a matrix or of a
    gene, and its sign is ignored. Genes with fewer than 10 common patients or 3 values are left out; of many genes
    300 evenly spaced ones are used. rho is NaN when no gene is left.
    """
    both = ~np.isnan(first) & ~np.isnan(second)
    usable = np.flatnonzero(both.sum(axis=0) >= FEWEST_PATIENTS)
    chosen = usable[:: max(len(usable) // MOST_GENES, 1)]
    rho = np.full(len(chosen), np.nan)
    # Genes with the same patients are ranked together.
    patterns, which = np.unique(np.packbits(both[:, chosen], axis=0), axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        mine = np.flatnonzero(which.ravel() == number)
        there, genes = both[:, chosen[mine[0]]], chosen[mine]
        rho[mine] = _rank_correlation(first[np.ix_(there, genes)], second[np.ix_(there, genes)])
    found = np.flatnonzero(~np.isnan(rho))[:MOST_GENES]
    if not len(found):
        return Likeness(float("nan"), 0, 0)
    return Likeness(float(np.median(rho[found])), len(found), int(both[:, chosen[found]].sum(axis=0).min()))


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Absolute rank correlation of every column; NaN where one of the two has fewer than 3 values."""
    ordered = [np.sort(side, axis=0) for side in (first, second)]
    values = [(one[1:] != one[:-1]).sum(axis=0) + 1 for one in ordered]
    a, b = (rankdata(side, axis=0) for side in (first, second))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    rho = np.abs((a * b).sum(axis=0)) / np.where(size > 0, size, 1.0)
    return np.where(np.minimum(*values) >= FEWEST_GENE_VALUES, rho, np.nan)


def matrix_likeness(first: OmicMatrix, second: OmicMatrix) -> Likeness:
    """:func:`likeness` of two matrices over their common patients and (evenly spaced) common genes."""
    patients = sorted(set(first.patients) & set(second.patients))
    genes = sorted(set(first.genes) & set(second.genes))
    genes = [genes[i] for i in np.unique(np.linspace(0, len(genes) - 1, 2 * MOST_GENES).astype(int))] if genes else []
    return likeness(_part(first, patients, genes), _part(second, patients, genes))


def same_rows(values: np.ndarray) -> list[list[int]]:
    """Groups of rows of ``values`` [patients, genes] that are equal in every cell; empty rows do not count."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, row in enumerate(values):
        if not np.isnan(row).all():
            # Adding zero makes -0 and 0 the same bytes; all missing cells become the same NaN.
            plain = np.where(np.isnan(row), np.float32(np.nan), row + np.float32(0)).astype("<f4")
            groups[hashlib.sha256(plain.tobytes()).digest()].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _part(matrix: OmicMatrix, patients: list[str], genes: list[str]) -> np.ndarray:
    rows = {patient: place for place, patient in enumerate(matrix.patients)}
    columns = {gene: place for place, gene in enumerate(matrix.genes)}
    return matrix.values[np.ix_([rows[patient] for patient in patients], [columns[gene] for gene in genes])]
