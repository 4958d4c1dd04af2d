"""The packed arrays of ingestion: written one volume at a time, read without loading them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.core.errors import data_error

VOLUME_TYPE, MASK_TYPE = np.dtype("<f2"), np.dtype("u1")


class ArrayWriter:
    """A ``.npy`` file of arrays of one shape whose number is known only at the end.

    The header is written for no arrays and once more at the end, in the same room: NumPy leaves space in it for the
    first axis to grow.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.count = 0
        self._shape, self._dtype = shape, dtype
        self._handle = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._handle.write(self._header())

    def append(self, array: np.ndarray) -> int:
        """Write one more array and return its row. Raises ValueError for another shape or type."""
        if array.shape != self._shape or array.dtype != self._dtype:
            raise ValueError(f"array {array.shape} {array.dtype}: need {self._shape} {self._dtype}")
        self._handle.write(np.ascontiguousarray(array).tobytes())
        self.count += 1
        return self.count - 1

    def close(self) -> None:
        """Write the final header."""
        self._handle.seek(0)
        self._handle.write(self._header())
        self._handle.close()

    def _header(self) -> bytes:
        buffer = io.BytesIO()
        shape = (self.count, *self._shape)
        described = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, described)
        return buffer.getvalue()


class VolumeStore:
    """All shards below a folder (``shard-*/``) as one indexed store; arrays are memory-mapped.

    index: the kept rows of every ``phases.parquet`` with ``shard`` (folder name); its index 0..n-1 is what ``volume``
    takes. masks: the kept rows of every ``masks.parquet``, in the same way. Raises DataError when there is no shard,
    or an array has another number of rows than its table.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._arrays: dict[tuple[str, str], np.ndarray] = {}
        shards = sorted(
            (path for path in self.folder.glob("shard-*") if path.is_dir()),
            key=lambda path: (len(path.name), path.name),
        )
        if not shards:
            raise data_error(self.folder, "holds no shard", "Ingest the images first")
        self.index = self._table(shards, "phases.parquet", "volumes.npy")
        self.masks = self._table(shards, "masks.parquet", "masks.npy")

    def __len__(self) -> int:
        return len(self.index)

    def _table(self, shards: list[Path], name: str, array: str) -> pd.DataFrame:
        tables = []
        for shard in shards:
            table = pd.read_parquet(shard / name)
            table = table[table["kept"]].assign(shard=shard.name).sort_values("row", kind="stable")
            rows = _rows_of(shard / array)
            if rows != len(table) or list(table["row"]) != list(range(rows)):
                raise data_error(
                    shard / array, f"holds {rows} arrays but {name} keeps {len(table)}", "Ingest the shard again"
                )
            tables.append(table)
        filled = [table for table in tables if len(table)] or tables[:1]
        return pd.concat(filled, ignore_index=True)

    def _array(self, shard: str, name: str) -> np.ndarray:
        if (shard, name) not in self._arrays:
            self._arrays[shard, name] = np.load(self.folder / shard / name, mmap_mode="r", allow_pickle=False)
        return self._arrays[shard, name]

    def volume(self, row: int) -> np.ndarray:
        """Float32 [D, H, W] of row ``row`` of ``index``: raw values divided by its ``scale``. Raises KeyError."""
        found = self.index.loc[row]
        values: np.ndarray = self._array(str(found["shard"]), "volumes.npy")[int(found["row"])]
        return values.astype(np.float32)

    def mask(self, row: int) -> np.ndarray:
        """Bool [D, H, W] of row ``row`` of ``masks``, on the grid of its volume. Raises KeyError."""
        found = self.masks.loc[row]
        values: np.ndarray = self._array(str(found["shard"]), "masks.npy")[int(found["row"])]
        return values.astype(bool)

    def mask_of(self, volume: str) -> np.ndarray | None:
        """Union of all masks of a volume id, None when it has none."""
        rows = self.masks.index[self.masks["volume"] == volume]
        return np.logical_or.reduce([self.mask(row) for row in rows]) if len(rows) else None


def _rows_of(path: Path) -> int:
    """Length of the first axis of a ``.npy`` file, from its header; an empty array cannot be memory-mapped."""
    with open(path, "rb") as handle:
        try:
            np.lib.format.read_magic(handle)
            shape, _, _ = np.lib.format.read_array_header_1_0(handle)
        except ValueError as error:
            raise data_error(path, "is not a NumPy file", "Ingest the shard again") from error
    return int(shape[0])
