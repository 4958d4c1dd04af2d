"""Tables of Duke-Breast-Cancer-MRI: the clinical table with its three header rows, and the tumour boxes.

Saha A et al., Br J Cancer 2018;119:508-516. Tables of the same layout (the phantom's) are read with ``whole=False``.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.sources.reference.cells import read_sheet
from radgen_lib.sources.reference.schema import AGAIN, Check, Column, Kind, Reference, Schema, validate

DUKE_PATIENTS = 922
_COLUMNS_FILE = Path(__file__).with_name("duke_clinical.csv")
_HEADER_ROWS = 3
_KINDS: dict[str, Kind] = {"patient": "patient", "text": "text", "number": "number", "whole": "whole", "side": "words"}
_EDGES = {"row": "Row", "column": "Column", "slice": "Slice"}


@cache
def duke_layout() -> tuple[dict[str, str], ...]:
    """The 98 columns in order: column (our name), name (header row 2), detail (header row 3 of unnamed ones), kind,
    low, high."""
    with open(_COLUMNS_FILE, encoding="utf-8", newline="") as handle:
        return tuple(csv.DictReader(handle))


@cache
def clinical_schema() -> Schema:
    """Schema of the clinical table; a cell that cannot be read is emptied, only a patient without code is dropped."""
    columns = []
    for spec in duke_layout():
        vital = spec["kind"] == "patient"
        columns.append(
            Column(
                spec["column"], spec["column"], _KINDS[spec["kind"]],
                low=float(spec["low"] or "-inf"), high=float(spec["high"] or "inf"),
                words={"L": "L", "R": "R"} if spec["kind"] == "side" else {}, missing=not vital, vital=vital,
            )
        )  # fmt: skip
    return Schema(
        unit="patient",
        columns=tuple(columns),
        key=("patient",),
        checks=(Check("the molecular subtype is not that of the receptors", _subtype_fits),),
        rows=DUKE_PATIENTS,
        totals={"er": 686, "pr": 598, "her2": 163},
    )


def _subtype_fits(table: pd.DataFrame) -> pd.Series:
    """0 hormone+ HER2-, 1 hormone+ HER2+, 2 HER2+ alone, 3 none; true where a receptor is unknown or borderline."""
    known = table[["er", "pr", "her2", "subtype"]].notna().all(axis=1) & (table["her2"] < 2)
    hormone, her2 = (table["er"] == 1) | (table["pr"] == 1), table["her2"] == 1
    expected = (~hormone).astype(int) * 2 + (her2 == hormone).astype(int)
    return ~known | (table["subtype"] == expected)


def _ends_in_order(table: pd.DataFrame) -> pd.Series:
    good = pd.Series(True, index=table.index)
    for edge in _EDGES:
        good &= table[f"start_{edge}"] <= table[f"end_{edge}"]
    return good


BOXES = Schema(
    unit="patient",
    columns=(
        Column("Patient ID", "patient", "patient"),
        *(
            Column(f"{word} {name}", f"{word.lower()}_{edge}", "whole", low=1, high=4096)
            for edge, name in _EDGES.items()
            for word in ("Start", "End")
        ),
    ),
    key=("patient",),
    checks=(Check("the box ends before it starts", _ends_in_order),),
    rows=DUKE_PATIENTS,
)


def read_duke_clinical(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient, 98 columns under the names of duke_clinical.csv; codes as in the file, NaN for NA, NC, NP.

    1 is yes or positive for er, pr, her2 (2: borderline), days count from the diagnosis (birth_days is negative),
    subtype is 0 luminal-like, 1 hormone and HER2 positive, 2 HER2, 3 triple negative. ``whole`` asks for 922 patients,
    686 ER+, 598 PR+, 163 HER2+. A cell that cannot be read is emptied and reported. Raises DataError for a workbook
    whose header is another, naming the column.
    """
    rows = read_sheet(path, "Data")
    if len(rows) <= _HEADER_ROWS:
        raise data_error(path, "holds no row below the three header rows", AGAIN)
    _check_header(rows, path)
    names = [spec["column"] for spec in duke_layout()]
    body = {
        i: row[: len(names)]
        for i, row in enumerate(rows, start=1)
        if i > _HEADER_ROWS and any(c is not None for c in row)
    }
    cells = pd.DataFrame.from_dict(body, orient="index", columns=names, dtype=object)
    return validate(cells, clinical_schema(), path, whole=whole)


def read_duke_boxes(path: Path, *, whole: bool = True) -> Reference:
    """One row a patient: start_row, end_row, start_column, end_column, start_slice, end_slice, from 1, inclusive.

    ``whole`` asks for 922 patients. A box that ends before it starts is a fault. Raises DataError for faults of
    structure.
    """
    rows = read_sheet(path)
    if not rows:
        raise data_error(path, "is empty", AGAIN)
    header = [_squeezed(cell) for cell in rows[0]]
    body = {i: row for i, row in enumerate(rows[1:], start=2) if any(cell is not None for cell in row)}
    cells = pd.DataFrame.from_dict(body, orient="index", columns=header, dtype=object)
    return validate(cells, BOXES, path, whole=whole)


def _check_header(rows: list[tuple[object, ...]], path: Path) -> None:
    """Every column by name where row 2 names it, else by the beginning of row 3."""
    from openpyxl.utils import get_column_letter

    for j, spec in enumerate(duke_layout()):
        found = [_squeezed(row[j]) if j < len(row) else "" for row in rows[:_HEADER_ROWS]]
        wanted = spec["name"] or spec["detail"]
        matches = found[1] == spec["name"] and (bool(spec["name"]) or found[2].startswith(spec["detail"]))
        if not matches:
            problem = f"column {get_column_letter(j + 1)} is {(found[1] or found[2])[:60]!r}, {wanted!r} is expected"
            raise data_error(path, problem, AGAIN, row=2 if spec["name"] else 3)


def _squeezed(cell: object) -> str:
    return " ".join(str(cell if cell is not None else "").split())
