"""Files that are either whole or absent: write beside the target, flush to disk, rename."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` and rename it to ``target`` when the block succeeds.

    On any error the temporary file is removed and an earlier ``target`` stays as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def write_bytes(target: str | Path, content: bytes) -> None:
    """Write ``content``, atomically."""
    with atomic_path(target) as path:
        path.write_bytes(content)


def write_json(target: str | Path, value: Mapping[str, object] | list[object]) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically; NaN is refused."""
    write_text(target, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_parquet(target: str | Path, table: pd.DataFrame) -> None:
    """Write ``table`` without its index as Parquet, atomically."""
    with atomic_path(target) as path:
        table.to_parquet(path, index=False)


def write_csv(target: str | Path, table: pd.DataFrame) -> None:
    """Write ``table`` without its index as CSV (nine significant digits, Unix line ends), atomically."""
    with atomic_path(target) as path:
        table.to_csv(path, index=False, float_format="%.9g", lineterminator="\n")


def write_array(target: str | Path, array: np.ndarray) -> None:
    """Write ``array`` as ``.npy`` (no pickle), atomically; readers memory-map it."""
    import numpy as np

    with atomic_path(target) as path, open(path, "wb") as handle:
        np.save(handle, array, allow_pickle=False)
