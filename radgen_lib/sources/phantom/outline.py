"""Outlines: the hanging breasts, the skin over the trunk, and the chest wall beneath, as signed depths in mm.

The body's own system: x to the left from the midline, y to the back from the middle of the chest, z to the head from
the height of the nipples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radgen_lib.sources.phantom.grid import Grid, blend, unit_slope


@dataclass(frozen=True)
class Body:
    """Sizes of one patient. Pairs are (right, left); lengths in mm."""

    half_width: float
    half_depth: float
    flatness: float
    tilt: float
    curve: float
    fat: float
    muscle: float
    centre: tuple[float, float]
    radius: tuple[float, float]
    height: tuple[float, float]
    roundness: tuple[float, float]
    shoulder: tuple[float, float]
    flare: tuple[float, float]
    fold: tuple[float, float]
    droop: tuple[float, float]
    wide: tuple[float, float]

    def wall(self, x: np.ndarray | float, z: np.ndarray | float) -> np.ndarray:
        """y of the front of the chest muscle."""
        share = np.abs(np.asarray(x) / self.half_width).clip(0, 0.999)
        front = self.half_depth * (1 - share**self.flatness) ** (1 / self.flatness)
        return np.asarray(self.middle(z) - front)

    def middle(self, z: np.ndarray | float) -> np.ndarray:
        """y of the chest's middle at height z: the chest leans back towards the neck and slightly at the belly."""
        up = np.asarray(z)
        return np.asarray(self.tilt * up + self.curve * up * up)

    def base(self, side: int) -> float:
        """y of the plane on which the breast of a side (0 right, 1 left) stands."""
        return float(self.wall(self.centre[side], 0.0))


def draw_body(rng: np.random.Generator) -> Body:
    """Sizes of a patient; the two breasts share all but a few per cent."""

    def pair(low: float, high: float, spread: float) -> tuple[float, float]:
        middle = rng.uniform(low, high)
        both = middle + spread * rng.uniform(-1, 1, 2)
        return float(both[0]), float(both[1])

    offset = rng.uniform(72, 86)
    size = rng.uniform(0.82, 1.15)  # large breasts are large in every direction
    return Body(
        half_width=rng.uniform(128, 142),
        half_depth=rng.uniform(96, 110),
        flatness=rng.uniform(2.2, 2.5),
        tilt=rng.uniform(0.12, 0.24),
        curve=rng.uniform(0.001, 0.0026),
        fat=rng.uniform(7, 15),
        muscle=rng.uniform(7, 13),
        centre=(-offset, offset),
        radius=pair(58 * size, 66 * size, 2),
        height=pair(74 * size, 98 * size, 4),
        roundness=pair(1.4, 4.0, 0.1),
        shoulder=pair(1.2, 2.2, 0.1),
        flare=pair(0.15, 0.75, 0.05),
        fold=pair(-0.05, 0.22, 0.03),
        droop=pair(0.0, 0.22, 0.04),
        wide=pair(0.88, 1.05, 0.03),
    )


@dataclass(frozen=True)
class BreastFrame:
    """Each voxel in the system of the breast on its side of the midline.

    ``along`` is 0 at the base and 1 at the nipple; ``distance`` is mm from the axis, ``across`` and ``up`` its parts,
    ``out`` its share of the outline's radius; ``depth`` is the implicit outline (positive inside, about mm).
    """

    along: np.ndarray
    out: np.ndarray
    distance: np.ndarray
    across: np.ndarray
    up: np.ndarray
    height: np.ndarray
    depth: np.ndarray


def outline_radius(body: Body, side: int | np.ndarray, along: np.ndarray, rise: np.ndarray) -> np.ndarray:
    """Radius of the outline, mm, at ``along`` (0 base, 1 nipple) towards ``rise`` (-1 foot .. 1 head).

    Towards the foot the base is drawn in by ``fold``: the breast hangs over it and is widest up to half way forward.
    """
    roundness, shoulder = np.asarray(body.roundness)[side], np.asarray(body.shoulder)[side]
    taper = (1 - np.clip(along, 0, 1) ** roundness) ** (1 / shoulder)
    left_over = np.clip(1 - along, 0, 1.6) ** 2
    up, down = np.clip(rise, 0, 1) ** 2, np.clip(-rise, 0, 1) ** 2
    flare, fold = np.asarray(body.flare)[side], np.asarray(body.fold)[side]
    grown = taper * (1 + flare * left_over * up - fold * left_over * down)
    return np.asarray(np.asarray(body.radius)[side] * grown)


def breast_frame(body: Body, grid: Grid) -> BreastFrame:
    """Breast coordinates of every voxel of ``grid`` (right breast where x < 0, left elsewhere)."""
    side = (grid.x > 0).astype(np.int8)

    def of(values: tuple[float, float]) -> np.ndarray:
        return np.asarray(values, dtype=np.float32)[side]

    height = of(body.height)
    forward = of((body.base(0), body.base(1))) - grid.y
    along = forward / height
    up = grid.z + of(body.droop) * np.clip(forward, 0, None)
    across = (grid.x - of(body.centre)) / of(body.wide)
    distance = np.sqrt(across * across + up * up)
    rise = up / np.maximum(distance, 1e-3)
    radius = outline_radius(body, side, along, rise).astype(np.float32)
    depth = radius - distance - np.maximum(forward - height, 0)
    nipple = np.minimum(6 - distance, height + 5 - forward)
    return BreastFrame(along, distance / np.maximum(radius, 1.0), distance, across, up, height, blend(depth, nipple, 5))


def skin_depth(body: Body, frame: BreastFrame, wall: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Signed distance to the skin, mm, and extent of each voxel across it; the breast is joined to the trunk."""
    side_fat = body.fat + 0.06 * np.abs(grid.x)
    return unit_slope(blend(frame.depth, wall + side_fat.astype(np.float32), 28), grid)


def wall_depth(body: Body, grid: Grid) -> np.ndarray:
    """Signed distance to the front of the chest muscle, mm (positive inside the chest)."""
    n = np.float32(body.flatness)
    across = np.abs(grid.x / np.float32(body.half_width)) ** n
    middle = body.middle(grid.z).astype(np.float32)
    ahead = np.abs((grid.y - middle) / np.float32(body.half_depth)) ** n
    return unit_slope((1 - (across + ahead) ** (1 / n)) * np.float32(body.half_depth), grid)[0]
