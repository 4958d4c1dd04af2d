"""Lesion files: the layout, its faults, and the identities on the real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from radgen_lib.imaging.les import LesMask, MaskFault, read_les

LESIONS = "Sherry960419_dip-breastcancer-radiology-pipeline/data"
RADIOMICS = "yaqeenali_label-composition-histology/data/tcga_brca/radiomics.csv"
PATIENTS = ("TCGA-AO-A03M", "TCGA-AO-A03V", "TCGA-AO-A0J9", "TCGA-AO-A0JI", "TCGA-AO-A12E")


def les_bytes(mask: np.ndarray, row: int, column: int, instance: int) -> bytes:
    """A lesion file of ``mask`` [slices, rows, columns]; the place is counted as in the file."""
    slices, rows, columns = mask.shape
    last = [row + rows - 1, column + columns - 1, instance + slices - 1]
    header = np.array([row, column, instance, *last], dtype="<u2").tobytes()
    return header + mask.transpose(1, 2, 0).astype(np.uint8).tobytes(order="F")


def real(mirror: Path, patient: str) -> tuple[LesMask, pydicom.Dataset]:
    folder = mirror / LESIONS
    return read_les(folder / "lesions" / f"{patient}.les"), pydicom.dcmread(folder / "dicoms" / f"{patient}.dcm")


@pytest.mark.parametrize("patient", PATIENTS)
def test_mask_volume_is_the_published_feature_s1(mirror: Path, patient: str) -> None:
    mask, image = real(mirror, patient)
    table = pd.read_csv(mirror / RADIOMICS, index_col="CLID")
    published = float(table.loc[patient, "Size/Lesion volume (S1)"])
    spacing = (float(image.SliceThickness), *map(float, image.PixelSpacing))
    assert mask.volume_mm3(spacing) == pytest.approx(published, rel=1e-6)


@pytest.mark.parametrize("patient", PATIENTS)
def test_rows_and_columns_are_counted_from_one(mirror: Path, patient: str) -> None:
    """Read so, the mask lies on brighter tissue than when it is moved by up to two voxels in any direction."""
    mask, image = real(mirror, patient)
    pixels = image.pixel_array.astype(float)
    shape = (1, *pixels.shape)
    number = int(image.InstanceNumber)
    only = LesMask(mask.values[number - mask.instance][None], mask.row, mask.column, number)
    means = {}
    for down in range(-2, 3):
        for right in range(-2, 3):
            moved = LesMask(only.values, only.row + down, only.column + right, number)
            means[down, right] = pixels[moved.place(shape, {number: 0})[0]].mean()
    assert max(means, key=lambda shift: means[shift]) == (0, 0)


@pytest.mark.parametrize("patient", PATIENTS)
def test_real_masks_touch_their_box_and_contain_the_slice_that_is_at_hand(mirror: Path, patient: str) -> None:
    mask, image = real(mirror, patient)
    assert int(image.InstanceNumber) in mask.instances
    assert mask.voxels > 300
    # Lesions are a single body, up to crumbs: the largest connected part holds nearly all voxels.
    labels, count = ndimage.label(mask.values, structure=np.ones((3, 3, 3)))
    assert count >= 1
    assert np.bincount(labels.ravel())[1:].max() > 0.9 * mask.voxels


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 300), st.integers(0, 99)
)
def test_written_masks_are_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int], row: int, column: int, instance: int, seed: int,
) -> None:  # fmt: skip
    values = np.random.default_rng(seed).random(shape) < 0.5
    values[0, 0, 0] = True
    path = tmp_path_factory.mktemp("les") / "a.les"
    path.write_bytes(les_bytes(values, row, column, instance))
    mask = read_les(path)
    np.testing.assert_array_equal(mask.values, values)
    assert (mask.row, mask.column, mask.instance) == (row - 1, column - 1, instance)
    slices = {instance + k: 2 * k for k in range(shape[0])}
    whole = mask.place((2 * shape[0], row + shape[1], column + shape[2]), slices)
    assert whole.sum() == mask.voxels == values.sum()
    for k in range(shape[0]):
        np.testing.assert_array_equal(whole[2 * k, row - 1 : -1, column - 1 : -1], values[k])


def box(**changes: int) -> bytes:
    content = les_bytes(np.ones((2, 3, 4), dtype=bool), 5, 6, 7)
    header = np.frombuffer(content[:12], "<u2").copy()
    for place, value in changes.items():
        header[int(place[1:])] = value
    return header.tobytes() + content[12:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x01\x00", "2 bytes, less than its header"),
        (box(n3=4), "box of the lesion file is empty"),
        (box(n5=9), "holds 24 voxels, its box 36"),
        (box()[:-1], "holds 23 voxels, its box 24"),
        (box() + b"\x00", "holds 25 voxels"),
        (box()[:-1] + b"\x02", "other than 0 and 1"),
        (box()[:12] + bytes(24), "mask is empty"),
    ],
)
def test_broken_files_are_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.les"
    path.write_bytes(content)
    with pytest.raises(MaskFault, match=reason):
        read_les(path)


def test_a_box_outside_the_image_or_a_missing_slice_is_refused() -> None:
    mask = LesMask(np.ones((2, 3, 4), dtype=bool), 5, 6, 7)
    with pytest.raises(MaskFault, match="InstanceNumber 8 is not in the volume"):
        mask.place((4, 20, 20), {7: 0})
    with pytest.raises(MaskFault, match="leaves the image of 7 x 20"):
        mask.place((4, 7, 20), {7: 0, 8: 1})
    with pytest.raises(MaskFault, match="leaves the image"):
        LesMask(mask.values, -1, 0, 7).place((4, 20, 20), {7: 0, 8: 1})
