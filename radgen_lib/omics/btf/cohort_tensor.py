"""The tensor of a cohort, before any gene is chosen: its matrices, what was decided, and who is not in it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.atomic import write_array, write_json, write_parquet
from radgen_lib.core.errors import data_error
from radgen_lib.omics.btf.choices import TensorChoices
from radgen_lib.omics.btf.matrices import read_matrices, tcga2012_matrices
from radgen_lib.omics.btf.tensor import BuiltTensor, build_tensor
from radgen_lib.omics.btf.transforms import TWICE
from radgen_lib.omics.tensor_table import GENES, OMICS, PATIENTS, TENSOR, OmicMatrix
from radgen_lib.sources.reference.multiomics import read_tcga2012

SELECTION_COLUMNS = ("step", "unit", "id", "source", "row", "kept", "reason")
NOT_THERE = "no omic of the tensor was measured in this patient, and factors of others stand for nobody"
NOT_PUBLIC = (
    "not among the patients of the public TCGA 2012 tables, of which the tensor is made; other tables may hold "
    "expression of this patient (has_genes15), alone it makes no tensor"
)


@dataclass(frozen=True)
class StoredTensor:
    """A cohort's tensor float32 [patients, genes, omics] with NaN for missing, and the scale of each omic."""

    values: np.ndarray
    patients: tuple[str, ...]
    genes: tuple[str, ...]
    omics: tuple[str, ...]
    scales: tuple[str, ...]

    def matrices(self) -> tuple[OmicMatrix, ...]:
        """One matrix an omic, views where possible; what choosing genes needs."""
        return tuple(
            OmicMatrix(omic, self.patients, self.genes, self.values[:, :, place], scale)
            for place, (omic, scale) in enumerate(zip(self.omics, self.scales, strict=True))
        )


def read_sources(files: Sequence[Path], *, released: bool, whole: bool = True) -> tuple[OmicMatrix, ...]:
    """Matrices of a released cohort (the two public tables), or of an ingested one (``files`` share its folder).

    ``whole`` asks for all patients and genes of the public tables.
    """
    if released:
        return tcga2012_matrices([read_tcga2012(file, whole=whole).table for file in files])
    return read_matrices(files[0].parent)


def build_cohort_tensor(matrices: Sequence[OmicMatrix], genes: Sequence[str] | None = None) -> BuiltTensor:
    """All genes of the list (None: all), each omic on the scale of the model.

    Which genes are expressed and vary most is decided in the training patients of each fit. Everybody is looked at for
    what no fit could use: matrices and patients that stand twice, a gene that is equal in all, a scale nobody stated.
    """
    choices = TensorChoices(gene_list=tuple(genes or ()), min_expressed=0.0, max_genes=None)
    return build_tensor(matrices, choices=choices)


def who_is_in(built: BuiltTensor, imaged: Collection[str], absent: str = NOT_THERE) -> pd.DataFrame:
    """Selection rows: every patient of the tensor, and every imaged patient who is not in it, with the reason.

    The reason is the one of the decisions for a patient who stands twice, else ``absent``.
    """
    there, table = set(built.patients), built.decisions
    doubles = table[table["step"] == TWICE].set_index("item")["reason"].to_dict()
    rows = [("factors", "patient", name, "tensor", "", True, "") for name in built.patients]
    for name in sorted(set(imaged) - there):
        rows.append(("factors", "patient", name, "tensor", "", False, doubles.get(name, absent)))
    return pd.DataFrame(rows, columns=list(SELECTION_COLUMNS))


def write_cohort_tensor(built: BuiltTensor, imaged: Collection[str], folder: Path, *, released: bool = False) -> None:
    """Write tensor.npy, its axes, decisions.parquet and selection.parquet into ``folder``, each whole or not at all.

    ``released``: the tensor is that of the public tables, which hold other patients than the images do.
    """
    write_array(folder / TENSOR, built.values)
    write_parquet(folder / PATIENTS, pd.DataFrame({"patient": built.patients}, dtype=object))
    write_parquet(folder / GENES, pd.DataFrame({"gene": built.genes}, dtype=object))
    # A list: the order of the omics is that of the axis.
    write_json(folder / OMICS, [list(pair) for pair in zip(built.omics, built.scales, strict=True)])
    write_parquet(folder / "decisions.parquet", built.decisions)
    write_parquet(folder / "selection.parquet", who_is_in(built, imaged, NOT_PUBLIC if released else NOT_THERE))


def open_cohort_tensor(folder: Path) -> StoredTensor:
    """What :func:`write_cohort_tensor` wrote, memory-mapped; raises DataError when the axes do not fit."""
    for name in (TENSOR, PATIENTS, GENES, OMICS):
        if not (folder / name).is_file():
            raise data_error(folder / name, "is not there", "Run rule factor_tensor first")
    values = np.load(folder / TENSOR, mmap_mode="r", allow_pickle=False)
    omics, scales = zip(*json.loads((folder / OMICS).read_text(encoding="utf-8")), strict=True)
    patients = tuple(pd.read_parquet(folder / PATIENTS)["patient"])
    genes = tuple(pd.read_parquet(folder / GENES)["gene"])
    if values.shape != (len(patients), len(genes), len(omics)):
        axes = (len(patients), len(genes), len(omics))
        raise data_error(folder / TENSOR, f"has shape {values.shape} where its axes have {axes}", "Build it again")
    return StoredTensor(values, patients, genes, omics, scales)
