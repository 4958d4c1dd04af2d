"""Conditions of the generators: expression of the configured genes, and the 17 published factors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.cohort.ids import patient_id
from radgen_lib.cohort.selection import Cells, Selection, keep_first
from radgen_lib.cohort.tables import MISSING, near_names, number, read_table
from radgen_lib.core.errors import data_error

FACTORS = tuple(f"F{i:02d}" for i in range(1, 18))


def read_expression(path: Path, genes: Sequence[str], selection: Selection) -> pd.DataFrame:
    """Expression (raw, linear scale, >= 0) of ``genes``: patient and one column a gene, one row a patient.

    Of several samples of a patient the first listed usable one is kept: the released table lists the primary tumour
    first, without suffix where it has none. METABRIC rows and samples with a cell that is not a number, missing or
    negative become rows of the selection table. Raises DataError for a gene that the table does not hold.
    """
    table = read_table(path, required=["ID"])
    for gene in genes:
        if gene not in table.columns:
            near = near_names(gene, table.columns.drop("ID"))
            raise data_error(path, f"no gene {gene!r} ({near})", "Correct cpdm.genes in the configuration")

    def fault(cells: Cells) -> str:
        return next((reason for gene in genes if (reason := _cell_fault(gene, cells[gene], negative=False))), "")

    kept = keep_first(table, selection, step="expression", unit="sample", source=path, fault=fault)
    return _as_numbers(kept, genes)


def read_factors(path: Path, selection: Selection) -> pd.DataFrame:
    """The published factors F01..F17 (raw scale): one row a patient, from a table of one row a series, no header.

    A row whose cells are not numbers, or differ from the patient's first row, becomes a row of the selection table.
    """
    table = read_table(path, names=["ID", *FACTORS])
    kept: dict[str, Cells] = {}
    for line, cells in zip(table.index, table.to_dict("records"), strict=True):
        reason = next((r for name in FACTORS if (r := _cell_fault(name, cells[name], negative=True))), "")
        try:
            patient = patient_id(cells["ID"])
        except ValueError as error:
            patient, reason = "", str(error)
        if not reason and any(cells[name] != kept.get(patient, cells)[name] for name in FACTORS):
            reason = "factors differ from the first series of the patient"
        if reason:
            selection.drop("factors17", "series", cells["ID"], path.name, line, reason=reason)
            continue
        kept.setdefault(patient, cells)
        selection.keep("factors17", "series", cells["ID"], path.name, line)
    frame = pd.DataFrame.from_dict(kept, orient="index", columns=list(table.columns)).rename_axis("patient")
    return _as_numbers(frame, FACTORS)


def _cell_fault(column: str, text: str, *, negative: bool) -> str:
    value = number(text)
    if value is None:
        return f"{column} is missing" if text in MISSING else f"{column} is {text!r}, not a number"
    return "" if negative or value >= 0 else f"{column} is negative ({text})"


def _as_numbers(kept: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    values = kept[list(columns)].astype(np.float64).sort_index()
    return values.reset_index()
