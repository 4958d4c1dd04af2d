"""Order and evenness of image planes: exact cases and any turned, shuffled, gapped stack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.imaging.dicom.geometry import axes_of, group_places, missing_slices, stack_planes
from radgen_lib.imaging.volume import VolumeFault
from tests.unit.imaging.dicom_images import AXIAL, CORONAL, SAGITTAL, oblique

turned = st.builds(oblique, st.floats(-3, 3), st.floats(-1.5, 1.5))


def planes(orientation: tuple[float, ...], depths: list[float], shear: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Orientations [n, 6] and positions [n, 3] of planes at depths along the normal, shifted by ``shear`` x depth."""
    normal, down = np.cross(orientation[:3], orientation[3:]), np.array(orientation[3:])
    places = np.array([[12.5, -80.0, 33.25] + depth * (normal + shear * down) for depth in depths])
    return np.tile(orientation, (len(depths), 1)), places


def test_axes_of_the_three_planes() -> None:
    """The normal of a sagittal plane with columns to the back and rows to the feet is the patient's right."""
    np.testing.assert_array_equal(axes_of(np.array(SAGITTAL))[:, 2], [-1, 0, 0])
    np.testing.assert_array_equal(axes_of(np.array(AXIAL))[:, 2], [0, 0, 1])
    np.testing.assert_array_equal(axes_of(np.array(CORONAL))[:, 2], [0, 1, 0])


@given(turned)
def test_axes_are_a_right_handed_rotation(orientation: tuple[float, ...]) -> None:
    axes = axes_of(np.array(orientation))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    np.testing.assert_allclose(axes[:, :2].T.ravel(), orientation, atol=1e-6)


@pytest.mark.parametrize("bad", [(1, 0, 0, 1, 0, 0), (2, 0, 0, 0, 1, 0), (0, 0, 0, 0, 1, 0), (np.nan, 0, 0, 0, 1, 0)])
def test_directions_that_are_none_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(VolumeFault, match="right angles"):
        axes_of(np.array(bad))


@settings(max_examples=40, deadline=None)
@given(turned, st.permutations(range(7)), st.floats(0.4, 8.0))
def test_planes_are_ordered_along_their_normal(orientation: tuple[float, ...], order: list[int], step: float) -> None:
    orientations, places = planes(orientation, [step * k for k in range(7)])
    stack = stack_planes(orientations[order], places[order])
    assert [order[group[0]] for group in stack.order] == list(range(7))
    assert stack.step == pytest.approx(step, rel=1e-6)
    np.testing.assert_allclose(stack.origin, places[0], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(turned, st.sets(st.integers(1, 10), min_size=1, max_size=4), st.floats(0.5, 5.0))
def test_missing_slices_are_counted_wherever_they_lack(
    orientation: tuple[float, ...], lost: set[int], step: float
) -> None:
    kept = [k for k in range(12) if k not in lost]
    with pytest.raises(VolumeFault, match=f"missing slices: {len(lost)} of 12 lack"):
        stack_planes(*planes(orientation, [step * k for k in kept]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-0.004, 0.004), min_size=12, max_size=12))
def test_rounding_of_positions_does_not_matter(noise: list[float]) -> None:
    stack = stack_planes(*planes(SAGITTAL, [2.2 * k + error for k, error in enumerate(noise)]))
    assert stack.step == pytest.approx(2.2, abs=1e-3)


@pytest.mark.parametrize(
    ("steps", "lacking"),
    [([3, 3, 3], 0), ([3, 6, 3], 1), ([3, 9, 6], 3), ([3, 4.2, 3], -1), ([3, 3, 0], -1), ([2, 3, 2], -1)],
)
def test_number_of_missing_slices(steps: list[float], lacking: int) -> None:
    assert missing_slices(np.array(steps, dtype=float)) == lacking


def test_uneven_tilted_and_shifted_stacks() -> None:
    with pytest.raises(VolumeFault, match=r"uneven spacing: steps of 2 to 3.1 mm"):
        stack_planes(*planes(SAGITTAL, [0, 2, 4, 7.1, 9.1]))
    with pytest.raises(VolumeFault, match=r"gantry tilt.* 12.0 degrees"):
        stack_planes(*planes(AXIAL, [0, 3, 6, 9], shear=float(np.tan(np.radians(12)))))
    orientations, places = planes(AXIAL, [0, 3, 6, 9])
    places[2, 0] += 5
    with pytest.raises(VolumeFault, match="shifted against each other"):
        stack_planes(orientations, places)
    places[2] = places[1] + [5, 0, 0]
    with pytest.raises(VolumeFault, match="one depth"):
        stack_planes(orientations, places)
    assert stack_planes(*planes(AXIAL, [0, 3, 6, 9], shear=float(np.tan(np.radians(0.1))))).step == pytest.approx(3)


def test_one_place_and_several_orientations_are_no_stack() -> None:
    with pytest.raises(VolumeFault, match="one slice only"):
        stack_planes(*planes(AXIAL, [4, 4, 4]))
    orientations, places = planes(AXIAL, [0, 3, 6])
    orientations[1] = CORONAL
    with pytest.raises(VolumeFault, match="several orientations"):
        stack_planes(orientations, places)


def test_equal_places_are_grouped_in_any_order() -> None:
    _, places = planes(oblique(), [6, 0, 3, 0, 6.0001, 3])
    assert group_places(places, axes_of(np.array(oblique()))) == ((1, 3), (2, 5), (0, 4))
