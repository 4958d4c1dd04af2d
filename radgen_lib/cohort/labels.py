"""Labels of patients: receptors, ER+/HER2+ subgroup, driver mutations, age, stage, expression subtype."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.cohort.ids import is_research_code, patient_id
from radgen_lib.cohort.selection import Cells, Selection, keep_first
from radgen_lib.cohort.tables import MISSING, number, read_table

BINARY = {"0": 0.0, "1": 1.0}
HER2 = {"Negative": 0.0, "Positive": 1.0}
HER2_UNDECIDED = frozenset({"Equivocal", "Indeterminate", "[Not Evaluated]", "[Not Available]"})
SUBGROUP = {"Subgroup1": 1.0, "Subgroup2": 0.0}
MUTATIONS = ("TP53", "PIK3CA", "CDH1")
OLDEST = 120.0
LOGGER = logging.getLogger("radgen")


def read_labels(files: Mapping[str, Path], selection: Selection) -> pd.DataFrame:
    """All binary labels, indexed by patient: er, pr, her2, subgroup, mut_TP53, mut_PIK3CA, mut_CDH1 (1, 0 or NaN).

    her2 is 1 for Positive and 0 for Negative; equivocal, indeterminate and not evaluated are NaN with a reason.
    subgroup is 1 for Subgroup1 and 0 for Subgroup2 (they were defined from expression: PROTOCOLS B.7). A code that
    is not known is NaN with a reason. Raises DataError for faults of structure.
    """
    receptors, mutations = files["receptors"], files["mutations"]
    receptor = read_table(receptors, required=["ID", "er", "pr", "her2"])
    mutation = read_table(mutations, required=["ID", *MUTATIONS])
    columns = {
        "er": _label(receptor, "er", "er", BINARY, receptors, selection),
        "pr": _label(receptor, "pr", "pr", BINARY, receptors, selection),
        "her2": _label(receptor, "her2", "her2", HER2, receptors, selection),
        "subgroup": read_subgroup(files["subgroups"], selection),
    }
    for gene in MUTATIONS:
        columns[f"mut_{gene}"] = _label(mutation, gene, f"mut_{gene}", BINARY, mutations, selection)
    return pd.DataFrame(columns).rename_axis("patient")


def read_subgroup(path: Path, selection: Selection, known: Collection[str] | None = None) -> pd.Series:
    """ER+/HER2+ subgroup by patient (1 for Subgroup1, 0 for Subgroup2), from rows of patient and code, no header.

    Rows of patients who are not among ``known`` (default: everyone is) are ignored, and their number is logged. A
    code that is not known has no label, and its row of the selection table says why. Raises DataError for faults of
    structure.
    """
    table = read_table(path, names=["ID", "subgroup"])
    if known is not None:
        strangers = table["ID"].map(lambda name: is_research_code(name) and patient_id(name) not in known).astype(bool)
        if strangers.any():
            counts = (int(strangers.sum()), len(table))
            LOGGER.info("%s: %d of %d rows are of patients who are not in the cohort; ignored", path.name, *counts)
        table = table[~strangers]
    return _label(table, "subgroup", "subgroup", SUBGROUP, path, selection)


def _label(
    table: pd.DataFrame, column: str, name: str, codes: Mapping[str, float], path: Path, selection: Selection
) -> pd.Series:
    def fault(cells: Cells) -> str:
        """Why the code of one row is no label, or ""."""
        text = cells[column]
        if text in codes:
            return ""
        if text in HER2_UNDECIDED or text in MISSING:
            return f"{name} is not known ({text or 'empty'})"
        return f"unknown code {text!r} of {name}; known: {', '.join(codes)}"

    kept = keep_first(table, selection, step=f"label {name}", unit="patient", source=path, fault=fault)
    return kept[column].map(codes).astype(np.float64)


def read_clinical(path: Path, selection: Selection) -> pd.DataFrame:
    """Age at diagnosis (years, NaN), AJCC stage and expression subtype (text, "") from a cBioPortal patient file.

    Indexed by patient. An age that is not a number in [0, 120] is NaN with a reason; stage and subtype stay.
    """
    needed = {"AGE": "age", "AJCC_PATHOLOGIC_TUMOR_STAGE": "stage", "SUBTYPE": "subtype"}
    table = read_table(path, required=["PATIENT_ID", *needed], separator="\t", comment="#")
    table = table[["PATIENT_ID", *needed]]

    def fault(cells: Cells) -> str:
        """Why the age of one row cannot be used, or ""."""
        value = number(cells["AGE"])
        if value is not None and 0 <= value <= OLDEST:
            return ""
        return "age is missing" if cells["AGE"] in MISSING else f"age is {cells['AGE']!r}, not a number in 0 to 120"

    def take(step: str, check: Callable[[Cells], str]) -> pd.DataFrame:
        return keep_first(
            table, selection, step=step, unit="patient", source=path, fault=check, column="PATIENT_ID"
        ).rename(columns=needed)

    clinical, aged = take("clinical", lambda cells: ""), take("label age", fault)
    clinical["age"] = aged["age"].astype(np.float64)
    return clinical[["age", "stage", "subtype"]]
