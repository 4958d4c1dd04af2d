"""Stopping cleanly: SIGTERM and SIGINT set a flag that long loops read between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopFlag:
    """True once the process was asked to stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def request(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """Ask the loop that holds this flag to stop; usable as a signal handler."""
        self._event.set()


@contextmanager
def stop_on_signal(signals: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)) -> Iterator[StopFlag]:
    """Yield a flag that the given signals set, and put the earlier handlers back afterwards.

    Outside the main thread, where Python allows no handlers, the flag is only ever set by ``request``.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    earlier = {number: signal.signal(number, flag.request) for number in signals}
    try:
        yield flag
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
