"""What is known of the patients of a tensor: the patient table, and receptors from a further table where there is one.

The tensor of the released cohort holds other patients than its receptor file: of 463 that file decides ER for 187, the
table of TCGA 2012 for 457 (The Cancer Genome Atlas Network, Nature 2012;490:61-70). Its HER2 is a final status, which
settles most tumours that the file calls equivocal. The further table therefore stands before the patient table: one
definition for as many patients as can be. Where each status comes from is kept beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.cohort.selection import SELECTION_COLUMNS, Selection, check_lost
from radgen_lib.core.errors import data_error
from radgen_lib.sources.reference.schema import Reference

RECEPTORS = ("er", "pr", "her2")
FROM = "_from"  # behind a receptor: the column of its origin
# Origins of a status: the patient table alone, the further table alone, both, both but with another status there.
OWN, FURTHER, SAME, DIFFERENT = "patients", "further", "same", "different"
LABEL_COLUMNS = (
    "patient", *RECEPTORS, *(name + FROM for name in RECEPTORS),
    "mut_TP53", "mut_PIK3CA", "mut_CDH1", "os_days", "os_event", "age", "subtype",
)  # fmt: skip
PATIENTS = "patients table"
_WORDS = {1.0: "positive", 0.0: "negative"}


class FactorLabels(NamedTuple):
    """table: LABEL_COLUMNS, one row a patient of the tensor; selection: each status that was taken or not, and why."""

    table: pd.DataFrame
    selection: pd.DataFrame


def factor_labels(
    everyone: Sequence[str],
    patients: pd.DataFrame,
    further: Reference | None = None,
    *,
    path: Path | None = None,
    max_excluded_share: float = 1.0,
) -> FactorLabels:
    """Labels of ``everyone`` in the tensor (1, 0 or NaN; times in days, age in years, subtype text or "").

    ``patients`` is the cohort's patient table. ``further`` (patient, er, pr, her2, her2_equivocal), read from ``path``,
    stands before it for receptors: its status is taken, the patient table's where it has none, and none where it calls
    HER2 equivocal. Everything but receptors is the patient table's; who is not in it has nothing else.

    Raises DataError when nobody of the tensor is in the patient table, and when a larger share than
    ``max_excluded_share`` of the rows of ``further`` was set aside.
    """
    index = pd.Index(everyone, name="patient")
    if not index.isin(patients["patient"]).any():
        raise data_error(PATIENTS, f"holds none of the {len(index)} patients of the factors", "Build both again")
    table = patients.set_index("patient").reindex(index)
    table["subtype"] = table["subtype"].fillna("").astype(object)
    selection, source, rows = Selection(), "" if path is None else path.name, []
    if further is not None:
        _check_faults(further, Path(source), max_excluded_share)
        rows = [fault_rows(further.faults)]
    for receptor in RECEPTORS:
        own = table[receptor].astype(float)
        table[receptor], table[receptor + FROM] = _status(own, receptor, further)
        _tell(selection, receptor, own, table, source, _equivocal(further, receptor, table.index))
    told = pd.concat([*rows, selection.frame()], ignore_index=True)
    return FactorLabels(table.reset_index()[list(LABEL_COLUMNS)], told)


def _check_faults(further: Reference, path: Path, allowed: float) -> None:
    dropped = further.faults[~further.faults["kept"]].drop_duplicates("row")
    if len(dropped):
        first = dropped.iloc[0]
        told = (len(dropped), path.name, first["row"], first["column"], first["reason"])
        logging.getLogger("radgen").warning("%d rows of %s set aside, first: row %s, %s %s", *told)
        total = len(further.table) + len(dropped)
        check_lost(dropped["reason"], total, allowed, path, what="rows", how="were set aside", row=first["row"])


def fault_rows(faults: pd.DataFrame) -> pd.DataFrame:
    """Faults of a reference table as rows of a selection table: file, row, and in the reason column and value."""
    reasons = (faults["column"] + " " + faults["reason"]).str.strip()
    return faults.assign(step="receptors", reason=reasons)[list(SELECTION_COLUMNS)]


def _status(own: pd.Series, receptor: str, further: Reference | None) -> tuple[pd.Series, pd.Series]:
    """Status (1, 0, NaN) and origin ("" without status) of one receptor, by patient."""
    if further is None:
        return own, pd.Series(np.where(own.notna(), OWN, ""), index=own.index, dtype=object)
    table = further.table.set_index("patient").reindex(own.index)
    other = table[receptor].astype(float)
    # "Equivocal" is a finding and not a gap: a status from elsewhere would hide it.
    status = other.fillna(own).mask(_equivocal(further, receptor, own.index))
    both = own.notna() & other.notna()
    cases = [status.isna(), both & (own == other), both, other.notna()]
    origin = np.select(cases, ["", SAME, DIFFERENT, FURTHER], OWN)
    return status, pd.Series(origin, index=own.index, dtype=object)


def _equivocal(further: Reference | None, receptor: str, index: pd.Index) -> pd.Series:
    """Whether the further table calls the receptor equivocal, by patient; only HER2 can be."""
    if further is None or receptor != "her2":
        return pd.Series(False, index=index)
    return further.table.set_index("patient")["her2_equivocal"].reindex(index) == 1


def _tell(
    selection: Selection, receptor: str, own: pd.Series, table: pd.DataFrame, source: str, equivocal: pd.Series
) -> None:
    """One row for each patient and receptor, and one more for a status that gives way to another."""
    step = f"label {receptor}"
    for patient, status, origin in zip(table.index, table[receptor], table[receptor + FROM], strict=True):
        if origin == "":
            reason = f"{receptor} is not known"
            if equivocal[patient]:
                known = f"; {_WORDS[own[patient]]} in the patient table" if own[patient] in _WORDS else ""
                reason = f"{receptor} is equivocal in {source}, so it stays open{known}"
            selection.drop(step, "patient", patient, source or PATIENTS, reason=reason)
            continue
        selection.keep(step, "patient", patient, PATIENTS if origin == OWN else source)
        if origin == DIFFERENT:
            reason = f"{_WORDS[own[patient]]} here, {_WORDS[status]} in {source}, which stands"
            selection.drop(step, "patient", patient, PATIENTS, reason=reason)


def origin_note(origins: pd.Series | None) -> str:
    """Where the status of some patients comes from, in words; "" where all have it from the patient table.

    origins: the column ``RECEPTOR_from`` of the patients whose status is used; None where a table has none.
    """
    counts = {} if origins is None else origins.value_counts().to_dict()
    if not set(counts) - {OWN, ""}:
        return ""
    own = counts.get(OWN, 0)
    text = (
        f"status from the TCGA 2012 table: {counts.get(SAME, 0)} the same in the cohort's own receptors, "
        f"{counts.get(DIFFERENT, 0)} different there, {counts.get(FURTHER, 0)} unknown there"
    )
    return text + (f"; {own} from the cohort's own receptors alone" if own else "")
