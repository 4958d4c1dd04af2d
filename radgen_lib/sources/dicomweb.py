"""Series from a DICOMweb server, e.g. a hospital's PACS: QIDO-RS finds, WADO-RS fetches (package dicomweb-client)."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DownloadError
from radgen_lib.core.stop import StopFlag
from radgen_lib.sources.folder import DAMAGED
from radgen_lib.sources.http_retry import BACKOFF, RETRIES, TIMEOUT, reason_of, web_session
from radgen_lib.sources.ledger import MODALITIES, UNKNOWN, listing_frame, with_unstated
from radgen_lib.sources.series_store import Row, SeriesFault, fill_store
from radgen_lib.sources.transfer import TRY_AGAIN

# Attributes of the answer (PS3.18 table 10.6.3-4, and what lists are chosen by), asked for by name.
_FIELDS = {
    "PatientID": "patient", "StudyInstanceUID": "study", "SeriesInstanceUID": "series", "Modality": "modality",
    "SeriesDescription": "description", "Manufacturer": "manufacturer", "ManufacturerModelName": "model",
    "NumberOfSeriesRelatedInstances": "n_files",
}  # fmt: skip
# Every transfer syntax, as stored: nothing is decompressed on the way.
_AS_STORED = (("application/dicom", "*"),)


def list_series(imaging: Imaging, retries: int = RETRIES, backoff: float = BACKOFF) -> pd.DataFrame:
    """MR and SEG series that the server at ``imaging.location`` has, of ``imaging.patients`` where that is set.

    Credentials are the user's ``.netrc``. Raises ConfigError for an address that is none and DownloadError, one line,
    when the server does not answer.
    """
    client = _client(imaging, retries, backoff, 1)
    rows = []
    with pydicom.config.disable_value_validation():
        for patient in imaging.patients or [""]:
            for modality in MODALITIES:
                asked = {"Modality": modality} | ({"PatientID": patient} if patient else {})
                rows += [_listed(Dataset.from_json(found)) for found in _search(client, asked)]
    return listing_frame(rows)


def _client(imaging: Imaging, retries: int, backoff: float, connections: int) -> DICOMwebClient:
    if not imaging.location:
        raise ConfigError("imaging.location = None: source dicomweb needs the server's address")
    session = web_session(retries, backoff, connections)
    try:
        client = DICOMwebClient(imaging.location, session=session, timeout=TIMEOUT, permissive_uid=True)
    except ValueError as error:
        raise ConfigError(f"imaging.location = {imaging.location!r}: is no address of a DICOMweb server") from error
    # Their messages hold addresses with identifiers of patients and studies, which no log may.
    for talkative in ("dicomweb_client", "urllib3"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    client.set_http_retry_params(retry=False)  # the session does, and obeys Retry-After
    return client


def _search(client: DICOMwebClient, asked: dict[str, str]) -> list[dict[str, dict[str, Any]]]:
    try:
        return client.search_for_series(search_filters=asked, fields=list(_FIELDS), get_remaining=True)
    except ValueError:  # before the errors of requests: its JSONDecodeError is both
        what = "the answer is no DICOM JSON"
    except requests.HTTPError as error:
        what = f"HTTP {_code(error)}"
    except requests.RequestException as error:
        what = reason_of(error)
    raise DownloadError(f"{client.base_url}: {what} to a search for series. Check imaging.location and the server")


def _listed(found: Dataset) -> dict[str, object]:
    row = {name: str(found.get(keyword, "") or "") for keyword, name in _FIELDS.items()}
    count = row.pop("n_files")
    reason = "" if row["patient"] and row["study"] and row["series"] else "the server lists it without identifiers"
    return {**row, "n_files": int(count) if count else UNKNOWN, "status": "failed" if reason else "", "reason": reason}


def fetch_series(
    rows: pd.DataFrame, root: Path, imaging: Imaging, *, jobs: int, offline: bool, **retrying: Any
) -> pd.DataFrame:
    """Fetch the listed series into the store below ``root``, instance by instance as they stream in; their ledger.

    QIDO-RS knows the number of instances of a series and not its size, so that rows say it was not compared.
    """
    client = _client(imaging, retrying.get("retries", RETRIES), retrying.get("backoff", BACKOFF), jobs)
    fetch = functools.partial(_fetch_one, client=client)
    # Around all threads, since the setting is pydicom's one: without validation, whose warnings hold the values.
    with pydicom.config.disable_value_validation():
        ledger = fill_store(rows, root, fetch, origin="dicomweb", jobs=jobs, offline=offline, **retrying)
    return with_unstated(ledger)


def _fetch_one(row: Row, folder: Path, stop: StopFlag, *, client: DICOMwebClient) -> None:
    try:
        found = client.iter_series(row["study"], row["series"], media_types=_AS_STORED)
        for number, instance in enumerate(found, start=1):
            if stop:
                return
            instance.save_as(folder / f"{number:06d}.dcm", enforce_file_format=True)
    except requests.HTTPError as error:
        code = _code(error)
        status = "missing" if code in (404, 410) else "failed"
        raise SeriesFault(status, f"HTTP {code}", passing=code in TRY_AGAIN) from error
    except requests.RequestException as error:
        raise SeriesFault("failed", reason_of(error), passing=True) from error
    except DAMAGED as error:
        raise SeriesFault("failed", f"the answer is no whole DICOM ({type(error).__name__})", passing=True) from error


def _code(error: requests.HTTPError) -> int:
    return error.response.status_code if error.response is not None else 0
