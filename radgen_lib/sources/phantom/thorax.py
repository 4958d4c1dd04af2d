"""What lies behind the breast: chest muscle, ribs, lungs, heart, great vessels, liver, spine, as shares of voxels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from radgen_lib.sources.phantom.grid import Grid, inside
from radgen_lib.sources.phantom.outline import Body

RIB_SPACING = 29.0
RIB_WALL = 17.0
Triple = tuple[float, float, float]
# Centres and half axes (mm) of the larger vessels of the lungs: outwards from the two hila, then up, down and back.
_LUNG_VESSELS: tuple[tuple[Triple, Triple], ...] = (
    ((-52, 8, 18), (34, 6, 7)),
    ((-74, 26, -8), (6, 26, 6)),
    ((-62, -14, 4), (7, 26, 5)),
    ((-66, 20, 42), (6, 6, 34)),
    ((-58, 26, -34), (6, 6, 32)),
    ((-88, -4, 26), (18, 5, 5)),
    ((66, 18, 22), (28, 6, 7)),
    ((84, 32, -4), (6, 24, 6)),
    ((70, -2, 40), (6, 24, 5)),
    ((74, 34, -36), (6, 6, 34)),
    ((72, 22, 54), (6, 6, 28)),
    ((96, 8, 14), (16, 5, 5)),
)


class Canvas:
    """Puts tissues down from the top: each takes its share of what is still free in each voxel.

    ``free`` (slices, rows, columns) starts as the whole voxel and goes down with each :meth:`take`.
    """

    def __init__(self, free: np.ndarray) -> None:
        self.free = free

    def take(self, share: np.ndarray) -> np.ndarray:
        """Part of each voxel that a structure of ``share`` (0..1) gets; broadcasts."""
        taken = self.free * share
        self.free = self.free - taken
        return taken


def ball(grid: Grid, centre: Triple, radii: Triple, rough: np.ndarray) -> np.ndarray:
    """Share of each voxel in an ellipsoid with half axes ``radii`` (mm, x y z) whose surface ``rough`` (mm) displaces.

    The edge is blurred by some mm more than the voxel's size: these organs move while the image is taken.
    """
    parts = [
        np.square((place - np.float32(c)) / np.float32(r))
        for place, c, r in zip((grid.x, grid.y, grid.z), centre, radii, strict=True)
    ]
    distance = np.sqrt(parts[0] + parts[1] + parts[2])
    return inside((1 - distance) * np.float32(min(radii)) + rough, grid.edge + 9)


def inner_organs(
    grid: Grid, organs: np.ndarray, bumps: np.ndarray, texture: np.ndarray, fat_left: float
) -> Iterator[tuple[str, np.ndarray]]:
    """Heart, vessels, liver, spine, then lung, within the share ``organs`` of each voxel inside the rib cage.

    ``bumps`` [4] in -1..1 moves heart and diaphragm between patients; ``texture`` (unit SD) makes surfaces and
    signals uneven.
    """
    canvas = Canvas(organs)
    a, b, c, d = (float(value) for value in bumps)
    rough = texture * np.float32(3.3)
    uneven = 1 + np.float32(0.14) * texture
    heart = (36 + 6 * a, -30 + 6 * b, -44 + 12 * c)
    chambers = (
        ((heart[0] + 10, heart[1] + 6, heart[2] - 2), (30, 25, 30)),
        ((heart[0] - 26, heart[1] - 12, heart[2] + 2), (25, 22, 34)),
        ((heart[0] - 24, heart[1] + 26, heart[2] + 22), (24, 18, 22)),
    )
    pipes = (((-14, -24, 60), (15, 15, 62)), ((14, -36, 42), (13, 13, 34)), ((20, 46, 0), (11, 11, 400)))
    dome = (-78, 0, -128 + 16 * d)  # its top some 35 mm below the nipples: the right half of the diaphragm
    inside_liver = _liver_vessels(dome)
    bodies = [
        *(("blood", centre, radii, 1.0, uneven) for centre, radii in (*chambers, *pipes)),
        *(("blood", centre, radii, 0.7, 0.8) for centre, radii in _LUNG_VESSELS),
        ("heart", heart, (58, 46, 52), 1.0, uneven),
        ("fat", heart, (63, 50, 57), 1.0, fat_left),
        *(("blood", centre, radii, 0.4, 0.9) for centre, radii in inside_liver),
        ("liver", dome, (88, 90, 94), 0.4, uneven),
        ("muscle", (86, 20, -160 + 16 * d), (72, 80, 88), 1.0, 0.9 * uneven),
        ("bone", (0, 72, 0), (21, 18, 4000), 0.3, 1.0),
        ("fat", (4, 10, 0), (17, 92, 150), 1.6, 0.8 * fat_left),
    ]
    for name, centre, radii, roughness, signal in bodies:
        if in_reach(grid, centre, radii):
            yield name, canvas.take(ball(grid, centre, radii, roughness * rough)) * signal
    yield "lung", canvas.free


def _liver_vessels(dome: Triple) -> tuple[tuple[Triple, Triple], ...]:
    """Centres and half axes of the hepatic veins, which meet near the caval vein behind, and of that vein."""
    x, y, z = dome
    return (
        ((x + 48, y + 26, z), (9, 11, 200)),
        ((x + 14, y + 18, z + 62), (36, 5, 5)),
        ((x + 6, y - 6, z + 46), (5, 38, 6)),
        ((x - 18, y + 8, z + 40), (40, 6, 7)),
        ((x + 24, y - 28, z + 34), (6, 34, 6)),
    )


def in_reach(grid: Grid, centre: Triple, radii: Triple) -> bool:
    """Whether an ellipsoid, with some room for its rough surface, touches the box of the grid at all."""
    room = 1 + 30 / min(radii)
    return all(
        place.min() <= c + room * r and place.max() >= c - room * r
        for place, c, r in zip((grid.x, grid.y, grid.z), centre, radii, strict=True)
    )


def chest_wall(
    grid: Grid, body: Body, wall: np.ndarray, canvas: Canvas, texture: np.ndarray, fat_left: float
) -> Iterator[tuple[str, np.ndarray]]:
    """Muscle, the fat plane behind it, ribs between intercostal muscle; takes them from ``canvas``.

    ``wall`` is the depth behind the front of the muscle, mm; ``texture`` (unit SD) gives fibres and uneven thickness.
    """
    edge = grid.edge
    # The pectoral muscle thins out towards the sternum, the side and the belly.
    lateral = np.exp(-np.square((np.abs(grid.x) - 70) / 62))
    height = 1 / (1 + np.exp(-(grid.z + 48) / 14))
    back = 1 / (1 + np.exp(-(grid.y - 35) / 12))
    thick = 2.5 + body.muscle * lateral * (0.25 + 0.75 * height) * (1 - back) + 26 * back
    thick = thick.astype(np.float32) * (1 + np.float32(0.16) * texture)
    behind = wall - thick
    plane = 3.2
    level = np.abs(grid.x) * 0.32 + 0.35 * grid.y + grid.z
    nearest = (level / RIB_SPACING - np.round(level / RIB_SPACING)) * RIB_SPACING
    rib = 6.2 - np.hypot(nearest, (behind - plane - 7) * 1.25)
    yield "bone", canvas.take(inside(rib, edge) * (behind > 0))
    yield "muscle", canvas.take(inside(behind - plane, edge)) * (0.8 + 0.14 * texture)
    yield "fat", canvas.take(inside(behind, edge)) * fat_left
    yield "muscle", canvas.take(inside(wall, edge)) * (0.95 + 0.2 * texture)


def cage_depth(wall: np.ndarray, body: Body) -> np.ndarray:
    """Depth behind the inner face of the rib cage, mm."""
    return wall - np.float32(body.muscle * 0.8 + RIB_WALL)
