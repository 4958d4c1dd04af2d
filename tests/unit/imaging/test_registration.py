"""Registration and bias correction on digital breasts with known motion and known coil fields."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from radgen_lib.imaging.bias import bias_field
from radgen_lib.imaging.masks import onto
from radgen_lib.imaging.registration import Registered, register, registered
from radgen_lib.imaging.registration_search import Pair
from radgen_lib.imaging.volume import Volume, VolumeFault

SHAPE, SPACING = (12, 48, 48), (6.0, 3.0, 3.0)
SIZE = np.array(SHAPE) * SPACING
# Sagittal, as scanners deliver it: columns run back, rows down, slices to the left.
DIRECTION = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def breast(
    shift: tuple[float, float, float] = (0, 0, 0), *, contrast: float = 0.0, bend: float = 0.0, noise: int = 1
) -> Volume:
    """Breast with texture moved by ``shift`` (z, y, x; mm); ``contrast`` enhances a lesion and some of the tissue."""
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(30, 70, 70)), 2.5)
    z, y, x = np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)], indexing="ij")
    z, y, x = z - shift[0], y - shift[1], x - shift[2]
    x = x - bend * np.sin(y / 25)
    middle = SIZE / 2
    radius = np.sqrt(sum(((a - m) / (0.42 * n)) ** 2 for a, m, n in zip((z, y, x), middle, SIZE, strict=True)))
    inside = 1 / (1 + np.exp((radius - 1) * 15))
    grain = ndimage.map_coordinates(
        texture / texture.std(), [z / 3 + 3, y / 2.5 + 5, x / 2.5 + 5], order=1, mode="nearest"
    )
    lesion = np.exp(-sum(((a - m) / 10) ** 2 for a, m in zip((z, y, x), middle, strict=True)))
    signal = inside * (300 + 80 * np.tanh(1.5 * grain)) + contrast * (400 * lesion + 60 * inside * (grain > 0))
    rng = np.random.default_rng(noise)
    values = np.hypot(signal + rng.normal(0, 8, SHAPE), rng.normal(0, 8, SHAPE))
    return Volume(values.astype(np.float32), SPACING, (40.0, -90.0, 120.0), DIRECTION)


@pytest.fixture(scope="module")
def moved() -> Registered:
    return registered(breast((2.0, 3.0, -2.0), contrast=1.0, noise=2), breast(), "rigid")


def test_a_known_shift_is_found_under_contrast_agent(moved: Registered) -> None:
    true = float(np.linalg.norm([2.0, 3.0, -2.0]))
    assert moved.before_mm == pytest.approx(true, abs=0.35)
    assert moved.after_mm < 0.35


def test_the_transform_moves_places_as_the_patient_moved(moved: Registered) -> None:
    """Slices go left, rows down, columns back, so (2, 3, -2) mm along (z, y, x) is (2, -2, -3) in (x, y, z)."""
    assert moved.transform is not None
    place = breast().point(np.array([5.5, 23.5, 23.5]))
    np.testing.assert_allclose(np.array(moved.transform.TransformPoint(place)) - place, [2.0, -2.0, -3.0], atol=0.35)


def test_registered_images_show_what_an_unmoved_patient_would(moved: Registered) -> None:
    still = breast(contrast=1.0, noise=2).values
    inner = (slice(2, -2), slice(6, -6), slice(6, -6))
    after = np.abs(moved.volume.values - still)[inner].mean()
    before = np.abs(breast((2.0, 3.0, -2.0), contrast=1.0, noise=2).values - still)[inner].mean()
    assert after < 0.5 * before
    assert moved.volume.origin == breast().origin


def test_masks_move_with_the_image_that_they_were_drawn_on(moved: Registered) -> None:
    def lesion(shift: tuple[float, float, float]) -> Volume:
        offset = [m + s for m, s in zip(SIZE / 2, shift, strict=True)]
        grids = np.meshgrid(*[np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)], indexing="ij")
        inside = sum((a - m) ** 2 for a, m in zip(grids, offset, strict=True)) < 14**2
        return dataclasses.replace(breast(), values=inside.astype(np.float32))

    drawn, wanted = lesion((2.0, 3.0, -2.0)), lesion((0, 0, 0))
    carried = onto(drawn, breast(), moved.transform)

    def dice(one: Volume) -> float:
        return float(2 * (one.values * wanted.values).sum() / (one.values.sum() + wanted.values.sum()))

    assert dice(carried) > dice(drawn) + 0.08


def test_the_same_call_gives_the_same_bytes(moved: Registered) -> None:
    again = register(breast((2.0, 3.0, -2.0), contrast=1.0, noise=2), breast(), "rigid")
    assert (again[1], again[2]) == (moved.before_mm, moved.after_mm)
    assert again[0].values.tobytes() == moved.volume.values.tobytes()


def test_an_unmoved_patient_is_left_alone_up_to_a_fraction_of_a_voxel() -> None:
    result, before, after = register(breast(contrast=1.0, noise=3), breast(), "rigid")
    assert before < 0.3
    assert after < 0.3
    inner = (slice(2, -2), slice(6, -6), slice(6, -6))
    assert np.abs(result.values - breast(contrast=1.0, noise=3).values)[inner].mean() < 12


def test_a_bent_breast_needs_the_spline() -> None:
    fixed, moving, still = breast(), breast(bend=5.0, noise=4), breast(noise=4)
    inner = (slice(2, -2), slice(6, -6), slice(6, -6))
    errors = {
        how: float(np.abs(register(moving, fixed, how)[0].values - still.values)[inner].mean())
        for how in ("none", "rigid", "bspline")
    }
    assert errors["bspline"] < 0.8 * errors["rigid"]
    assert errors["rigid"] < errors["none"]


def test_none_measures_motion_and_only_brings_to_the_grid() -> None:
    moving = breast((0.0, 4.0, 0.0), noise=5)
    result, before, after = register(moving, breast(), "none")
    assert before == after == pytest.approx(4.0, abs=0.35)
    np.testing.assert_allclose(result.values, moving.values, rtol=1e-4)


def test_another_grid_is_brought_to_the_fixed_one() -> None:
    fixed = breast()
    image = breast((0.0, 3.0, 0.0), noise=6).to_sitk()
    coarse = sitk.Shrink(image, [2, 1, 1])
    values = sitk.GetArrayFromImage(coarse)
    x, y, z = coarse.GetSpacing()
    moving = Volume(values, (z, y, x), coarse.GetOrigin(), np.array(coarse.GetDirection()).reshape(3, 3))
    result, before, _ = register(moving, fixed, "rigid")
    assert result.values.shape == fixed.values.shape
    assert before == pytest.approx(3.0, abs=0.5)


def test_empty_images_and_other_words() -> None:
    empty = dataclasses.replace(breast(), values=np.zeros(SHAPE, dtype=np.float32))
    result, before, after = register(empty, breast(), "bspline")
    assert np.isnan([before, after]).all(), "there is nothing to measure"
    assert not result.values.any()
    assert registered(empty, breast(), "rigid").outcome == "none: one of the images has a single value"
    with pytest.raises(ValueError, match="none, rigid and bspline"):
        register(breast(), breast(), "affine")  # type: ignore[arg-type]


def test_images_that_do_not_overlap_are_a_fault_of_the_phase() -> None:
    away = dataclasses.replace(breast(), origin=(4000.0, 4000.0, 4000.0))
    with pytest.raises(VolumeFault, match="do not overlap"):
        register(away, breast(), "rigid")


def noise(seed: int) -> Volume:
    values = np.random.default_rng(seed).normal(100, 10, SHAPE).astype(np.float32)
    return dataclasses.replace(breast(), values=values)


UNTOLD = "it does not raise mutual information"


def test_what_was_done_is_told(moved: Registered) -> None:
    assert moved.outcome == "shift", "a rigid transform, but no angle is told from none"
    still = registered(breast(), breast(), "rigid")
    assert still.outcome.startswith("none: shift dropped, ") and still.transform is None
    assert registered(breast(noise=5), breast(), "none").outcome == "none"


def test_a_registration_that_does_not_help_is_dropped_and_told() -> None:
    """Noise shares nothing with a breast: wherever the search ends, nothing is won."""
    found = registered(noise(1), breast(), "rigid")
    assert found.outcome == f"none: shift dropped, {UNTOLD}; rigid dropped, {UNTOLD}"
    assert found.transform is None and found.before_mm == found.after_mm > 0
    np.testing.assert_allclose(found.volume.values, noise(1).values, rtol=1e-5)
    assert registered(noise(0), breast(), "bspline").outcome.startswith("none: "), "nor is a spline told from chance"


def test_angles_are_found_where_there_are_some() -> None:
    turn = sitk.Euler3DTransform(breast().point((SIZE / 2 / SPACING) - 0.5), 0.12, 0.0, 0.0, (1.0, -2.0, 0.0))
    image = sitk.Resample(breast(contrast=1.0, noise=2).to_sitk(), turn.GetInverse())
    found = registered(dataclasses.replace(breast(), values=sitk.GetArrayFromImage(image)), breast(), "rigid")
    assert found.outcome == "rigid" and found.transform is not None
    places = [breast().point(np.array(place)) for place in itertools.product((2, 5, 8), (12, 24, 36), (12, 24, 36))]
    errors = [np.subtract(found.transform.TransformPoint(one), turn.TransformPoint(one)) for one in places]
    assert np.sqrt(np.mean(np.sum(np.square(errors), axis=1))) < 0.6


def fails(*args: object) -> None:
    raise RuntimeError("All samples map outside moving image buffer")


def test_a_search_that_fails_keeps_what_there_is_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    moving = breast((2.0, 3.0, -2.0), contrast=1.0, noise=2)
    with monkeypatch.context() as patch:
        patch.setattr(Pair, "_spline", fails)
        rigid = registered(moving, breast(), "bspline")
    assert rigid.outcome.startswith("shift: ") and rigid.after_mm < 0.35
    assert rigid.outcome.endswith("bspline failed, its search found no end")
    monkeypatch.setattr(Pair, "_descend", fails)
    nothing = registered(moving, breast(), "bspline")
    assert nothing.outcome == "none: shift failed, its search found no end"
    assert nothing.transform is None and np.isnan([nothing.before_mm, nothing.after_mm]).all()
    np.testing.assert_allclose(nothing.volume.values, moving.values, rtol=1e-5)


def test_a_place_that_a_search_ends_at_may_be_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    away = sitk.TranslationTransform(3, (5000.0, 0.0, 0.0))
    monkeypatch.setattr(Pair, "search", lambda *args: away)
    found = registered(breast(noise=2), breast(), "rigid")
    assert found.outcome.startswith("none: shift dropped") and found.transform is None


def coil() -> np.ndarray:
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    return np.exp(-0.7 * x + 0.4 * y * y - 0.2 * z).astype(np.float32)


def smooth_breast() -> Volume:
    inside = breast().values > 150
    return dataclasses.replace(
        breast(), values=np.where(inside, 300.0, 8.0).astype(np.float32) + breast().values * 0.05
    )


@pytest.mark.parametrize("shrink", [2, 4])
def test_n4_finds_a_known_coil_field(shrink: int) -> None:
    source = smooth_breast()
    shaded = dataclasses.replace(source, values=source.values * coil())
    field = bias_field(shaded, shrink=shrink)
    assert field.dtype == np.float32
    assert field.min() > 0
    inside = source.values > 200
    assert np.corrcoef(np.log(field[inside]), np.log(coil()[inside]))[0, 1] > 0.95

    def spread(values: np.ndarray) -> float:
        return float(values[inside].std() / values[inside].mean())

    assert spread(shaded.values / field) < 0.4 * spread(shaded.values)


def test_n4_leaves_an_even_image_nearly_as_it_is_and_is_the_same_each_time() -> None:
    source = smooth_breast()
    field = bias_field(source)
    inside = source.values > 200
    assert np.ptp(np.log(field[inside])) < 0.15
    assert bias_field(source).tobytes() == field.tobytes()


def test_n4_of_nothing_is_nothing_and_shrink_must_be_positive() -> None:
    flat = dataclasses.replace(breast(), values=np.full(SHAPE, 5.0, dtype=np.float32))
    assert (bias_field(flat) == 1).all()
    speck = dataclasses.replace(flat, values=np.zeros(SHAPE, dtype=np.float32))
    speck.values[0, 0, 0] = 9
    assert (bias_field(speck) == 1).all()
    with pytest.raises(ValueError, match="must be 1 or more"):
        bias_field(flat, shrink=0)
