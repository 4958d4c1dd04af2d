"""Headers of a store of DICOM files as one table, and a row with the reason for every file that cannot be used."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from radgen_lib.core.progress import Progress
from radgen_lib.imaging.dicom.header import HeaderFault, read_header
from radgen_lib.imaging.dicom.identifying import add_looked_into
from radgen_lib.imaging.dicom.refused import CLASHING, DUPLICATE, REFUSED, refused_table, said_of_image

_LOG = logging.getLogger("radgen")
COLUMNS = (
    "folder", "file", "frame", "patient", "study", "series", "sop", "kind", "modality", "instance", "orientation",
    "position", "spacing_row", "spacing_col", "rows", "columns", "bits_allocated", "bits_stored",
    "high_bit", "signed", "slope", "intercept", "samples", "photometric", "acquisition", "temporal",
    "temporal_resolution", "trigger", "acquisition_time", "content_time", "series_time", "study_date", "study_time",
    "contrast", "image_type", "description", "series_number", "manufacturer", "model", "field_strength", "tr", "te",
    "flip", "sequence", "transfer_syntax", "frames", "frame_of_reference", "identifying",
    "pixel_offset", "pixel_bytes", "file_bytes", "pixels_sha256", "laterality",
)  # fmt: skip
FAULT_COLUMNS = ("folder", "file", "patient", "series", "reason")
_BEFORE, _AFTER = itemgetter("patient", "study", "series"), itemgetter("frame", "sop", "folder", "file")
_FAULT = itemgetter(*FAULT_COLUMNS)
_FEW = 500
# A row of the scan, plain: a table is made of them once, at the end.
_Row = dict[str, Any]


class Scan(NamedTuple):
    """What a store holds: ``instances``, a row a file or frame (:data:`COLUMNS`); ``faults`` (:data:`FAULT_COLUMNS`).

    ``refused`` are images of faulty files whose header is whole, with the reason
    (:func:`~radgen_lib.imaging.dicom.refused.refused_table`). It and ``instances`` stay in memory: they hold dates,
    times and descriptions. A fault with an empty ``file`` speaks of the whole folder; ``reason`` never quotes a value
    of an attribute that can identify.
    """

    instances: pd.DataFrame
    faults: pd.DataFrame
    refused: pd.DataFrame


class _Found(NamedTuple):
    rows: list[_Row]
    refused: list[_Row]
    faults: list[dict[str, str]]
    files: int


def scan(root: Path, ledger: pd.DataFrame, *, jobs: int = 1) -> Scan:
    """Read the headers of all files of the ledger's series below ``root`` with up to ``jobs`` processes.

    ``ledger`` needs the columns folder, patient, series and status; ``patient`` may be "" where nobody knows it yet.
    Series whose status is not "ok" become faults with the ledger's reason. A file is refused, with a fault, when it
    is truncated, not DICOM, not MR (segmentations pass as kind "SEG"), without pixel data, in a transfer syntax
    without decoder, of another patient than the ledger says, or a second copy of a SOP instance; a folder that
    mixes two patients in one series is refused whole. The result does not depend on names and order of files.
    """
    listed = ledger.to_dict("records")
    faults = [_ledger_fault(row) for row in listed if row["status"] != "ok"]
    expected = _expected(row for row in listed if row["status"] == "ok")
    rows: list[_Row] = []
    lost: list[_Row] = []
    counts: dict[str, int] = {}
    for folder, found in _read_folders(Path(root), list(expected), jobs):
        counts[folder] = found.files
        rows += found.rows
        lost += found.refused
        faults += [_owned(fault, expected[fault["folder"]]) for fault in found.faults]
    images, refused = _check_patients(rows, expected)
    images, copies = _drop_copies(sorted(images, key=_order), Path(root))
    _add_fingerprints(images, Path(root))
    told = sorted(_whole_folders(faults + copies, counts) + refused, key=_FAULT)
    # Without images, the types of the columns are those of the refused ones.
    table = pd.DataFrame(images or rows, columns=list(COLUMNS))[: len(images)]
    _LOG.info("scan: %d images of %d series, %d faults", len(table), len({row["series"] for row in images}), len(told))
    used = set(map(id, images))
    dropped = [row for row in rows if id(row) not in used]
    gone = refused_table(lost, dropped, images, [*refused, *copies], expected, COLUMNS)
    return Scan(table, pd.DataFrame(told, columns=list(FAULT_COLUMNS)), gone)


def _order(row: _Row) -> tuple[Any, ...]:
    """By patient, study, series, instance number (none comes last), and what tells the rest apart."""
    number = row["instance"]
    return *_BEFORE(row), number != number, number if number == number else 0.0, *_AFTER(row)


def _ledger_fault(row: dict[Any, Any]) -> dict[str, str]:
    reason = f"{row['status']}: {row.get('reason') or 'no reason in the ledger'}"
    return _fault(str(row["folder"]), "", str(row["patient"]), str(row["series"]), reason)


def _owned(fault: dict[str, str], places: dict[str, str]) -> dict[str, str]:
    """A fault with the patient, and where the file gave none the series, that the ledger puts into its folder."""
    series = fault["series"] or (next(iter(places)) if len(places) == 1 else "")
    owners = set(places.values())
    owner = places.get(series) or (next(iter(owners)) if len(owners) == 1 else "")
    return {**fault, "series": series, "patient": owner}


def _fault(folder: str, file: str, patient: str, series: str, reason: str) -> dict[str, str]:
    return {"folder": folder, "file": file, "patient": patient, "series": series, "reason": reason}


def _expected(listed: Iterable[dict[Any, Any]]) -> dict[str, dict[str, str]]:
    """Per folder, the patient of each series that the ledger puts there."""
    folders: dict[str, dict[str, str]] = {}
    for row in listed:
        folders.setdefault(str(row["folder"]), {})[str(row["series"])] = str(row["patient"])
    return folders


def _read_folders(root: Path, folders: list[str], jobs: int) -> Iterator[tuple[str, _Found]]:
    files = {folder: _files(root / folder) for folder in folders}
    total = sum(map(len, files.values()))
    progress = Progress("headers", total)
    if jobs > 1 and total > _FEW:
        from joblib import Parallel, delayed

        run = Parallel(n_jobs=min(jobs, len(folders)), backend="loky", return_as="generator", batch_size="auto")
        results: Iterator[_Found] = run(delayed(_read_folder)(root, folder, files[folder]) for folder in folders)
    else:
        results = (_read_folder(root, folder, files[folder]) for folder in folders)
    for folder, found in zip(folders, results, strict=True):
        progress.advance(len(files[folder]))
        yield folder, found


def _files(folder: Path, inside: str = "") -> list[str]:
    """Paths of the files below ``folder``, relative to it, sorted; names that begin with a dot are not data."""
    found: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    found += _files(folder / entry.name, f"{inside}{entry.name}/")
                elif not entry.name.startswith(".") and entry.is_file():
                    found.append(inside + entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []  # a folder that is not there, or not for us, has no files: that is its fault
    return sorted(found)


def _read_folder(root: Path, folder: str, files: list[str]) -> _Found:
    rows: list[_Row] = []
    refused: list[_Row] = []
    faults: list[dict[str, str]] = []
    for file in files:
        try:
            found = read_header(root / folder / file)
        except HeaderFault as fault:
            faults.append(_fault(folder, file, "", fault.series, str(fault)))
            where = {"folder": folder, "file": file, "pixels_sha256": "", REFUSED: str(fault)}
            refused += [{**row, **where} for row in fault.rows]
            continue
        rows += [{"folder": folder, "file": file, **row, "pixels_sha256": ""} for row in found]
    add_looked_into(rows, root / folder)
    if not files:
        faults.append(_fault(folder, "", "", "", "no files in the folder"))
    return _Found(rows, refused, faults, len(files))


def _whole_folders(faults: list[dict[str, str]], counts: dict[str, int]) -> list[dict[str, str]]:
    """One fault for a folder all of whose files have the same."""
    told: list[dict[str, str]] = []
    groups: dict[tuple[str, str, str, str], list[dict[str, str]]] = {}
    for fault in faults:
        groups.setdefault((fault["folder"], fault["patient"], fault["series"], fault["reason"]), []).append(fault)
    for same in groups.values():
        count = counts.get(same[0]["folder"], 0)
        every = len(same) == count and count > 1
        told += [{**same[0], "file": "", "reason": f"{same[0]['reason']} ({count} files)"}] if every else same
    return told


def _check_patients(rows: list[_Row], expected: dict[str, dict[str, str]]) -> tuple[list[_Row], list[dict[str, str]]]:
    """Refuse what is not of the patient it should be. The values of PatientID stay out of the reasons."""
    groups: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        # A folder of one series is held to its patient; in a shared folder the series says which patient is meant.
        alone = len(expected[row["folder"]]) == 1
        groups.setdefault((row["folder"], "" if alone else row["series"]), []).append(row)
    good: list[_Row] = []
    faults: list[dict[str, str]] = []
    for (folder, series), same in groups.items():
        places = expected[folder]
        series, owner = next(iter(places.items())) if not series else (series, places.get(series, ""))
        patients = {row["patient"] for row in same}
        mixed, strange = len(patients) > 1, bool(owner) and patients != {owner}
        good += [] if mixed else [row for row in same if not owner or row["patient"] == owner]
        if mixed or strange:
            reason = "two patients in one series folder" if mixed else "PatientID disagrees with the ledger"
            files = len({row["file"] for row in same})
            faults.append(_fault(folder, "", owner, series, f"{reason} ({files} files)"))
    return good, faults


def _drop_copies(rows: list[_Row], root: Path) -> tuple[list[_Row], list[dict[str, str]]]:
    """Keep one file of each SOP instance; files that share a UID but not their pixels are all refused."""
    groups: dict[tuple[str, int], list[_Row]] = {}
    for row in rows:
        groups.setdefault((row["sop"], row["frame"]), []).append(row)
    if len(groups) == len(rows):
        return rows, []
    faults: list[dict[str, str]] = []
    dropped: set[int] = set()
    for same in groups.values():
        if len(same) == 1:
            continue
        alike = len({_fingerprint(root, row) for row in same}) == 1 and len({row["position"] for row in same}) == 1
        bad = same[1:] if alike else same
        reason = DUPLICATE if alike else CLASHING
        dropped.update(map(id, bad))
        faults += [_fault(r["folder"], r["file"], r["patient"], r["series"], reason) for r in bad if r["frame"] == 0]
    return [row for row in rows if id(row) not in dropped], faults


def _add_fingerprints(rows: list[_Row], root: Path) -> None:
    """Write the SHA-256 of the pixels into rows of images that may be copies of an image of another series.

    Few files are read for it; the phases of one series and of a study differ in their times.
    """
    groups: dict[tuple[Any, ...], list[_Row]] = {}
    for row in rows:
        timed = row["acquisition_time"] == row["acquisition_time"] or row["content_time"] == row["content_time"]
        if row["kind"] == "MR" and row["position"] is not None and row["orientation"] is not None and timed:
            groups.setdefault(said_of_image(row), []).append(row)
    for same in groups.values():
        if len({row["series"] for row in same}) > 1:
            for row in same:
                row["pixels_sha256"] = _fingerprint(root, row)


def _fingerprint(root: Path, row: _Row) -> str:
    """SHA-256 of the stored pixel bytes of a row's file (of the whole file where they have no place on disk)."""
    with open(root / row["folder"] / row["file"], "rb") as handle:
        if row["pixel_offset"] > 0:
            handle.seek(row["pixel_offset"])
        content = handle.read(row["pixel_bytes"] if row["pixel_bytes"] >= 0 else -1)
    return hashlib.sha256(content).hexdigest()
