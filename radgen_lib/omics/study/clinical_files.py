"""Clinical files of any form (the portal's TSV, CSV, TSV, XLSX) as one table of text."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.clinical_terms import known_columns
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.study.samples import looks_like_patient
from radgen_lib.omics.study.text import blocks, comment_rows, decode, rows

_AGAIN = "Save the table again, one row a patient below one row of column names"


@dataclass(frozen=True)
class TextTable:
    """Column names, rows of text as wide as they are, and the line of each row; ``name`` is the file's, no folder."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]
    header_line: int


def read_text_table(path: Path, log: Decisions) -> TextTable:
    """Read a table by the ending of ``path``: .xlsx, .csv, and anything else as tab-separated text.

    Rows that begin with ``#`` are comments, as in the portal's clinical files; a file without them is as good. A row
    that is too long or too short becomes a row of ``log``. When the row of column names is absent, the display names
    of the first comment row serve where they fit. Raises DataError otherwise, and for an empty file.
    """
    kind = path.suffix.lower()
    found = _excel(path) if kind in (".xlsx", ".xlsm") else _csv(path, log) if kind == ".csv" else list(rows(path, log))
    if not found:
        raise data_error(path.name, "is empty", _AGAIN)
    line, header = found[0]
    body = found[1:]
    if _is_data(header):
        header, line, body = _display_names(path, header, log), 0, found
    good, faults = [], []
    for number, cells in body:
        cells = cells + [""] * (len(header) - len(cells)) if len(cells) < len(header) and kind != ".csv" else cells
        if len(cells) == len(header):
            good.append((number, cells))
        else:
            reason = f"{len(cells)} cells where {len(header)} are expected"
            faults.append((f"line {number}", "row left out", reason))
    log.extend("clinical row", path, faults)
    log.tally(path, "rows", 0, [reason for _, _, reason in faults])  # who uses the others counts them
    if not good:
        raise data_error(path.name, "holds no row below the column names", _AGAIN, row=line)
    return TextTable(path.name, header, [cells for _, cells in good], [number for number, _ in good], line)


def _is_data(header: list[str]) -> bool:
    """True when the first row is a patient's: an identifier in it, and no known column name for patients."""
    return "patient" not in known_columns(header) and any(looks_like_patient(cell) for cell in header[:4])


def _display_names(path: Path, first: list[str], log: Decisions) -> list[str]:
    comments = comment_rows(path, log) if path.suffix.lower() not in (".xlsx", ".xlsm", ".csv") else []
    if comments and len(comments[0]) == len(first) and "patient" in known_columns(comments[0]):
        log.add("clinical", path, "column names", "display names serve", "the row of column names is absent")
        return comments[0]
    raise data_error(path.name, "has no row of column names; the first row is a patient's", _AGAIN, row=1)


def _csv(path: Path, log: Decisions) -> list[tuple[int, list[str]]]:
    # A comma-separated file is small enough to be held; a cell may hold line ends.
    text = "".join(decode(path, block, log) for block in blocks(path))
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        found = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except csv.Error as error:
        raise data_error(path.name, f"is not a table ({error})", _AGAIN, row=reader.line_num) from error
    return [(line, cells) for line, cells in found if not cells[0].startswith("#")]


def _excel(path: Path) -> list[tuple[int, list[str]]]:
    try:
        frame = pd.read_excel(path, header=None, dtype=str, keep_default_na=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        problem = f"cannot be read as a spreadsheet ({' '.join(str(error).split())[:80]})"
        raise data_error(path.name, problem, "Save it as XLSX or CSV") from error
    table = [[str(cell).strip() for cell in row] for row in frame.to_numpy(dtype=object)]
    return [(line, cells) for line, cells in enumerate(table, start=1) if any(cells)]
