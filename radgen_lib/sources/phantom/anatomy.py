"""One patient's tissues on a grid: each structure of breast and chest as a share of every voxel, from the top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from radgen_lib.core.seeds import make_rng
from radgen_lib.sources.phantom import texture, thorax
from radgen_lib.sources.phantom.grid import Grid, inside
from radgen_lib.sources.phantom.outline import Body, BreastFrame, breast_frame, draw_body, skin_depth, wall_depth
from radgen_lib.sources.phantom.tumour import LesionShares, draw_shape, lesion_centre, lesion_shares

SKIN_MM = 2.1


@dataclass(frozen=True)
class Patient:
    """What makes a patient's anatomy: the seed and name of its random parts, sizes, and the amounts of the lesion row.

    ``density`` is the share of the breast that is gland, ``lesion`` the row of the lesion or None, ``side`` 0 right
    or 1 left (of the lesion, and of a sagittal study).
    """

    seed: int
    name: str
    body: Body
    density: float
    lesion: Mapping[str, float] | None
    side: int

    def rng(self, *names: object) -> np.random.Generator:
        """Generator of one structure: the same in every study of the patient, whatever else is drawn."""
        return make_rng(self.seed, "phantom anatomy", self.name, *names)


def make_patient(seed: int, name: str, density: float, lesion: Mapping[str, float] | None, side: int) -> Patient:
    """Patient whose sizes are drawn from ``seed`` and ``name``."""
    body = draw_body(make_rng(seed, "phantom anatomy", name, "body"))
    return Patient(seed, name, body, float(np.clip(density, 0.02, 0.85)), lesion, side)


@dataclass(frozen=True)
class Scene:
    """A patient on a grid. ``skin`` and ``wall`` are depths behind the skin and the chest muscle's front, mm;
    ``blur`` is the extent of each voxel across the skin, mm."""

    patient: Patient
    grid: Grid
    frame: BreastFrame
    skin: np.ndarray
    blur: np.ndarray
    wall: np.ndarray
    lesion: LesionShares | None

    def breast(self) -> np.ndarray:
        """Share of each voxel in a breast: behind the skin's surface, before the muscle, not beyond the base."""
        front = np.clip((self.frame.along * self.frame.height + 8) / 8, 0, 1)
        return inside(self.skin, self.blur) * (1 - inside(self.wall, self.grid.edge)) * front

    def tumour(self) -> np.ndarray:
        """Share of each voxel in the lesion, float32."""
        share = np.zeros(self.grid.shape, dtype=np.float32)
        if self.lesion is not None:
            share[self.lesion.window] = self.lesion.edge + self.lesion.core
        return share


def make_scene(patient: Patient, grid: Grid) -> Scene:
    """Lay the patient out on ``grid``."""
    frame = breast_frame(patient.body, grid)
    wall = wall_depth(patient.body, grid)
    skin, blur = skin_depth(patient.body, frame, wall, grid)
    found = None
    if patient.lesion is not None:
        centre = lesion_centre(patient.body, patient.side, patient.lesion)
        found = lesion_shares(draw_shape(patient.lesion, patient.rng("lesion")), centre, grid)
    return Scene(patient, grid, frame, skin, blur, wall, found)


