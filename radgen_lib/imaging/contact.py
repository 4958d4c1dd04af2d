"""Contact sheets: sixteen slices of a volume on one picture, for the report."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 4
_QUALITY = 85
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a ZIP file knows


def common_window(volumes: list[np.ndarray], *, low: float = 1.0, high: float = 99.7) -> tuple[float, float]:
    """Grey window of one study: the smallest ``low``-th and the largest ``high``-th percentile of its volumes.

    With one window for all phases enhancement stays visible. An empty list gives (0, 1).
    """
    if not volumes:
        return 0.0, 1.0
    ends = np.array([np.percentile(values.astype(np.float32), [low, high]) for values in volumes])
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def contact_sheet(values: np.ndarray, *, window: tuple[float, float] | None = None) -> bytes:
    """JPEG (8-bit grey, 4 H x 4 W) of sixteen evenly spaced slices of ``values`` [D, H, W], row by row.

    ``window`` (black, white) is in the units of ``values``; without it, percentiles of this volume alone. With fewer
    than sixteen slices the rest stays black. Raises ValueError for anything but [D, H, W].
    """
    if values.ndim != 3 or not values.size:
        raise ValueError(f"values {values.shape}: need [D, H, W] with one slice or more")
    low, high = window if window is not None else common_window([values])
    count, height, width = values.shape
    tiles = SIDE * SIDE
    chosen = np.unique(np.floor(np.linspace(0, count - 1, tiles) + 0.5).astype(int))
    grey = np.clip((values[chosen].astype(np.float32) - low) / max(high - low, 1e-9), 0, 1)
    sheet = np.zeros((tiles, height, width), dtype=np.uint8)
    sheet[: len(chosen)] = np.rint(np.nan_to_num(grey) * 255)
    picture = sheet.reshape(SIDE, SIDE, height, width).transpose(0, 2, 1, 3).reshape(SIDE * height, SIDE * width)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()


def sheet_name(volume: str) -> str:
    """File name of the sheet of a volume id: ``<patient>_<study number>_<phase>.jpg``."""
    return volume.replace("/", "_") + ".jpg"


class SheetArchive:
    """ZIP file of contact sheets, stored without compression and without dates: same sheets, same bytes."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "w", compression=zipfile.ZIP_STORED)

    def add(self, volume: str, jpeg: bytes) -> None:
        """Append the sheet of a volume."""
        entry = zipfile.ZipInfo(sheet_name(volume), date_time=_EPOCH)
        entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same whatever the machine
        self._archive.writestr(entry, jpeg)

    def close(self) -> None:
        """Write the directory of the archive."""
        self._archive.close()
