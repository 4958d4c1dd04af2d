"""Logging of long work: where it is, how fast it goes, when it will end."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to(path: str | Path | None) -> None:
    """Send the log of radgen and Python's warnings to ``path`` (or standard error), and uncaught errors with them."""
    handler = logging.FileHandler(path, mode="w") if path else logging.StreamHandler(sys.stderr)
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[handler], force=True)
    logging.captureWarnings(True)


class Progress:
    """Logs ``what: done/total, rate, remaining`` at most every ``every`` seconds."""

    def __init__(self, what: str, total: int, *, done: int = 0, every: float = 10.0) -> None:
        self._what, self._total, self._every = what, total, every
        self._done = self._start_at = done
        self._started = self._told = time.monotonic()
        self._log = logging.getLogger("radgen")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more as done; ``note`` is shown beside the count."""
        self._done += steps
        now = time.monotonic()
        if now - self._told < self._every and self._done < self._total:
            return
        self._told = now
        rate = (self._done - self._start_at) / max(now - self._started, 1e-9)
        left = (self._total - self._done) / rate if rate else float("inf")
        self._log.info("%s: %d/%d, %.3g/s, %.0f s left %s", self._what, self._done, self._total, rate, left, note)
