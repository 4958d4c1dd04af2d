"""What the benchmarks share: alternating timing, the table they print, and the file they append to."""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "benchmarks.csv"
COLUMNS = (
    "date", "benchmark", "size", "ours_s", "peer", "peer_version", "peer_s", "ratio", "unit", "machine", "note",
)  # fmt: skip


class Result(NamedTuple):
    """One comparison; ``ours`` and ``peer_value`` are in ``unit``, less is better, ratio is peer over ours."""

    benchmark: str
    size: str
    ours: float
    peer: str
    peer_version: str
    peer_value: float
    unit: str
    note: str = ""

    def row(self) -> dict[str, str]:
        """The result as a line of the table."""
        values = (
            datetime.datetime.now(datetime.UTC).date().isoformat(), self.benchmark, self.size, f"{self.ours:.4g}",
            self.peer, self.peer_version, f"{self.peer_value:.4g}", f"{self.peer_value / self.ours:.3g}", self.unit,
            machine(), self.note,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))


def parser(text: str) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    made = argparse.ArgumentParser(description=text)
    made.add_argument("--quick", action="store_true", help="smallest sizes: checks that it runs, measures nothing")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the networks run")
    made.add_argument("--out", type=Path, default=TABLE, help="CSV file that results are appended to")
    return made


def machine() -> str:
    """Processor or accelerator, and the number of threads in use."""
    import sys

    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 1
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    if torch and torch.cuda.is_available():
        name = f"{torch.cuda.get_device_name()}, {name}"
    return f"{name}, {os.cpu_count()} cores, {threads} thread{'s' if threads > 1 else ''}"


def pin(threads: int = 1) -> None:
    """Fix the threads of numeric libraries; call it before they are imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)


def alternate(paths: Sequence[Callable[[], object]], *, repeats: int) -> list[float]:
    """Median seconds of each path; the paths take turns so that the machine's moods hit all alike.

    Each path runs once before the clock starts.
    """
    for path in paths:
        path()
    seconds: list[list[float]] = [[] for _ in paths]
    for _ in range(repeats):
        for path, taken in zip(paths, seconds, strict=True):
            started = time.perf_counter()
            path()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in seconds]


def report(results: Sequence[Result], out: Path) -> None:
    """Print the results and append them to ``out``, with a header where the file is new."""
    rows = [result.row() for result in results]
    shown = [c for c in COLUMNS if c not in ("date", "machine")]
    widths = {c: max(len(c), *(len(row[c]) for row in rows)) for c in shown}
    for row in [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]:
        print("  ".join(row[c].ljust(widths[c]) for c in shown).rstrip())
    out.parent.mkdir(parents=True, exist_ok=True)
    new = not out.exists()
    with open(out, "a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
