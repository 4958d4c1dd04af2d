"""Reading the released text tables without guessing: every cell stays text, every fault of structure is named."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from radgen_lib.core.errors import data_error

MISSING = frozenset({"", "NA", "NaN", "nan", "[Not Available]", "[Not Evaluated]"})
_AGAIN = "Fetch the file again, or name another one in the registry"


def read_table(
    path: Path,
    *,
    required: Sequence[str] = (),
    names: Sequence[str] | None = None,
    separator: str = ",",
    comment: str | None = None,
) -> pd.DataFrame:
    """Read a delimited text file as strings; the index is the line number in the file (1-based).

    ``names`` are the columns of a file without header; otherwise the first row is the header, whose first cell may be
    empty (row names written by R) and is then called ``ID``. ``comment`` starts lines to skip. Raises DataError for a
    file that is absent, empty, not UTF-8, ragged, or whose header lacks a ``required`` column or holds one twice.
    """
    rows = _rows(path, _text(path), separator, comment)
    if names is None:
        header = ["ID" if i == 0 and not cell.strip() else cell.strip() for i, cell in enumerate(rows[0][1])]
        _check_header(path, header, required)
        rows = rows[1:]
    else:
        header = list(names)
    for line, cells in rows:
        if len(cells) != len(header):
            raise data_error(path, f"{len(cells)} cells where {len(header)} are expected", _AGAIN, row=line)
    if not rows:
        raise data_error(path, "holds a header and no rows", _AGAIN)
    stripped = [[cell.strip() for cell in row] for _, row in rows]
    return pd.DataFrame(stripped, columns=header, index=[line for line, _ in rows], dtype=object)


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise data_error(path, "is not UTF-8 text", "Save the file as UTF-8", row=line) from error
    except OSError as error:
        raise data_error(path, f"cannot be read ({error.strerror})", "Check the path and its permissions") from error
    if not text.strip():
        raise data_error(path, "is empty", _AGAIN)
    return text


def _rows(path: Path, text: str, separator: str, comment: str | None) -> list[tuple[int, list[str]]]:
    # Tab-separated study files hold loose quotation marks and never quote a cell.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True)
    try:
        rows = [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise data_error(path, f"is not a table ({error})", _AGAIN, row=reader.line_num) from error
    if comment is not None:
        rows = [(line, cells) for line, cells in rows if not cells[0].startswith(comment)]
    if not rows:
        raise data_error(path, "holds only comment lines", _AGAIN)
    return rows


def _check_header(path: Path, header: Sequence[str], required: Iterable[str]) -> None:
    double = sorted({name for name in header if list(header).count(name) > 1})
    if double:
        raise data_error(path, f"the header holds {', '.join(map(repr, double))} more than once", _AGAIN, row=1)
    absent = [name for name in required if name not in header]
    if absent:
        raise data_error(path, f"no column {', '.join(map(repr, absent))}; it has {', '.join(header[:40])}", _AGAIN)


def number(text: str) -> float | None:
    """The finite number that a cell holds, or None for text, a missing value or an infinity."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def near_names(name: str, known: Iterable[str]) -> str:
    """Advice for a name that is not among ``known``: the closest spellings, or the first of the known ones."""
    pool = sorted(set(known))
    close = difflib.get_close_matches(name.upper(), [item.upper() for item in pool], n=3, cutoff=0.6)
    found = [item for item in pool if item.upper() in close]
    return f"near matches: {', '.join(found)}" if found else f"known: {', '.join(pool[:20])}"
