"""What the portal's REST service adds to a study: gaps are filled, and nothing that the study says is replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.clinical import CLINICAL_COLUMNS, clinical_values, fill_gaps
from radgen_lib.omics.study.clinical_files import TextTable
from radgen_lib.omics.study.clinical_terms import known_columns
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.study.read import Study
from radgen_lib.omics.study.samples import SampleIndex
from radgen_lib.sources.cbioportal import REST_COLUMNS

_STEP = "clinical (REST)"
_WHY = "the tables of the study are pinned by their checksum, the service is not"


def with_rest(study: Study, path: Path) -> Study:
    """``study`` with the gaps of its clinical table filled from a table of values of the REST service.

    ``path``: as :func:`~radgen_lib.sources.cbioportal.fetch_attributes` writes it. Where a patient has samples with
    values of their own, that of the sample that stands for the patient counts. Rows of the decisions say how many
    gaps were filled, and patient by patient where the service disagrees; patients that the study lacks are left out.
    Raises DataError when the table has not its columns.
    """
    log = Decisions()
    log.add(_STEP, "all tables", "rule", "values of the service fill gaps, what the study says stays", _WHY, count=0)
    found = _values(_read(path), path.name, log)
    mine = study.clinical.set_index("patient")
    strange = ~found["patient"].isin(mine.index)
    if strange.any():
        log.add(_STEP, path, "patients", "left out", "the study has no such patient", count=int(strange.sum()))
    for column in CLINICAL_COLUMNS[1:]:
        _compare(mine, found.set_index("patient"), column, path.name, log)
    filled = fill_gaps(study.clinical[list(CLINICAL_COLUMNS)], found).set_index("patient").loc[mine.index]
    columns = [name for name in CLINICAL_COLUMNS if name != "patient"]
    clinical = mine.assign(**{name: filled[name] for name in columns}).reset_index()
    return replace(study, clinical=clinical, decisions=pd.concat([study.decisions, log.frame()], ignore_index=True))


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    if list(table.columns) != list(REST_COLUMNS):
        problem = f"its columns are {', '.join(map(str, table.columns[:8]))}, not {', '.join(REST_COLUMNS)}"
        raise data_error(path.name, problem, "Delete it, so that the service is asked again")
    return table


def _values(table: pd.DataFrame, name: str, log: Decisions) -> pd.DataFrame:
    """Clinical columns (one row a patient) of both levels; the attributes of patients go first."""
    table = _without_contradictions(table, name, log)
    of_samples = table["SAMPLE_ID"] != ""
    parts = []
    for rows, keys in ((table[~of_samples], ["PATIENT_ID"]), (table[of_samples], ["PATIENT_ID", "SAMPLE_ID"])):
        if len(rows):
            index = SampleIndex(dict(zip(rows["SAMPLE_ID"], rows["PATIENT_ID"], strict=True)))
            parts.append(clinical_values(_wide(rows, keys, name, log), log, index))
    if not parts:
        return pd.DataFrame({column: pd.Series(dtype=object) for column in CLINICAL_COLUMNS})
    return parts[0] if len(parts) == 1 else fill_gaps(parts[0], parts[1])


def _without_contradictions(table: pd.DataFrame, name: str, log: Decisions) -> pd.DataFrame:
    """One row a patient or sample and attribute; where the service gives two different values, none."""
    key = ["PATIENT_ID", "SAMPLE_ID", "ATTRIBUTE"]
    table = table.drop_duplicates([*key, "VALUE"])
    twice = table.duplicated(key, keep=False)
    people = table[twice].drop_duplicates(key).to_dict("records")
    faults = [(f"{row['PATIENT_ID']} {row['ATTRIBUTE']}", "missing", "the service gives two values") for row in people]
    log.extend(_STEP, name, faults)
    return table[~twice]


def _wide(rows: pd.DataFrame, keys: list[str], name: str, log: Decisions) -> TextTable:
    """One row a patient or sample, one column an attribute."""
    wide = rows.pivot_table(index=keys, columns="ATTRIBUTE", values="VALUE", aggfunc="first").fillna("").reset_index()
    columns = [str(column) for column in wide.columns]
    used = known_columns(columns).values()
    for attribute in (attribute for place, attribute in enumerate(columns) if place not in used):
        log.add(_STEP, name, attribute, "not used", "has no known meaning, or another attribute goes first")
    cells = [list(row) for row in wide.itertuples(index=False)]
    return TextTable(name, columns, cells, list(range(1, len(cells) + 1)), 1)


def _compare(mine: pd.DataFrame, found: pd.DataFrame, column: str, name: str, log: Decisions) -> None:
    """Log what the service adds to a column, and each patient on whom it says something else than the study."""
    theirs = found[column].reindex(mine.index)
    told = theirs.notna() & (theirs != "")
    gap = mine[column].isna() | (mine[column] == "")
    if (told & gap).any():
        log.add(_STEP, name, column, "filled", "the study has no value", count=int((told & gap).sum()))
    ours = mine[column]
    if pd.api.types.is_numeric_dtype(ours):
        same = np.isclose(ours.astype(float), theirs.astype(float), rtol=1e-6)
    else:
        same = (ours == theirs).to_numpy()
    faults = [
        (
            f"{patient} {column}",
            "the study's value is kept",
            f"it is {ours[patient]}, the service says {theirs[patient]}",
        )
        for patient in mine.index[told & ~gap & ~same]
    ]
    log.extend(_STEP, name, faults, most=500)
