"""One phase's instances as a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.imaging.dicom.geometry import Stack, stack_planes
from radgen_lib.imaging.dicom.pixels import EXPLICIT_BIG, NATIVE, decoded_frames, frame_bytes, native_frame
from radgen_lib.imaging.volume import Volume
from radgen_lib.imaging.volume import VolumeFault as VolumeFault  # part of this module's interface

_SAME = ("rows", "columns", "spacing_row", "spacing_col")
_BITS = (8, 16, 32)


def read_volume(instances: pd.DataFrame, root: Path) -> Volume:
    """Volume of the ``instances`` (rows of a scan, in any order) whose files lie below ``root``.

    Slices are sorted along the normal of the planes, which makes the direction right-handed; values are the stored
    ones by RescaleSlope and RescaleIntercept of their own frame. Files whose pixel data is not compressed are read at
    the place that the scan noted, without parsing them again. A place that stands twice is read once when both
    frames hold the same pixels. Raises VolumeFault with the reason for what makes no volume.
    """
    if not len(instances):
        raise VolumeFault("no instances")
    if instances["orientation"].isna().any() or instances["position"].isna().any():
        raise VolumeFault("no position or orientation in the tags")
    shape, spacing = _matrix(instances)
    stack = stack_planes(np.array(instances["orientation"].tolist()), np.array(instances["position"].tolist()))
    values = _values(instances, Path(root), stack, shape)
    x, y, z = (float(value) for value in stack.origin)
    return Volume(values, (stack.step, *spacing), (x, y, z), stack.direction)


def _matrix(instances: pd.DataFrame) -> tuple[tuple[int, int], tuple[float, float]]:
    """Rows and columns, and their spacing in mm, that all instances share."""
    if len(instances[list(_SAME)].drop_duplicates()) > 1:
        raise VolumeFault("planes of several matrices or pixel sizes")
    head = instances.iloc[0]
    if head["samples"] != 1 or not str(head["photometric"]).startswith("MONOCHROME"):
        raise VolumeFault(f"colour ({head['photometric']})")
    spacing = float(head["spacing_row"]), float(head["spacing_col"])
    if not all(step > 0 for step in spacing):
        raise VolumeFault("no pixel spacing in the tags")
    return (int(head["rows"]), int(head["columns"])), spacing


def _values(instances: pd.DataFrame, root: Path, stack: Stack, shape: tuple[int, int]) -> np.ndarray:
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in instances.to_dict("records")]
    frames = _frames(rows, root, shape)
    values = np.empty((len(stack.order), *shape), dtype=np.float32)
    for slot, group in zip(values, stack.order, strict=True):
        slot[:] = _rescaled(frames[group[0]], rows[group[0]])
        for other in group[1:]:
            if not np.array_equal(slot, _rescaled(frames[other], rows[other])):
                raise VolumeFault("two slices at the same place with different pixels")
    return values


def _rescaled(frame: np.ndarray, row: dict[str, Any]) -> np.ndarray:
    if row["slope"] == 1.0 and row["intercept"] == 0.0:
        return frame
    return (frame * np.float64(row["slope"]) + np.float64(row["intercept"])).astype(np.float32)


def _frames(rows: list[dict[str, Any]], root: Path, shape: tuple[int, int]) -> list[np.ndarray]:
    """Stored values of every row, in the order of ``rows``; a compressed file is opened once for all its frames."""
    found: dict[int, np.ndarray] = {}
    packed: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        path = f"{root}/{row['folder']}/{row['file']}"
        if row["transfer_syntax"] in NATIVE:
            found[index] = _native(path, row, shape)
        else:
            packed.setdefault(path, []).append(index)
    for path, indices in packed.items():
        decoded = decoded_frames(Path(path), [int(rows[index]["frame"]) for index in indices])
        if any(frame.shape != shape for frame in decoded):
            raise VolumeFault("decoded pixels do not have the rows and columns of the header")
        found.update(zip(indices, decoded, strict=True))
    return [found[index] for index in range(len(rows))]


def _native(path: str, row: dict[str, Any], shape: tuple[int, int]) -> np.ndarray:
    bits, stored = int(row["bits_allocated"]), int(row["bits_stored"])
    if bits not in _BITS or not 0 < stored <= bits or int(row["high_bit"]) != stored - 1:
        raise VolumeFault(f"pixels of {stored} bits in {bits}, highest {int(row['high_bit'])}: not a layout of MR")
    size = frame_bytes(*shape, bits)
    try:
        with open(path, "rb", buffering=0) as handle:
            handle.seek(int(row["pixel_offset"]) + int(row["frame"]) * size)
            content = handle.read(size)
    except OSError as error:
        raise VolumeFault(f"a file cannot be read ({error.strerror or type(error).__name__})") from error
    if len(content) != size:
        raise VolumeFault("a file is shorter than when it was scanned")
    big = row["transfer_syntax"] == EXPLICIT_BIG
    return native_frame(content, shape, bits=bits, stored=stored, signed=bool(row["signed"]), big=big)
