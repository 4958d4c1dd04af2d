"""Masks of three formats on the grid of a volume, against highdicom, nibabel and SimpleITK."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from radgen_lib.imaging.les import MaskFault
from radgen_lib.imaging.mask_tables import MASK_COLUMNS, Frame, MaskFile, files_by_study, mask_frame, study_masks
from radgen_lib.imaging.masks import Mask, onto, read_les_mask, read_nifti_mask, read_seg
from radgen_lib.imaging.nifti import affine_of, read_nifti, write_nifti
from radgen_lib.imaging.volume import Volume
from radgen_lib.sources.nifti_place import NiftiFault, open_nifti
from tests.unit.imaging.dicom_images import AXIAL, SAGITTAL, Series, oblique, ramp
from tests.unit.imaging.test_les import les_bytes

# Research codes are no person's names; pydicom and highdicom say so for each image.
pytestmark = pytest.mark.filterwarnings("ignore:.*person name.*")
SHAPE = (6, 20, 18)
SPACING = (3.0, 0.9, 0.8)
ORIGIN = (-60.0, -100.0, 90.0)


def geometry(orientation: tuple[float, ...] = SAGITTAL, shape: tuple[int, int, int] = SHAPE) -> Volume:
    """The volume of a :class:`Series` of default place."""
    along, down = np.array(orientation[:3]), np.array(orientation[3:])
    direction = np.stack([along, down, np.cross(along, down)], axis=1)
    return Volume(np.zeros(shape, dtype=np.float32), SPACING, ORIGIN, direction)


def ball(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    z, y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    middle = np.array(shape) / 2 + (0.3, 2.0, -3.0)
    inside: np.ndarray = ((z - middle[0]) / 2) ** 2 + ((y - middle[1]) / 5) ** 2 + ((x - middle[2]) / 4) ** 2 < 1
    return inside


def images(orientation: tuple[float, ...] = SAGITTAL) -> list[Dataset]:
    made = Series(ramp(SHAPE), orientation=orientation).images()
    for image in made:
        image.PatientBirthDate = image.PatientSex = image.AccessionNumber = image.StudyID = ""
        image.ReferringPhysicianName = image.PositionReferenceIndicator = ""
    return made


def segmentation(path: Path, masks: list[np.ndarray], orientation: tuple[float, ...] = SAGITTAL) -> Any:
    """A segmentation object by highdicom, one segment per mask."""
    segments = [
        SegmentDescription(
            k + 1, f"lesion {k + 1}", codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Neoplasm,
            SegmentAlgorithmTypeValues.MANUAL,
        )
        for k in range(len(masks))
    ]  # fmt: skip
    made = hd.seg.Segmentation(
        source_images=images(orientation), pixel_array=np.stack(masks, axis=-1).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY, segment_descriptions=segments,
        series_instance_uid=generate_uid(), series_number=9, sop_instance_uid=generate_uid(), instance_number=1,
        manufacturer="test", manufacturer_model_name="test", software_versions="1", device_serial_number="1",
    )  # fmt: skip
    made.save_as(path)
    return made


@pytest.mark.parametrize("orientation", [SAGITTAL, AXIAL, oblique()])
def test_segmentations_come_back_where_they_were_drawn(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    segmentation(tmp_path / "a.dcm", [ball(), ~ball()], orientation)
    first, second = read_seg(tmp_path / "a.dcm")
    assert (first.label, second.label) == ("lesion 1", "lesion 2")
    assert [mask.label for mask in read_seg(tmp_path / "a.dcm", numbered=True)] == ["segment 1", "segment 2"]
    assert first.voxels == ball().sum()
    assert first.volume_mm3 == pytest.approx(ball().sum() * np.prod(SPACING), rel=1e-5)
    assert first.series == "1.2.3.1"
    drawn_on = {f"1.2.3.1.{k + 1}" for k in np.flatnonzero(ball().any(axis=(1, 2)))}
    assert drawn_on <= first.images <= {f"1.2.3.1.{k + 1}" for k in range(SHAPE[0])}
    target = geometry(orientation)
    np.testing.assert_array_equal(onto(first.volume, target).values, ball())
    np.testing.assert_array_equal(onto(second.volume, target).values, ~ball())


def test_files_that_are_no_segmentation_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM here")
    images()[0].save_as(tmp_path / "image.dcm", enforce_file_format=True)
    for name in ("text.dcm", "image.dcm", "absent.dcm"):
        with pytest.raises(MaskFault, match="segmentation cannot be read"):
            read_seg(tmp_path / name)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([SAGITTAL, AXIAL, oblique(), oblique(-0.2, 0.1)]), st.integers(0, 2**20))
def test_nifti_keeps_values_and_places(
    tmp_path_factory: pytest.TempPathFactory, orientation: tuple[float, ...], seed: int
) -> None:
    source = geometry(orientation)
    values = np.random.default_rng(seed).gamma(2.0, 50.0, size=SHAPE).astype(np.float32)
    source = dataclasses.replace(source, values=values)
    path = tmp_path_factory.mktemp("nifti") / "a.nii.gz"
    write_nifti(source, path)
    back = read_nifti(path)
    np.testing.assert_array_equal(back.values, values)
    index = np.array([[0, 0, 0], [5, 19, 17], [2, 7, 11]])
    np.testing.assert_allclose(back.point(index), source.point(index), atol=1e-3)
    # SimpleITK reads NIfTI with code of its own and gives LPS.
    peer = sitk.ReadImage(str(path))
    np.testing.assert_allclose(peer.TransformIndexToPhysicalPoint((11, 7, 2)), source.point(index[2]), atol=1e-3)
    assert peer.GetPixel(11, 7, 2) == pytest.approx(float(values[2, 7, 11]))


def test_nifti_files_are_the_same_bytes_and_carry_nothing_else(tmp_path: Path) -> None:
    source = dataclasses.replace(geometry(), values=ramp(SHAPE).astype(np.float32))
    for name in ("TCGA-AO-A03M.nii.gz", "b.nii.gz"):
        write_nifti(source, tmp_path / name)
    content = (tmp_path / "b.nii.gz").read_bytes()
    assert (tmp_path / "TCGA-AO-A03M.nii.gz").read_bytes() == content
    assert content[4:8] == bytes(4)  # the time of a gzip file
    header = nib.load(tmp_path / "b.nii.gz").header
    assert header["descrip"].item() == header["intent_name"].item() == header["aux_file"].item() == b""
    assert header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(nib.load(tmp_path / "b.nii.gz").affine, affine_of(source), atol=1e-4)


def nifti_mask(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    where = affine_of(geometry()) if affine is None else affine
    nib.Nifti1Image(values.transpose(2, 1, 0), where).to_filename(path)


def test_nifti_masks_give_one_mask_per_label(tmp_path: Path) -> None:
    labels = ball().astype(np.int16) * 3
    labels[0] = 7
    nifti_mask(tmp_path / "a.nii.gz", labels)
    three, seven = read_nifti_mask(tmp_path / "a.nii.gz")
    assert (three.label, seven.label) == ("label 3", "label 7")
    np.testing.assert_array_equal(onto(three.volume, geometry()).values, labels == 3)
    nifti_mask(tmp_path / "b.nii.gz", ball().astype(np.uint8))
    (single,) = read_nifti_mask(tmp_path / "b.nii.gz")
    assert (single.label, single.voxels, single.source) == ("lesion", int(ball().sum()), "NIfTI")


@pytest.mark.parametrize(
    ("values", "affine", "reason"),
    [
        (np.zeros(SHAPE, np.uint8), None, "mask is empty"),
        (np.full(SHAPE, 0.5, np.float32), None, "not whole numbers"),
        (
            np.ones(SHAPE, np.uint8),
            np.diag([1.0, 1.0, 1.0, 1.0]) + 0.3 * np.eye(4, k=1),
            "not at right angles",
        ),
        (np.ones((*SHAPE, 2), np.uint8), None, "4 dimensions"),
        (np.full(SHAPE, np.nan, np.float32), None, "voxels are not finite"),
        (np.ones(SHAPE, np.uint8), np.diag([1e7, 1.0, 1.0, 1.0]), "farther away than a kilometre"),
    ],
)
def test_unusable_nifti_masks_are_refused(
    tmp_path: Path, values: np.ndarray, affine: np.ndarray | None, reason: str
) -> None:
    turned = values.transpose(2, 1, 0, *range(3, values.ndim))
    nib.Nifti1Image(turned, affine_of(geometry()) if affine is None else affine).to_filename(tmp_path / "a.nii")
    with pytest.raises(MaskFault, match=reason):
        read_nifti_mask(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("fault", "reason"), [("codes", "sform_code and qform_code are 0"), ("unit", "units of meter")]
)
def test_masks_are_held_to_the_rules_of_images(tmp_path: Path, fault: str, reason: str) -> None:
    place = None if fault == "codes" else affine_of(geometry())
    image = nib.Nifti1Image(np.ones(SHAPE[::-1], np.uint8), place)
    image.header.set_xyzt_units("meter" if fault == "unit" else "mm")
    image.to_filename(tmp_path / "a.nii")
    with pytest.raises(MaskFault, match=reason):
        read_nifti_mask(tmp_path / "a.nii")
    with pytest.raises(NiftiFault, match=reason):
        open_nifti(tmp_path / "a.nii")


def test_damaged_nifti_files_are_refused(tmp_path: Path) -> None:
    nifti_mask(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 2, SHAPE).astype(np.uint8))
    content = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "half.nii.gz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.nii").write_text("not NIfTI")
    for name in ("half.nii.gz", "text.nii", "absent.nii"):
        with pytest.raises(MaskFault, match=r"NIfTI: the (file|values) (cannot be read|is not there)"):
            read_nifti(tmp_path / name)


@settings(max_examples=15, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(0.5, 2.0), st.sampled_from([SAGITTAL, AXIAL]))
def test_masks_of_another_grid_go_through_patient_space(
    left: float, back: float, step: float, orientation: tuple[float, ...]
) -> None:
    """A ball given in millimetres on any grid covers the voxels whose middles lie in it, up to its rim."""
    target = geometry(orientation)
    centre = target.point(np.array([2.5, 9.0, 9.0]))
    size = (int(18 / step) + 3,) * 3
    source = Volume(
        np.zeros(size, np.float32), (step,) * 3, tuple(centre - 9 - step + (left * 0.1, back * 0.1, 0)), np.eye(3)
    )

    def distance(volume: Volume) -> np.ndarray:
        places = volume.point(np.array(list(np.ndindex(*volume.values.shape))))
        return np.linalg.norm(places - centre, axis=1).reshape(volume.values.shape)

    made = onto(dataclasses.replace(source, values=(distance(source) < 6).astype(np.float32)), target).values > 0
    rim = step * np.sqrt(3) / 2 + 1e-6
    assert made[distance(target) < 6 - rim].all()
    assert not made[distance(target) > 6 + rim].any()


def test_a_mask_beside_the_volume_is_refused() -> None:
    away = dataclasses.replace(geometry(), values=ball().astype(np.float32), origin=(500.0, 500.0, 500.0))
    with pytest.raises(MaskFault, match="outside the volume"):
        onto(away, geometry())


def test_lesion_files_land_on_their_slices(tmp_path: Path) -> None:
    """Slices run against the InstanceNumbers here: 11 is the last slice of the volume."""
    (tmp_path / "a.les").write_bytes(les_bytes(np.ones((2, 3, 4), bool), 5, 6, 12))
    made = read_les_mask(tmp_path / "a.les", geometry(), {11 + k: 5 - k for k in range(6)}, series="1.2")
    wanted = np.zeros(SHAPE)
    wanted[3:5, 4:7, 5:9] = 1
    np.testing.assert_array_equal(made.volume.values, wanted)
    assert (made.series, made.label, made.source) == ("1.2", "lesion", "les")
    assert made.volume_mm3 == pytest.approx(24 * np.prod(SPACING))


def frame(name: str, uid: str, first: int = 1) -> Frame:
    where = geometry()
    count = SHAPE[0]
    sops = frozenset(f"{uid}.{k + 1}" for k in range(count))
    return Frame(name, where, where, {first + k: k for k in range(count)}, sops)


def test_every_mask_of_a_study_finds_its_volume(tmp_path: Path) -> None:
    segmentation(tmp_path / "seg.dcm", [ball()])
    nifti_mask(tmp_path / "a.nii.gz", ball().astype(np.uint8))
    (tmp_path / "a.les").write_bytes(les_bytes(np.ones((2, 3, 4), bool), 5, 6, 12))
    (tmp_path / "bad.les").write_bytes(b"short")
    frames = [frame("p/1/pre", "1.2.3.7"), frame("p/1/post1", "1.2.3.1"), frame("p/1/post2", "1.2.3.8", first=11)]
    files = [
        MaskFile(tmp_path / "seg.dcm", "SEG", "9.9"), MaskFile(tmp_path / "a.nii.gz", "NIfTI"),
        MaskFile(tmp_path / "a.les", "les"), MaskFile(tmp_path / "bad.les", "les"),
    ]  # fmt: skip
    found = study_masks(files, frames, index="p/1/pre", shape=(6, 10, 9))
    table = mask_frame({**row, "patient": "p", "study": "s", "row": k} for k, row in enumerate(found.rows))
    assert list(table.columns) == list(MASK_COLUMNS)
    assert list(table["volume"]) == ["p/1/post1", "p/1/pre", "p/1/post2", ""]
    assert list(table["kept"]) == [True, True, True, False]
    assert table["reason"].iloc[3].startswith("lesion file has 5 bytes")
    assert table["series"].iloc[0] == "9.9"
    assert list(table["voxels"])[:3] == [int(ball().sum())] * 2 + [24]
    assert [array.shape for array in found.arrays] == [(6, 10, 9)] * 3
    assert all(array.dtype == np.uint8 and set(np.unique(array)) == {0, 1} for array in found.arrays)
    np.testing.assert_array_equal(found.arrays[0], found.arrays[1])


def test_masks_that_find_no_volume_are_rows_with_reasons(tmp_path: Path) -> None:
    segmentation(tmp_path / "seg.dcm", [ball()])
    point = np.zeros(SHAPE, np.uint8)
    point[3, 5, 6] = 1
    nifti_mask(tmp_path / "point.nii.gz", point)
    seg, tiny = MaskFile(tmp_path / "seg.dcm", "SEG", "9.9"), MaskFile(tmp_path / "point.nii.gz", "NIfTI")
    others = study_masks([seg], [frame("p/1/pre", "5.5")], index="p/1/pre", shape=(6, 10, 9))
    assert others.rows[0]["reason"] == "segmentation refers to images that are in no kept volume of the study"
    nowhere = study_masks([seg], [], index="", shape=(6, 10, 9))
    assert nowhere.rows[0]["reason"] == "study has no usable volume"
    lost = study_masks([tiny], [frame("p/1/pre", "5.5")], index="p/1/pre", shape=(3, 4, 4))
    assert lost.rows[0]["reason"] == "mask is smaller than a voxel of the grid"
    assert lost.rows[0]["voxels"] == 1
    assert not (others.arrays or nowhere.arrays or lost.arrays)
    assert list(mask_frame([])["kept"]) == []


def test_mask_files_belong_to_the_patient_and_study_in_their_name(tmp_path: Path) -> None:
    names = ["Breast_MRI_001.nii.gz", "Breast_MRI_001_2.nii", "Breast_MRI_0011.les", "TCGA-AO-A03M-S2-1.les",
             "Breast_MRI_001_2_left.les", "readme.txt", "TCGA-AO-A03M.txt"]  # fmt: skip
    (tmp_path / "masks").mkdir()
    for name in names:
        (tmp_path / "masks" / name).write_bytes(b"")
    found = files_by_study(tmp_path, [("Breast_MRI_001", 1), ("Breast_MRI_001", 2), ("TCGA-AO-A03M", 1)])
    told = {key: [file.path.name for file in files] for key, files in found.items()}
    assert told == {
        ("Breast_MRI_001", 1): ["Breast_MRI_001.nii.gz"],
        ("Breast_MRI_001", 2): ["Breast_MRI_001_2.nii", "Breast_MRI_001_2_left.les"],
        ("TCGA-AO-A03M", 1): ["TCGA-AO-A03M-S2-1.les"],
    }
    assert files_by_study(tmp_path / "nowhere", [("p", 1)]) == {}


def test_masks_count_in_their_own_grid() -> None:
    mask = Mask("NIfTI", "lesion", dataclasses.replace(geometry(), values=ball().astype(np.float32)))
    assert mask.voxels == ball().sum()
    assert mask.volume_mm3 == pytest.approx(float(ball().sum()) * 3.0 * 0.9 * 0.8)
