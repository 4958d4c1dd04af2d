"""Reading the cells of text tables, workbooks and R files; what they mean is the schema's business."""

from __future__ import annotations

import csv
import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from radgen_lib.core.errors import data_error
from radgen_lib.sources.reference.schema import AGAIN


def read_text(path: Path, separator: str = ",") -> pd.DataFrame:
    """Cells of a delimited text file as text, indexed by line; a first header cell without name becomes ``ID``.

    Takes a byte order mark and Windows line ends. Raises DataError for a file that is absent, empty, not UTF-8 or
    ragged, or whose header holds a name twice.
    """
    reader = csv.reader(io.StringIO(_decoded(path), newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise data_error(path, f"is not a table ({error})", AGAIN, row=reader.line_num) from error
    if not rows:
        raise data_error(path, "is empty", AGAIN)
    header = [cell.strip() or ("ID" if i == 0 else "") for i, cell in enumerate(rows[0][1])]
    double = sorted({name for name in header if header.count(name) > 1})
    if double:
        raise data_error(path, f"the header holds {', '.join(map(repr, double))} more than once", AGAIN, row=1)
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise data_error(path, f"{len(cells)} cells where {len(header)} are expected", AGAIN, row=line)
    lines = [line for line, _ in rows[1:]]
    return pd.DataFrame([cells for _, cells in rows[1:]], columns=header, index=lines, dtype=object)


def read_sheet(path: Path, sheet: str | None = None) -> list[tuple[object, ...]]:
    """Rows of one sheet of an XLSX workbook (None: its first), values instead of formulas.

    Raises DataError for a file that is absent, is no workbook or lacks the sheet.
    """
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise data_error(path, f"cannot be read as a workbook ({_line(error)})", AGAIN) from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise data_error(path, f"no sheet {sheet!r}; it has {', '.join(book.sheetnames)}", AGAIN)
        page = book.worksheets[0] if sheet is None else book[sheet]
        return [tuple(row) for row in page.iter_rows(values_only=True)]
    finally:
        book.close()


def read_r_object(path: Path) -> tuple[str, Any]:
    """Name and value of the one object in an R data file (.rda), read without R.

    Lists become dictionaries, data frames become pandas', matrices with names xarray's and others numpy's. Raises
    DataError for a file that is absent, cut short, no R file, or holds several objects.
    """
    import rdata

    try:
        with warnings.catch_warnings():
            # The reader only warns when the first bytes are those of no R file, and then guesses.
            warnings.simplefilter("error", UserWarning)
            objects = rdata.read_rda(path)
    except (OSError, EOFError, ValueError, TypeError, KeyError, NotImplementedError, UserWarning) as error:
        raise data_error(path, f"cannot be read as R data ({_line(error)})", AGAIN) from error
    if not isinstance(objects, dict) or len(objects) != 1:
        raise data_error(path, "does not hold one R object", AGAIN)
    ((name, value),) = objects.items()
    return str(name), value


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """An R data frame with text as names and every cell a plain object."""
    plain = frame.astype(object)
    plain.columns = pd.Index([str(name) for name in frame.columns])
    plain.index = pd.Index([str(name) for name in frame.index])
    return plain


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise data_error(path, "is not UTF-8 text", "Save the file as UTF-8", row=line) from error
    except OSError as error:
        raise data_error(path, f"cannot be read ({error.strerror})", "Check the path and its permissions") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
