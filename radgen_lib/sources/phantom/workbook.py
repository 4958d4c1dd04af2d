"""Spreadsheets with the same bytes for the same cells: no time of writing inside."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from openpyxl import Workbook

from radgen_lib.core.atomic import write_bytes

_DATE = (2020, 1, 1, 0, 0, 0)
_STAMP = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*(</dcterms:)")


def write_workbook(book: Workbook, path: Path) -> None:
    """Write ``book`` as XLSX, atomically, with fixed times in its properties and in its archive."""
    buffer = io.BytesIO()
    book.save(buffer)
    target = io.BytesIO()
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as fixed:
        for name in source.namelist():
            content = _STAMP.sub(rb"\g<1>2020-01-01T00:00:00Z\g<3>", source.read(name))
            fixed.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
    write_bytes(path, target.getvalue())
