"""How much memory a factorisation takes, said before it starts rather than by the end of the process."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Literal

import numpy as np

from radgen_lib.core.errors import data_error

GIB = 1024**3
# Python with numpy, scipy, pandas and scikit-learn loaded.
_PROGRAM = 300 * 1024**2
_FREE_SHARE = 0.9
_FACTOR_COPIES, _DRAW_COPIES, _GENES_AT_ONCE = 8, 3, 256
Dtype = Literal["float64", "float32"]


def bytes_needed(
    shape: tuple[int, int, int], n_components: int, dtype: str = "float64", *, draws: int = 200, holes: float = 1.0
) -> int:
    """Bytes at the peak of a fit of a tensor ``shape`` (patients, genes, omics), the program itself included.

    Counted are the tensor in float32 as read and as scaled; one block an omic in ``dtype``, twice for the share
    ``holes`` of the omics with scattered missing entries, and one byte an entry while they are read; factors with
    their temporaries; K x K matrices of 256 genes at a time; and ``draws`` stored draws (all chains together) in
    float32, three times, as aligning and summarising hold them beside the originals. ``holes`` = 1 is the worst case.
    """
    n, d, length = shape
    size, entries = np.dtype(dtype).itemsize, n * d * length
    blocks = 2 * 4 * entries + entries * size * (1 + holes) + n * d
    factors = _FACTOR_COPIES * (n + d) * n_components * size + 2 * 8 * _GENES_AT_ONCE * (n_components + 1) ** 2
    stored = _DRAW_COPIES * 4 * draws * (n + d + length) * n_components
    return int(_PROGRAM + blocks + factors + stored)


def available_memory(info: Path = Path("/proc/meminfo"), control: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes this process may still take: of the machine, or of its control group where that has less; None: unknown."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", info.read_text() if info.is_file() else "", re.MULTILINE)
    amounts = [int(found[1]) * 1024] if found else []
    limit, used = (_number(control / name) for name in ("memory.max", "memory.current"))
    if limit is not None:
        amounts.append(max(limit - (used or 0), 0))
    return min(amounts) if amounts else None


def fitting_dtype(
    shape: tuple[int, int, int], n_components: int, *, draws: int = 200, available: int | None = None
) -> Dtype:
    """The more exact type in which a fit of ``shape`` fits into nine tenths of the ``available`` bytes (None: asked).

    Single precision halves the blocks and is tried second, with a warning. Raises DataError naming the size needed
    when neither fits. Where the memory cannot be told, nothing is refused.
    """
    free = available_memory() if available is None else available
    if free is None:
        return "float64"
    needed = {dtype: bytes_needed(shape, n_components, dtype, draws=draws) for dtype in ("float64", "float32")}
    if needed["float64"] <= _FREE_SHARE * free:
        return "float64"
    amount = f"{needed['float64'] / GIB:.1f} GiB in float64, {needed['float32'] / GIB:.1f} GiB in float32"
    if needed["float32"] > _FREE_SHARE * free:
        problem = f"{' x '.join(map(str, shape))} with {n_components} components needs {amount}"
        action = f"{free / GIB:.1f} GiB are free: set max_genes, store fewer draws, or use a larger machine"
        raise data_error("tensor", problem, action)
    logging.getLogger("radgen").warning(
        "the factorisation needs %s and %.1f GiB are free: float32 is used", amount, free / GIB
    )
    return "float32"


def _number(path: Path) -> int | None:
    text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    return int(text) if text.isdecimal() else None
