"""Headers of a store of DICOM files as one table, and a row with the reason for every file that cannot be used."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from radgen_lib.core.progress import Progress
from radgen_lib.imaging.dicom.header import HeaderFault, read_header

_LOG = logging.getLogger("radgen")
COLUMNS = (
    "folder", "file", "frame", "patient", "study", "series", "sop", "kind", "modality", "instance", "orientation",
    "position", "spacing_row", "spacing_col", "thickness", "rows", "columns", "bits_allocated", "bits_stored",
    "high_bit", "signed", "slope", "intercept", "samples", "photometric", "acquisition", "temporal", "temporal_count",
    "temporal_resolution", "trigger", "acquisition_time", "content_time", "series_time", "study_date", "study_time",
    "contrast", "image_type", "description", "series_number", "manufacturer", "model", "field_strength", "tr", "te",
    "flip", "sequence", "transfer_syntax", "frames", "frame_of_reference", "identifying", "has_pixels",
    "pixel_offset", "pixel_bytes", "file_bytes", "pixels_sha256",
)  # fmt: skip
FAULT_COLUMNS = ("folder", "file", "patient", "series", "reason")
_ORDER = ["patient", "study", "series", "instance", "frame", "sop", "folder", "file"]
# A file of another series may be a copy when it says the same of all these.
_SAME_IMAGE = [
    "patient", "study", "orientation", "position", "rows", "columns", "temporal", "acquisition", "trigger",
    "acquisition_time", "content_time", "te",
]  # fmt: skip
_FEW = 500


class Scan(NamedTuple):
    """What a store holds: ``instances``, a row a file or frame (:data:`COLUMNS`); ``faults`` (:data:`FAULT_COLUMNS`).

    ``instances`` stays in memory: it holds dates, times and descriptions. A fault with an empty ``file`` speaks of
    the whole folder; ``reason`` never quotes a value of an attribute that can identify.
    """

    instances: pd.DataFrame
    faults: pd.DataFrame


class _Found(NamedTuple):
    rows: list[dict[str, Any]]
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
    ready = ledger["status"] == "ok"
    faults = [_ledger_fault(row) for row in ledger[~ready].to_dict("records")]
    expected = _expected(ledger[ready])
    rows: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for folder, found in _read_folders(Path(root), list(expected), jobs):
        counts[folder] = found.files
        rows += found.rows
        faults += [_owned(fault, expected[fault["folder"]]) for fault in found.faults]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table, refused = _check_patients(table, expected)
    table, copies = _drop_copies(table.sort_values(_ORDER, kind="stable", ignore_index=True), Path(root))
    table["pixels_sha256"] = _fingerprints(table, Path(root))
    told = _whole_folders(faults + copies, counts) + refused
    reported = pd.DataFrame(told, columns=list(FAULT_COLUMNS))
    _LOG.info("scan: %d images of %d series, %d faults", len(table), table["series"].nunique(), len(told))
    return Scan(table, reported.sort_values(list(FAULT_COLUMNS), kind="stable", ignore_index=True))


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


def _expected(ledger: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Per folder, the patient of each series that the ledger puts there."""
    folders: dict[str, dict[str, str]] = {}
    for folder, series, patient in zip(ledger["folder"], ledger["series"], ledger["patient"], strict=True):
        folders.setdefault(str(folder), {})[str(series)] = str(patient)
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


def _files(folder: Path) -> list[str]:
    """Paths of the files below ``folder``, relative to it, sorted; names that begin with a dot are not data."""
    if not folder.is_dir():
        return []
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def _read_folder(root: Path, folder: str, files: list[str]) -> _Found:
    rows: list[dict[str, Any]] = []
    faults: list[dict[str, str]] = []
    for file in files:
        try:
            found = read_header(root / folder / file)
        except HeaderFault as fault:
            faults.append(_fault(folder, file, "", fault.series, str(fault)))
            continue
        rows += [{"folder": folder, "file": file, **row} for row in found]
    if not files:
        faults.append(_fault(folder, "", "", "", "no files in the folder"))
    return _Found(rows, faults, len(files))


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


def _check_patients(
    table: pd.DataFrame, expected: dict[str, dict[str, str]]
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Refuse what is not of the patient it should be. The values of PatientID stay out of the reasons."""
    faults: list[dict[str, str]] = []
    good = pd.Series(True, index=table.index)
    alone = table["folder"].map(lambda folder: len(expected[folder]) == 1)
    # A folder of one series is held to its patient; in a shared folder the series says which patient is meant.
    for (folder, series), rows in table.groupby(["folder", table["series"].where(~alone, "")], sort=True):
        places = expected[str(folder)]
        series, owner = next(iter(places.items())) if not series else (str(series), places.get(str(series), ""))
        strange = rows["patient"] != owner if owner else pd.Series(False, index=rows.index)
        reason = "PatientID disagrees with the ledger" if strange.any() else ""
        if len(set(rows["patient"])) > 1:
            strange, reason = pd.Series(True, index=rows.index), "two patients in one series folder"
        good[strange[strange].index] = False
        if reason:
            files = rows["file"].nunique()
            faults.append(_fault(str(folder), "", owner, series, f"{reason} ({files} files)"))
    return table[good], faults


def _drop_copies(table: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Keep one file of each SOP instance; files that share a UID but not their pixels are all refused."""
    faults: list[dict[str, str]] = []
    dropped: list[int] = []
    repeated = table[table.duplicated(["sop", "frame"], keep=False)]
    for _, rows in repeated.groupby(["sop", "frame"], sort=True):
        same = len({_fingerprint(root, row) for _, row in rows.iterrows()}) == 1
        bad = rows.iloc[1:] if same and len(set(rows["position"])) == 1 else rows
        reason = "duplicate SOP instance" + ("" if len(bad) < len(rows) else " with different content")
        dropped += list(bad.index)
        faults += [_fault(r.folder, r.file, r.patient, r.series, reason) for r in bad.itertuples() if r.frame == 0]
    return table.drop(index=dropped).reset_index(drop=True), faults


def _fingerprints(table: pd.DataFrame, root: Path) -> pd.Series:
    """SHA-256 of the pixels of images that may be copies of an image of another series, "" of all others.

    Few files are read for it; the phases of one series and of a study differ in their times.
    """
    sums = pd.Series("", index=table.index, dtype=object)
    images = table[(table["kind"] == "MR") & table["position"].notna() & table["orientation"].notna()]
    images = images[images["acquisition_time"].notna() | images["content_time"].notna()]
    if len(images):
        several = images.groupby(_SAME_IMAGE, dropna=False)["series"].transform("nunique") > 1
        for index, row in images[several].iterrows():
            sums[index] = _fingerprint(root, row)
    return sums


def _fingerprint(root: Path, row: pd.Series) -> str:
    """SHA-256 of the stored pixel bytes of a row's file (of the whole file where they have no place on disk)."""
    with open(root / row["folder"] / row["file"], "rb") as handle:
        if row["pixel_offset"] > 0:
            handle.seek(int(row["pixel_offset"]))
        content = handle.read(int(row["pixel_bytes"]) if row["pixel_bytes"] >= 0 else -1)
    return hashlib.sha256(content).hexdigest()
