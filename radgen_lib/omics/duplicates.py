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
    found, fewest = [], 0
    both = ~np.isnan(first) & ~np.isnan(second)
    usable = np.flatnonzero(both.sum(axis=0) >= FEWEST_PATIENTS)
    for gene in usable[:: max(len(usable) // MOST_GENES, 1)]:
        there = both[:, gene]
        a, b = first[there, gene], second[there, gene]
        if len(np.unique(a)) < 3 or len(np.unique(b)) < 3:
            continue
        found.append(abs(float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])))
        fewest = len(a) if not fewest else min(fewest, len(a))
        if len(found) == MOST_GENES:
            break
    return Likeness(float(np.median(found)) if found else float("nan"), len(found), fewest)


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
