"""Fibroglandular tissue, ligaments and vessels: noise that converges on the nipple, and curves drawn as thin tubes."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter, map_coordinates

from radgen_lib.sources.phantom.grid import Grid
from radgen_lib.sources.phantom.outline import Body, BreastFrame, outline_radius

LATTICE = 32


def lattice(rng: np.random.Generator, *sigmas: float) -> np.ndarray:
    """Periodic noise [32, 32, 32] of unit SD: white noise smoothed over each of ``sigmas``, added as equals."""
    white = rng.standard_normal((LATTICE, LATTICE, LATTICE), dtype=np.float32)
    layers = [gaussian_filter(np.roll(white, 7 * k, axis=0), s, mode="wrap") for k, s in enumerate(sigmas)]
    total = np.asarray(sum(layer / layer.std() for layer in layers))
    return total / total.std()


def nipple_coordinates(frame: BreastFrame, where: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates [3 x n] of the voxels of ``where`` in which lines from the nipple are parallel.

    The first runs from the nipple to the back (mm); the others are positions across, mm at the breast's base.
    """
    shape = where.shape
    away = ((1 - np.broadcast_to(frame.along, shape)[where]) * np.broadcast_to(frame.height, shape)[where]).clip(-10)
    spread = np.float32(110) / (away + 40)
    across, up = np.broadcast_to(frame.across, shape)[where], np.broadcast_to(frame.up, shape)[where]
    return away, across * spread, up * spread


def sample(
    noise: np.ndarray, place: tuple[np.ndarray, np.ndarray, np.ndarray], lengths: tuple[float, float]
) -> np.ndarray:
    """Noise at ``place``; ``lengths`` are the mm of one lattice cell along and across the lines from the nipple."""
    away, across, up = place
    at = np.stack([away / lengths[0], across / lengths[1] + 3, up / lengths[1] + 11])
    return map_coordinates(noise, at, order=1, mode="grid-wrap", output=np.float32)


def strands(
    rng: np.random.Generator, body: Body, side: int, *, count: int, forks: int, step: float, reach: tuple[float, float]
) -> np.ndarray:
    """Curves that fan out from behind the nipple and fork, as points [curves, points, 3] in the body's system (mm).

    ``reach`` bounds how far out of the axis they end (share of the outline), ``step`` is the spacing of points, mm.
    """
    height, points = body.height[side], int(np.ceil(1.2 * body.height[side] / step))
    start = np.linspace(0.98, rng.uniform(0.05, 0.25), points)
    travelled = (0.98 - start) / 0.98
    wander, twist = _wander(rng, (count, 1), points), _wander(rng, (count, forks), points)
    fork = rng.uniform(0.15, 0.6, (count, forks, 1))
    # A forking curve leaves its parent's path only after the fork.
    late = np.clip(travelled - fork, 0, None)
    angle = (
        rng.uniform(0, 2 * np.pi, (count, 1, 1))
        + 0.25 * wander
        + late * (rng.uniform(-1.2, 1.2, (count, forks, 1)) + 0.35 * twist)
    )
    far = rng.uniform(*reach, (count, 1, 1)) + late * rng.uniform(-0.4, 0.4, (count, forks, 1))
    out = np.clip(far * travelled**0.7 + 0.035 * travelled * np.roll(twist, 1, axis=0), 0.02, 0.95)
    angle, out = angle.reshape(-1, points), out.reshape(-1, points)
    along = np.broadcast_to(start, out.shape)
    radius = out * outline_radius(body, side, along, np.sin(angle))
    return _to_body(body, side, along * height, radius * np.cos(angle), radius * np.sin(angle))


def _wander(rng: np.random.Generator, shape: tuple[int, ...], points: int) -> np.ndarray:
    """Smooth random walks [*shape, points] of nine unit steps: the same course however many points are asked for."""
    spline = make_interp_spline(np.arange(10.0), np.eye(10))(np.linspace(0, 9, points))
    # einsum, not a matrix product: its sums do not depend on how many threads a process may use.
    return np.asarray(np.einsum("...k,pk->...p", rng.standard_normal((*shape, 10)).cumsum(axis=-1), spline))


def surface_vessels(rng: np.random.Generator, body: Body, side: int, *, count: int, step: float) -> np.ndarray:
    """Veins under the skin that wind from the base towards the areola [count, points, 3] (mm, body's system)."""
    points = int(np.ceil(1.3 * body.height[side] / step))
    along = np.linspace(-0.1, 1, points) * rng.uniform(0.6, 0.9, (count, 1))
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + np.linspace(0, 1, points) * rng.uniform(-1, 1, (count, 1))
    angle += 0.22 * _wander(rng, (count,), points)
    out = rng.uniform(0.68, 0.93, (count, 1)) + 0.08 * np.sin(6 * along + rng.uniform(0, 6, (count, 1)))
    radius = np.minimum(out, 0.95) * outline_radius(body, side, along.clip(0), np.sin(angle))
    return _to_body(body, side, along * body.height[side], radius * np.cos(angle), radius * np.sin(angle))


def _to_body(body: Body, side: int, forward: np.ndarray, across: np.ndarray, up: np.ndarray) -> np.ndarray:
    x = body.centre[side] + across * body.wide[side]
    z = up - body.droop[side] * np.clip(forward, 0, None)
    return np.stack([x, body.base(side) - forward, z], axis=-1)


def tubes(curves: np.ndarray, width: np.ndarray, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Share of each voxel filled by tubes of ``width`` mm (broadcast to curves x points) around the curves.

    Each point stands for a short cylinder; it is scattered over its cross-section where voxels are finer than
    the tube, and shared among the eight voxels around, so that the filled volume is right however coarse the grid is.
    """
    lengths = np.linalg.norm(np.diff(curves, axis=1, prepend=curves[:, :1]), axis=2)
    width = np.broadcast_to(width, lengths.shape)
    copies = 1 if float(width.max()) < 1.5 * grid.edge else 6
    volume = (np.pi / 4 * width**2 * lengths / copies / np.prod(grid.steps)).astype(np.float32)
    filled = np.zeros(grid.shape, dtype=np.float32)
    if copies > 1:
        curves = curves + rng.standard_normal((copies, *curves.shape)) * (0.25 * width[..., None])
        volume = np.broadcast_to(volume, curves.shape[:-1])
    _share_out(filled, curves, volume, grid)
    return np.minimum(filled, 1)


def _share_out(filled: np.ndarray, points: np.ndarray, volume: np.ndarray, grid: Grid) -> None:
    """Add ``volume`` at ``points`` to the eight voxels around each (trilinear shares); points outside are left out."""
    low, share = [], []
    keep = np.ones(volume.shape, dtype=bool)
    for axis, name in enumerate(grid.axes()):
        line = grid.line(axis)
        index = (points[..., "xyz".index(name)] - line[0]) / (line[1] - line[0])
        keep &= (index >= 0) & (index < line.size - 1)
        low.append(np.floor(index))
        share.append(index - low[-1])
    corners, parts = [axis[keep].astype(np.int64) for axis in low], [axis[keep] for axis in share]
    flat, amount = filled.reshape(-1), volume[keep]
    places, weights = [], []
    for step in np.ndindex(2, 2, 2):
        places.append(np.ravel_multi_index([c + s for c, s in zip(corners, step, strict=True)], grid.shape))
        weights.append(amount * np.prod([p if s else 1 - p for p, s in zip(parts, step, strict=True)], axis=0))
    flat += np.bincount(np.concatenate(places), np.concatenate(weights), flat.size).astype(np.float32)
