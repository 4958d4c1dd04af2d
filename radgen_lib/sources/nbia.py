"""Series from the REST service of The Cancer Imaging Archive (NBIA Search REST API, version 1, public collections)."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import requests

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DataError, DownloadError
from radgen_lib.core.stop import StopFlag
from radgen_lib.sources.archive import unpack_zip
from radgen_lib.sources.http_retry import get_file, get_rows, web_session
from radgen_lib.sources.idc_index_query import collection_name
from radgen_lib.sources.ledger import UNKNOWN, listing_frame, with_unstated
from radgen_lib.sources.series_store import Row, SeriesFault, fill_store

# NBIA Search REST API Guide, https://wiki.cancerimagingarchive.net: base address of the public resources.
SERVICE = "https://services.cancerimagingarchive.net/nbia-api/services/v1"
# A breast series has at most some thousand instances of half a megabyte.
_MAX_BYTES = 8 << 30


def list_series(imaging: Imaging) -> pd.DataFrame:
    """MR series of ``imaging.collection`` (either spelling: tcga_brca, TCGA-BRCA), with what NBIA states of each.

    That is the number of images (``ImageCount``) and, where the service tells it, their bytes (``FileSize``); what it
    does not tell is not compared, and the ledger says so. ``imaging.endpoint`` replaces the service's address. Raises
    ConfigError for a collection that it does not have, and DownloadError when the service does not answer as it should.
    """
    if not imaging.collection:
        raise ConfigError("imaging.collection = None: source nbia needs a collection, e.g. tcga_brca")
    session, service = web_session(), imaging.endpoint or SERVICE
    names = {collection_name(str(row.get("Collection", ""))): str(row.get("Collection", "")) for row in
             get_rows(session, f"{service}/getCollectionValues", {})}  # fmt: skip
    name = names.get(collection_name(imaging.collection))
    if name is None:
        raise ConfigError(f"imaging.collection = {imaging.collection!r}: not one of NBIA's {len(names)} collections")
    rows = get_rows(session, f"{service}/getSeries", {"Collection": name, "Modality": "MR", "format": "json"})
    return listing_frame(_listed(row, f"{service}/getSeries") for row in rows)


def _listed(row: dict[str, Any], url: str) -> dict[str, object]:
    missing = [key for key in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID") if not row.get(key)]
    if missing:
        raise DownloadError(f"{url}: a series without {missing[0]}. The service answers in another form than version 1")
    return {
        "patient": str(row["PatientID"]), "study": str(row["StudyInstanceUID"]),
        "series": str(row["SeriesInstanceUID"]), "modality": str(row.get("Modality") or "MR"),
        "description": str(row.get("SeriesDescription") or ""), "manufacturer": str(row.get("Manufacturer") or ""),
        "model": str(row.get("ManufacturerModelName") or ""),
        "n_files": _number(row, "ImageCount", url), "bytes": _number(row, "FileSize", url),
    }  # fmt: skip


def _number(row: dict[str, Any], key: str, url: str) -> int:
    """A number that the service states of a series; a series has neither no image nor no byte, so 0 is no statement."""
    try:
        number = int(row.get(key) or 0)
    except (TypeError, ValueError) as error:
        raise DownloadError(
            f"{url}: {key} of a series is no number. The service answers in another form than version 1"
        ) from error
    return number if number > 0 else UNKNOWN


def fetch_series(
    rows: pd.DataFrame, root: Path, imaging: Imaging, *, jobs: int, offline: bool, **retrying: Any
) -> pd.DataFrame:
    """Fetch the listed series, one zip file each, into the store below ``root``; their ledger.

    An archive that is half, or holds a path outside its folder, is a row with that reason (``sources.archive``).
    """
    session = web_session(connections=jobs)
    fetch = functools.partial(_fetch_one, session=session, service=imaging.endpoint or SERVICE)
    return with_unstated(fill_store(rows, root, fetch, origin="nbia", jobs=jobs, offline=offline, **retrying))


def _fetch_one(row: Row, folder: Path, stop: StopFlag, *, session: requests.Session, service: str) -> None:
    archive, inside = folder / "series.zip", folder / "unpacked"
    get_file(session, f"{service}/getImage", {"SeriesInstanceUID": row["series"]}, archive, stop)
    if stop:
        return
    try:
        files = unpack_zip(archive, inside, suffixes=(".dcm",), max_bytes=_MAX_BYTES)
    except DataError as error:
        # Half an archive is worth another attempt, one with a path outside is not.
        raise SeriesFault("failed", _reason(error, archive), passing="not use" not in str(error)) from error
    for number, path in enumerate(files, start=1):
        os.replace(path, folder / f"{number:06d}.dcm")
    archive.unlink()
    shutil.rmtree(inside)


def _reason(error: DataError, archive: Path) -> str:
    return "archive" + str(error).removeprefix(str(archive)).split(". ")[0]
