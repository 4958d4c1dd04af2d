"""Pixels read at their place in the file against pydicom's own path, for every kind of pixels that MR comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)  # fmt: skip

from radgen_lib.imaging.dicom.read import VolumeFault, read_volume
from radgen_lib.imaging.dicom.scan import scan
from tests.unit.imaging.dicom_images import PATIENT, Series, ledger, write

KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32")
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
RESCALING = {"RescaleSlope": [1.7, 2.0, 0.25, 1.0], "RescaleIntercept": [-11.5, 0.0, 3.0, 0.0]}


def any_values(kind: str, shape: tuple[int, int, int] = (4, 5, 3), seed: int = 0) -> np.ndarray:
    """Integers over the whole range of ``kind``, its ends among them; an odd number of pixels a slice."""
    limits = np.iinfo(kind)
    values = np.random.default_rng(seed).integers(limits.min, limits.max, size=shape, dtype=kind, endpoint=True)
    values[:, 0, 0], values[:, -1, -1] = limits.min, limits.max
    return values


def in_syntax(images: list[Dataset], syntax: UID) -> list[Dataset]:
    """``images`` as they are stored in ``syntax``: big-endian data is turned by words of at least 16 bits (OW)."""
    for image in images:
        image.PixelData += bytes(len(image.PixelData) % 2)
        if syntax == ExplicitVRBigEndian:
            image.PixelData = (
                np.frombuffer(image.PixelData, f"u{max(image.BitsAllocated // 8, 2)}").byteswap().tobytes()
            )
        image.file_meta.TransferSyntaxUID = syntax
        image._read_implicit = None
    return images


def by_pydicom(folder: Path) -> np.ndarray:
    """The reference: whole files parsed by pydicom, its pixel_array, in order of position along the normal."""
    files = [pydicom.dcmread(path) for path in folder.iterdir()]
    first = files[0].ImageOrientationPatient
    normal = np.cross(first[:3], first[3:])
    files.sort(key=lambda data: float(np.dot(data.ImagePositionPatient, normal)))
    planes = [
        data.pixel_array * np.float64(data.get("RescaleSlope", 1.0)) + np.float64(data.get("RescaleIntercept", 0.0))
        for data in files
    ]
    return np.stack(planes).astype(np.float32)


def by_us(root: Path) -> np.ndarray:
    found = scan(root, ledger(("a", PATIENT, "1.2.3.1")))
    assert found.faults.empty, found.faults.to_string()
    return read_volume(found.instances, root).values


@pytest.mark.parametrize("rescaled", [False, True], ids=["stored", "rescaled"])
@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_pixels_is_bit_for_bit_that_of_pydicom(
    tmp_path: Path, kind: str, syntax: UID, rescaled: bool
) -> None:
    values = any_values(kind)
    images = Series(values, tags=RESCALING if rescaled else {}).images()
    write(tmp_path, in_syntax(images, syntax), seed=5)
    made = by_us(tmp_path)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, by_pydicom(tmp_path / "a"))
    if not rescaled:
        np.testing.assert_array_equal(made, values.astype(np.float32))


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_big_endian_bytes_are_turned_only_where_they_are_words(tmp_path: Path, kind: str) -> None:
    """8-bit pixels may be stored as words (OW), turned in pairs, or as bytes (OB), as they are."""
    values = any_values(kind)
    images = in_syntax(Series(values).images(), ExplicitVRBigEndian)
    for image, plane in zip(images[::2], values[::2], strict=True):
        image.PixelData = plane.tobytes() + b"\0"
        image["PixelData"].VR = "OB"
    write(tmp_path, images)
    made = by_us(tmp_path)
    np.testing.assert_array_equal(made, by_pydicom(tmp_path / "a"))
    # Slices grow against x, and so does the normal: the order is that of the array.
    np.testing.assert_array_equal(made, values)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda uid: uid.keyword)
@pytest.mark.parametrize(("stored", "signed"), [(12, False), (12, True), (15, True), (10, False)])
def test_fewer_bits_stored_than_allocated_are_those_of_pydicom(
    tmp_path: Path, stored: int, signed: bool, syntax: UID
) -> None:
    low = -(2 ** (stored - 1)) if signed else 0
    values = np.random.default_rng(stored).integers(low, low + 2**stored, size=(4, 5, 3)).astype(np.int16)
    images = Series(values.astype(np.uint16)).images()
    for image in images:
        image.BitsStored, image.HighBit, image.PixelRepresentation = stored, stored - 1, int(signed)
    write(tmp_path, in_syntax(images, syntax))
    made = by_us(tmp_path)
    np.testing.assert_array_equal(made, by_pydicom(tmp_path / "a"))
    np.testing.assert_array_equal(made, values)


def multi_frame(images: list[Dataset]) -> Dataset:
    """An Enhanced MR object of ``images``, last slice first, each frame with its own place and rescaling."""
    made, frames = images[-1], images[::-1]
    data = b"".join(image.PixelData for image in frames)
    groups = []
    for image in frames:
        place, plane, value, measures, group = (Dataset() for _ in range(5))
        place.ImagePositionPatient, plane.ImageOrientationPatient = (
            image.ImagePositionPatient,
            image.ImageOrientationPatient,
        )
        value.RescaleSlope, value.RescaleIntercept = image.RescaleSlope, image.RescaleIntercept
        measures.PixelSpacing = image.PixelSpacing
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [plane]
        group.PixelValueTransformationSequence, group.PixelMeasuresSequence = [value], [measures]
        groups.append(group)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(made, keyword)
    made.SOPClassUID, made.NumberOfFrames = EnhancedMRImageStorage, len(frames)
    made.PerFrameFunctionalGroupsSequence = Sequence(groups)
    made.PixelData = data
    return made


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_one_file_are_those_of_pydicom(tmp_path: Path, kind: str, syntax: UID) -> None:
    values = any_values(kind)
    made = multi_frame(Series(values, tags=RESCALING).images())
    write(tmp_path, in_syntax([made], syntax))
    stored = pydicom.dcmread(tmp_path / "a" / "0000.dcm").pixel_array
    assert stored.shape == values.shape
    slopes, intercepts = (np.array(column)[:, None, None] for column in RESCALING.values())
    # The frames lie in the file from the last slice to the first.
    np.testing.assert_array_equal(by_us(tmp_path), (stored[::-1] * slopes + intercepts).astype(np.float32))


@pytest.mark.parametrize(("slope", "differs"), [(1.0, False), (1.0, True), (0.5, False), (0.5, True)])
def test_a_place_that_stands_twice_with_large_values_is_compared_as_the_volume_holds_it(
    tmp_path: Path, slope: float, differs: bool
) -> None:
    """Single precision does not hold every 32-bit value: equal pixels must still be equal."""
    values = any_values("int32", seed=3)
    images = Series(values, tags={"RescaleSlope": slope, "RescaleIntercept": 0}).images()
    twin = Series(values, tags={"RescaleSlope": slope, "RescaleIntercept": 0}).images()[2]
    twin.SOPInstanceUID, twin.InstanceNumber = "1.2.3.1.99", 99
    if differs:
        pixels = values[2].copy()
        pixels[1, 1] += 1000 if pixels[1, 1] < 0 else -1000
        twin.PixelData = pixels.tobytes()
    write(tmp_path, [*images, twin])
    if differs:
        with pytest.raises(VolumeFault, match="different pixels"):
            by_us(tmp_path)
    else:
        np.testing.assert_array_equal(by_us(tmp_path), (values * slope).astype(np.float32))


def test_frames_with_different_rescaling_at_one_place_are_compared_after_it(tmp_path: Path) -> None:
    """Half the stored value under twice the slope is the same slice."""
    values = (np.arange(60).reshape(4, 5, 3) * 2).astype(np.uint16)
    images = Series(values, tags={"RescaleSlope": 1, "RescaleIntercept": 0}).images()
    for intercept in (0, 1):
        twin = Series(values // 2, tags={"RescaleSlope": 2, "RescaleIntercept": intercept}).images()[1]
        twin.SOPInstanceUID, twin.InstanceNumber = "1.2.3.1.99", 99
        write(tmp_path, [*images, twin])
        if intercept:
            with pytest.raises(VolumeFault, match="different pixels"):
                by_us(tmp_path)
        else:
            np.testing.assert_array_equal(by_us(tmp_path), values)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"BitsStored": 12, "HighBit": 14}, "12 bits in 16, highest 14"), ({"BitsStored": 17}, "17 bits in 16")],
)
def test_a_layout_of_one_slice_that_mr_does_not_have_refuses_the_volume(
    tmp_path: Path, changes: dict[str, int], said: str
) -> None:
    images = Series(any_values("uint16")).images()
    for keyword, value in changes.items():
        setattr(images[-1], keyword, value)
    write(tmp_path, images)
    with pytest.raises(VolumeFault, match=f"pixels of {said}.*not a layout of MR"):
        by_us(tmp_path)
