"""The portal's REST service, for what a study's tarball lacks: paged, patient with a busy server, never half read."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import requests

from radgen_lib.core.errors import DownloadError
from radgen_lib.sources.http_retry import reason_of, web_session
from radgen_lib.sources.transfer import HEADERS

_LOG = logging.getLogger("radgen")
Kind = Literal["PATIENT", "SAMPLE"]
BASE = "https://www.cbioportal.org/api"
_ASK_AGAIN = "Check the network and start again later"


class Value(NamedTuple):
    """A value of a clinical attribute, and whose it is."""

    patient: str
    sample: str
    value: str


class PortalClient:
    """Reads lists from ``base``: ``retries`` further attempts after ``backoff`` x 1, 2, 4 ... seconds.

    Tried again are 408, 425, 429 and 5xx (after what Retry-After says, where it stands), lost connections and bodies
    that end early. ``page_size`` rows are asked for at a time; ``timeout`` in seconds holds for a silent connection.
    """

    def __init__(
        self, base: str = BASE, *, retries: int = 5, backoff: float = 1.0, timeout: float = 60.0, page_size: int = 5000
    ) -> None:
        self._base, self._retries = base.rstrip("/"), retries
        self._timeout, self._page_size = timeout, page_size
        self._session = web_session(retries, backoff)
        self._session.headers.update({**HEADERS, "Accept": "application/json"})

    def rows(self, path: str, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """All rows of a list, page by page, until a page is short or the announced total is reached.

        Raises DownloadError, one line, after the last attempt, for an answer that no attempt can cure (404), and for
        a server that sends the same page again or fewer rows than it announces.
        """
        found: list[dict[str, Any]] = []
        earlier: object = None
        for number in itertools.count():
            asked = {**(params or {}), "pageSize": str(self._page_size), "pageNumber": str(number)}
            page, total = self._page(path, asked)
            if page and page == earlier:
                raise DownloadError(f"{self._base}/{path}: page {number} repeats the one before. {_ASK_AGAIN}")
            found += page
            enough = total is not None and len(found) >= total
            if enough or len(page) < self._page_size:
                break
            earlier = page
        if total is not None and len(found) < total:
            raise DownloadError(f"{self._base}/{path}: {len(found)} of {total} rows came. {_ASK_AGAIN}")
        return found

    def attributes(self, study: str) -> dict[str, Kind]:
        """Clinical attributes of a study, and whether each is one of patients or of samples."""
        rows = self.rows(f"studies/{study}/clinical-attributes", {"projection": "SUMMARY"})
        return {
            str(row.get("clinicalAttributeId")): "PATIENT" if row.get("patientAttribute") else "SAMPLE" for row in rows
        }

    def values(self, study: str, attribute: str, kind: Kind) -> list[Value]:
        """Values of one clinical attribute, as text; ``sample`` is "" where the attribute is one of patients.

        Raises DownloadError for a row that lacks a patient or a value.
        """
        path = f"studies/{study}/clinical-data"
        found = []
        for row in self.rows(path, {"attributeId": attribute, "clinicalDataType": kind, "projection": "SUMMARY"}):
            if row.get("clinicalAttributeId") != attribute:
                continue  # a service that knows no such filter gives all attributes
            cells = [str(row.get(key) or "") for key in ("patientId", "sampleId", "value")]
            if not cells[0] or row.get("value") is None or (kind == "SAMPLE" and not cells[1]):
                raise DownloadError(f"{self._base}/{path}: a row without patient, sample or value. {_ASK_AGAIN}")
            found.append(Value(cells[0], cells[1] if kind == "SAMPLE" else "", cells[2]))
        return found

    def _page(self, path: str, params: Mapping[str, str]) -> tuple[list[dict[str, Any]], int | None]:
        page, headers = self._json(path, params)
        if not isinstance(page, list) or not all(isinstance(row, dict) for row in page):
            raise DownloadError(f"{self._base}/{path}: the answer is no list of rows. {_ASK_AGAIN}")
        total = headers.get("total-count", "")
        return page, int(total) if total.isdigit() else None

    def _json(self, path: str, params: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
        url = f"{self._base}/{path}"
        why = ""
        for _ in range(self._retries + 1):
            try:
                answer = self._session.get(url, params=dict(params), timeout=self._timeout)
                if answer.status_code != 200:
                    advice = "Look whether the study's name is right" if answer.status_code == 404 else _ASK_AGAIN
                    raise DownloadError(f"{url}: HTTP {answer.status_code} {answer.reason}. {advice}")
                return answer.json(), answer.headers
            except (requests.exceptions.ChunkedEncodingError, requests.JSONDecodeError) as error:
                cut = isinstance(error, requests.exceptions.ChunkedEncodingError)
                why = reason_of(error) if cut else "the answer is no JSON, or half of it"
                _LOG.warning("%s: %s; trying again", path, why)
            except requests.RequestException as error:
                raise DownloadError(f"{url}: {reason_of(error)}. {_ASK_AGAIN}") from error
        raise DownloadError(f"{url}: failed {self._retries + 1} times, last with: {why}. {_ASK_AGAIN}")
