"""Immune cells in tumours, estimated from expression: CIBERSORT fractions and TIMER scores."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.sources.reference.cells import plain_frame, read_r_object, read_text
from radgen_lib.sources.reference.schema import AGAIN, Check, Column, Reference, Schema, validate

CIBERSORT_CELLS = (
    "B.Cells.Memory", "B.Cells.Naive", "Plasma.Cells", "T.Cells.CD8", "T.Cells.CD4.Naive",
    "T.Cells.CD4.Memory.Activated", "T.Cells.CD4.Memory.Resting", "T.Cells.Follicular.Helper",
    "T.Cells.Regulatory.Tregs", "T.Cells.gamma.delta", "NK.Cells.Activated", "NK.Cells.Resting", "Monocytes",
    "Macrophages.M0", "Macrophages.M1", "Macrophages.M2", "Dendritic.Cells.Resting", "Dendritic.Cells.Activated",
    "Mast.Cells.Activated", "Mast.Cells.Resting", "Eosinophils", "Neutrophils",
)  # fmt: skip
TIMER_CELLS = {
    "B.cell": "b_cell", "T.cell.CD4.": "t_cell_cd4", "T.cell.CD8.": "t_cell_cd8", "Neutrophil": "neutrophil",
    "Macrophage": "macrophage", "Dendritic.cell": "dendritic_cell",
}  # fmt: skip
_SUM_TOLERANCE = 1e-6


def _name(cell: str) -> str:
    return cell.lower().replace(".", "_")


def _sums_to_one(table: pd.DataFrame) -> pd.Series:
    return (table[[_name(cell) for cell in CIBERSORT_CELLS]].sum(axis=1) - 1).abs() <= _SUM_TOLERANCE


CIBERSORT = Schema(
    unit="patient",
    columns=(
        Column("PATIENT_BARCODE", "patient", "patient"),
        *(Column(cell, _name(cell), low=0, high=1) for cell in CIBERSORT_CELLS),
    ),
    key=("patient",),
    checks=(Check("the fractions do not sum to 1", _sums_to_one),),
    rows=11_080,
)
TIMER = Schema(
    unit="patient",
    columns=(Column("ID", "patient", "patient"), *(Column(cell, to, low=0) for cell, to in TIMER_CELLS.items())),
    key=("patient",),
    rows=123,
)


def read_cibersort(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient: ``patient`` and the fractions of 22 cell types, each in [0, 1], together 1.

    Newman AM et al., Nat Methods 2015;12:453-457, on all of TCGA (Thorsson V et al., Immunity 2018). The 1,387
    patients without any fraction are one fault each ("was not measured"), not 22. ``whole`` asks for 11,080 patients.
    Raises DataError for faults of structure.
    """
    name, frame = read_r_object(path)
    if not isinstance(frame, pd.DataFrame):
        raise data_error(path, f"{name} is not a data frame", AGAIN)
    cells = plain_frame(frame)
    known = [cell for cell in CIBERSORT_CELLS if cell in cells]
    unmeasured = cells[known].isna().all(axis=1) if known else pd.Series(False, index=cells.index)
    reference = validate(cells, CIBERSORT, path, whole=whole)
    return Reference(reference.table, _one_each(reference.faults, set(cells.index[unmeasured])))


def _one_each(faults: pd.DataFrame, unmeasured: set[str]) -> pd.DataFrame:
    """Faults with those of a row that is altogether empty drawn into one."""
    drawn = faults[~(faults["row"].isin(unmeasured) & faults.duplicated("row"))].reset_index(drop=True)
    drawn.loc[drawn["row"].isin(unmeasured), ["column", "reason"]] = ["", "was not measured"]
    return drawn


def read_timer(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient: ``patient`` and the scores of six cell types (0 and above, no fractions: they exceed 1).

    Li B et al., Genome Biol 2016;17:174. ``whole`` asks for the 123 ER+/HER2+ patients. Raises DataError for faults of
    structure.
    """
    return validate(read_text(path), TIMER, path, whole=whole)
