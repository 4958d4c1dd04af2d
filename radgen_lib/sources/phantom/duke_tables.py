"""Clinical and box tables of the phantom in the layout of the Duke-Breast-Cancer-MRI collection."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from openpyxl import Workbook

from radgen_lib.sources.phantom.truth import Truth
from radgen_lib.sources.phantom.workbook import write_workbook

CLINICAL_FILE = "Clinical_and_Other_Features.xlsx"
BOXES_FILE = "Annotation_Boxes.xlsx"
BOX_COLUMNS = {
    "patient": "Patient ID", "start_row": "Start Row", "end_row": "End Row", "start_column": "Start Column",
    "end_column": "End Column", "start_slice": "Start Slice", "end_slice": "End Slice",
}  # fmt: skip
_COLUMNS_FILE = Path(__file__).with_name("duke_columns.csv")
NOT_COLLECTED, NOT_PERTINENT = "NC", "NP"
_CODES = {
    "Manufacturer": "GE=0, SIEMENS=2", "Field Strength (Tesla)": "1.5=1, 3=3",
    "Patient Position During MRI": "FFP=0, HFP=1", "Menopause (at diagnosis)": "{0 = pre, 1 = post, 2 = N/A}",
    "Race and Ethnicity": "{0 = N/A, 1 = white, 2 = black, 3 = asian}", "ER": "{0 = neg, 1 = pos}",
    "PR": "{0 = neg, 1 = pos}", "HER2": "{0 = neg, 1 = pos, 2 = borderline}",
    "Mol Subtype": "{0 = luminal-like, 1 = ER/PR pos, HER2 pos, 2 = her2, 3 = trip neg}",
    "Nottingham grade": "1=low 2=intermediate 3=high", "Histologic type": "1=ductal 2=lobular",
    "Tumor Location": "L=left R=right", "Metastatic at Presentation (Outside of Lymph Nodes)": "{0 = no, 1 = yes}",
}  # fmt: skip
_RACES = {"White": 1, "Black or African American": 2, "Asian": 3}


def write_duke_tables(truth: Truth, boxes: pd.DataFrame, folder: Path) -> None:
    """Write the clinical table (three header rows, 98 columns) and the tumour boxes of the imaged patients.

    ``boxes`` has the columns patient, start_row, end_row, start_column, end_column, start_slice, end_slice (or their
    names in the file): whole numbers, both ends inclusive, rows and columns of the image and slices counted as in the
    source. Raises ValueError when one is missing. Equal arguments give equal bytes.
    """
    named = boxes.rename(columns=BOX_COLUMNS)
    absent = [name for name in BOX_COLUMNS.values() if name not in named.columns]
    if absent:
        raise ValueError(f"boxes lack the columns {', '.join(absent)}")
    _write_clinical(truth, folder / CLINICAL_FILE)
    book = _sheet("Sheet1", [list(BOX_COLUMNS.values()), *_cells(named[list(BOX_COLUMNS.values())])])
    write_workbook(book, folder / BOXES_FILE)


@cache
def duke_columns() -> pd.DataFrame:
    """The 98 columns in order: group (row 1, at its first column), name (row 2), detail (row 3 of unnamed ones)."""
    table = pd.read_csv(_COLUMNS_FILE, dtype=str, keep_default_na=False)
    table["name"] = table["name"].str.replace("\\n", "\n", regex=False)
    return table


def clinical_rows(truth: Truth) -> pd.DataFrame:
    """Values of the imaged patients by column of the clinical table; the others are not collected.

    Keys are names as in row 2, or the beginning of row 3 for the three parts of the grade.
    """
    patients = truth.patients[truth.patients["imaged"]].reset_index(drop=True)
    n_stage, t_stage = patients["n_stage"].str[1].astype(int), patients["t_stage"].str[1].astype(int)
    hormone, her2 = (patients["er"] == 1) | (patients["pr"] == 1), patients["her2"] == 1
    metastatic = (patients["m_stage"] == "M1").astype(int)
    siemens = patients["manufacturer"] == "SIEMENS"
    death = patients["os_event"] == 1
    columns = {
        "Patient ID": patients["patient"], "Manufacturer": np.where(siemens, 2, 0),
        "Field Strength (Tesla)": np.where(patients["field_strength"] > 2, 3, 1),
        "Patient Position During MRI": siemens.astype(int),
        "Date of Birth (Days)": -np.rint(patients["age"] * 365.25).astype(int),
        "Menopause (at diagnosis)": patients["menopause"].map({"pre": 0, "post": 1, "peri": 2}),
        "Race and Ethnicity": patients["race"].map(_RACES),
        "Metastatic at Presentation (Outside of Lymph Nodes)": metastatic,
        "ER": patients["er"], "PR": patients["pr"], "HER2": patients["her2"],
        "Mol Subtype": np.select([hormone & ~her2, hormone, her2], [0, 1, 2], 3),
        "Staging(Tumor Size)# [T]": t_stage, "Staging(Nodes)#(Nx replaced by -1)[N]": n_stage,
        "Staging(Metastasis)#(Mx -replaced by -1)[M]": metastatic,
        "Tumor Grade(T)": np.minimum(patients["grade"] + 1, 3), "Tumor Grade(N)": patients["grade"],
        "Tumor Grade(M)": np.maximum(patients["grade"] - 1, 1), "Nottingham grade": patients["grade"],
        "Histologic type": np.where(patients["lobular"] == 1, 2, 1), "Tumor Location": patients["laterality"],
        "Position": patients["laterality"], "Bilateral Information": 0,
        "Days to death (from the date of diagnosis) ": np.where(death, patients["os_days"], np.nan),
        "Days to last local recurrence free assessment (from the date of diagnosis) ": patients["os_days"],
        "Days to last distant recurrence free assemssment(from the date of diagnosis) ": patients["os_days"],
        "Recurrence event(s)": 0, "Lymphadenopathy or Suspicious Nodes": (n_stage > 0).astype(int),
    }  # fmt: skip
    return pd.DataFrame(columns).astype({"Days to death (from the date of diagnosis) ": object})


def _write_clinical(truth: Truth, path: Path) -> None:
    layout = duke_columns()
    values = clinical_rows(truth)
    keys = [_key(name, detail) for name, detail in zip(layout["name"], layout["detail"], strict=True)]
    unknown = sorted(set(values) - set(keys))
    if unknown:
        raise ValueError(f"the layout of the clinical table lacks {', '.join(unknown)}")
    body = pd.DataFrame({i: values.get(key, NOT_COLLECTED) for i, key in enumerate(keys)}, index=values.index)
    body = body.astype(object).where(body.notna(), NOT_PERTINENT)
    codes = layout["detail"].where(layout["detail"] != "", layout["name"].map(_CODES).fillna(""))
    header = [[cell or None for cell in row] for row in (layout["group"], layout["name"], codes)]
    book = _sheet("Data", [*header, *_cells(body)])
    starts = [i + 1 for i, group in enumerate(layout["group"]) if group] + [len(layout) + 1]
    for first, after in pairwise(starts):
        if after - first > 1:
            book["Data"].merge_cells(start_row=1, end_row=1, start_column=first, end_column=after - 1)
    write_workbook(book, path)


def _key(name: str, detail: str) -> str:
    """Key of a column in :func:`clinical_rows`: the parts of the grade are told apart by row 3."""
    return detail.split(" (")[0] if detail.startswith("Tumor Grade") else name


def _cells(table: pd.DataFrame) -> list[list[object]]:
    """Rows of plain Python values; whole numbers are written as such."""
    return [[_plain(value) for value in row] for row in table.itertuples(index=False, name=None)]


def _plain(value: object) -> object:
    if isinstance(value, np.integer | np.floating | float):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


def _sheet(title: str, rows: list[list[object]]) -> Workbook:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    for row in rows:
        sheet.append(row)
    return book
