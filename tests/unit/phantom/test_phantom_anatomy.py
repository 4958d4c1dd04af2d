"""Building blocks of the phantom's images: outlines, organs, lesion shapes, textures, protocols, and how they look."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom import texture, thorax
from radgen_lib.sources.phantom.acquisition import Acquisition, acquire, moved
from radgen_lib.sources.phantom.anatomy import Scene, make_patient, make_scene, tissue_shares
from radgen_lib.sources.phantom.grid import Grid, coarsen, inside, make_grid, refine
from radgen_lib.sources.phantom.outline import (
    Body,
    breast_frame,
    draw_body,
    outline_radius,
    skin_depth,
    wall_depth,
)
from radgen_lib.sources.phantom.scanner import draw_protocol, native_grid
from radgen_lib.sources.phantom.tumour import draw_shape, lesion_centre, lesion_shares

SEEDS = st.integers(0, 10_000)
LESION = {"diameter_mm": 20.0, "irregularity": 0.4, "spiculation": 0.4, "rim": 0.2, "x": 0.5, "y": 0.5, "z": 0.5}
LESION |= {"ktrans": 0.25, "kep": 0.7, "vp": 0.03}


def body_of(seed: int) -> Body:
    return draw_body(np.random.default_rng(seed))


def box(step: float, *, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Grid:
    """Axial grid over a box of the body, voxels of ``step`` mm."""
    lines = [np.arange(low, high, step) for low, high in (z, y, x)]
    return make_grid(("z", "y", "x"), (lines[0], lines[1], lines[2]))


def chest(step: float = 6.0) -> Grid:
    return box(step, x=(-170, 170), y=(-220, 120), z=(-70, 70))


def amounts(scene: Scene, fat_left: float = 0.2) -> dict[str, np.ndarray]:
    """Share of each tissue in each voxel, summed by name."""
    total: dict[str, np.ndarray] = {}
    for name, share in tissue_shares(scene, fat_left):
        total[name] = total.get(name, 0) + share
    return total


def scan(view: str = "sagittal", *, spec: Phantom | None = None, **changes: object) -> Acquisition:
    patient = {"patient": "PHAN-S2-0003", "manufacturer": "GE", "field_strength": 1.5, "view": view, "n_posts": 2}
    lesion = LESION | {"present": True, "density": 0.25, "bpe": 0.2}
    spec = spec or Phantom(shape=[16, 64, 64], motion_mm=0)
    row = pd.Series(patient | {"laterality": "L"} | changes)
    return acquire(row, pd.Series(lesion), spec, study=1, seed=11)


# Outlines


@given(seed=SEEDS, side=st.integers(0, 1), rise=st.floats(-1, 1))
@example(seed=1469, side=0, rise=-1.0)
@settings(max_examples=40, deadline=None)
def test_the_breast_narrows_to_a_point_at_the_nipple(seed: int, side: int, rise: float) -> None:
    """Below it hangs over its fold: there it widens first, at most up to the middle, and then narrows as elsewhere."""
    along = np.linspace(0, 1, 91)
    radius = outline_radius(body_of(seed), side, along, np.full(91, rise))
    widest = int(np.argmax(radius))
    assert along[widest] <= (0.55 if rise < 0 else 0)
    assert radius[widest] <= 1.25 * radius[0]
    assert np.all(np.diff(radius[: widest + 1]) > -1e-9)
    assert np.all(np.diff(radius[widest:]) < 1e-9)
    assert radius[-1] == pytest.approx(0, abs=1e-6)
    assert radius[along >= 0.35][0] > 20


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_breast_reaches_further_up_than_down_at_its_base(seed: int) -> None:
    body = body_of(seed)
    up, down = outline_radius(body, 0, np.zeros(2), np.array([1.0, -1.0]))
    assert up > down
    assert body.centre[0] < 0 < body.centre[1]
    assert abs(body.height[0] - body.height[1]) < 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_chest_muscles_front_lies_where_its_depth_is_zero(seed: int) -> None:
    body, grid = body_of(seed), box(2.0, x=(-100, 100), y=(-160, 0), z=(-60, 60))
    depth = wall_depth(body, grid)
    front = np.broadcast_to(body.wall(grid.x, grid.z), (*depth.shape[:1], 1, depth.shape[2]))
    expected = grid.y - front
    near = np.abs(expected) < 4
    assert near.sum() > 1000
    # A distance is never longer than the way along y, and has the same sign.
    assert np.all(np.abs(depth[near]) <= np.abs(expected[near]) + 0.3)
    clear = near & (np.abs(expected) > 0.5)
    assert np.array_equal(depth[clear] > 0, expected[clear] > 0)


@pytest.mark.parametrize("side", [0, 1])
def test_the_nipple_is_the_foremost_point_of_the_skin(side: int) -> None:
    body, grid = body_of(5), box(2.0, x=(-150, 150), y=(-230, -60), z=(-70, 70))
    depth, blur = skin_depth(body, breast_frame(body, grid), wall_depth(body, grid), grid)
    half = (grid.x > 0) == bool(side)
    _, y, x = np.nonzero((depth > 0) & half)
    first = np.argmin(y)
    nipple = body.base(side) - body.height[side]
    assert grid.line(1)[y[first]] == pytest.approx(nipple - 5, abs=3)
    assert grid.line(2)[x[first]] == pytest.approx(body.centre[side], abs=7)
    assert blur.min() >= grid.edge - 1e-5


def test_there_is_fat_between_skin_and_muscle_everywhere() -> None:
    body, grid = body_of(6), chest()
    wall = wall_depth(body, grid)
    depth, _ = skin_depth(body, breast_frame(body, grid), wall, grid)
    behind = wall > 0
    assert depth[behind].min() > 3
    assert np.all(depth[wall < -140] < 0)


def test_frames_know_the_breast_of_their_side() -> None:
    body, grid = body_of(7), chest()
    frame = breast_frame(body, grid)
    height = np.broadcast_to(frame.height, grid.shape)
    assert np.all(height[..., grid.line(2) > 0] == np.float32(body.height[1]))
    assert np.all(height[..., grid.line(2) < 0] == np.float32(body.height[0]))
    assert frame.distance.min() >= 0


# Organs


@pytest.mark.parametrize("radii", [(20, 20, 20), (30, 22, 18)])
def test_balls_have_the_volume_of_their_axes(radii: tuple[float, float, float]) -> None:
    grid = box(2.0, x=(-50, 50), y=(-50, 50), z=(-50, 50))
    share = thorax.ball(grid, (1.0, -2.0, 3.0), radii, np.zeros(grid.shape, np.float32))
    assert share.sum() * 8 == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.1)
    bigger = thorax.ball(grid, (1.0, -2.0, 3.0), radii, np.full(grid.shape, 2, np.float32))
    assert bigger.sum() > 1.15 * share.sum()


def test_only_balls_out_of_reach_are_left_out() -> None:
    grid = box(4.0, x=(20, 120), y=(-50, 50), z=(-50, 50))
    rough = np.full(grid.shape, 12.0, np.float32)
    for x in range(-120, 240, 10):
        if not thorax.in_reach(grid, (x, 0, 0), (30, 20, 25)):
            assert not thorax.ball(grid, (x, 0, 0), (30, 20, 25), rough).any()
    assert thorax.in_reach(grid, (0, 0, 0), (30, 20, 25))
    assert not thorax.in_reach(grid, (-150, 0, 0), (30, 20, 25))


@given(shares=st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_canvas_gives_away_no_more_than_it_has(shares: list[float]) -> None:
    canvas = thorax.Canvas(np.full((1, 1, 1), 0.8))
    taken = [float(canvas.take(np.full((1, 1, 1), share)).sum()) for share in shares]
    assert sum(taken) + float(canvas.free.sum()) == pytest.approx(0.8)
    assert min([*taken, float(canvas.free.min())]) >= -1e-12
    assert taken[0] == pytest.approx(0.8 * shares[0])


def test_the_heart_is_on_the_left_and_the_liver_on_the_right_and_lowest() -> None:
    grid = chest()
    scene = make_scene(make_patient(1, "PHAN-S1-0002", 0.2, None, 1), grid)
    total = amounts(scene)

    def centre(name: str) -> np.ndarray:
        share = np.clip(total[name], 0, None)
        places = (np.broadcast_to(p, grid.shape) for p in (grid.x, grid.y, grid.z))
        return np.array([float((p * share).sum() / share.sum()) for p in places])

    assert centre("heart")[0] > 10
    assert centre("liver")[0] < -30
    assert centre("liver")[2] < centre("heart")[2]
    assert centre("gland")[1] < centre("heart")[1] - 40
    assert total["lung"].sum() > total["heart"].sum()


def test_the_trunk_holds_liver_below_and_vessels_in_both_lungs() -> None:
    z, x, y = np.meshgrid(np.arange(-70, 70, 4.0), np.arange(-130, 130, 4.0), np.arange(-90, 90, 4.0), indexing="ij")
    grid = make_grid(("z", "y", "x"), (z[:, 0, 0], y[0, 0], x[0, :, 0]))
    whole = np.ones(grid.shape, dtype=np.float32)
    organs = thorax.inner_organs(grid, whole, np.zeros(4), np.zeros(grid.shape, dtype=np.float32), 0.2)
    total: dict[str, np.ndarray] = {}
    for name, share in organs:
        total[name] = total.get(name, 0) + share
    liver = total["liver"].sum(axis=(1, 2))
    height = grid.line(0)
    assert (np.diff(liver[height < -36]) <= 1e-3).all() and not liver[height > -20].any()  # a dome under the lung
    for side in (-1, 1):
        outer = (side * np.broadcast_to(grid.x, grid.shape) > 44) & (np.broadcast_to(grid.z, grid.shape) > 0)
        assert 0.01 < total["blood"][outer].mean() < 0.2
        assert total["lung"][outer].mean() > 0.5


def test_going_in_from_the_front_one_meets_skin_fat_muscle_ribs_lung() -> None:
    grid = box(1.0, x=(88, 90), y=(-230, 0), z=(20, 50))
    patient = make_patient(2, "PHAN-S1-0004", 0.05, None, 1)
    total = amounts(make_scene(patient, grid), 1.0)
    depths = []
    for name in ("skin", "muscle", "lung"):
        profile = total[name].mean(axis=(0, 2))
        depths.append(float((profile * grid.line(1)).sum() / profile.sum()))
    fat = total["fat"].mean(axis=(0, 2))
    assert depths == sorted(depths)
    between = (grid.line(1) > depths[0] + 4) & (grid.line(1) < patient.body.wall(89, 35) - 4)
    assert fat[between].mean() > 0.5


# Lesion


@given(seed=SEEDS, x=st.floats(0, 1), y=st.floats(0, 1), z=st.floats(0, 1), diameter=st.floats(3, 45))
@settings(max_examples=60, deadline=None)
def test_the_lesions_ball_stays_within_the_outline(seed: int, x: float, y: float, z: float, diameter: float) -> None:
    body, lesion = body_of(seed), {"x": x, "y": y, "z": z, "diameter_mm": diameter}
    for side in (0, 1):
        at = lesion_centre(body, side, lesion)
        forward = body.base(side) - at[1]
        along = forward / body.height[side]
        across = (at[0] - body.centre[side]) / body.wide[side]
        up = at[2] + body.droop[side] * forward
        away = float(np.hypot(across, up))
        rise = np.asarray(up / max(away, 1e-9))
        assert 0.1 < along < 0.85
        assert away <= 0.75 * float(outline_radius(body, side, np.asarray(along), rise)) + 1e-6
        assert (at[0] > 0) == bool(side)


@given(seed=SEEDS, irregularity=st.floats(0, 1), spiculation=st.floats(0, 1), diameter=st.floats(4, 60))
@settings(max_examples=25, deadline=None)
def test_shapes_have_the_volume_of_the_diameter(
    seed: int, irregularity: float, spiculation: float, diameter: float
) -> None:
    lesion = {"irregularity": irregularity, "spiculation": spiculation, "diameter_mm": diameter}
    shape = draw_shape(lesion, np.random.default_rng(seed))
    rays = np.random.default_rng(seed + 1).standard_normal((20_000, 3)).astype(np.float32)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    radius = shape.radius(rays).astype(float)
    assert np.mean(radius**3) == pytest.approx((diameter / 2) ** 3, rel=0.06)
    assert radius.min() > 0


def test_a_smooth_lesion_is_a_ball_and_irregularity_spreads_its_radius() -> None:
    rays = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    spreads = []
    for irregularity in (0.0, 0.3, 1.0):
        lesion = {"irregularity": irregularity, "spiculation": 0.0, "diameter_mm": 20.0}
        spreads.append(float(draw_shape(lesion, np.random.default_rng(2)).radius(rays).std()))
    assert spreads[0] == pytest.approx(0, abs=1e-5)
    assert 0.2 < spreads[1] < spreads[2]


def test_the_core_is_inside_the_edge() -> None:
    grid = box(2.0, x=(-20, 20), y=(-20, 20), z=(-20, 20))
    smooth = LESION | {"irregularity": 0.0, "spiculation": 0.0}
    shares = lesion_shares(draw_shape(smooth, np.random.default_rng(0)), (0.0, 0.0, 0.0), grid)
    places = np.stack(np.broadcast_arrays(grid.x, grid.y, grid.z))[(slice(None), *shares.window)]
    away = np.sqrt((places**2).sum(axis=0))
    mean_of = [float((away * part).sum() / part.sum()) for part in (shares.core, shares.edge)]
    assert mean_of[0] < 6 < mean_of[1] < 10
    assert shares.core[away > 8.5].max() == 0
    assert (shares.core + shares.edge).max() <= 1 + 1e-6


def test_a_lesion_outside_the_slices_leaves_them_empty() -> None:
    grid = box(3.0, x=(0, 60), y=(-50, 0), z=(-30, 30))
    shares = lesion_shares(draw_shape(LESION, np.random.default_rng(0)), (400.0, 0.0, 0.0), grid)
    assert shares.edge.sum() + shares.core.sum() == 0


def test_thick_voxels_hold_what_their_parts_hold() -> None:
    coarse = make_grid(("z", "y", "x"), (np.arange(-30, 31, 10.0), np.arange(-30, 31, 4.0), np.arange(-30, 31, 4.0)))
    shape = draw_shape(LESION, np.random.default_rng(3))
    factors = (5, 2, 2)
    whole = np.zeros((2, *coarse.shape))
    for k, (grid, cut) in enumerate(((coarse, (1, 1, 1)), (refine(coarse, factors), factors))):
        found = lesion_shares(shape, (2.0, 1.0, -3.0), grid)
        filled = np.zeros(grid.shape, np.float32)
        filled[found.window] = found.edge + found.core
        whole[k] = coarsen(filled, cut)
    assert np.abs(whole[0] - whole[1]).mean() < 2e-3
    assert np.abs(whole[0] - whole[1]).max() < 0.15


# Texture


def test_lattices_are_periodic_and_of_unit_spread() -> None:
    noise = texture.lattice(np.random.default_rng(0), 1.0, 2.0)
    assert noise.shape == (texture.LATTICE,) * 3
    assert noise.std() == pytest.approx(1, rel=1e-4)
    # Neighbours across the seam are as alike as neighbours elsewhere.
    seam, inner = np.abs(noise[0] - noise[-1]).mean(), np.abs(np.diff(noise, axis=0)).mean()
    assert seam == pytest.approx(inner, rel=0.25)


def test_noise_is_longer_along_the_lines_from_the_nipple_than_across() -> None:
    away, across, up = np.meshgrid(np.arange(0, 80, 2.0), np.arange(-40, 40, 2.0), np.zeros(1), indexing="ij")
    noise = texture.lattice(np.random.default_rng(0), 1.0)
    field = texture.sample(noise, (away.ravel(), across.ravel(), up.ravel()), (11, 4)).reshape(away.shape[:2])
    assert np.abs(np.diff(field, axis=0)).mean() < 0.7 * np.abs(np.diff(field, axis=1)).mean()


def test_strands_start_together_at_the_nipple_and_spread() -> None:
    body = body_of(3)
    curves = texture.strands(np.random.default_rng(0), body, 0, count=10, forks=3, step=2.0, reach=(0.3, 0.8))
    spread = curves[..., [0, 2]].std(axis=0).sum(axis=-1)
    assert spread[0] < 4
    assert spread[-1] > 4 * spread[0]
    assert np.all(np.diff(curves[0, :, 1]) > 0)  # always backwards


def test_strands_do_not_depend_on_how_finely_they_are_drawn() -> None:
    body = body_of(3)
    coarse, fine = (
        texture.strands(np.random.default_rng(0), body, 0, count=6, forks=2, step=step, reach=(0.3, 0.8))
        for step in (4.0, 1.0)
    )
    np.testing.assert_allclose(coarse[:, -1], fine[:, -1], atol=1e-6)
    middle = coarse[:, coarse.shape[1] // 2]
    nearest = np.linalg.norm(fine - middle[:, None], axis=-1).min(axis=1)
    assert nearest.max() < 1.5


def test_veins_lie_near_the_surface() -> None:
    body = body_of(4)
    grid = box(2.0, x=(20, 150), y=(-220, -60), z=(-90, 90))
    depth, _ = skin_depth(body, breast_frame(body, grid), wall_depth(body, grid), grid)
    veins = texture.surface_vessels(np.random.default_rng(0), body, 1, count=8, step=1.0)
    filled = texture.tubes(veins, np.full((8, 1), 1.5), grid, np.random.default_rng(0))
    assert filled.sum() > 0
    assert np.average(depth, weights=filled) < 0.6 * depth[(depth > 0) & (grid.y < body.base(1))].max()


def test_tubes_outside_the_grid_are_not_drawn() -> None:
    grid = box(2.0, x=(0, 20), y=(0, 20), z=(0, 20))
    line = np.stack([np.linspace(100, 200, 50)] * 3, axis=-1)[None]
    assert texture.tubes(line, np.array([[2.0]]), grid, np.random.default_rng(0)).sum() == 0


# Protocols


@given(seed=SEEDS, posts=st.integers(1, 8), field=st.sampled_from([1.5, 3.0]), maker=st.sampled_from(["GE", "SIEMENS"]))
@settings(max_examples=40, deadline=None)
def test_protocols_are_possible(seed: int, posts: int, field: float, maker: str) -> None:
    protocol = draw_protocol(maker, field, posts, np.random.default_rng(seed))
    assert len(protocol.seconds) == posts + 1
    assert np.all(np.diff(protocol.seconds) > 60)
    assert 0 < protocol.arrival < protocol.seconds[1] - 60
    assert protocol.te_ms < protocol.tr_ms
    assert 0 < protocol.fat_left < 0.5


def test_makers_are_recognised_by_their_first_word() -> None:
    names = ["GE MEDICAL SYSTEMS", "SIEMENS", "Siemens Healthineers", "Philips"]
    flips = [draw_protocol(name, 1.5, 2, np.random.default_rng(0)).flip_deg for name in names]
    assert flips[1] == flips[2] != flips[0] == flips[3]


def test_grids_run_in_the_directions_they_state() -> None:
    body, protocol = body_of(1), draw_protocol("GE", 1.5, 2, np.random.default_rng(0))
    sagittal = native_grid("sagittal", (8, 32, 32), protocol, body, 1)
    axial = native_grid("axial", (8, 32, 32), protocol, body, 1)
    assert (sagittal.axes(), axial.axes()) == (("x", "z", "y"), ("z", "y", "x"))
    signs = [[int(np.sign(np.diff(grid.line(k))[0])) for k in range(3)] for grid in (sagittal, axial)]
    assert signs == [[-1, -1, 1], [1, 1, 1]]
    assert sagittal.line(0).min() > 0
    assert abs(axial.line(2).mean()) < 1e-3


# Movement


@given(shift=st.floats(-3, 3), slope=st.floats(-2, 2))
@settings(max_examples=30, deadline=None)
def test_moving_a_ramp_lowers_it_by_the_shift(shift: float, slope: float) -> None:
    ramp = np.broadcast_to((slope * np.arange(30)).astype(np.float32), (4, 4, 30)).copy()
    found = moved(ramp, (0.0, 0.0, shift))
    np.testing.assert_allclose(found[..., 6:-6], ramp[..., 6:-6] - slope * shift, atol=1e-4)


def test_not_moving_changes_nothing_and_a_flat_image_stays_flat() -> None:
    image = np.random.default_rng(0).standard_normal((3, 9, 9)).astype(np.float32)
    assert np.array_equal(moved(image, (0.0, 0.0, 0.0)), image)
    np.testing.assert_allclose(moved(np.ones((3, 9, 9), np.float32), (0.3, -1.7, 2.5)), 1, atol=1e-6)


# How it looks


def test_fat_is_suppressed_below_gland_and_more_so_away_from_the_fold() -> None:
    grid = box(4.0, x=(20, 140), y=(-200, -40), z=(-90, 90))
    scene = make_scene(make_patient(4, "PHAN-S3-0001", 0.1, None, 1), grid)
    left = amounts(scene, 0.2)["fat"]
    only_fat = left[(scene.skin > 6) & (scene.wall < -6) & (left > 0.1)]
    assert np.median(only_fat) == pytest.approx(0.2, rel=0.2)
    assert only_fat.max() <= 1.5


def test_blood_enhances_most_and_air_not_at_all() -> None:
    found = scan()
    before, after = (gaussian_filter(phase.values.astype(float), (0, 1, 1)) for phase in found.phases[:2])
    air, breast = slice(0, 4), found.breast & ~found.lesion
    assert after[:, :, air].mean() == pytest.approx(before[:, :, air].mean(), rel=0.1)
    heart = after[:, 32:, 44:].max() / before[:, 32:, 44:].max()
    assert heart > 1.6
    assert 1.0 < after[breast].mean() / before[breast].mean() < heart


def test_noise_in_air_is_rayleigh() -> None:
    found = scan(spec=Phantom(shape=[32, 64, 64], motion_mm=0))
    air = found.phases[0].values[:, 2:20, :4].astype(float)
    # Mean over SD of a Rayleigh distribution: sqrt(pi / (4 - pi)); rounding and faint ghosts blur it a little.
    assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.1)


def test_skin_is_a_bright_line_around_the_breast() -> None:
    found = scan(spec=Phantom(shape=[16, 128, 128], motion_mm=0))
    middle = found.phases[1].values[8].astype(float)
    rows = []
    for row in middle[30:100]:
        first = int(np.flatnonzero(row > 0.4 * np.median(middle[found.breast[8]]))[0])
        rows.append((row[first : first + 3].max(), np.median(row[first + 4 : first + 8])))
    skin, under = np.median(rows, axis=0)
    assert skin > 1.15 * under


@pytest.mark.parametrize("view", ["sagittal", "axial"])
def test_sizes_in_millimetres_do_not_depend_on_the_matrix(view: str) -> None:
    volumes = []
    for shape in ([8, 32, 32], [16, 64, 64], [24, 96, 96]):
        found = scan(view, spec=Phantom(shape=shape, motion_mm=0))
        volumes.append(found.breast.sum() * float(np.prod(found.spacing)))
    assert max(volumes) / min(volumes) < 1.12
    assert 1.5e5 < volumes[-1] < 4e6


def test_every_patient_is_somebody_else() -> None:
    projections = [scan(patient=f"PHAN-S1-{k:04d}").phases[1].values.mean(axis=0).ravel() for k in range(5)]
    alike = np.corrcoef(projections)[np.triu_indices(5, 1)]
    assert alike.max() < 0.97
    assert alike.min() > 0.3  # and yet all of them breasts


def test_shares_at_a_boundary_are_those_of_a_plane() -> None:
    depth = np.linspace(-3, 3, 601)
    share = inside(depth, 2.0)
    assert share[300] == pytest.approx(0.5)
    assert float(share.sum() * 0.01) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("maker", ["GE", "SIEMENS"])
@pytest.mark.parametrize("field", [1.5, 3.0])
def test_lesions_stand_out_after_contrast_on_every_scanner(maker: str, field: float) -> None:
    found = scan(manufacturer=maker, field_strength=field)
    around = found.breast & ~found.lesion
    contrasts = [
        phase.values[found.lesion].mean() / np.median(phase.values[around].astype(float)) for phase in found.phases
    ]
    assert contrasts[1] > 1.25 * contrasts[0]
    assert contrasts[1] > 1.5


def test_three_tesla_is_less_noisy() -> None:
    noises = []
    for field in (1.5, 3.0):
        draws = (draw_protocol("GE", field, 2, np.random.default_rng(k)).noise for k in range(40))
        noises.append(float(np.mean(list(draws))))
    assert noises[1] < 0.85 * noises[0]


@pytest.mark.parametrize("view", ["sagittal", "axial"])
def test_every_voxel_knows_its_place_in_the_patient(view: str) -> None:
    # Light up one voxel of the mask, walk to it with DICOM's equation, and find the breast there.
    found = scan(view)
    index = np.argwhere(found.breast)
    row, column = np.array(found.orientation[:3]), np.array(found.orientation[3:])
    places = np.array(found.origin) + index[:, :1] * np.array(found.slice_step)
    places = places + index[:, 1:2] * found.spacing[1] * column + index[:, 2:] * found.spacing[2] * row
    low, high = places.min(axis=0), places.max(axis=0)
    wide = high - low
    # One breast is about as wide as high; both together are as wide as the chest; the depth is the same.
    assert (wide[0] > 220) == (view == "axial")
    assert 60 < wide[1] < 190
    assert low[2] < high[2] - 60


def test_dense_breasts_keep_their_gland_off_the_skin_and_the_muscle() -> None:
    grid = box(3.0, x=(20, 140), y=(-200, -40), z=(-80, 80))
    scene = make_scene(make_patient(4, "PHAN-S3-0002", 0.85, None, 1), grid)
    gland = sum(share for name, share in tissue_shares(scene, 0.2) if name == "gland_active")
    assert gland[scene.wall > 0].max() == 0
    assert gland[np.abs(scene.skin) < 1].max() < 0.05
    assert gland.sum() > 100


def test_density_is_bounded_so_that_no_breast_is_all_gland_or_all_fat() -> None:
    assert make_patient(0, "A", -1.0, None, 0).density > 0
    assert make_patient(0, "A", 2.0, None, 0).density < 1


def test_random_parts_of_a_patient_do_not_disturb_each_other() -> None:
    person = make_patient(5, "PHAN-S1-0005", 0.3, LESION, 1)
    healthy = make_patient(5, "PHAN-S1-0005", 0.3, None, 1)
    assert person.body == healthy.body
    first, again = person.rng("gland", 1).standard_normal(4), healthy.rng("gland", 1).standard_normal(4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, person.rng("gland", 0).standard_normal(4))


def test_a_lesion_takes_the_place_of_other_tissue() -> None:
    grid = box(3.0, x=(20, 140), y=(-200, -40), z=(-80, 80))
    scenes = [make_scene(make_patient(5, "PHAN-S1-0005", 0.3, lesion, 1), grid) for lesion in (LESION, None)]
    shares = [amounts(scene, 1.0) for scene in scenes]
    where = scenes[0].tumour() > 0.99
    others = [sum(part for name, part in found.items() if not name.startswith("tumour")) for found in shares]
    assert where.sum() > 20
    assert others[0][where].max() < 0.15
    assert others[1][where].mean() > 0.8
    elsewhere = scenes[0].tumour() == 0
    same = shares[0]["skin"][elsewhere] - shares[1]["skin"][elsewhere]
    assert np.abs(same).max() < 1e-6


@pytest.mark.parametrize("shape", [[4, 16, 16], [6, 130, 130], [40, 20, 20]])
def test_odd_shapes_work(shape: list[int]) -> None:
    found = scan(spec=Phantom(shape=shape))
    assert found.phases[0].values.shape == tuple(shape)
    assert found.lesion.any()
    assert 0.03 < found.breast.mean() < 0.7
