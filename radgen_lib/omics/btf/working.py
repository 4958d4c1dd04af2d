"""A tensor and a point where a chain runs, in the layout that its updates read."""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import numpy as np

from radgen_lib.omics.btf.backend import Array, Backend, NumpyBackend
from radgen_lib.omics.btf.data import Observed, patterns
from radgen_lib.omics.btf.model import Point

SPARSE = 64  # fewer holes than one entry in so many are cheaper one by one than through a whole product
DENSE_ROWS = 256  # patients whose fitted values are in memory at once
GATHERED = 1 << 15  # holes whose factors are in memory at once


class Holes(NamedTuple):
    """Missing entries of one omic, sorted by patient.

    ``parts`` are (patients, rows, columns): a slice of patients whose fitted values are made whole, rows counted from
    its start; or None, and rows counted from the first patient.
    """

    rows: Array
    columns: Array
    parts: list[tuple[slice | None, Array, Array]]


class Working:
    """The data where the chain runs: blocks, masks, groups of patients and genes with the same omics, holes.

    Blocks of omics with holes are copies, because every sweep draws the missing entries anew; the others are those of
    ``observed`` where backend and type allow it. ``squares`` [L] are sums of squares of the measured entries,
    ``drawn`` the values that stand at the holes.
    """

    def __init__(self, observed: Observed, backend: Backend) -> None:
        self.shape, self.backend = observed.shape, backend
        omics = range(self.shape[2])
        self.holes = [_holes(observed, omic, backend) for omic in omics]
        self.blocks = [
            block if hole is None and _usable(block, backend) else backend.place(block)
            for block, hole in zip(observed.blocks, self.holes, strict=True)
        ]
        self.drawn: list[Array | None] = [
            None if hole is None else block[hole.rows, hole.columns]
            for block, hole in zip(self.blocks, self.holes, strict=True)
        ]
        self.n_observed = np.array([observed.n_observed(omic) for omic in omics])
        self.squares = np.array([_squares(block) for block in observed.blocks])
        self.patient_masks = _masks(observed.patients, backend)
        self.gene_masks = _masks(observed.genes, backend)
        self.patient_groups = _groups(observed.patients, backend)
        self.gene_groups = _groups(observed.genes, backend)
        self._eyes: dict[int, Array] = {}

    def fill(self, omic: int, values: Array) -> None:
        """Put values at the holes of an omic."""
        hole = self.holes[omic]
        if hole is not None:
            self.drawn[omic] = values
            self.blocks[omic][hole.rows, hole.columns] = values

    def eye(self, size: int) -> Array:
        """Identity matrix in float64."""
        if size not in self._eyes:
            self._eyes[size] = self.backend.place_wide(np.eye(size))
        return self._eyes[size]


def _usable(block: np.ndarray, backend: Backend) -> bool:
    """Whether the chain can read the block where it is."""
    return isinstance(backend, NumpyBackend) and block.dtype == backend.dtype


def _squares(block: np.ndarray) -> float:
    """Sum of squares in float64, row by row so that no copy of the block is made."""
    return float(sum(np.dot(row, row) for row in (row.astype(np.float64) for row in block)))


def _masks(measured: np.ndarray, backend: Backend) -> list[Array | None]:
    """One 0/1 array an omic, or None where nothing is missing."""
    return [None if column.all() else backend.place(column.astype(float)) for column in measured.T]


def _groups(measured: np.ndarray, backend: Backend) -> list[tuple[list[int], Array | None]]:
    """Omics of each group and its members; None for the members where all are in one group."""
    found = [(np.flatnonzero(kind).tolist(), members) for kind, members in patterns(measured)]
    return [(omics, None if len(found) == 1 else backend.place(members)) for omics, members in found]


def _holes(observed: Observed, omic: int, backend: Backend) -> Holes | None:
    rows, columns = observed.holes[omic]
    if not len(rows):
        return None
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    n, d, _ = observed.shape
    parts: list[tuple[slice | None, Array, Array]] = []
    if len(rows) * SPARSE < n * d:
        for first in range(0, len(rows), GATHERED):
            part = slice(first, first + GATHERED)
            parts.append((None, backend.place(rows[part]), backend.place(columns[part])))
    else:
        for first in range(0, n, DENSE_ROWS):
            inside = slice(*np.searchsorted(rows, [first, first + DENSE_ROWS]))
            patients = slice(first, min(first + DENSE_ROWS, n))
            parts.append((patients, backend.place(rows[inside] - first), backend.place(columns[inside])))
    return Holes(backend.place(rows), backend.place(columns), parts)


def fitted_at(point: Point, omic: int, holes: Holes, backend: Backend) -> Array:
    """Noise-free values at the holes of an omic."""
    x, w = point.x.T * backend.narrow(point.u[omic])[:, None], point.w.T
    parts = []
    for patients, rows, columns in holes.parts:
        if patients is None:
            parts.append((x[:, rows] * w[:, columns]).sum(0))
        else:
            parts.append((x[:, patients].T @ w)[rows, columns])
    return backend.join(parts)


def place_point(point: Point, backend: Backend) -> Point:
    """Copy a point to the chain's place: x, w, lam as views of [K, n] arrays in its type, the rest in float64."""
    placed = {}
    for field in fields(Point):
        values = getattr(point, field.name)
        large = field.name in ("x", "w", "lam")
        placed[field.name] = backend.place(np.ascontiguousarray(values.T)).T if large else backend.place_wide(values)
    return Point(**placed)


def host_point(point: Point, backend: Backend) -> Point:
    """The point as numpy arrays [n, K] that share no memory with the chain."""
    return Point(
        **{field.name: np.array(backend.host(getattr(point, field.name)), order="C") for field in fields(Point)}
    )
