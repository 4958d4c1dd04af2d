"""The store of DICOM series and its ledger: one row a series, what was expected, what is there, and why not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from radgen_lib.core.digest import file_sha256

LEDGER_COLUMNS = (
    "patient", "study", "series", "folder", "n_files", "bytes", "expected_files", "expected_bytes", "origin", "status",
    "reason", "sha256",
)  # fmt: skip
# What every source lists. status and reason are filled where a row is lost before anything is fetched.
LISTING_COLUMNS = (
    "patient", "study", "series", "modality", "description", "manufacturer", "model", "n_files", "bytes", "url",
    "status", "reason",
)  # fmt: skip
STORE = "dicom"
# What a PACS and a folder are asked for: images, and tumour masks. IDC and NBIA are asked for MR alone.
MODALITIES = ("MR", "SEG")
UNKNOWN = -1
_NUMBERS = ("n_files", "bytes", "expected_files", "expected_bytes")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def shard_of(patient: str, shards: int) -> int:
    """The shard, 0 to ``shards`` - 1, of a patient: it depends on the identifier alone."""
    return int(hashlib.sha256(patient.encode()).hexdigest()[:8], 16) % shards


def ledger_frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """The ledger in its fixed columns, sorted by patient, study and series whatever order the rows came in."""
    table = pd.DataFrame(list(rows), columns=list(LEDGER_COLUMNS))
    table = table.astype({name: "int64" if name in _NUMBERS else object for name in LEDGER_COLUMNS})
    return table.sort_values(["patient", "study", "series", "folder"], kind="stable", ignore_index=True)


def listing_frame(rows: Iterable[Mapping[str, object]], *extra: str) -> pd.DataFrame:
    """Series of a source in their fixed columns (and ``extra`` ones); what a source does not tell is "" or -1."""
    blank: dict[str, object] = {name: UNKNOWN if name in _NUMBERS else "" for name in LISTING_COLUMNS}
    table = pd.DataFrame([{**blank, **row} for row in rows], columns=[*LISTING_COLUMNS, *extra])
    return table.sort_values(["patient", "study", "series"], kind="stable", ignore_index=True)


def series_folder(patient: str, study: str, series: str) -> str:
    """Folder of a series below the cohort's data folder; a name that is no plain file name becomes its digest."""
    return "/".join((STORE, *map(_part, (patient, study, series))))


def _part(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"x-{hashlib.sha256(name.encode()).hexdigest()[:20]}"


def dicom_files(folder: Path) -> list[Path]:
    """The ``*.dcm`` files of a series folder, sorted; empty where there is no such folder."""
    return sorted(folder.glob("*.dcm"))


def folder_size(folder: Path) -> tuple[int, int]:
    """Number of DICOM files in ``folder``, and their bytes."""
    sizes = [path.stat().st_size for path in dicom_files(folder)]
    return len(sizes), sum(sizes)


def folder_sha256(folder: Path) -> str:
    """SHA-256 of the sorted SHA-256s of the files of a series: independent of their names."""
    return hashlib.sha256("\n".join(sorted(map(file_sha256, dicom_files(folder)))).encode()).hexdigest()


def shortfall(n_files: int, size: int, expected_files: int, expected_bytes: int) -> str:
    """Why a series is not what was announced, or ""; an expectation of -1 is none."""
    if expected_files != UNKNOWN and n_files != expected_files:
        return f"{n_files} files, {expected_files} expected"
    if expected_bytes != UNKNOWN and size != expected_bytes:
        return f"{size} bytes in {n_files} files, {expected_bytes} expected"
    return "" if n_files else "no file"


def with_unstated(ledger: pd.DataFrame) -> pd.DataFrame:
    """The ledger of a server; ``reason`` of ``ok`` rows says what could not be compared, since it was not announced.

    Such a series came without a fault of transfer; that none of it is missing was told by its number alone, or by
    nothing.
    """
    told = ledger.copy()
    ok = told["status"] == "ok"
    no_number, no_size = (told[f"expected_{name}"] == UNKNOWN for name in ("files", "bytes"))
    told.loc[ok & no_size, "reason"] = "whole by number of files; the source states no size"
    told.loc[ok & no_number, "reason"] = "whole by size; the source states no number of files"
    told.loc[ok & no_number & no_size, "reason"] = "not compared; the source states neither number nor size"
    return told


def check_store(ledger: pd.DataFrame, root: Path) -> pd.DataFrame:
    """The ledger with its ``ok`` rows compared again with the files below ``root``, by number and bytes.

    A series that lost or gained files, or changed in size, becomes ``incomplete``, one without a folder ``missing``.
    """
    rows: list[dict[str, object]] = []
    for row in ledger.to_dict("records"):
        found = folder_size(root / row["folder"]) if row["status"] == "ok" else (row["n_files"], row["bytes"])
        new: dict[str, object] = {str(key): value for key, value in row.items()}
        if found != (row["n_files"], row["bytes"]):
            status = "incomplete" if found[0] else "missing"
            reason = f"the store lost it: {shortfall(found[0], found[1], row['n_files'], row['bytes'])}"
            new.update(n_files=found[0], bytes=found[1], status=status, reason=reason, sha256="")
        rows.append(new)
    return ledger_frame(rows)


def stored_series(root: Path) -> pd.DataFrame:
    """Listing of what the store holds, by folder names; for sources that cannot be asked while offline."""
    folders = [path for path in sorted(root.glob(f"{STORE}/*/*/*")) if path.is_dir() and not path.name.startswith(".")]
    return listing_frame({"patient": p.parts[-3], "study": p.parts[-2], "series": p.parts[-1]} for p in folders)
