"""Series from a folder of DICOM files in any layout: grouped by what the headers say, never by names.

The files come into the store as hard links, so that nothing takes room twice and one layout serves every source; on
another file system, or where links are refused, they are copied. The user's folder is never written to.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.listing import files_below
from radgen_lib.core.progress import Progress
from radgen_lib.core.stop import StopFlag
from radgen_lib.sources.ledger import MODALITIES, dicom_files, listing_frame
from radgen_lib.sources.series_store import Row, SeriesFault, fill_store

_TAGS = {
    "PatientID": "patient", "StudyInstanceUID": "study", "SeriesInstanceUID": "series", "Modality": "modality",
    "SeriesDescription": "description", "Manufacturer": "manufacturer", "ManufacturerModelName": "model",
    "SOPInstanceUID": "instance",
}  # fmt: skip
# What pydicom raises for files that are damaged, each in another place.
DAMAGED = (InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, TypeError, NotImplementedError,
            struct.error, OverflowError)  # fmt: skip
NIFTI_TABLE = "phases.csv"  # makes a folder one of NIfTI files
_ENDINGS = (".dcm", ".dicom", ".ima")
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)
Header = dict[str, str]


def is_nifti_folder(imaging: Imaging) -> bool:
    """Whether ``imaging.location`` holds NIfTI files with a table of their phases."""
    return bool(imaging.location) and (Path(str(imaging.location)) / NIFTI_TABLE).is_file()


def list_series(imaging: Imaging) -> pd.DataFrame:
    """MR and SEG series below ``imaging.location``, with a further column ``files`` (tuple of absolute paths).

    A file that should be DICOM and cannot be read (ending .dcm, .dicom, .ima or none) is counted in a row per reason
    with status ``failed``, and no identifier; other files are no concern of this source. A series whose files name
    several patients, or whose files lack an identifier, is such a row as well. A folder with a table ``phases.csv`` is
    one of NIfTI files (:mod:`radgen_lib.sources.nifti_folder`). Raises ConfigError when there is no such folder, or
    when it holds NIfTI files without the table and no series.
    """
    location = Path(imaging.location or "")
    if not imaging.location or not location.is_dir():
        raise ConfigError(f"imaging.location = {imaging.location!r}: source folder needs a folder with DICOM files")
    if is_nifti_folder(imaging):
        from radgen_lib.sources import nifti_folder

        return nifti_folder.list_series(imaging)
    found: dict[str, list[tuple[Path, Header]]] = defaultdict(list)
    faults: Counter[str] = Counter()
    paths = list(_candidates(location))
    progress = Progress("DICOM headers", len(paths))
    for path in paths:
        header, fault = _header(path)
        progress.advance()
        if fault:
            faults[fault] += 1
        elif header["modality"] in MODALITIES:
            found[header["series"]].append((path, header))
    if not found and any(path.name.lower().endswith((".nii", ".nii.gz")) for path in paths):
        raise ConfigError(
            f"imaging.location = {imaging.location!r}: holds NIfTI files and no DICOM series of MR. NIfTI tells "
            f"neither phase, time nor patient: add {NIFTI_TABLE} (docs/how-to/own-data.md), or export DICOM"
        )
    lost = [{"status": "failed", "reason": f"{count} x {fault}"} for fault, count in sorted(faults.items())]
    return listing_frame([*(_series(files) for files in found.values()), *lost], "files")


def _candidates(location: Path) -> Iterator[Path]:
    """Files that may be DICOM, sorted; hidden ones and DICOMDIR, which is a list of files, left out."""
    return (path for path in files_below(location) if path.name.upper() != "DICOMDIR")


def _header(path: Path) -> tuple[Header, str]:
    """The identifying values of a file, or why there are none; ({"modality": ""}, "") for files of another kind."""
    try:
        with open(path, "rb") as handle:
            start = handle.read(132)
    except OSError as error:
        return {}, f"file cannot be opened ({error.strerror or type(error).__name__})"
    if start[128:132] != b"DICM":
        ending = path.suffix.lower()
        wanted = ending in _ENDINGS or not ending or ending[1:].isdigit()
        return {"modality": ""}, "file is no DICOM file" if wanted else ""
    try:
        # Without validation: its warnings hold the values, which no log may.
        with pydicom.config.disable_value_validation():
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            if _is_cut(dataset):
                return {}, "DICOM file is damaged (its header ends early)"
            header = {name: str(dataset.get(keyword, "") or "").strip() for keyword, name in _TAGS.items()}
    except (*DAMAGED, OSError) as error:
        return {}, f"DICOM file is damaged ({type(error).__name__})"
    lacking = [key for key, name in _TAGS.items() if key.endswith(("UID", "ID")) and not header[name]]
    return header, f"DICOM file has no {lacking[0]}" if lacking else ""


def _is_cut(dataset: pydicom.Dataset) -> bool:
    """Whether the file ends within one of the elements, whose value would then be half of one."""
    raw = [dataset.get_item(keyword) for keyword in _TAGS if keyword in dataset]
    return any(isinstance(item, RawDataElement) and len(item.value or b"") < item.length for item in raw)


def _series(files: list[tuple[Path, Header]]) -> dict[str, object]:
    """The listing's row of one series. Two patients or studies under one series UID cannot be told apart: failed."""
    first = files[0][1]
    patients, studies = (Counter(header[name] for _, header in files) for name in ("patient", "study"))
    reason = ""
    if len(patients) > 1:
        reason = f"the files of the series name {len(patients)} patients"
    elif len(studies) > 1:
        reason = f"the files of the series name {len(studies)} studies"
    names = ("series", "modality", "description", "manufacturer", "model")
    return {
        **{name: first[name] for name in names},
        "patient": min(patients, key=lambda name: (-patients[name], name)),
        "study": min(studies, key=lambda name: (-studies[name], name)),
        "n_files": len(files), "bytes": sum(path.stat().st_size for path, _ in files),
        "status": "failed" if reason else "", "reason": reason,
        "files": tuple((header["instance"], str(path)) for path, header in files),
    }  # fmt: skip


