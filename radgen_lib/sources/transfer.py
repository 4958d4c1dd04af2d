"""One download over HTTP: streamed beside the target, resumed, tried again, verified, renamed."""

from __future__ import annotations

import email.utils
import itertools
import logging
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import requests

from radgen_lib.core.errors import DownloadError
from radgen_lib.core.progress import Progress
from radgen_lib.core.seeds import derive_seed
from radgen_lib.sources.checksums import fault_of, recorded_sum, require
from radgen_lib.sources.registry import Source

_LOG = logging.getLogger("radgen")
BLOCK = 1 << 16
LONGEST_WAIT = 300.0
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
# identity: a compressed answer would break sizes and ranges.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "radgen"}


class _TryAgain(Exception):
    """A fault that another attempt may cure; ``wait`` seconds are what the server asks for."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


@dataclass(frozen=True)
class Transfer:
    """How to download: further attempts, seconds before the second one, seconds of silence that end one."""

    retries: int = 5
    backoff: float = 1.0
    timeout: float = 60.0

    def fetch(self, source: Source, target: Path) -> str:
        """Download ``source`` to ``target`` and return its SHA-256.

        Raises DownloadError after the last attempt, at once for an answer that no attempt can cure (404), and for a
        file that is not the one in the registry, which is kept as ``<name>.bad``.
        """
        part = target.with_name(f"{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (source.sum_known or source.sha256_prefix):
            part.unlink(missing_ok=True)  # nothing could tell that an old beginning belongs to today's file
        resumed = part.exists()
        self._complete(source, part)
        if resumed and fault_of(source, part, recorded_sum(target))[1]:
            _LOG.warning("%s: the rest does not fit the beginning of an earlier transfer; starting again", source.name)
            part.unlink()
            self._complete(source, part)
        found = require(source, part, target, str(source.url))
        os.replace(part, target)
        return found

    def _complete(self, source: Source, part: Path) -> None:
        for attempt in itertools.count():
            try:
                return self._attempt(source, part)
            except (_TryAgain, requests.RequestException) as error:
                why = _reason(error)
                if attempt >= self.retries:
                    raise DownloadError(
                        f"{source.name}: {source.url} failed {attempt + 1} times, last with: {why}. Check the network "
                        f"and start again (it goes on from {part.name}), or put {source.filename} into a mirror folder"
                    ) from error
                wait = self._wait(source.name, attempt, error.wait if isinstance(error, _TryAgain) else None)
                _LOG.warning("%s: %s; trying again in %.1f s", source.name, why, wait)
                time.sleep(wait)

    def _wait(self, name: str, attempt: int, asked: float | None) -> float:
        if asked is not None:
            return min(asked, LONGEST_WAIT)
        # Jitter keeps many jobs from knocking together: it differs between processes, and no result depends on it.
        jitter = derive_seed(os.getpid(), name, attempt) / 2**31
        return min(self.backoff * 2.0**attempt * (0.5 + jitter), LONGEST_WAIT)

    def _attempt(self, source: Source, part: Path) -> None:
        start = part.stat().st_size if part.exists() else 0
        if source.bytes is not None and start == source.bytes:
            return
        headers = HEADERS | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(str(source.url), headers=headers, stream=True, timeout=self.timeout) as answer:
            if answer.status_code == 416:
                part.unlink()
                raise _TryAgain("the server does not know the rest of the file (HTTP 416)", 0.0)
            _check_status(source, answer)
            start = _start_of(answer, start, part)
            announced = _announced(source, answer, start)
            with open(part, "r+b" if start else "wb") as handle:
                handle.seek(start)
                _copy(answer, handle, Progress(f"download {source.name} (bytes)", announced, done=start), source.bytes)
        size = part.stat().st_size
        too_long = source.bytes is not None and size > source.bytes
        if size < announced and not too_long:
            raise _TryAgain(f"the connection ended after {size} of {announced} bytes")


def _announced(source: Source, answer: requests.Response, start: int) -> int:
    """Bytes of the whole file when this body has come in full; 0 when only the end of the body tells."""
    if "Content-Length" in answer.headers:
        return start + int(answer.headers["Content-Length"])
    chunked = "chunked" in answer.headers.get("Transfer-Encoding", "")
    return 0 if chunked else source.bytes or 0


def _copy(answer: requests.Response, handle: IO[bytes], progress: Progress, most: int | None) -> None:
    """Write the body; stops once more than ``most`` bytes came, which the check of the file then names."""
    for block in answer.iter_content(BLOCK):
        handle.write(block)
        progress.advance(len(block))
        if most is not None and handle.tell() > most:
            break
    handle.truncate()
    handle.flush()
    os.fsync(handle.fileno())


def _check_status(source: Source, answer: requests.Response) -> None:
    if answer.status_code in TRY_AGAIN:
        raise _TryAgain(f"HTTP {answer.status_code} {answer.reason}", _retry_after(answer))
    if answer.status_code not in (200, 206):
        raise DownloadError(
            f"{source.name}: {source.url} answers HTTP {answer.status_code} {answer.reason}. "
            f"Look for the file at its publisher, or put {source.filename} into a mirror folder"
        )


def _start_of(answer: requests.Response, start: int, part: Path) -> int:
    """Byte at which the body begins: a server without ranges sends the whole file again."""
    if answer.status_code == 200:
        return 0
    given = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if given is None or int(given[1]) != start:
        part.unlink()
        raise _TryAgain("the server sent another part of the file than was asked for", 0.0)
    return start


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds of the Retry-After header, given as a number or as a date; None when there is none."""
    text = answer.headers.get("Retry-After", "")
    if re.fullmatch(r"\d+", text):
        return float(text)
    parsed = email.utils.parsedate_tz(text)
    if parsed is None:
        return None
    moment = datetime.fromtimestamp(email.utils.mktime_tz(parsed), UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, requests.RequestException) else str(error)
