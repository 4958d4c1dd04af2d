"""The lesion: a star-shaped body with lobes and spicules whose volume is that of a ball of the stated diameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from radgen_lib.sources.phantom.grid import Grid, coarsen, make_grid, refine
from radgen_lib.sources.phantom.outline import Body, outline_radius

_LARGEST_WINDOW = 100_000
# Ten broad lobes and fifty narrow ones.
_LOBE_SHARPNESS = np.repeat(np.array([5, 22], dtype=np.float32), [10, 50])
_LOBE_HEIGHTS = np.repeat([0.45, 0.2], [10, 50])


@dataclass(frozen=True)
class Shape:
    """Boundary of a lesion: ``radius`` mm at which a ray from the centre leaves it, as a function of its direction."""

    size: float
    lobes: np.ndarray
    heights: np.ndarray
    spicules: np.ndarray
    lengths: np.ndarray

    def radius(self, directions: np.ndarray) -> np.ndarray:
        """Distance from the centre to the boundary (mm) along unit vectors [n, 3]."""
        lobed = _bumps(directions, self.lobes, _LOBE_SHARPNESS, self.heights)
        spiked = _bumps(directions, self.spicules, np.float32(130), self.lengths)
        return self.size * (np.clip(1 + lobed, 0.4, 1.9) + spiked)


def _bumps(
    directions: np.ndarray, axes: np.ndarray, sharpness: np.ndarray | np.float32, heights: np.ndarray
) -> np.ndarray:
    """Sum over ``axes`` of ``heights`` exp(sharpness (cos - 1)): bumps on the unit sphere."""
    # einsum, not a matrix product: its sums do not depend on how many threads a process may use.
    cosine = np.einsum("nd,ad->na", directions, axes)
    return np.asarray(np.einsum("na,a->n", np.exp(sharpness * (cosine - 1)), heights))


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, 3))
    return np.asarray((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))


def _even_directions(count: int) -> np.ndarray:
    """Fibonacci lattice on the sphere [count, 3]: each stands for the same solid angle."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1).astype(np.float32)


def draw_shape(lesion: Mapping[str, float], rng: np.random.Generator) -> Shape:
    """Boundary for ``diameter_mm``, ``irregularity`` (0..1: lobes) and ``spiculation`` (0..1: long thin spikes)."""
    lobes = _directions(rng, 60)
    heights = (float(lesion["irregularity"]) * _LOBE_HEIGHTS * rng.standard_normal(60)).astype(np.float32)
    spicules = _directions(rng, 18)
    lengths = (float(lesion["spiculation"]) * rng.uniform(0.3, 1.3, 18)).astype(np.float32)
    unit = Shape(1.0, lobes, heights, spicules, lengths)
    # Volume of a star-shaped body: mean of r^3 over directions, times 4 pi / 3.
    mean_cube = float(np.mean(unit.radius(_even_directions(4000)).astype(np.float64) ** 3))
    return Shape(float(lesion["diameter_mm"]) / 2 / mean_cube ** (1 / 3), lobes, heights, spicules, lengths)


def lesion_centre(body: Body, side: int, lesion: Mapping[str, float]) -> tuple[float, float, float]:
    """Centre (x, y, z) of the lesion in the body's system, mm, from its fractions of the breast's box.

    x runs from the patient's right to the left, y from the front to the back, z from foot to head; the box's square
    faces are mapped to discs, and the centre is drawn towards the axis until the lesion's ball lies in the breast.
    """
    along = 0.82 - 0.62 * float(np.clip(lesion["y"], 0, 1))
    a, b = 2 * float(np.clip(lesion["x"], 0, 1)) - 1, 2 * float(np.clip(lesion["z"], 0, 1)) - 1
    across, up = a * np.sqrt(1 - b * b / 2), b * np.sqrt(1 - a * a / 2)  # square to disc, area kept nearly even
    reach = float(np.hypot(across, up))
    ball = float(lesion["diameter_mm"]) / 2 + 4
    along = min(along, 1 - min(ball / body.height[side], 0.6))
    rise = np.asarray(up / max(reach, 1e-6))
    outline = float(outline_radius(body, side, np.asarray(along), rise))
    room = max(0.75 * outline - ball, 0.0) if reach > 0 else 0.0
    forward = along * body.height[side]
    x = body.centre[side] + across * room * body.wide[side]
    return float(x), float(body.base(side) - forward), float(up * room - body.droop[side] * forward)


@dataclass(frozen=True)
class LesionShares:
    """Where the lesion is: ``window`` cuts its box out of the grid; ``edge`` and ``core`` are shares of each voxel."""

    window: tuple[slice, slice, slice]
    edge: np.ndarray
    core: np.ndarray


def lesion_shares(shape: Shape, centre: tuple[float, float, float], grid: Grid) -> LesionShares:
    """Shares of each voxel of ``grid`` in the enhancing edge and in the core, by sampling inside the voxels."""
    reach = float(shape.radius(_even_directions(1000)).max()) + 1
    windows, lines = [], []
    for axis, name in enumerate(grid.axes()):
        line = grid.line(axis)
        near = np.flatnonzero(np.abs(line - centre["xyz".index(name)]) <= reach + grid.steps[axis])
        first, last = (int(near[0]), int(near[-1]) + 1) if near.size else (0, 1)
        last = min(max(last, first + 2), line.size)
        windows.append(slice(last - max(last - first, 2), last))
        lines.append(line[windows[-1]])
    box = make_grid(grid.axes(), (lines[0], lines[1], lines[2]))
    factors = _factors(box)
    edge, core = _sampled(shape, centre, refine(box, factors))
    return LesionShares((windows[0], windows[1], windows[2]), coarsen(edge, factors), coarsen(core, factors))


def _factors(box: Grid) -> tuple[int, int, int]:
    """Parts per axis: as many as bring the samples to 1 mm, fewer when the window would grow too large."""
    fine = 1.0
    while True:
        parts = [max(1, min(8, round(step / fine))) for step in box.steps]
        if np.prod(parts) * np.prod(box.shape) <= _LARGEST_WINDOW or max(parts) == 1:
            return parts[0], parts[1], parts[2]
        fine *= 1.25


def _sampled(shape: Shape, centre: tuple[float, float, float], fine: Grid) -> tuple[np.ndarray, np.ndarray]:
    offsets = [np.broadcast_to(p - c, fine.shape) for p, c in zip((fine.x, fine.y, fine.z), centre, strict=True)]
    away = np.stack(offsets, axis=-1).astype(np.float32)
    distance = np.sqrt((away * away).sum(axis=-1))
    edge, core = np.zeros(fine.shape, np.float32), np.zeros(fine.shape, np.float32)
    near = distance <= shape.radius(_even_directions(1000)).max() + 1
    depth = distance[near]
    surface = shape.radius(away[near] / np.maximum(depth, 1e-3)[:, None])
    filled = (depth < surface).astype(np.float32)
    inner = np.clip((0.72 - depth / surface) / 0.2, 0, 1)
    edge[near], core[near] = filled * (1 - inner), filled * inner
    return edge, core
