"""Rows of delimited tables in any dialect, each with its line in the user's file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from radgen_lib.core.errors import data_error
from radgen_lib.omics.study.clinical_terms import COLUMNS, column_key
from radgen_lib.omics.study.decisions import Decisions
from radgen_lib.omics.study.text import blocks, decode

AGAIN = "Save it as CSV or TSV with one row of column names"
PEOPLE = frozenset({*COLUMNS["patient"], *COLUMNS["sample"]})
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+(?:[eE]-?\d+)?")


def table_rows(path: Path, log: Decisions) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of a delimited file (comma, semicolon or tab, as the first row tells), cells stripped.

    Numbers with a decimal comma become numbers in files with semicolons; the line of a row over several lines is its
    last. Raises DataError for what is no text table.
    """
    line = 0

    def lines() -> Iterator[str]:
        """Lines of the file with their ends, without empty ones and comments; ``line`` counts them all."""
        nonlocal line
        for block in blocks(path):
            for text in io.StringIO(decode(path, block, log), newline=""):
                line += 1
                if text.strip() and not text.startswith("#"):
                    yield text

    stream = lines()
    first = next(stream, None)
    if first is None:
        return
    delimiter = max("\t,;", key=first.count)
    try:
        for text in ([first], stream):
            for row in csv.reader(text, delimiter=delimiter):
                cells = [" ".join(cell.splitlines()).strip() for cell in row]
                yield line, [decimal_point(cell) for cell in cells] if delimiter == ";" else cells
    except csv.Error as error:
        raise data_error(path.name, f"is not a table ({error})", AGAIN, row=line) from error


def decimal_point(cell: str) -> str:
    """A number with a decimal comma as one with a point; other text as it is."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def has_semicolons(path: Path) -> bool:
    """Whether the first row of a text file is divided by semicolons."""
    start = next(blocks(path)).content.splitlines()
    first = next((line for line in start if line.strip() and not line.startswith(b"#")), b"")
    return first.count(b";") > max(first.count(b","), first.count(b"\t"))


def first_cells(path: Path, log: Decisions) -> list[str]:
    """The first cell of every row, without that of a header."""
    return [row[0] for _, row in table_rows(path, log) if row[0] and column_key(row[0]) not in PEOPLE]
