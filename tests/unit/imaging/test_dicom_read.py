"""Volumes from DICOM files against SimpleITK's series reader, in patient space, and every way a volume is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)  # fmt: skip

from radgen_lib.imaging.dicom.read import VolumeFault, read_volume
from radgen_lib.imaging.dicom.scan import scan
from radgen_lib.imaging.volume import Volume
from tests.unit.imaging.dicom_images import AXIAL, PATIENT, SAGITTAL, Series, ledger, oblique, ramp, write


def rows_of(root: Path, images: list[Dataset], folder: str = "a", seed: int = 0) -> pd.DataFrame:
    write(root, images, folder, seed=seed)
    found = scan(root, ledger((folder, PATIENT, "1.2.3.1")))
    assert found.faults.empty, found.faults.to_string()
    return found.instances


def by_simpleitk(folder: Path) -> sitk.Image:
    """The reference: GDCM's sorting and SimpleITK's reader."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def assert_same_in_space(volume: Volume, image: sitk.Image, tolerance: float = 1e-4) -> None:
    """Every voxel of the reference has the same value at the same place of the patient, and there are as many."""
    assert volume.values.size == np.prod(image.GetSize())
    array = sitk.GetArrayFromImage(image)
    x, y, z = (np.arange(size) for size in image.GetSize())
    for index in np.stack(np.meshgrid(z, y, x, indexing="ij"), -1).reshape(-1, 3):
        point = image.TransformIndexToPhysicalPoint(tuple(int(i) for i in index[::-1]))
        ours = volume.index(np.array(point))
        np.testing.assert_allclose(ours, np.round(ours), atol=1e-3)
        assert volume.values[tuple(np.round(ours).astype(int))] == pytest.approx(array[tuple(index)], abs=tolerance)


@pytest.mark.parametrize("orientation", [SAGITTAL, AXIAL, oblique(), oblique(-2.0, 1.1)])
def test_values_and_places_are_those_of_simpleitk(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    rows = rows_of(tmp_path, Series(ramp(), orientation=orientation).images(), seed=3)
    volume = read_volume(rows, tmp_path)
    assert volume.values.dtype == np.float32 and volume.values.shape == (6, 5, 4)
    assert np.linalg.det(volume.direction) == pytest.approx(1)
    assert_same_in_space(volume, by_simpleitk(tmp_path / "a"))


def test_slices_stored_against_the_normal_are_turned(tmp_path: Path) -> None:
    """Instance numbers and names may run either way; the volume is right-handed and the same."""
    images = Series(ramp()).images()
    volume = read_volume(rows_of(tmp_path, images, "a"), tmp_path)
    for number, image in enumerate(reversed(images)):
        image.InstanceNumber = number + 1
    turned = read_volume(rows_of(tmp_path, images[::-1], "b", seed=9), tmp_path)
    np.testing.assert_array_equal(turned.values, volume.values)
    assert turned.origin == volume.origin and turned.spacing == volume.spacing


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)), seed=st.integers(0, 10_000))
def test_no_order_of_rows_or_names_of_files_matters(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], seed: int
) -> None:
    root = tmp_path_factory.mktemp("order")
    images = Series(ramp(), orientation=oblique()).images()
    expected = read_volume(rows_of(root, images, "a"), root)
    rows = rows_of(root, [images[k] for k in order], "b", seed=seed)
    volume = read_volume(rows.iloc[order], root)
    np.testing.assert_array_equal(volume.values, expected.values)
    assert (volume.origin, volume.spacing) == (expected.origin, expected.spacing)
    np.testing.assert_array_equal(volume.direction, expected.direction)


@settings(max_examples=10, deadline=None)
@given(
    angle=st.floats(-3, 3),
    tilt=st.floats(-1.5, 1.5),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
    spacing=st.tuples(*[st.floats(0.4, 5)] * 3),
)
def test_a_turned_stack_puts_points_where_the_tags_say(
    tmp_path_factory: pytest.TempPathFactory,
    angle: float,
    tilt: float,
    origin: tuple[float, float, float],
    spacing: tuple[float, float, float],
) -> None:
    root, orientation = tmp_path_factory.mktemp("turned"), oblique(angle, tilt)
    tidy = tuple(float(f"{step:.6f}") for step in spacing)
    made = Series(ramp(), orientation=orientation, origin=origin, spacing=tidy)  # type: ignore[arg-type]
    volume = read_volume(rows_of(root, made.images()), root)
    along, down = np.array(orientation[:3]), np.array(orientation[3:])
    for z, y, x in [(0, 0, 0), (5, 4, 3), (2, 4, 0), (5, 0, 1)]:
        place = np.array(origin) + x * tidy[2] * along + y * tidy[1] * down + z * tidy[0] * np.cross(along, down)
        np.testing.assert_allclose(volume.point(np.array([z, y, x])), place, atol=1e-4)


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32"])
def test_kinds_of_pixels_and_rescaling_are_those_of_simpleitk(tmp_path: Path, kind: str) -> None:
    values = ramp(start=-40 if kind[0] == "i" else 3, kind=kind)
    tags = {"RescaleSlope": 1.7, "RescaleIntercept": -11.5}
    volume = read_volume(rows_of(tmp_path, Series(values, tags=tags).images()), tmp_path)
    assert volume.values.min() == pytest.approx(1.7 * float(values.min()) - 11.5, abs=1e-4)
    assert_same_in_space(volume, by_simpleitk(tmp_path / "a"), 1e-4)


def test_every_slice_has_its_own_rescaling(tmp_path: Path) -> None:
    slopes = [float(k + 1) for k in range(6)]
    rows = rows_of(tmp_path, Series(ramp(), tags={"RescaleSlope": slopes, "RescaleIntercept": 0}).images())
    volume = read_volume(rows, tmp_path)
    np.testing.assert_array_equal(volume.values, ramp() * np.array(slopes)[:, None, None])


