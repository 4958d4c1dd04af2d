"""Asking web services that falter: further attempts with growing waits, Retry-After obeyed, half an answer noticed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from radgen_lib.core.errors import DownloadError
from radgen_lib.core.stop import StopFlag
from radgen_lib.sources.series_store import LONGEST_WAIT, SeriesFault
from radgen_lib.sources.transfer import BLOCK, HEADERS, TRY_AGAIN

RETRIES, BACKOFF, TIMEOUT = 5, 1.0, 120.0
_TASK = "Check the address and the network, or set offline: true to use what the store holds"


def web_session(retries: int = RETRIES, backoff: float = BACKOFF, connections: int = 8) -> requests.Session:
    """Session that asks again after 408, 425, 429 and 5xx and after lost connections.

    It waits as long as Retry-After says, else ``backoff`` x 1, 2, 4 ... seconds, at most a minute. Credentials, where
    a server wants them, come from the user's ``.netrc``. Safe for several threads (it only gets).
    """
    again = Retry(
        retries, status_forcelist=TRY_AGAIN, backoff_factor=backoff, backoff_max=LONGEST_WAIT,
        retry_after_max=int(LONGEST_WAIT), respect_retry_after_header=True, raise_on_status=False,
    )  # fmt: skip
    session = requests.Session()
    session.headers["User-Agent"] = HEADERS["User-Agent"]
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=again, pool_maxsize=max(connections, 1)))
    return session


def get_rows(session: requests.Session, url: str, params: Mapping[str, str], retries: int = 2) -> list[dict[str, Any]]:
    """A JSON list of objects from a web service; an empty body is an empty list.

    An answer cut short is asked for again. Raises DownloadError, one line, for anything that is no such list.
    """
    for attempt in range(retries + 1):
        try:
            answer = session.get(url, params=dict(params), headers=HEADERS, timeout=TIMEOUT)
            break
        except requests.exceptions.ChunkedEncodingError as error:
            if attempt == retries:
                raise DownloadError(f"{url}: the answer ended early {attempt + 1} times. {_TASK}") from error
        except requests.RequestException as error:
            raise DownloadError(f"{url}: {reason_of(error)}. {_TASK}") from error
    if answer.status_code != 200:
        raise DownloadError(f"{url}: HTTP {answer.status_code}. {_TASK}")
    if not answer.content.strip():
        return []
    try:
        rows = answer.json()
    except ValueError as error:
        raise DownloadError(f"{url}: the answer is no JSON. {_TASK}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DownloadError(f"{url}: the answer is no list of objects. {_TASK}")
    return rows


def get_file(session: requests.Session, url: str, params: Mapping[str, str], target: Path, stop: StopFlag) -> None:
    """Stream a body to ``target``; raises SeriesFault, passing where another attempt may cure it."""
    try:
        with session.get(url, params=dict(params), headers=HEADERS, timeout=TIMEOUT, stream=True) as answer:
            if answer.status_code != 200:
                passing = answer.status_code in TRY_AGAIN
                status = "missing" if answer.status_code in (404, 410) else "failed"
                raise SeriesFault(status, f"HTTP {answer.status_code}", passing=passing)
            with open(target, "wb") as handle:
                for block in answer.iter_content(BLOCK):
                    if stop:
                        return
                    handle.write(block)
    except requests.RequestException as error:
        raise SeriesFault("failed", reason_of(error), passing=True) from error


def reason_of(error: BaseException) -> str:
    """What went wrong in a few words, without the object addresses that libraries print."""
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended within the body"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.RetryError | requests.exceptions.ConnectionError):
        return "no connection"
    return type(error).__name__
