"""Volumes: their coordinates against SimpleITK, their view, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.imaging.dicom.geometry import axes_of
from radgen_lib.imaging.volume import Volume, view_of
from tests.unit.imaging.dicom_images import AXIAL, CORONAL, SAGITTAL, oblique


def volume_of(orientation: tuple[float, ...], spacing: tuple[float, float, float] = (3.0, 0.9, 0.8)) -> Volume:
    values = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    return Volume(values, spacing, (-10.5, 20.25, 3.0), axes_of(np.array(orientation)))


@settings(max_examples=30, deadline=None)
@given(
    angle=st.floats(-3, 3),
    tilt=st.floats(-1.5, 1.5),
    spacing=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    index=st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5)),
)
def test_points_are_those_of_simpleitk(
    angle: float, tilt: float, spacing: tuple[float, float, float], index: tuple[int, int, int]
) -> None:
    volume = volume_of(oblique(angle, tilt), spacing)
    image = volume.to_sitk()
    expected = image.TransformIndexToPhysicalPoint(tuple(reversed(index)))
    np.testing.assert_allclose(volume.point(np.array(index)), expected, atol=1e-9)
    np.testing.assert_allclose(volume.index(np.array(expected)), index, atol=1e-6)
    assert image.GetPixel(tuple(reversed(index))) == volume.values[index]


def test_values_and_geometry_are_the_same_for_simpleitk() -> None:
    volume = volume_of(oblique())
    image = volume.to_sitk()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.values)
    assert image.GetSpacing() == volume.spacing[::-1] and image.GetOrigin() == volume.origin
    np.testing.assert_array_equal(np.reshape(image.GetDirection(), (3, 3)), volume.direction)


def test_points_of_many_indices_keep_their_shape() -> None:
    volume = volume_of(SAGITTAL)
    corners = np.array([[[0, 0, 0], [3, 4, 5]]])
    points = volume.point(corners)
    assert points.shape == (1, 2, 3)
    # Sagittal: columns run to the back, rows to the feet, slices along -x by the right-hand rule.
    np.testing.assert_allclose(points[0, 1] - points[0, 0], [-9.0, 5 * 0.8, -4 * 0.9])


@pytest.mark.parametrize(
    ("orientation", "view"),
    [(SAGITTAL, "sagittal"), (AXIAL, "axial"), (CORONAL, "coronal"), (oblique(0.8, 0.8), "oblique"),
     (oblique(0.0, 0.3), "axial"), (oblique(0.0, 0.6), "oblique")],
)  # fmt: skip
def test_view_follows_from_the_orientation(orientation: tuple[float, ...], view: str) -> None:
    assert volume_of(orientation).view == view
    assert view_of(-volume_of(orientation).direction[:, 2]) == view


def test_what_is_no_volume_is_refused() -> None:
    eye = np.eye(3)
    with pytest.raises(ValueError, match="float32"):
        Volume(np.zeros((2, 2, 2)), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), eye)
    with pytest.raises(ValueError, match="positive"):
        Volume(np.zeros((2, 2, 2), np.float32), (1.0, 0.0, 1.0), (0.0, 0.0, 0.0), eye)
