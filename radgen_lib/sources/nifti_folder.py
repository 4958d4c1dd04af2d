"""Series from a folder of NIfTI files whose table ``phases.csv`` says which file is which phase of which study.

Each row becomes a DICOM MR series in the store, with UIDs from patient, study and phase, so that scan, phases, volumes,
masks and pseudonyms are those of every other source. The user's folder is never written to.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import data_error
from radgen_lib.core.progress import Progress
from radgen_lib.core.stop import StopFlag
from radgen_lib.sources.folder import NIFTI_TABLE as TABLE
from radgen_lib.sources.ledger import folder_size, listing_frame
from radgen_lib.sources.nifti_dicom import Phase, images
from radgen_lib.sources.nifti_place import NiftiFault, open_nifti, read_values
from radgen_lib.sources.series_store import Row, SeriesFault, fill_store

COLUMNS = ("patient", "study", "phase", "file", "seconds")
# What a listing holds beside the common columns; store_bytes is about what the series takes in the store.
EXTRA = ("file", "line", "item", "store_bytes")
_SHOWN = f"imaging.location/{TABLE}"
_ENDINGS, _PHASE = (".nii", ".nii.gz"), re.compile(r"pre|post([1-8])")
_LONGEST_SECONDS = 12 * 3600.0
_HEADER_BYTES = 1500
_MADE_FROM = ".made-from"  # begins with a dot: no reader takes it for data
_FORM = 1  # raise it when the same file would be written in another way


@dataclass(frozen=True)
class _Entry:
    """One row of the table: its line, what it says, and why it cannot be used ("" when it can)."""

    line: int
    item: Phase
    file: str
    fault: str = ""


def list_series(imaging: Imaging) -> pd.DataFrame:
    """A series per row of the table in ``imaging.location``, with the further columns :data:`EXTRA`.

    Headers are read, values are not. A row that cannot be used has status ``failed`` and a reason with its line;
    two rows of one phase are one such series. Reasons name no file, since names of files may name people. Raises
    DataError for a table without its columns or rows.
    """
    location = Path(str(imaging.location))
    entries = _read_table(location / TABLE)
    for check in (_same_phase, _same_file, _unordered):
        entries = _marked(entries, check(entries))
    progress = Progress("NIfTI headers", len(entries))
    rows = []
    for entry in entries:
        rows.append(_listed(entry, location))
        progress.advance()
    found = listing_frame(rows, *EXTRA)
    return found[~(found.duplicated(["patient", "study", "series"]) & (found["series"] != ""))].reset_index(drop=True)


def unlisted(imaging: Imaging) -> int:
    """How many NIfTI files below ``imaging.location`` stand in no row of the table."""
    location = Path(str(imaging.location))
    known = {PurePosixPath(entry.file) for entry in _read_table(location / TABLE)}
    there = {path.relative_to(location) for path in location.rglob("[!.]*") if path.name.lower().endswith(_ENDINGS)}
    return len({PurePosixPath(path) for path in there} - known)


def _read_table(path: Path) -> list[_Entry]:
    try:
        # Editors of spreadsheets write a mark first, and semicolons where the comma is the decimal sign.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise data_error(_SHOWN, f"cannot be read ({type(error).__name__})", "Save it as CSV in UTF-8") from error
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=text.partition("\n")[0].count))
    try:
        lines = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise data_error(_SHOWN, f"is not CSV ({error})", "Save it as CSV", row=reader.line_num) from error
    names = [name.strip().lower() for name in (lines[0][1] if lines else [])]
    if missing := [name for name in COLUMNS if names.count(name) != 1]:
        action = f"The first row is {','.join(COLUMNS)}; give the file another name when this is a folder of DICOM"
        raise data_error(_SHOWN, f"no column, or two, named {', '.join(missing)}", action)
    cells = [(line, _cells(names, row)) for line, row in lines[1:] if "".join(row).strip()]
    if not cells:
        raise data_error(_SHOWN, "has no rows", "Write a row for each file")
    studies: dict[str, dict[str, int]] = defaultdict(dict)
    for _, cell in cells:
        studies[cell["patient"]].setdefault(cell["study"], len(studies[cell["patient"]]) + 1)
    return [_entry(line, cell, studies[cell["patient"]][cell["study"]]) for line, cell in cells]


def _cells(names: list[str], row: list[str]) -> dict[str, str]:
    """Cells by column; a row that is too short ends in empty ones."""
    return dict.fromkeys(names, "") | dict(zip(names, map(str.strip, row), strict=False))


def _entry(line: int, cell: dict[str, str], study_number: int) -> _Entry:
    patient, study, phase, file, seconds = (cell[name] for name in COLUMNS)
    known = _PHASE.fullmatch(phase.lower())
    position = 1 + int(known[1] or 0) if known else 0
    after = _number(seconds) if seconds else (0.0 if position == 1 else math.nan)
    item = Phase(patient, study, phase.lower(), position, study_number, after)
    return _Entry(line, item, file, _fault(item, file, seconds))


def _number(text: str) -> float:
    """A number of the table to the millisecond (which is what DICOM is given), infinity for what is none."""
    try:
        value = float(text)
    except ValueError:
        return math.inf
    return round(value, 3) if math.isfinite(value) else math.inf


def _fault(item: Phase, file: str, seconds: str) -> str:
    """What is wrong with a row by itself, and what to do."""
    for name, value in (("patient", item.patient), ("study", item.study)):
        if not value or len(value) > 64 or "\\" in value or not value.isprintable():
            return f"{name} is empty, longer than 64 letters or holds a backslash. Write a plain identifier"
    if not item.position:
        return "phase is none of pre, post1 ... post8. Write one of these"
    if seconds and item.seconds < 0:
        return "seconds are negative. They count from the pre-contrast phase"
    if seconds and item.seconds > _LONGEST_SECONDS:
        return "seconds are no number, or more than half a day. Correct the cell, or leave it empty"
    if item.position == 1 and item.seconds != 0:
        return "seconds of the pre-contrast phase are not 0. Seconds count from this phase; write 0 or nothing"
    path = PurePosixPath(file)
    if not file.lower().endswith(_ENDINGS) or path.is_absolute() or ".." in path.parts:
        return "file is no .nii or .nii.gz below the folder. Write its path relative to the folder"
    return ""


def _marked(entries: list[_Entry], faults: dict[int, str]) -> list[_Entry]:
    return [replace(entry, fault=entry.fault or faults.get(entry.line, "")) for entry in entries]


def _groups(entries: Iterable[_Entry], key: Callable[[_Entry], object]) -> Iterable[list[_Entry]]:
    """Rows that have the same key."""
    groups: dict[object, list[_Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups.values()


def _same_phase(entries: list[_Entry]) -> dict[int, str]:
    """Rows of one phase, one of them faulty or not: they would be one series."""
    said = "the same phase of a study stands in lines {}. Keep one of them"
    named = (entry for entry in entries if entry.item.position)
    return _several(_groups(named, lambda entry: (entry.item.patient, entry.item.study, entry.item.phase)), said)


def _same_file(entries: list[_Entry]) -> dict[int, str]:
    said = "the same file stands in lines {}. A phase is a file of its own"
    return _several(_groups(_sound(entries), lambda entry: PurePosixPath(entry.file)), said)


def _sound(entries: list[_Entry]) -> Iterable[_Entry]:
    return (entry for entry in entries if not entry.fault)


def _several(groups: Iterable[list[_Entry]], said: str) -> dict[int, str]:
    several = [group for group in groups if len(group) > 1]
    return {one.line: said.format(", ".join(str(each.line) for each in group)) for group in several for one in group}


def _unordered(entries: list[_Entry]) -> dict[int, str]:
    """Rows of studies whose seconds do not grow with the phase; which of them is wrong, nobody can tell."""
    faults: dict[int, str] = {}
    for study in _groups(_sound(entries), lambda entry: (entry.item.patient, entry.item.study)):
        timed = sorted((one for one in study if not math.isnan(one.item.seconds)), key=lambda one: one.item.position)
        seconds = [one.item.seconds for one in timed]
        if any(later <= earlier for earlier, later in pairwise(seconds)):
            said = "seconds of the study do not grow from phase to phase. Correct them, or leave the column empty"
            faults |= {one.line: said for one in timed if one.item.position > 1}
    return faults


def _listed(entry: _Entry, location: Path) -> dict[str, object]:
    """The listing's row of one row of the table."""
    item, fault, path = entry.item, entry.fault, location / entry.file
    size: dict[str, int] = {}
    if not fault:
        try:
            _, place = open_nifti(path)
            columns, rows, slices = place.shape
            size = {"n_files": slices, "store_bytes": slices * (columns * rows * 2 + _HEADER_BYTES)}
        except NiftiFault as error:
            fault = str(error)
    told = bool(item.patient and item.study)
    return {
        "patient": item.patient, "study": item.study_uid if told else "",
        "series": item.series_uid if told and item.position else "", "modality": "MR", "store_bytes": 0, **size,
        "status": "failed" if fault else "", "reason": _reason(entry.line, fault), "file": str(path),
        "line": entry.line, "item": item,
    }  # fmt: skip


