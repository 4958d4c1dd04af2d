"""What this machine has left."""

from __future__ import annotations

import re
from pathlib import Path


def available_memory(info: Path = Path("/proc/meminfo"), control: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes this process may still take: of the machine, or of its control group where that has less; None: unknown."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", info.read_text() if info.is_file() else "", re.MULTILINE)
    amounts = [int(found[1]) * 1024] if found else []
    limit, used = (_number(control / name) for name in ("memory.max", "memory.current"))
    if limit is not None:
        amounts.append(max(limit - (used or 0), 0))
    return min(amounts) if amounts else None


def _number(path: Path) -> int | None:
    text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    return int(text) if text.isdecimal() else None