@pytest.mark.parametrize("signed", [False, True])
def test_unused_high_bits_are_dropped_and_the_sign_is_kept(tmp_path: Path, signed: bool) -> None:
    """12 of 16 bits stored, with overlay bits above them as old files have."""
    values = ramp(start=-50 if signed else 0, kind="int16")
    images = Series((values & 0x0FFF).astype("uint16") | np.uint16(0x5000)).images()
    for image in images:
        image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, int(signed)
    volume = read_volume(rows_of(tmp_path, images), tmp_path)
    np.testing.assert_array_equal(volume.values, values)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
               JPEGLSLossless, JPEG2000Lossless],
    ids=lambda uid: uid.keyword,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["uint16", "int16"])
def test_transfer_syntaxes_give_the_values_of_the_plain_one(tmp_path: Path, syntax: UID, kind: str) -> None:
    values = ramp((4, 32, 32), start=-300 if kind == "int16" else 0, kind=kind)
    images = Series(values).images()
    for image in images:
        if syntax.is_compressed and not syntax.is_deflated:
            image.compress(syntax, generate_instance_uid=False)
            continue
        if syntax == ExplicitVRBigEndian:
            image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        image.file_meta.TransferSyntaxUID = syntax
        image._read_implicit = None
    rows = rows_of(tmp_path, images)
    assert set(rows["transfer_syntax"]) == {str(syntax)}
    np.testing.assert_array_equal(read_volume(rows, tmp_path).values, values)


def refused(tmp_path: Path, images: list[Dataset], reason: str) -> None:
    rows = rows_of(tmp_path, images)
    with pytest.raises(VolumeFault, match=reason) as caught:
        read_volume(rows, tmp_path)
    assert caught.value.reason == str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"skip": (2, 3)}, "missing slices: 2 of 6 lack"), ({"shear": (0.0, 0.6, 0.0)}, "gantry tilt.* 11.3 degrees"),
     ({"skip": (1, 2, 3, 4, 5)}, "one slice only"), ({"tags": {"PhotometricInterpretation": "RGB"}}, "colour"),
     ({"tags": {"PhotometricInterpretation": "MONOCHROME1"}}, "MONOCHROME1: the grey levels are inverted"),
     ({"tags": {"PhotometricInterpretation": [*["MONOCHROME2"] * 5, "MONOCHROME1"]}}, "grey levels are inverted"),
     ({"tags": {"PixelSpacing": None}}, "no pixel spacing"), ({"tags": {"ImagePositionPatient": None}}, "no position"),
     ({"orientation": (0.0, 1.0, 0.0, 0.0, 0.7, -0.7)}, "right angles"), ({"tags": {"HighBit": 13}}, "not a layout")],
)  # fmt: skip
def test_stacks_that_make_no_volume_are_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    refused(tmp_path, Series(ramp(), **changes).images(), reason)


def test_uneven_steps_are_refused(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    for image in images[3:]:
        image.ImagePositionPatient[0] -= 1.2
    refused(tmp_path, images, "uneven spacing: steps of 3 to 4.2 mm")


def test_one_shifted_slice_is_refused(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    images[3].ImagePositionPatient[1] += 4
    refused(tmp_path, images, "shifted against each other")


def test_several_orientations_or_matrices_are_refused(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    images[2].ImageOrientationPatient = list(AXIAL)
    refused(tmp_path, images, "several orientations")
    images = Series(ramp()).images()
    images[2].PixelSpacing = [0.5, 0.5]
    with pytest.raises(VolumeFault, match="several matrices"):
        read_volume(rows_of(tmp_path, images, "b"), tmp_path)


def test_a_slice_that_stands_twice_counts_once_if_its_pixels_are_the_same(tmp_path: Path) -> None:
    images = Series(ramp()).images()
    twin = Series(ramp()).images()[2]
    twin.SOPInstanceUID, twin.InstanceNumber = "1.2.3.1.99", 99
    rows = rows_of(tmp_path, [*images, twin])
    np.testing.assert_array_equal(read_volume(rows, tmp_path).values, read_volume(rows[:6], tmp_path).values)
    twin.PixelData = bytes(len(twin.PixelData))
    with pytest.raises(VolumeFault, match="different pixels"):
        read_volume(rows_of(tmp_path, [*images, twin], "b"), tmp_path)


def test_files_that_change_or_go_after_the_scan_are_refused(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, Series(ramp()).images())
    path = tmp_path / "a" / "0003.dcm"
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(VolumeFault, match="shorter than when it was scanned"):
        read_volume(rows, tmp_path)
    path.unlink()
    with pytest.raises(VolumeFault, match="cannot be read") as caught:
        read_volume(rows, tmp_path)
    assert str(tmp_path) not in caught.value.reason


def test_damaged_compressed_pixels_are_refused(tmp_path: Path) -> None:
    images = Series(ramp((4, 32, 32))).images()
    for image in images:
        image.compress(JPEG2000Lossless, generate_instance_uid=False)
    rows = rows_of(tmp_path, images)
    path = tmp_path / "a" / rows["file"][1]
    content = bytearray(path.read_bytes())
    place = int(rows["pixel_offset"][1])
    content[place + 16 : place + 60] = bytes(44)
    path.write_bytes(bytes(content))
    with pytest.raises(VolumeFault, match="cannot be decoded"):
        read_volume(rows, tmp_path)


def test_no_instances_make_no_volume(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, Series(ramp()).images())
    with pytest.raises(VolumeFault, match="no instances"):
        read_volume(rows[:0], tmp_path)
