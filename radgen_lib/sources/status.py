"""What is there of the registry's files, and what could be fetched."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from radgen_lib.sources.checksums import fault_of, recorded_sum, sum_file
from radgen_lib.sources.download import mirror_file
from radgen_lib.sources.registry import Source

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("name", "file", "bytes", "licence", "sum", "where", "verified", "reachable")
_TIMEOUT = 10.0
_WORKERS = 8


def source_status(
    registry: Mapping[str, Source],
    *,
    downloads: Path,
    mirror: Path | None,
    check_network: bool,
    weights: Path | None = None,
) -> pd.DataFrame:
    """One row a source, in the order of the registry; nothing is fetched.

    Columns: name, file, bytes (of the registry, NA when unknown), licence, sum ("registry", "recorded" at first use,
    "prefix" when only its first digits are published, "unknown"), where ("downloads", "weights" for encoder weights
    in that folder, "mirror", "none"), verified ("yes", "no: why", "" for a file that is not there), reachable ("yes",
    "no: why", "no address", "not checked"). Raises DownloadError when ``mirror`` is not a folder.
    """
    import pandas as pd

    rows = [_row(source, downloads, mirror, weights) for source in registry.values()]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"bytes": "Int64"})
    table["reachable"] = _reachable(list(registry.values())) if check_network else "not checked"
    return table


def locate(
    source: Source, *, downloads: Path, mirror: Path | None, weights: Path | None = None
) -> tuple[str, Path | None]:
    """Where the file of ``source`` lies: ("downloads" | "weights" | "mirror" | "none", its path or None)."""
    places = {"downloads": downloads / source.name / source.filename}
    if weights is not None:
        places["weights"] = weights / source.filename
    for where, path in places.items():
        if path.is_file():
            return where, path
    mirrored = mirror_file(source, mirror)
    return ("mirror" if mirrored else "none"), mirrored


def check_address(source: Source) -> str:
    """Ask for the head of the file: "yes", "no: why", or "no address"."""
    import requests

    from radgen_lib.sources.transfer import HEADERS

    if source.url is None:
        return "no address"
    try:
        answer = requests.head(source.url, headers=HEADERS, timeout=_TIMEOUT, allow_redirects=True)
    except requests.RequestException as error:
        return f"no: {type(error).__name__}"
    size = answer.headers.get("Content-Length")
    if answer.status_code != 200:
        return f"no: HTTP {answer.status_code}"
    if source.bytes is not None and size is not None and int(size) != source.bytes:
        return f"no: {size} bytes there, {source.bytes} expected"
    return "yes"


def _reachable(sources: list[Source]) -> list[str]:
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(check_address, sources))


def _row(source: Source, downloads: Path, mirror: Path | None, weights: Path | None) -> dict[str, object]:
    where, path = locate(source, downloads=downloads, mirror=mirror, weights=weights)
    target = downloads / source.name / source.filename
    verified = ""
    if path is not None:
        fault = fault_of(source, path, recorded_sum(target))[1]
        verified = f"no: {fault}" if fault else "yes"
    return {
        "name": source.name, "file": source.filename, "bytes": source.bytes, "licence": source.licence,
        "sum": _sum_kind(source, target), "where": where, "verified": verified, "reachable": "",
    }  # fmt: skip


def _sum_kind(source: Source, target: Path) -> str:
    if source.sum_known:
        return "registry"
    if sum_file(target).is_file():
        return "recorded"
    return "prefix" if source.sha256_prefix else "unknown"
