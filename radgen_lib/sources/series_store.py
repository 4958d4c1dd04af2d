"""Filling the store of DICOM series: resumable, several at once, tried again, whole or absent, one row a series."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from radgen_lib.core.errors import DataError, DownloadError, StopRequested
from radgen_lib.core.progress import Progress
from radgen_lib.core.stop import StopFlag, stop_on_signal
from radgen_lib.sources.ledger import folder_sha256, folder_size, ledger_frame, series_folder, shortfall

_LOG = logging.getLogger("radgen")
LONGEST_WAIT = 60.0

Row = Mapping[str, Any]
FetchOne = Callable[[Row, Path, StopFlag], None]


class SeriesFault(Exception):
    """A series cannot be had: its status, the reason, and whether another attempt may cure it."""

    def __init__(self, status: str, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.status, self.passing = status, passing


def fill_store(
    rows: pd.DataFrame,
    root: Path,
    fetch_one: FetchOne,
    *,
    origin: str,
    jobs: int,
    offline: bool,
    retries: int = 3,
    backoff: float = 1.0,
    is_current: Callable[[Row, Path], bool] = lambda row, folder: True,
) -> pd.DataFrame:
    """Bring the listed series into the store below ``root`` and return their ledger.

    ``fetch_one`` writes the ``*.dcm`` files of one series into the empty folder it is given, or raises SeriesFault; a
    passing fault is tried ``retries`` times again after ``backoff`` x 1, 2, 4 ... seconds. A series that is whole (by
    number and bytes, and by ``is_current``) is not fetched again; a fetched one appears by a rename; one that is not
    what was announced does not appear and is a row with its reason. ``jobs`` series are fetched at once. SIGTERM ends
    the running transfers and raises StopRequested; the series that are whole stay. Raises DownloadError on a full disk.
    A series that is listed twice is fetched once.
    """
    twice = rows.duplicated(["patient", "study", "series"]) & (rows["series"] != "")
    records = [{str(key): value for key, value in row.items()} for row in rows[~twice].to_dict("records")]
    progress = Progress(f"series from {origin}", len(records))
    done: list[dict[str, object]] = []
    with stop_on_signal() as stop:
        worker = _Worker(root, fetch_one, origin, offline, retries, backoff, is_current, stop)
        with ThreadPoolExecutor(max(jobs, 1)) as pool:
            waiting: list[Future[dict[str, object] | None]] = [pool.submit(worker.row, row) for row in records]
            try:
                for future in as_completed(waiting):
                    row = future.result()
                    if row is not None:
                        done.append(row)
                        progress.advance()
            except BaseException:
                stop.request()
                raise
        if stop:
            raise StopRequested(
                f"stopped after {len(done)} of {len(records)} series; the next start goes on from there"
            )
    lost = sum(row["status"] != "ok" for row in done)
    _LOG.info("series from %s: %d whole, %d not", origin, len(done) - lost, lost)
    return ledger_frame(done)


@dataclass(frozen=True)
class _Worker:
    root: Path
    fetch_one: FetchOne
    origin: str
    offline: bool
    retries: int
    backoff: float
    is_current: Callable[[Row, Path], bool]
    stop: StopFlag

    def row(self, row: Row) -> dict[str, object] | None:
        """The ledger's row of one series; None when the process was asked to stop."""
        if self.stop:
            return None
        if row["status"]:
            return self._ledger(row, (0, 0), row["status"], row["reason"])
        target = self.root / series_folder(row["patient"], row["study"], row["series"])
        found = folder_size(target)
        if not shortfall(*found, row["n_files"], row["bytes"]) and self.is_current(row, target):
            return self._ledger(row, found, "ok", "", folder_sha256(target))
        if self.offline:
            reason = (
                f"offline, and the store holds {shortfall(*found, row['n_files'], row['bytes']) or 'another state'}"
            )
            return self._ledger(row, found, "incomplete" if found[0] else "missing", reason)
        try:
            return self._fetched(row, target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DownloadError(
                    f"series from {self.origin}: the disk is full. Free space and start again"
                ) from error
            return self._ledger(row, (0, 0), "failed", f"cannot be written: {error.strerror or type(error).__name__}")

    def _fetched(self, row: Row, target: Path) -> dict[str, object] | None:
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f".{target.name}.*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        for attempt in range(self.retries + 1):
            work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
            try:
                self.fetch_one(row, work, self.stop)
                return None if self.stop else self._moved(row, work, target)
            except SeriesFault as fault:
                if not self.stop and (attempt == self.retries or not fault.passing):
                    tried = f" ({attempt + 1} attempts)" if attempt else ""
                    return self._ledger(row, folder_size(work), fault.status, f"{fault}{tried}")
            except DataError as error:  # an archive with a path outside, for one
                return self._ledger(row, (0, 0), "failed", _without(str(error), self.root))
            finally:
                shutil.rmtree(work, ignore_errors=True)
            self._wait(min(self.backoff * 2.0**attempt, LONGEST_WAIT))
            if self.stop:
                return None
        raise AssertionError("the last attempt returns")

    def _moved(self, row: Row, work: Path, target: Path) -> dict[str, object]:
        found = folder_size(work)
        fault = shortfall(*found, row["n_files"], row["bytes"])
        if fault:
            raise SeriesFault("incomplete" if found[0] else "missing", fault, passing=True)
        digest = folder_sha256(work)
        work.chmod(0o755)  # mkdtemp makes it private
        if target.exists():
            shutil.rmtree(target)
        os.replace(work, target)
        return self._ledger(row, found, "ok", "", digest)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def _ledger(
        self, row: Row, found: tuple[int, int], status: str, reason: str, sha256: str = ""
    ) -> dict[str, object]:
        names = {name: row[name] for name in ("patient", "study", "series")}
        folder = series_folder(**names) if all(names.values()) else ""
        return {
            **names, "folder": folder, "n_files": found[0], "bytes": found[1],
            "expected_files": row["n_files"], "expected_bytes": row["bytes"], "origin": self.origin, "status": status,
            "reason": reason, "sha256": sha256,
        }  # fmt: skip


def _without(text: str, root: Path) -> str:
    """``text`` without the folders of this machine: reasons reach reports."""
    return re.sub(rf"{re.escape(str(root))}/?\S*/", "", text)
