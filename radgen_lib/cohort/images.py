"""Released projections: PNG number i of the archive belongs to row i of the index table (at patient level)."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from radgen_lib.cohort.ids import patient_id, series_uid
from radgen_lib.cohort.selection import Selection
from radgen_lib.cohort.tables import read_table
from radgen_lib.core.errors import data_error
from radgen_lib.sources.archive import read_zip_members

SIZE = 128
SERIES_COLUMNS = ("image_index", "series", "series_uid", "patient", "view", "note")
# Rows of the released index whose image looks like a subtraction series. Within a patient the order of the images
# is not proven, so the note stays a note: nothing is excluded by it.
SUBTRACTION_LIKE = frozenset({2, 9, 14, 22, 28})
_FIRST_RELEASED = "1.3.6.1.4.1.14519.5.2.1.9203.4002.112423030568957082578123456874"
_RELEASED = 58


def read_series(
    index: Path, archive: Path, conditioned: Collection[str], selection: Selection
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the series table and uint8 [n, 128, 128], one image per row of the index table.

    Series of patients outside ``conditioned`` (no usable expression), images that cannot be decoded, are not
    128 x 128 or have unequal colour channels, and rows without a valid identifier become rows of the selection table
    (steps "series" and "image"); their image is all zero and no row of the series table points to it. Raises
    DataError when the number of PNGs is not that of the index rows, or their numbers are not 0, 1, ... n - 1.
    """
    table = read_table(index, required=["0", "1"])
    members = _numbered(archive, index, table)
    images = np.zeros((len(table), SIZE, SIZE), dtype=np.uint8)
    rows: list[tuple[int, str, str, str, str, str]] = []
    seen: set[str] = set()
    released = len(table) == _RELEASED and table["1"].iloc[0].endswith(_FIRST_RELEASED)
    for position, (line, name) in enumerate(zip(table.index, table["1"], strict=True)):
        reason = _series_fault(name, seen, conditioned)
        seen.add(name)
        if reason:
            selection.drop("series", "series", name, index.name, line, reason=reason)
            continue
        selection.keep("series", "series", name, index.name, line)
        member, content = members[position]
        fault = _decode_into(images[position], content)
        if fault:
            selection.drop("image", "series", name, archive.name, member, reason=fault)
            continue
        selection.keep("image", "series", name, archive.name, member)
        note = "looks like a subtraction series" if released and position in SUBTRACTION_LIKE else ""
        uid = series_uid(name)
        rows.append((position, uid, uid, patient_id(name), "sagittal", note))
    return pd.DataFrame(rows, columns=list(SERIES_COLUMNS)).astype({"image_index": np.int64}), images


def _numbered(archive: Path, index: Path, table: pd.DataFrame) -> list[tuple[str, bytes]]:
    """Members of the archive in the order of their numbers, checked against the index table."""
    members = read_zip_members(archive, ".png")
    if len(members) != len(table):
        raise data_error(
            archive,
            f"holds {len(members)} PNG images but {index.name} lists {len(table)} series",
            "Fetch both files again: they must come from the same release",
        )
    expected = [str(i) for i in range(len(table))]
    stems = {name: PurePosixPath(name).stem for name in members}
    numbered = {str(int(stem)): name for name, stem in stems.items() if stem.isdecimal()}
    if sorted(numbered) != sorted(expected) or list(table["0"]) != expected:
        raise data_error(
            archive,
            f"images or rows of {index.name} are not numbered 0 to {len(table) - 1}",
            "Fetch both files again: image i must belong to row i",
        )
    return [(numbered[i], members[numbered[i]]) for i in expected]


def _series_fault(name: str, seen: set[str], conditioned: Collection[str]) -> str:
    try:
        patient, _ = patient_id(name), series_uid(name)
    except ValueError as error:
        return str(error)
    if name in seen:
        return "series is listed a second time"
    return "" if patient in conditioned else "patient without usable expression"


def _decode_into(target: np.ndarray, content: bytes) -> str:
    """Decode one PNG into ``target`` [128, 128]; returns the reason when that cannot be done."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size != (SIZE, SIZE):
                return f"image is {picture.size[0]} x {picture.size[1]}, not {SIZE} x {SIZE}"
            pixels = np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"image cannot be decoded ({type(error).__name__})"
    if pixels.dtype != np.uint8:
        return f"image holds {pixels.dtype} pixels, not 8-bit"
    planes = pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]
    if (planes != planes[..., :1]).any():
        return "colour channels are not equal"
    target[...] = planes[..., 0]
    return ""
