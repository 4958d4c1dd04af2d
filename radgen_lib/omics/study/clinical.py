"""Clinical tables: columns found by one table of names, codes read by one rule, every gap with its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from radgen_lib.cohort.labels import OLDEST
from radgen_lib.cohort.tables import number
from radgen_lib.core.errors import data_error
from radgen_lib.core.units import DAYS_PER_MONTH
from radgen_lib.omics.study import clinical_terms as terms
from radgen_lib.omics.study.clinical_files import TextTable, read_text_table
from radgen_lib.omics.study.decisions import MISSING_CELLS, Decisions
from radgen_lib.omics.study.samples import SampleIndex, normal_patient

CLINICAL_COLUMNS = (
    "patient", "age", "stage", "subtype", "T", "N", "er", "pr", "her2", "os_days", "os_event", "race", "menopause",
)  # fmt: skip
_TEXTS: dict[str, Callable[[str], str]] = {
    "stage": terms.stage,
    "subtype": terms.subtype,
    "T": str.upper,
    "N": str.upper,
    "race": str,
    "menopause": terms.menopause,
}


def read_clinical_table(path: Path, log: Decisions | None = None) -> pd.DataFrame:
    """Read a clinical table (TSV of a portal, CSV, TSV or XLSX of a hospital): one row a patient, sorted by patient.

    Columns: patient, age (years, NaN), stage, subtype, T, N, race, menopause (text, ""), er, pr, her2 (1, 0 or NaN),
    os_days (> 0 or NaN) and os_event (1 death, 0 censored, NaN exactly where os_days is). A column that the file
    lacks is empty. Of several rows of a patient the first is used. Every value that cannot be used becomes a row of
    ``log``. Raises DataError when the file cannot be read or has no column of patients.
    """
    log = Decisions() if log is None else log
    return clinical_values(read_text_table(path, log), log)


def has_values(table: TextTable) -> bool:
    """Whether a table holds any clinical column beside patients and samples."""
    return bool(set(terms.known_columns(table.columns)) - {"patient", "sample", "sample_type"})


def clinical_values(table: TextTable, log: Decisions, index: SampleIndex | None = None) -> pd.DataFrame:
    """The clinical columns of a table of text; see :func:`read_clinical_table`.

    With ``index`` the table has one row a sample: a patient's values are those of the sample that stands for it.
    """
    places = terms.known_columns(table.columns)
    if "patient" not in places:
        problem = f"no column of patients (PATIENT_ID); it has {', '.join(table.columns[:8])}"
        raise data_error(table.name, problem, "Name the columns in the first row", row=table.header_line)
    nobody = sum(row[places["patient"]].strip() in MISSING_CELLS for row in table.rows)
    log.tally(table.name, "rows", len(table.rows) - nobody, ["no patient"] * nobody)
    if index is not None and "sample" in places:
        table = _best_sample_first(table, places["sample"], index)
        cells = _one_row_a_patient(table, places["patient"], Decisions())
    else:
        cells = _one_row_a_patient(table, places["patient"], log)
    absent = [c for c in CLINICAL_COLUMNS if c not in places and not (c == "os_days" and "os_months" in places)]
    for column in absent if index is None else ():
        log.add("clinical column", table.name, column, "empty", "the file has no such column", count=len(cells))
    frame = pd.DataFrame({"patient": list(cells)}, dtype=object)
    reader = _Reader(table, cells, places, log)
    frame["age"] = reader.numbers("age", _age)
    for column, clean in _TEXTS.items():
        frame[column] = [clean(text) for text in reader.texts(column)]
    for column in ("er", "pr"):
        frame[column] = reader.numbers(column, terms.receptor)
    frame["her2"] = _her2(reader)
    frame["os_days"], frame["os_event"] = _survival(reader)
    return frame[list(CLINICAL_COLUMNS)].sort_values("patient", ignore_index=True)


def sample_index(table: TextTable) -> SampleIndex:
    """Patients and tissues that a study's sample file gives to its samples; nothing where it lacks the columns."""
    places = terms.known_columns(table.columns)
    if "sample" not in places:
        return SampleIndex()

    def column(what: str) -> dict[str, str]:
        if what not in places:
            return {}
        pairs = ((row[places["sample"]].strip(), row[places[what]].strip()) for row in table.rows)
        return {sample: text for sample, text in pairs if sample and text not in MISSING_CELLS}

    return SampleIndex(column("patient"), column("sample_type"))


