"""Canonical orientation and the grid, against SciPy, SimpleITK and patient space itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from radgen_lib.imaging.resample import canonical, to_grid
from radgen_lib.imaging.volume import Volume

SPACING = (3.0, 0.9, 0.7)
# Directions of growing slice, row and column index in patient space (x left, y back, z up) that each view must have.
WANTED = {
    "sagittal": ((-1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}


def volume(values: np.ndarray, direction: np.ndarray | None = None) -> Volume:
    turn = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64)
    return Volume(values.astype(np.float32), SPACING, (11.0, -7.0, 3.0), turn)


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 100.0, size=shape).astype(np.float32)


def every_direction() -> list[np.ndarray]:
    """The 48 ways in which three array axes can lie along three patient axes."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[list(order), range(3)] = signs
            found.append(turn)
    return found


@pytest.mark.parametrize("direction", every_direction())
def test_canonical_has_the_directions_of_its_view(direction: np.ndarray) -> None:
    made = canonical(volume(noise((3, 4, 5)), direction))
    wanted = WANTED[made.view]
    for axis, along in enumerate(wanted):
        np.testing.assert_allclose(made.direction[:, 2 - axis], along, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(every_direction()), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.integers(0, 2**20))
def test_canonical_moves_no_voxel_in_the_patient(turn: np.ndarray, a: float, b: float, seed: int) -> None:
    tilt = sitk.Euler3DTransform((0, 0, 0), a, b, 0.1)
    source = volume(noise((3, 4, 5), seed), np.array(tilt.GetMatrix()).reshape(3, 3) @ turn)
    made = canonical(source)
    assert sorted(made.values.ravel()) == sorted(source.values.ravel())
    indices = np.array(list(np.ndindex(*made.values.shape)))
    back = np.rint(source.index(made.point(indices))).astype(int)
    np.testing.assert_allclose(source.point(back), made.point(indices), atol=1e-9)
    np.testing.assert_array_equal(source.values[tuple(back.T)], made.values[tuple(indices.T)])
    assert made.view == source.view
    np.testing.assert_allclose(np.linalg.norm(made.direction, axis=0), 1.0)


def test_canonical_twice_is_canonical_and_copies_nothing() -> None:
    source = volume(noise((3, 4, 5)), np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]]))
    once = canonical(source)
    twice = canonical(once)
    np.testing.assert_array_equal(once.values, twice.values)
    assert once.origin == twice.origin
    assert once.spacing == twice.spacing
    assert np.shares_memory(source.values, once.values)


def test_canonical_agrees_with_simpleitk_for_a_sagittal_volume() -> None:
    source = volume(noise((4, 6, 5)), np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0]]))
    turned = sitk.DICOMOrient(source.to_sitk(), "PIR")
    made = canonical(source)
    np.testing.assert_array_equal(made.values, sitk.GetArrayFromImage(turned))
    np.testing.assert_allclose(made.origin, turned.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(made.direction, np.reshape(turned.GetDirection(), (3, 3)), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(2, 12)] * 3), st.integers(0, 2**20),
    st.sampled_from(["plain", "flipped", "turned"]),
)  # fmt: skip
def test_grid_is_the_linear_zoom_of_scipy(old: tuple[int, ...], new: tuple[int, ...], seed: int, layout: str) -> None:
    values = noise((old[0], old[1], old[2]), seed)
    if layout == "flipped":
        values = values[::-1, :, ::-1]
    if layout == "turned":
        values = values.transpose(0, 2, 1)[:, ::-1]
    factors = [m / n for m, n in zip(new, values.shape, strict=True)]
    expected = ndimage.zoom(values.astype(np.float64), factors, order=1)
    assert expected.shape == new
    made = to_grid(volume(values), new)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, rtol=2e-6, atol=1e-3)


def one_axis(values: np.ndarray, count: int, axis: int) -> np.ndarray:
    """Linear interpolation in single precision along one axis, all at once: the formula itself."""
    place = np.linspace(0.0, values.shape[axis] - 1.0, count) if count > 1 else np.zeros(1)
    low = np.floor(place).astype(int)
    share = (place - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
    first, second = values.take(low, axis), values.take(np.minimum(low + 1, values.shape[axis] - 1), axis)
    return first + (second - first) * share


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 12)] * 3), st.integers(0, 2**20))
def test_grid_is_bit_for_bit_the_formula_axis_by_axis(
    old: tuple[int, int, int], new: tuple[int, int, int], seed: int
) -> None:
    """Slices, then rows, then columns; that all slices share their buffers changes nothing."""
    values = noise(old, seed)
    expected = values
    for axis, count in enumerate(new):
        expected = one_axis(expected, count, axis)
    np.testing.assert_array_equal(to_grid(volume(values), new), expected)


def test_grid_agrees_with_simpleitk_resampling() -> None:
    source = volume(noise((9, 20, 24)), np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]))
    image = source.to_sitk()
    shape = (5, 13, 31)
    pairs = zip(image.GetSize(), image.GetSpacing(), reversed(shape), strict=True)
    # The last centre is kept a hair inside, where SimpleITK does not call it outside.
    spacing = [(old - 1) * step / (new - 1) * (1 - 1e-7) for old, step, new in pairs]
    frame = (image.GetOrigin(), spacing, image.GetDirection(), 0.0, sitk.sitkFloat32)
    expected = sitk.Resample(image, list(reversed(shape)), sitk.Transform(), sitk.sitkLinear, *frame)
    np.testing.assert_allclose(to_grid(source, shape), sitk.GetArrayFromImage(expected), rtol=1e-4)


def test_the_same_grid_changes_nothing_and_input_stays_as_it_was() -> None:
    values = noise((5, 6, 7))
    before = values.copy()
    np.testing.assert_array_equal(to_grid(volume(values), (5, 6, 7)), values)
    to_grid(volume(values), (9, 3, 8))
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(to_grid(volume(values), (5, 6, 7), order="nearest"), values)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(1, 8)] * 3), st.tuples(*[st.integers(1, 10)] * 3), st.integers(0, 99))
def test_grids_stay_within_the_range_and_nearest_invents_no_value(
    old: tuple[int, int, int], new: tuple[int, int, int], seed: int
) -> None:
    values = noise(old, seed)
    made = to_grid(volume(values), new)
    assert made.shape == new
    assert made.min() >= values.min() * (1 - 1e-5)
    assert made.max() <= values.max() * (1 + 1e-5)
    assert set(to_grid(volume(values), new, order="nearest").ravel()) <= set(values.ravel())


def test_a_ramp_stays_a_ramp_from_corner_to_corner() -> None:
    z, y, x = np.meshgrid(np.arange(6.0), np.arange(11.0), np.arange(9.0), indexing="ij")
    made = to_grid(volume(100 * z + 10 * y + x), (4, 7, 5))
    z, y, x = np.meshgrid(np.linspace(0, 5, 4), np.linspace(0, 10, 7), np.linspace(0, 8, 5), indexing="ij")
    np.testing.assert_allclose(made, 100 * z + 10 * y + x, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4), (0, 4, 4), (2, 2, 2, 2)])
def test_impossible_grids_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="slices, rows and columns"):
        to_grid(volume(noise((3, 4, 5))), shape)
