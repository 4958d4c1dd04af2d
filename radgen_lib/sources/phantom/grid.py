"""Sampling grids of the phantom: where each voxel lies in the patient, and exact shares of thin layers in a voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """A regular grid along the patient's axes.

    ``x``, ``y``, ``z`` are positions in mm (DICOM's patient system: to the left, to the back, to the head), shaped so
    that they broadcast to ``shape`` (slice, row, column); ``steps`` are the voxel's sizes along the array's axes.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    steps: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = np.broadcast_shapes(self.x.shape, self.y.shape, self.z.shape)
        return slices, rows, columns

    @property
    def edge(self) -> float:
        """In-plane size of a voxel, mm: the width over which a boundary is blurred."""
        return self.steps[2]

    def axes(self) -> tuple[str, str, str]:
        """Which of x, y, z runs along each array axis, e.g. ``("x", "z", "y")`` for sagittal slices."""
        names = {int(np.argmax(getattr(self, name).shape)): name for name in "xyz" if getattr(self, name).size > 1}
        return names[0], names[1], names[2]

    def line(self, axis: int) -> np.ndarray:
        """Positions along one array axis, mm [n]."""
        return np.asarray(getattr(self, self.axes()[axis]).ravel())


def make_grid(axes: tuple[str, str, str], lines: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Grid:
    """Grid whose array axis k runs along patient axis ``axes[k]`` at the positions ``lines[k]`` (mm, two or more)."""
    shaped = {}
    for k, (name, line) in enumerate(zip(axes, lines, strict=True)):
        shape = [1, 1, 1]
        shape[k] = line.size
        shaped[name] = line.astype(np.float32).reshape(shape)
    steps = [float(abs(line[1] - line[0])) for line in lines]
    return Grid(shaped["x"], shaped["y"], shaped["z"], (steps[0], steps[1], steps[2]))


def refine(grid: Grid, factors: tuple[int, int, int]) -> Grid:
    """Grid whose voxels are ``grid``'s, cut into ``factors`` parts along the array's axes."""
    lines = []
    for axis, factor in enumerate(factors):
        line = grid.line(axis)
        step = line[1] - line[0]
        inside = ((np.arange(factor) + 0.5) / factor - 0.5) * step
        lines.append((line[:, None] + inside).ravel())
    return make_grid(grid.axes(), (lines[0], lines[1], lines[2]))


def coarsen(values: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Mean over blocks of ``factors`` voxels: the inverse of :func:`refine` for what a voxel holds."""
    if factors == (1, 1, 1):
        return values
    a, b, c = factors
    total = np.zeros([size // factor for size, factor in zip(values.shape, factors, strict=True)], dtype=np.float32)
    for i, j, k in np.ndindex(a, b, c):
        total += values[i::a, j::b, k::c]
    return total / np.float32(a * b * c)


def inside(depth: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Share of a voxel of size ``width`` mm that lies inside a flat boundary at signed ``depth`` mm (positive in)."""
    return np.clip(depth * np.asarray(1 / width, dtype=np.float32) + np.float32(0.5), 0, 1)


def unit_slope(depth: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Divide an implicit function by its slope; near its zero the result is the signed distance in mm.

    Also returns the extent (mm) of each voxel along the slope: the width over which the boundary is blurred, large
    where a thick slice cuts a surface at a shallow angle.
    """
    square, extent = np.full_like(depth, 0.04), np.zeros_like(depth)
    for axis, step in enumerate(grid.steps):
        slope = np.empty_like(depth)
        view, out = np.moveaxis(depth, axis, 0), np.moveaxis(slope, axis, 0)
        np.subtract(view[2:], view[:-2], out=out[1:-1])
        out[0], out[-1] = 2 * (view[1] - view[0]), 2 * (view[-1] - view[-2])
        slope *= np.float32(0.5 / step)
        extent += np.float32(step) * np.abs(slope)
        square += np.square(slope, out=slope)
    length = np.sqrt(square, out=square)
    return depth / length, np.maximum(extent / length, np.float32(grid.edge))


def blend(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """Larger of two signed depths, rounded where they meet over ``radius`` mm (polynomial smooth maximum)."""
    overlap = np.maximum(np.float32(radius) - np.abs(first - second), 0)
    return np.maximum(first, second) + overlap * overlap * np.float32(0.25 / radius)