def _reason(line: int, fault: str) -> str:
    return f"{TABLE} line {line}: {fault}" if fault else ""


def fetch_series(
    rows: pd.DataFrame, root: Path, imaging: Imaging, *, jobs: int, offline: bool, **retrying: Any
) -> pd.DataFrame:
    """Write the listed series as DICOM into the store below ``root``; their ledger. ``offline`` has no meaning here.

    A series is written again when its file (size, time of change) or its row has changed, or the store lost some of it.
    """
    options = {"jobs": jobs, "offline": False, "retries": 0, **retrying}  # a second attempt cures no file at hand
    return fill_store(rows, root, _write_one, origin="folder", is_current=_is_current, **options)


def _state(row: Row) -> str:
    """A digest of what a series is made from."""
    status = Path(row["file"]).stat()
    return hashlib.sha256(repr((_FORM, row["item"], status.st_size, status.st_mtime_ns)).encode()).hexdigest()


def _is_current(row: Row, folder: Path) -> bool:
    note = folder / _MADE_FROM
    return note.is_file() and note.read_text() == f"{_state(row)} {folder_size(folder)[1]}"


def _write_one(row: Row, folder: Path, stop: StopFlag) -> None:
    try:
        image, place = open_nifti(Path(row["file"]))
        state = _state(row)
        values = read_values(image, place.shape)
    except NiftiFault as fault:
        raise SeriesFault("failed", _reason(row["line"], str(fault))) from fault
    for instance, content in images(row["item"], place, values):
        if stop:
            return
        (folder / f"{instance}.dcm").write_bytes(content)
    (folder / _MADE_FROM).write_text(f"{state} {folder_size(folder)[1]}")