def fetch_series(
    rows: pd.DataFrame, root: Path, imaging: Imaging, *, jobs: int, offline: bool, **retrying: Any
) -> pd.DataFrame:
    """Link or copy the listed series into the store below ``root``; their ledger. ``offline`` has no meaning here.

    Files are named by SOPInstanceUID; a second file of the same instance is kept as ``<uid>-2.dcm`` (which of them
    counts is decided where headers are read). A series is made again when a file of the user's has changed. Rows of a
    folder of NIfTI files are written as DICOM.
    """
    if "item" in rows.columns:
        from radgen_lib.sources import nifti_folder

        return nifti_folder.fetch_series(rows, root, imaging, jobs=jobs, offline=offline, **retrying)
    return fill_store(
        rows, root, _fetch_one, origin="folder", jobs=jobs, offline=False, is_current=_is_current, **retrying
    )


def _names(row: Row) -> dict[str, Path]:
    """File name in the store -> file of the user, in the order of the user's paths."""
    named: dict[str, Path] = {}
    seen: Counter[str] = Counter()
    for instance, path in row["files"]:
        seen[instance] += 1
        named[f"{instance}{f'-{seen[instance]}' if seen[instance] > 1 else ''}.dcm"] = Path(path)
    return named


def _is_current(row: Row, folder: Path) -> bool:
    named = _names(row)
    return {path.name for path in dicom_files(folder)} == set(named) and all(
        _stamp(folder / name) == _stamp(path) for name, path in named.items()
    )


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _fetch_one(row: Row, folder: Path, stop: StopFlag) -> None:
    for name, path in _names(row).items():
        if stop:
            return
        try:
            os.link(path, folder / name)
        except FileNotFoundError as error:
            raise SeriesFault("incomplete", "a file vanished while the folder was read") from error
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            shutil.copy2(path, folder / name)