def fill_gaps(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """``first`` with its missing values taken from ``second`` (both clinical tables); patients of either.

    Survival is taken as a pair, so that a time never meets the status of another table.
    """
    a, b = first.set_index("patient"), second.set_index("patient")
    patients = sorted(set(a.index) | set(b.index))
    a, b = a.reindex(patients), b.reindex(patients)
    for column in a.columns:
        gap = a[column].isna() | (a[column] == "")
        if column in ("os_days", "os_event"):
            gap = a[["os_days", "os_event"]].isna().any(axis=1)
        filled = a[column].where(~gap, b[column])
        a[column] = filled.fillna("") if column in _TEXTS else filled.astype(np.float64)
    return a.rename_axis("patient").reset_index()[list(CLINICAL_COLUMNS)]


def _best_sample_first(table: TextTable, place: int, index: SampleIndex) -> TextTable:
    order = sorted(
        range(len(table.rows)), key=lambda i: (index.sample(table.rows[i][place]).rank, table.rows[i][place])
    )
    rows, lines = [table.rows[i] for i in order], [table.lines[i] for i in order]
    return replace(table, rows=rows, lines=lines)


def _one_row_a_patient(table: TextTable, place: int, log: Decisions) -> dict[str, list[str]]:
    cells: dict[str, list[str]] = {}
    faults = []
    for line, row in zip(table.lines, table.rows, strict=True):
        patient = "" if row[place].strip() in MISSING_CELLS else normal_patient(row[place])
        if not patient:
            faults.append((f"line {line}", "row left out", "no patient"))
        elif patient in cells:
            if row != cells[patient]:
                faults.append((f"line {line} {patient}", "row left out", "second row of the patient"))
        else:
            cells[patient] = row
    log.extend("clinical row", table.name, faults)
    return cells


class _Reader:
    """Columns of a clinical table by their name here; remembers why a value is missing."""

    def __init__(self, table: TextTable, cells: dict[str, list[str]], places: dict[str, int], log: Decisions) -> None:
        self.table, self.patients, self.log = table.name, list(cells), log
        self._titles, self._rows, self._places = table.columns, list(cells.values()), places

    def has(self, column: str) -> bool:
        """Whether the file has the column."""
        return column in self._places

    def title(self, column: str) -> str:
        """Name of a column in the file."""
        return self._titles[self._places[column]]

    def texts(self, column: str) -> list[str]:
        """Cells of a column, "" for a missing one."""
        if column not in self._places:
            return [""] * len(self._rows)
        cells = (row[self._places[column]].strip() for row in self._rows)
        return ["" if cell in MISSING_CELLS else cell for cell in cells]

    def numbers(self, column: str, read: Callable[[str], tuple[float, str]]) -> np.ndarray:
        """Values of a column by ``read`` (value, reason of a NaN), NaN for missing cells; reasons are logged."""
        values, faults = np.full(len(self._rows), np.nan), []
        texts = self.texts(column)
        for i, (patient, text) in enumerate(zip(self.patients, texts, strict=True)):
            if text:
                values[i], reason = read(text)
                if reason:
                    told = reason if self.log.quotes else "not a value of this column"
                    faults.append((f"{patient} {column}", "missing (NaN)", told))
        self.log.extend(f"clinical {column}", self.table, faults, most=500)
        empty = sum(not text for text in texts)
        if empty and self.has(column):
            self.log.add(f"clinical {column}", self.table, column, "missing (NaN)", "empty cell", count=empty)
        return values


def _age(text: str) -> tuple[float, str]:
    value = number(text)
    if value is not None and 0 <= value <= OLDEST:
        return value, ""
    return float("nan"), f"{text[:40]!r} is not an age between 0 and {OLDEST:g} years"


def _time(text: str) -> tuple[float, str]:
    value = number(text)
    if value is not None and value > 0:
        return value, ""
    return float("nan"), f"survival time is {text[:40]}, not above 0"


def _her2(reader: _Reader) -> np.ndarray:
    """Status of HER2: what 1 means depends on the whole column."""
    scores = reader.has("her2") and terms.is_ihc(reader.title("her2"), reader.texts("her2"))
    if scores:
        reason = "by the name of the column, or a value that only scores have"
        reader.log.add("clinical her2", reader.table, "her2", "scores: 0, 1+ negative; 2+ missing; 3+ positive", reason)
    return reader.numbers("her2", terms.her2_score if scores else terms.receptor)


def _survival(reader: _Reader) -> tuple[np.ndarray, np.ndarray]:
    if reader.has("os_days"):
        days = reader.numbers("os_days", _time)
    else:
        days = reader.numbers("os_months", _time) * DAYS_PER_MONTH
    events = reader.numbers("os_event", terms.event)
    half = np.isnan(days) != np.isnan(events)
    faults = [
        (reader.patients[i], "missing (NaN)", "survival time without status" if days[i] > 0 else "status without time")
        for i in np.flatnonzero(half).tolist()
    ]
    reader.log.extend("survival", reader.table, faults, most=500)
    whole = ~np.isnan(days) & ~np.isnan(events)
    return np.where(whole, days, np.nan), np.where(whole, events, np.nan)
