"""Images of the phantom: anatomy, geometry, motion, what the lesion's row does to pixels, determinism."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_erosion, center_of_mass

from radgen_lib.core.config.phantom import Phantom
from radgen_lib.sources.phantom import texture
from radgen_lib.sources.phantom.acquisition import Acquisition, acquire, moved
from radgen_lib.sources.phantom.anatomy import make_patient, make_scene, tissue_shares
from radgen_lib.sources.phantom.grid import Grid, make_grid
from radgen_lib.sources.phantom.outline import draw_body
from radgen_lib.sources.phantom.tumour import draw_shape, lesion_centre, lesion_shares

SMALL = Phantom(shape=[8, 32, 32], motion_mm=0)
MIDDLE = Phantom(shape=[16, 64, 64], motion_mm=0)
VIEWS = ["sagittal", "axial"]


def patient_row(**changes: object) -> pd.Series:
    row = {"patient": "PHAN-S1-0007", "manufacturer": "GE MEDICAL SYSTEMS", "field_strength": 1.5, "view": "sagittal"}
    return pd.Series(row | {"n_posts": 3, "laterality": "L"} | changes)


def lesion_row(**changes: object) -> pd.Series:
    shape = {"present": True, "diameter_mm": 26.0, "irregularity": 0.2, "spiculation": 0.2, "rim": 0.1}
    flow = {"ktrans": 0.25, "kep": 0.7, "vp": 0.03, "density": 0.2, "bpe": 0.2}
    return pd.Series(shape | flow | {"x": 0.5, "y": 0.5, "z": 0.5} | changes)


def study(
    spec: Phantom = SMALL, *, number: int = 1, seed: int = 3, lesion: dict | None = None, **changes: object
) -> Acquisition:
    return acquire(patient_row(**changes), lesion_row(**(lesion or {})), spec, study=number, seed=seed)


def brightness(acquisition: Acquisition, where: np.ndarray) -> np.ndarray:
    """Mean of each phase over ``where``."""
    return np.array([phase.values[where].mean() for phase in acquisition.phases])


def cube(size: float, step: float) -> Grid:
    line = np.arange(-size, size + step / 2, step)
    return make_grid(("x", "z", "y"), (line, line, line))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("shape", [[8, 32, 32], [5, 40, 40], [16, 64, 64]])
def test_arrays_have_the_shape_and_type_asked_for(view: str, shape: list[int]) -> None:
    found = study(Phantom(shape=shape), view=view)
    assert [phase.label for phase in found.phases] == ["pre", "post1", "post2", "post3"]
    for phase in found.phases:
        assert (phase.values.shape, phase.values.dtype) == (tuple(shape), np.uint16)
        assert 50 < phase.values.max() <= 4095
    assert (found.lesion.shape, found.breast.shape) == (tuple(shape), tuple(shape))
    assert found.lesion.dtype == found.breast.dtype == bool


def test_post_phases_are_the_patients_but_no_more_than_the_configuration_has() -> None:
    assert len(study(Phantom(shape=[8, 32, 32], post_phases=2)).phases) == 3
    assert len(study(n_posts=1).phases) == 2


def test_times_are_those_of_a_dynamic_series() -> None:
    seconds = [phase.seconds for phase in study(n_posts=4).phases]
    assert seconds[0] == 0
    assert np.all(np.abs(np.diff(seconds[1:]) - 131) < 15)
    assert seconds[1] > 100


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("manufacturer", ["GE MEDICAL SYSTEMS", "SIEMENS"])
def test_geometry_is_right_handed_and_in_millimetres(view: str, manufacturer: str) -> None:
    found = study(view=view, manufacturer=manufacturer)
    along_row, along_column = np.array(found.orientation[:3]), np.array(found.orientation[3:])
    step = np.array(found.slice_step)
    normal = np.cross(along_row, along_column)
    assert normal @ step == pytest.approx(found.spacing[0], rel=1e-4)
    assert np.linalg.norm(step) == pytest.approx(found.spacing[0], rel=1e-4)
    field = found.spacing[1] * 32, found.spacing[2] * 32
    assert field[0] == pytest.approx(field[1])
    assert (180 <= field[0] <= 205) if view == "sagittal" else (330 <= field[0] <= 360)
    assert 60 <= found.spacing[0] * 8 <= 160


def test_the_two_views_put_the_same_point_at_the_same_place() -> None:
    # The lesion's centre in the patient's system must not depend on how the slices run.
    places = []
    for view in VIEWS:
        found = study(MIDDLE, view=view, lesion={"x": 0.8, "z": 0.7, "spiculation": 0.0})
        index = np.array(center_of_mass(found.lesion))
        place = np.array(found.origin) + index[0] * np.array(found.slice_step)
        place = place + index[2] * found.spacing[2] * np.array(found.orientation[:3])
        places.append(place + index[1] * found.spacing[1] * np.array(found.orientation[3:]))
    np.testing.assert_allclose(places[0], places[1], atol=5.0)


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("view", VIEWS)
def test_the_lesion_is_on_the_patients_side(side: str, view: str) -> None:
    found = study(view=view, laterality=side)
    index = np.array(center_of_mass(found.lesion))
    if view == "axial":  # columns run to the patient's left
        assert (index[2] > 16) == (side == "L")
    else:
        x = found.origin[0] + index[0] * found.slice_step[0]
        assert (x > 0) == (side == "L")


def test_sagittal_slices_show_the_nipple_left_and_the_chest_right() -> None:
    found = study(MIDDLE)
    columns = np.flatnonzero(found.breast.any(axis=(0, 1)))
    assert 3 < columns[0] < 16
    assert 30 < columns[-1] < 56
    air = found.phases[0].values[:, :, :4]
    assert np.median(air) < 0.25 * np.median(found.phases[0].values[found.breast])


def test_axial_slices_show_two_breasts_in_front() -> None:
    found = study(MIDDLE, view="axial")
    rows = np.flatnonzero(found.breast.any(axis=(0, 2)))
    assert 2 < rows[0] < 14
    assert rows[-1] < 40
    left, right = found.breast[:, :, :32].sum(), found.breast[:, :, 32:].sum()
    assert 0.6 < left / right < 1.6


@pytest.mark.parametrize("corner", [(0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 1)])
@pytest.mark.parametrize("diameter", [5.0, 20.0, 45.0])
def test_the_lesion_lies_in_the_breast_wherever_it_is_put(corner: tuple[int, int, int], diameter: float) -> None:
    x, y, z = corner
    found = study(lesion={"x": x, "y": y, "z": z, "diameter_mm": diameter})
    assert found.lesion.any()
    assert np.all(found.breast[found.lesion])


def test_no_lesion_is_an_empty_mask() -> None:
    found = study(lesion={"present": False})
    assert not found.lesion.any()
    assert "ktrans" not in found.kinetics
    assert study().kinetics["ktrans"] == 0.25


@pytest.mark.parametrize("irregularity, spiculation", [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)])
@pytest.mark.parametrize("diameter", [8.0, 24.0])
def test_volume_is_that_of_a_ball_of_the_diameter(irregularity: float, spiculation: float, diameter: float) -> None:
    lesion = lesion_row(diameter_mm=diameter, irregularity=irregularity, spiculation=spiculation)
    grid = cube(60, 3.0)
    shares = lesion_shares(draw_shape(lesion, np.random.default_rng(4)), (1.3, -2.0, 0.4), grid)
    volume = float((shares.edge + shares.core).sum()) * np.prod(grid.steps)
    assert volume == pytest.approx(np.pi / 6 * diameter**3, rel=0.06)


def test_spicules_and_lobes_add_surface() -> None:
    grid = cube(40, 1.5)
    surfaces = []
    for irregularity, spiculation in ((0.0, 0.0), (0.6, 0.0), (0.6, 1.0)):
        row = lesion_row(irregularity=irregularity, spiculation=spiculation)
        shares = lesion_shares(draw_shape(row, np.random.default_rng(1)), (0.0, 0.0, 0.0), grid)
        mask = (shares.edge + shares.core) > 0.5
        surfaces.append(int((mask & ~binary_erosion(mask)).sum()))
    assert surfaces[0] < surfaces[1] < surfaces[2]


def test_masked_volume_grows_with_the_diameter() -> None:
    volumes = [int(study(MIDDLE, lesion={"diameter_mm": d}).lesion.sum()) for d in (8.0, 16.0, 24.0, 36.0)]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 20 * volumes[0]


def test_rim_makes_the_centre_darker_than_the_edge() -> None:
    contrasts = []
    for rim in (0.0, 0.5, 1.0):
        found = study(MIDDLE, lesion={"rim": rim, "diameter_mm": 36.0, "irregularity": 0.0, "spiculation": 0.0})
        core = binary_erosion(found.lesion, iterations=2)
        edge = found.lesion & ~binary_erosion(found.lesion)
        late = found.phases[1].values
        contrasts.append(late[edge].mean() / late[core].mean())
    assert contrasts[0] < contrasts[1] < contrasts[2]
    assert contrasts[2] > 1.3


def test_enhancement_grows_with_ktrans_and_washout_with_kep() -> None:
    gains, lates = [], []
    for ktrans in (0.05, 0.2, 0.5):
        found = study(MIDDLE, lesion={"ktrans": ktrans, "kep": 0.8})
        curve = brightness(found, found.lesion)
        gains.append(curve[1] / curve[0])
    for kep in (0.15, 0.6, 1.6):
        found = study(MIDDLE, n_posts=4, lesion={"kep": kep, "ktrans": 0.12})
        curve = brightness(found, found.lesion)
        lates.append(curve[-1] / curve[1])
    assert 1.05 < gains[0] < gains[1] < gains[2]
    assert lates[0] > lates[1] > lates[2]
    assert lates[0] > 1.0 > lates[2]


def test_background_enhancement_and_density_reach_the_pixels() -> None:
    quiet, lively = (study(MIDDLE, lesion={"bpe": bpe, "density": 0.5, "present": False}) for bpe in (0.0, 1.0))
    gains = [(lambda curve: curve[-1] / curve[0])(brightness(found, found.breast)) for found in (quiet, lively)]
    assert gains[1] > gains[0] + 0.1
    shares = []
    for density in (0.1, 0.3, 0.6):
        grid = make_grid(
            ("x", "z", "y"), (np.linspace(130, 30, 8), np.linspace(90, -90, 60), np.linspace(-200, -20, 60))
        )
        scene = make_scene(make_patient(3, "PHAN-S1-0001", density, None, 1), grid)
        gland = sum(share for name, share in tissue_shares(scene, 0.2) if name.startswith("gland"))
        shares.append(float((gland * scene.breast()).sum() / scene.breast().sum()))
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize("view", VIEWS)
def test_tissues_fill_the_body_once(view: str) -> None:
    lines = {"x": np.linspace(-150, 150, 50), "y": np.linspace(-200, 90, 50), "z": np.linspace(-70, 70, 12)}
    axes = ("z", "y", "x") if view == "axial" else ("x", "z", "y")
    grid = make_grid(axes, (lines[axes[0]], lines[axes[1]], lines[axes[2]]))
    scene = make_scene(make_patient(3, "PHAN-S1-0001", 0.3, lesion_row(), 1), grid)
    total = np.zeros(grid.shape)
    for _, share in tissue_shares(scene, 1.0):
        assert share.min() >= -1e-4
        total += share
    deep, far = scene.skin > 8, scene.skin < -8
    assert np.abs(total[far]).max() < 1e-5
    # Textures of some tens of per cent ride on shares that add up to one.
    assert np.median(total[deep]) == pytest.approx(1, abs=0.1)
    assert total.max() < 2


def test_motion_is_bounded_known_and_in_the_pixels() -> None:
    still = study(Phantom(shape=[16, 64, 64], motion_mm=0))
    assert {phase.shift_mm for phase in still.phases} == {(0.0, 0.0, 0.0)}
    found = study(Phantom(shape=[16, 64, 64], motion_mm=8), n_posts=4)
    assert found.phases[0].shift_mm == (0.0, 0.0, 0.0)
    sizes = [float(np.linalg.norm(phase.shift_mm)) for phase in found.phases[1:]]
    assert 2 < max(sizes) <= 8.01
    for phase in found.phases[1:]:
        back = tuple(-mm / step for mm, step in zip(phase.shift_mm, found.spacing, strict=True))
        # Skin and air do not enhance much: shifting back must bring the breast's outline onto the first phase.
        first = found.phases[0].values.astype(np.float32)
        later = phase.values.astype(np.float32)
        worse = np.corrcoef(np.log1p(first).ravel(), np.log1p(later).ravel())[0, 1]
        better = np.corrcoef(np.log1p(first).ravel(), np.log1p(moved(later, back).clip(0)).ravel())[0, 1]
        assert better > worse


@pytest.mark.parametrize("shift", [(1.0, 0.0, -2.0), (0.4, -1.3, 0.0)])
def test_moving_displaces_towards_larger_indices(shift: tuple[float, float, float]) -> None:
    z, y, x = np.meshgrid(*[np.arange(24.0)] * 3, indexing="ij")

    def blob(dz: float, dy: float, dx: float) -> np.ndarray:
        return np.exp(-((z - 12 - dz) ** 2 + (y - 12 - dy) ** 2 + (x - 12 - dx) ** 2) / 18).astype(np.float32)

    np.testing.assert_allclose(moved(blob(0, 0, 0), shift), blob(*shift), atol=6e-3)


def test_the_same_names_give_the_same_bytes_and_others_do_not() -> None:
    first, again = study(MIDDLE), study(MIDDLE)
    for one, two in zip(first.phases, again.phases, strict=True):
        assert one.values.tobytes() == two.values.tobytes()
    assert first.origin == again.origin
    for other in (study(MIDDLE, number=2), study(MIDDLE, seed=4), study(MIDDLE, patient="PHAN-S1-0008")):
        assert not np.array_equal(other.phases[0].values, first.phases[0].values)


def test_a_second_study_shows_the_same_breast() -> None:
    first, second = study(MIDDLE), study(MIDDLE, number=2)
    assert np.array_equal(first.breast, second.breast)
    assert first.origin != second.origin
    same = np.corrcoef(first.phases[0].values.ravel(), second.phases[0].values.ravel())[0, 1]
    stranger = study(MIDDLE, patient="PHAN-S1-0099").phases[0].values.ravel()
    assert same > 0.9 > np.corrcoef(first.phases[0].values.ravel(), stranger)[0, 1]


def test_vendors_differ_in_spacing_sequence_and_scale() -> None:
    ge, siemens = study(), study(manufacturer="SIEMENS", field_strength=3.0)
    assert ge.spacing != siemens.spacing
    assert (ge.tr_ms, ge.flip_deg) != (siemens.tr_ms, siemens.flip_deg)
    assert np.median(ge.phases[0].values[ge.breast]) > 1.3 * np.median(siemens.phases[0].values[siemens.breast])


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(ValueError, match="'coronal'"):
        study(view="coronal")


def test_curves_stay_in_the_breast_and_tubes_keep_their_volume() -> None:
    body = draw_body(np.random.default_rng(8))
    curves = texture.strands(np.random.default_rng(1), body, 1, count=5, forks=2, step=1.0, reach=(0.2, 0.6))
    assert curves.shape[0] == 10
    assert np.all(curves[..., 1] < body.base(1))
    assert np.all(np.abs(curves[..., 0] - body.centre[1]) < 1.4 * body.radius[1])
    straight = np.stack([np.zeros(61), np.linspace(-30, 30, 61), np.zeros(61)], axis=-1)[None]
    for step in (2.5, 5.0):
        grid = cube(45, step)
        filled = texture.tubes(straight, np.array([[1.6]]), grid, np.random.default_rng(0))
        assert float(filled.sum()) * step**3 == pytest.approx(np.pi / 4 * 1.6**2 * 60, rel=0.02)


def test_the_lesions_box_runs_left_back_and_up() -> None:
    body = draw_body(np.random.default_rng(8))
    middle = lesion_centre(body, 0, lesion_row())
    for axis, name in enumerate("xyz"):
        low, high = (lesion_centre(body, 0, lesion_row(**{name: v}))[axis] for v in (0.2, 0.8))
        assert low < middle[axis] < high


@pytest.mark.parametrize("view", VIEWS)
def test_the_recorded_shift_is_the_one_that_undoes_the_motion(view: str) -> None:
    found = study(Phantom(shape=[16, 64, 64], motion_mm=10), view=view, seed=6, field_strength=3.0)
    # Among phases after contrast little but the position changes: the last is moved onto the first of them.
    first, last = found.phases[1], found.phases[-1]
    way = np.subtract(last.shift_mm, first.shift_mm) / np.array(found.spacing)
    parts = np.linspace(-1, 3, 17)
    alike = []
    for part in parts:
        z, y, x = (float(step) for step in -part * way)
        back = moved(last.values.astype(np.float32), (z, y, x))
        alike.append(np.corrcoef(np.sqrt(back.clip(0)).ravel(), np.sqrt(first.values).ravel())[0, 1])
    assert np.linalg.norm(way * np.array(found.spacing)) > 1.5
    assert parts[int(np.argmax(alike))] == pytest.approx(1, abs=0.3)


def test_phases_share_one_scale() -> None:
    # Fat does not enhance, so that what is stored for it must not change from phase to phase.
    found = study(MIDDLE, lesion={"density": 0.05, "bpe": 0.0, "present": False})
    fat = binary_erosion(found.breast, iterations=3)
    medians = [float(np.median(phase.values[fat])) for phase in found.phases]
    assert max(medians) / min(medians) < 1.12


def test_what_the_images_were_made_with_is_kept() -> None:
    found = study(lesion={"ktrans": 0.31, "kep": 0.9, "vp": 0.02, "bpe": 0.45})
    assert {name: found.kinetics[name] for name in ("ktrans", "kep", "vp", "background")} == {
        "ktrans": 0.31,
        "kep": 0.9,
        "vp": 0.02,
        "background": 0.45,
    }
    assert 0 < found.kinetics["arrival_seconds"] < found.phases[1].seconds
    assert 0 < found.te_ms < found.tr_ms < 20
    assert found.flip_deg in (10, 12)


@pytest.mark.parametrize("missing", ["manufacturer", "laterality", "n_posts"])
def test_a_row_without_a_column_says_which(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        acquire(patient_row().drop(missing), lesion_row(), SMALL, study=1, seed=0)


@pytest.mark.parametrize("seed", range(6))
def test_first_and_last_slices_belong_to_the_breast_box_in_any_patient(seed: int) -> None:
    found = study(MIDDLE, seed=seed, manufacturer="SIEMENS" if seed % 2 else "GE")
    per_slice = found.breast.sum(axis=(1, 2))
    assert per_slice[4:12].min() > 100
    assert per_slice[8] > 1.2 * min(per_slice[0], per_slice[-1])
    assert found.lesion.any()
    assert np.all(found.breast[found.lesion])