def tissue_shares(scene: Scene, fat_left: float) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (tissue, weight of its signal in each voxel) for every structure; weights add up to about 1 in the body.

    ``fat_left`` is the share of fat's signal that suppression leaves; it is larger where the field is uneven, in the
    fold under the breast and near the areola. A tissue may come several times; weights carry its texture.
    """
    grid, patient, body = scene.grid, scene.patient, scene.patient.body
    edge = grid.edge
    canvas = thorax.Canvas(inside(scene.skin, scene.blur))
    yield "skin", canvas.take(_skin(scene))
    yield from _lesion(scene, canvas)
    organs = canvas.take(inside(thorax.cage_depth(scene.wall, body), edge))
    clumps = _tile(texture.lattice(patient.rng("heart"), 1.3, 2.4), grid, (6, 6, 6))
    bumps = patient.rng("organs").uniform(-1, 1, 4)
    yield from thorax.inner_organs(grid, organs, bumps, clumps, fat_left)
    fibres = _tile(texture.lattice(patient.rng("muscle"), 0.7, 1.6), grid, (24, 9, 3.5))
    yield from thorax.chest_wall(grid, body, scene.wall, canvas, fibres, fat_left)
    tip = np.hypot(scene.frame.distance, (1 - scene.frame.along) * scene.frame.height + 1)
    yield "nipple", canvas.take(inside(6.5 - tip, edge + 1))
    for side in sorted({int(value > 0) for value in grid.x.ravel()}):
        yield from _curves(scene, canvas, side)
    yield from _gland(scene, canvas)
    lumps = _tile(texture.lattice(patient.rng("fat"), 0.8, 2.5), grid, (9, 9, 9))
    yield "fat", canvas.free * (1 + 0.10 * lumps) * _fat_left(scene, fat_left)


def _skin(scene: Scene) -> np.ndarray:
    """Share of skin in what of a voxel is body at all."""
    body = inside(scene.skin, scene.blur)
    deeper = inside(scene.skin - SKIN_MM, scene.blur)
    return (body - deeper) / np.maximum(body, 1e-3)


def _lesion(scene: Scene, canvas: thorax.Canvas) -> Iterator[tuple[str, np.ndarray]]:
    if scene.lesion is None:
        return
    patchy = _tile(texture.lattice(scene.patient.rng("tumour"), 0.9), scene.grid, (4, 3, 3))[scene.lesion.window]
    uneven = np.clip(1 + 0.16 * patchy, 0.4, 1.6)
    window, edge, core = scene.lesion.window, scene.lesion.edge, scene.lesion.core
    free = canvas.free[window].copy()
    for name, share in (("tumour_edge", edge), ("tumour_core", core)):
        whole = np.zeros(scene.grid.shape, dtype=np.float32)
        whole[window] = share * free * uneven
        yield name, whole
    canvas.free[window] = free * (1 - np.clip(edge + core, 0, 1))


def _curves(scene: Scene, canvas: thorax.Canvas, side: int) -> Iterator[tuple[str, np.ndarray]]:
    """Veins under the skin and through the breast, ducts and ligaments of one side, as tubes."""
    patient, grid, body = scene.patient, scene.grid, scene.patient.body
    step = max(0.5 * grid.edge, 0.6)
    rng = patient.rng("vessels", side)
    veins = texture.surface_vessels(rng, body, side, count=int(rng.integers(4, 8)), step=step)
    yield "vein", canvas.take(texture.tubes(veins, rng.uniform(1.0, 2.3, (len(veins), 1)), grid, rng))
    deep = texture.strands(rng, body, side, count=4, forks=2, step=step, reach=(0.35, 0.85))
    yield "vein", canvas.take(texture.tubes(deep, np.linspace(0.7, 1.9, deep.shape[1]), grid, rng))
    rng = patient.rng("ducts", side)
    ducts = texture.strands(rng, body, side, count=12, forks=4, step=step, reach=(0.15, 0.6))
    thin = np.linspace(2.6, 1.0, ducts.shape[1]) * (0.5 + patient.density)
    yield "gland", canvas.take(texture.tubes(ducts, thin, grid, rng))
    rng = patient.rng("ligaments", side)
    bands = texture.strands(rng, body, side, count=14, forks=4, step=step, reach=(0.3, 0.95))
    yield "ligament", canvas.take(texture.tubes(bands, rng.uniform(0.6, 1.6, (len(bands), 1)), grid, rng))


def _gland(scene: Scene, canvas: thorax.Canvas) -> Iterator[tuple[str, np.ndarray]]:
    """Gland: the voxels where a cone behind the nipple plus converging noise is largest, ``density`` of the breast."""
    patient, frame, shape = scene.patient, scene.frame, scene.grid.shape
    along = np.broadcast_to(frame.along, shape)
    where = (along > -0.12) & (scene.skin > SKIN_MM + 1) & (scene.wall < -2)
    if not where.any():
        return
    place = texture.nipple_coordinates(frame, where)
    coarse, fine, active = (
        texture.lattice(patient.rng("gland", k), *s) for k, s in enumerate([(1.6, 0.9), (0.7, 1.1), (1.2,)])
    )
    out, depth = frame.out[where], along[where]
    cone = -2.6 * out**2 - 3.2 * np.clip(np.abs(depth - 0.52) - 0.2, 0, None) ** 2 * 6
    cone -= 0.12 * np.clip(scene.wall[where] + 16, 0, None)  # fat lies before the muscle
    cone += 0.5 * np.broadcast_to(frame.up, shape)[where] / 60  # more gland in the upper breast
    rough = 0.75 * texture.sample(coarse, place, (11, 6)) - 0.8 * np.abs(texture.sample(fine, place, (7, 2.9)))
    field = cone + rough
    level = np.quantile(field[::3], 1 - patient.density * 0.9)
    share = np.clip((field - level) / 0.5 + 0.2, 0, 1)
    share *= np.clip((scene.skin[where] - 4) / 4, 0, 1)
    lively = np.clip(0.5 + 0.45 * texture.sample(active, place, (9, 6)), 0, 1)
    whole, part = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    whole[where], part[where] = share, lively
    gland = canvas.take(whole)
    gland[where] *= np.clip(1.1 + 0.25 * rough, 0.6, 1.4)
    active_gland = gland * part
    yield "gland_active", active_gland
    yield "gland", gland - active_gland


def _fat_left(scene: Scene, fat_left: float) -> np.ndarray:
    """Signal that suppression leaves of fat: ``fat_left``, up to several times more in the fold under the breast."""
    patient, body, grid = scene.patient, scene.patient.body, scene.grid
    left = np.full(grid.shape, fat_left, dtype=np.float32)
    for side in (0, 1):
        rng = patient.rng("field", side)
        low = -body.radius[side] * rng.uniform(0.85, 1.05)
        centre = (body.centre[side], body.base(side) - rng.uniform(2, 16), low)
        size = tuple(rng.uniform((20, 8, 5), (45, 18, 11)))
        parts = [
            np.exp(-np.minimum(np.square((p - c) / s), 80)).astype(np.float32)
            for p, c, s in zip((grid.x, grid.y, grid.z), centre, size, strict=True)
        ]
        left += np.float32(rng.uniform(0, 0.75)) * parts[0] * parts[1] * parts[2]
    return np.minimum(left, 1)


def _tile(noise: np.ndarray, grid: Grid, lengths: tuple[float, float, float]) -> np.ndarray:
    """Noise over the whole grid, linear between cells of ``lengths`` mm along the array's axes."""
    for axis, (size, step, length) in enumerate(zip(grid.shape, grid.steps, lengths, strict=True)):
        place = np.arange(size) * step / length
        low = place.astype(int)
        weight = (place - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        first, second = (np.take(noise, (low + k) % texture.LATTICE, axis=axis) for k in (0, 1))
        noise = first + (second - first) * weight
    return noise
