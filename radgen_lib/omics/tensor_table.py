"""The omics tensor on disk: float32 [patients, genes, omics], memory-mapped, NaN for missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.core.atomic import atomic_path, write_json, write_parquet
from radgen_lib.core.errors import data_error

TENSOR, PATIENTS, GENES, OMICS = "tensor.npy", "tensor_patients.parquet", "tensor_genes.parquet", "tensor_omics.json"
_CHUNK = 64


@dataclass(frozen=True)
class OmicMatrix:
    """One omic: ``values`` is float32 [patients, genes], NaN for missing; patients and genes are each named once.

    ``scale`` says what the values are: ``log2(x+1)`` or ``other`` for expression, ``log2 ratio`` or ``discrete`` for
    copy number, ``beta`` or ``m_value`` for methylation; "" where nobody knows. ``origin`` says of what measurements a
    value was made, where that is not in the decisions of a study.
    """

    omic: str
    patients: tuple[str, ...]
    genes: tuple[str, ...]
    values: np.ndarray
    scale: str = ""
    origin: str = ""

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.patients), len(self.genes)):
            raise ValueError(f"{self.omic}: values {self.values.shape} for {len(self.patients)} x {len(self.genes)}")
        for what, names in (("patient", self.patients), ("gene", self.genes)):
            if len(set(names)) != len(names):
                raise ValueError(f"{self.omic}: a {what} stands twice")


class Tensor(NamedTuple):
    """A written tensor: values [patients, genes, omics] (memory-mapped, read only) and the names of its axes."""

    values: np.ndarray
    patients: tuple[str, ...]
    genes: tuple[str, ...]
    omics: tuple[str, ...]


def tensor_axes(
    matrices: Sequence[OmicMatrix], genes: Literal["intersection", "union"] = "intersection"
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(patients, genes) of the tensor of some matrices, each sorted: patients of any, genes of all or of any.

    Raises DataError when no matrix is given or no gene is left.
    """
    if not matrices:
        raise data_error("tensor", "there is no omics matrix", "Look into the decisions why each was left out")
    sets = [set(matrix.genes) for matrix in matrices]
    kept = set.intersection(*sets) if genes == "intersection" else set.union(*sets)
    if not kept:
        sizes = ", ".join(f"{matrix.omic} {len(matrix.genes)}" for matrix in matrices)
        raise data_error("tensor", f"no gene is common to all omics ({sizes})", "Choose genes: union, or fewer omics")
    return tuple(sorted({patient for matrix in matrices for patient in matrix.patients})), tuple(sorted(kept))


def write_tensor(
    matrices: Sequence[OmicMatrix], folder: Path, *, genes: Literal["intersection", "union"] = "intersection"
) -> Tensor:
    """Write the tensor of ``matrices`` and the names of its axes into ``folder``, and return it memory-mapped.

    Written 64 patients at a time, so that beside the matrices only a chunk is held in memory.
    """
    patients, kept = tensor_axes(matrices, genes)
    omics = tuple(matrix.omic for matrix in matrices)
    rows = [_places(matrix.patients, patients) for matrix in matrices]
    columns = [_places(matrix.genes, kept) for matrix in matrices]
    head = {"descr": "<f4", "fortran_order": False, "shape": (len(patients), len(kept), len(omics))}
    with atomic_path(folder / TENSOR) as path, open(path, "wb") as handle:
        np.lib.format.write_array_header_1_0(handle, head)
        for start in range(0, len(patients), _CHUNK):
            stop = min(start + _CHUNK, len(patients))
            chunk = np.full((stop - start, len(kept), len(omics)), np.nan, dtype="<f4")
            for omic, matrix in enumerate(matrices):
                _fill(chunk[:, :, omic], matrix.values, rows[omic][start:stop], columns[omic])
            handle.write(chunk.data)
    write_parquet(folder / PATIENTS, pd.DataFrame({"patient": patients}, dtype=object))
    write_parquet(folder / GENES, pd.DataFrame({"gene": kept}, dtype=object))
    write_json(folder / OMICS, list(omics))
    return open_tensor(folder)


def open_tensor(folder: Path) -> Tensor:
    """The tensor of ``folder``, memory-mapped; raises DataError when a file is absent or the axes do not fit."""
    for name in (TENSOR, PATIENTS, GENES, OMICS):
        if not (folder / name).is_file():
            raise data_error(name, "is not there", "Run the omics rule first")
    values = np.load(folder / TENSOR, mmap_mode="r", allow_pickle=False)
    patients = tuple(pd.read_parquet(folder / PATIENTS)["patient"])
    genes = tuple(pd.read_parquet(folder / GENES)["gene"])
    omics = tuple(json.loads((folder / OMICS).read_text(encoding="utf-8")))
    if values.shape != (len(patients), len(genes), len(omics)):
        axes = (len(patients), len(genes), len(omics))
        raise data_error(TENSOR, f"has shape {values.shape} where its axes have {axes}", "Run the omics rule again")
    return Tensor(values, patients, genes, omics)


def _places(names: Iterable[str], wanted: Sequence[str]) -> np.ndarray:
    """Position of each of ``wanted`` in ``names``, -1 for one that is not there."""
    where = {name: place for place, name in enumerate(names)}
    return np.array([where.get(name, -1) for name in wanted], dtype=np.int64)


def _fill(target: np.ndarray, values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    have_rows, have_columns = np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0)
    target[np.ix_(have_rows, have_columns)] = values[np.ix_(rows[have_rows], columns[have_columns])]
