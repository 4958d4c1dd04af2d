"""Rows that share a precision matrix: all with the same pattern of omics, and every row with holes by itself.

The precision of a row of x (patients) given w and u is the prior's plus a sum over the omics of the row, taken over the
genes it was measured in. Without scattered holes the rows of one pattern of omics have the same sum, so that at most
2^L matrices are formed and inverted. The same holds for the rows of w (genes) with patients and genes exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from radgen_lib.omics.btf.data import Observed

FEW_GROUPS, AT_ONCE = 8, 128


@dataclass(frozen=True)
class Side:
    """One side of the tensor (the patients, or the genes), M rows against the M' rows of the other side.

    ``measured`` [M, L]: the row has the omic. ``group`` [M]: the group of a row. ``kinds`` [G, L]: omics of a group.
    ``alone`` [A]: groups that are one row with holes, ``rows_alone`` [A] that row, ``touched`` [T] the rows of the
    other side with holes, and ``holes`` one sparse matrix [A, T] an omic with a 1 where it misses an entry.
    """

    measured: np.ndarray
    group: np.ndarray
    kinds: np.ndarray
    alone: np.ndarray
    rows_alone: np.ndarray
    touched: np.ndarray
    holes: tuple[csr_array, ...]

    @property
    def has_holes(self) -> bool:
        """Whether any entry is missing although row and column have the omic."""
        return len(self.alone) > 0

    @cached_property
    def by_omic(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct columns of ``measured``, [U, M], and the place [L] of every omic's among them."""
        columns, place = np.unique(self.measured.T, axis=0, return_inverse=True)
        return columns, place.ravel()

    def members(self) -> np.ndarray:
        """Number of rows of every group that have every omic, [G, L]."""
        sizes = np.bincount(self.group, minlength=len(self.kinds))
        members: np.ndarray = self.kinds * sizes[:, None]
        return members


def side(observed: Observed, which: Literal["patients", "genes"]) -> Side:
    """The patients, or the genes, of a tensor, sorted into groups."""
    if which == "patients":
        measured, places = observed.patients, list(observed.holes)
    else:
        measured, places = observed.genes, [(columns, rows) for rows, columns in observed.holes]
    own = np.zeros(len(measured), dtype=np.int64)  # 0, or a number of its own for a row with holes
    for mine, _ in places:
        own[mine] = mine + 1
    kinds, first, group = np.unique(np.column_stack([own, measured]), axis=0, return_index=True, return_inverse=True)
    alone = np.flatnonzero(kinds[:, 0])
    at = np.zeros(len(measured), dtype=np.int64)
    at[first[alone]] = np.arange(len(alone))
    touched = np.unique(np.concatenate([theirs for _, theirs in places])).astype(np.int64)
    holes = tuple(
        csr_array((np.ones(len(mine)), (at[mine], np.searchsorted(touched, theirs))), shape=(len(alone), len(touched)))
        for mine, theirs in places
    )
    return Side(measured, group.ravel(), kinds[:, 1:].astype(bool), alone, first[alone], touched, holes)


def left_out(own: Side, moments: np.ndarray) -> np.ndarray:
    """Sum of second moments [T, K, K] of the ``touched`` rows over the holes of every row alone, [L, A, K, K]."""
    k = moments.shape[-1]
    flat = moments.reshape(len(moments), k * k)
    return np.stack([(holes @ flat).reshape(-1, k, k) for holes in own.holes])


def weighted_grams(own: Side, sums: np.ndarray, weights: np.ndarray, missed: np.ndarray | None) -> np.ndarray:
    """Sum over the omics of a group of weights * (sums - missed), elementwise products, [G, K, K].

    sums [L, K, K]: second moments of the other side's rows, added over those that have the omic; weights [L, K, K]:
    precision of the omic's noise times the second moment of its row of u; missed: :func:`left_out`, None without holes.
    """
    k = sums.shape[-1]
    gram: np.ndarray = (own.kinds.astype(float) @ (weights * sums).reshape(len(sums), k * k)).reshape(-1, k, k)
    if missed is not None:
        gram[own.alone] -= (missed * weights[:, None]).sum(axis=0)
    return gram


def outer(rows: np.ndarray) -> np.ndarray:
    """Outer product of every row [M, K] with itself, [M, K, K]."""
    return np.asarray(rows[:, :, None] * rows[:, None, :])


def times(matrices: np.ndarray, group: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Every row [M, K] multiplied by the matrix [G, K, K] of its group."""
    if len(matrices) > FEW_GROUPS:
        return np.asarray((matrices[group] @ rows[:, :, None])[:, :, 0])
    product = np.empty_like(rows)
    for number, matrix in enumerate(matrices):
        mine = group == number
        product[mine] = rows[mine] @ matrix.T
    return product


def inverse_roots(precisions: np.ndarray) -> np.ndarray:
    """R [G, K, K] with R'R the inverse of every precision matrix: the inverse of its lower Cholesky factor.

    Row by row over a hundred matrices at once, which stay in the cache: several times faster than one call of LAPACK a
    matrix at K around 20.
    """
    lower = np.linalg.cholesky(precisions)
    roots = np.zeros_like(lower)
    for begin in range(0, len(lower), AT_ONCE):
        part, root = lower[begin : begin + AT_ONCE], roots[begin : begin + AT_ONCE]
        for i in range(lower.shape[-1]):
            root[:, i, :i] = -(part[:, i : i + 1, :i] @ root[:, :i, :i])[:, 0] / part[:, i, i, None]
            root[:, i, i] = 1 / part[:, i, i]
    return roots


def covariances(roots: np.ndarray) -> np.ndarray:
    """R'R of every root, [G, K, K]."""
    return np.asarray(roots.transpose(0, 2, 1) @ roots)


def log_determinants(roots: np.ndarray) -> np.ndarray:
    """Log determinant of every covariance R'R of triangular roots, [G]."""
    return np.asarray(2 * np.log(np.abs(np.diagonal(roots, axis1=1, axis2=2))).sum(axis=1))
