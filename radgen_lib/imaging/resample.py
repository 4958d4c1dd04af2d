"""One orientation for every view, and one grid for every volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from radgen_lib.imaging.volume import Volume

# Direction in which the index of an array axis (slices, rows, columns) runs, as (LPS axis, sign):
# L, P and S are the positive ends of the patient axes x, y and z.
_TO_RIGHT, _TO_LEFT = (0, -1.0), (0, 1.0)
_TO_POSTERIOR = (1, 1.0)
_TO_INFERIOR, _TO_SUPERIOR = (2, -1.0), (2, 1.0)
_CANONICAL = {
    0: (_TO_RIGHT, _TO_INFERIOR, _TO_POSTERIOR),  # sagittal: nipple left, chest wall right
    1: (_TO_POSTERIOR, _TO_INFERIOR, _TO_LEFT),  # coronal: as seen from the front
    2: (_TO_SUPERIOR, _TO_POSTERIOR, _TO_LEFT),  # axial: as seen from the feet
}


def canonical(volume: Volume) -> Volume:
    """The same voxels with slices, rows and columns in the project's order; nothing is interpolated.

    Sagittal: slices left to right, rows superior to inferior, columns anterior to posterior. Axial: slices inferior
    to superior, rows anterior to posterior, columns right to left. Coronal: slices anterior to posterior, rows
    superior to inferior, columns right to left. A volume between two views counts as the nearer one. Every voxel
    keeps its place in the patient; the values are a view of the given array.
    """
    axes = np.asarray(volume.direction, dtype=np.float64)[:, ::-1]  # columns: along slices, rows, columns
    slices = int(np.argmax(np.abs(axes[:, 0])))
    wanted = _CANONICAL[slices]
    # The rows go to whichever in-plane axis lies nearer to the patient axis that rows should follow.
    swap = abs(axes[wanted[1][0], 1]) < abs(axes[wanted[1][0], 2])
    order = [0, 2, 1] if swap else [0, 1, 2]
    values = volume.values.transpose(order)
    spacing = np.asarray(volume.spacing, dtype=np.float64)[order]
    axes = axes[:, order]
    origin = np.asarray(volume.origin, dtype=np.float64)
    for axis, (patient_axis, sign) in enumerate(wanted):
        if axes[patient_axis, axis] * sign < 0:
            origin = origin + axes[:, axis] * spacing[axis] * (values.shape[axis] - 1)
            axes[:, axis] = -axes[:, axis]
            values = np.flip(values, axis)
    return Volume(
        values=values,
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=np.ascontiguousarray(axes[:, ::-1]),
    )


def to_grid(volume: Volume, shape: Sequence[int], *, order: Literal["linear", "nearest"] = "linear") -> np.ndarray:
    """Float32 array of ``shape`` (slices, rows, columns) over the whole field of view of ``volume``.

    The centres of the first and of the last voxel of each axis stay where they are and the others lie evenly between
    them: the linear zoom that the papers use (``scipy.ndimage.zoom`` of order 1), without smoothing before it.
    ``nearest`` (masks) takes the nearest voxel instead of a mean. Raises ValueError for a shape that is not three
    positive numbers.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape {tuple(shape)}: need slices, rows and columns, each 1 or more")
    values = volume.values
    places = [_places(old, new) for old, new in zip(values.shape, shape, strict=True)]
    if order == "nearest":
        nearest = [np.floor(place + 0.5).astype(np.intp) for place in places]
        return values[np.ix_(*nearest)].astype(np.float32)
    return _linear(values, places)


def _places(old: int, new: int) -> np.ndarray:
    """Positions [new] on an axis of ``old`` voxels, in voxels."""
    return np.linspace(0.0, old - 1.0, new) if new > 1 else np.zeros(1)


def _linear(values: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray:
    """Linear interpolation, one output slice at a time in the same few buffers, so that the work stays in the cache.

    The array is walked in the order in which it lies in memory: a flipped axis is turned back, and its places with
    it; turned rows and columns are turned back, and the result with them.
    """
    places = list(places)
    for axis, stride in enumerate(values.strides):
        if stride < 0:
            values = np.flip(values, axis)
            places[axis] = values.shape[axis] - 1 - places[axis]
    swap = values.strides[1] < values.strides[2]
    if swap:
        values, places = values.transpose(0, 2, 1), [places[0], places[2], places[1]]
    slices, rows, columns = (_neighbours(place, size) for place, size in zip(places, values.shape, strict=True))
    result = np.empty([len(place) for place in places], dtype=np.float32)
    buffer = np.empty(values.shape[1:], dtype=np.float32)
    above, below = np.empty((2, result.shape[1], values.shape[2]), dtype=np.float32)
    before = np.empty(result.shape[1:], dtype=np.float32)
    for index, (low, high, part) in enumerate(zip(*slices, strict=True)):
        plane = values[low]
        if part:  # exactly on a slice, its neighbour is not read
            plane = _between(plane, values[high], part, buffer)
        # No index is out of range; "clip" only lets take write into its result directly.
        np.take(plane, rows[0], axis=0, out=above, mode="clip")
        np.take(plane, rows[1], axis=0, out=below, mode="clip")
        _between(above, below, rows[2][:, None], below)
        np.take(below, columns[0], axis=1, out=before, mode="clip")
        after = np.take(below, columns[1], axis=1, out=result[index], mode="clip")
        _between(before, after, columns[2], after)
    return result.transpose(0, 2, 1) if swap else result


def _neighbours(place: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index before, index after, and how far between them (float32) each position lies."""
    low = np.minimum(place.astype(np.intp), size - 1)
    return low, np.minimum(low + 1, size - 1), (place - low).astype(np.float32)


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray, out: np.ndarray) -> np.ndarray:
    """``first`` + (``second`` - ``first``) x ``share``, written to ``out``, which may be ``second``."""
    np.subtract(second, first, out=out)
    out *= share
    out += first
    return out
