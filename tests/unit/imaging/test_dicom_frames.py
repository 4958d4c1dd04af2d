"""Multi-frame MR: the same volumes and phases as from single frames, through highdicom's converter and by hand."""

from __future__ import annotations

import warnings
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, RLELossless

from radgen_lib.imaging.dicom.phases import find_phases
from radgen_lib.imaging.dicom.read import read_volume
from radgen_lib.imaging.dicom.scan import Scan, scan
from tests.unit.imaging.dicom_images import PATIENT, Series, ledger, ramp, write

PHASES, SLICES = 3, 5


def single_frames(phases: int = 1) -> list[Dataset]:
    images = []
    for phase in range(phases):
        tags = {"AcquisitionTime": f"09{10 + phase}00", "AcquisitionDate": "20010315", "TriggerTime": 60_000 * phase}
        if phase:
            tags["ContrastBolusAgent"] = "Gd"
        made = Series(ramp((SLICES, 6, 7), start=500 * phase), uid=f"1.2.3.{phase}", tags=tags).images()
        images += made
    return images


def enhanced(images: list[Dataset], *, order: list[int] | None = None) -> Dataset:
    """An Enhanced MR object whose frames are ``images`` in ``order``, with geometry and time in functional groups."""
    images = [images[k] for k in order or range(len(images))]
    made = Series(ramp((1, 6, 7)), uid="1.2.3.80").images()[0]
    made.SOPClassUID, made.NumberOfFrames = EnhancedMRImageStorage, len(images)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "AcquisitionTime", "EchoTime"):
        delattr(made, keyword)
    shared = Dataset()
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = images[0].PixelSpacing
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = images[0].ImageOrientationPatient
    shared.PixelValueTransformationSequence = [Dataset()]
    shared.PixelValueTransformationSequence[0].RescaleSlope = 2
    shared.PixelValueTransformationSequence[0].RescaleIntercept = -5
    shared.MREchoSequence = [Dataset()]
    shared.MREchoSequence[0].EffectiveEchoTime = 2.5
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = Sequence([_frame(image) for image in images])
    made.PixelData = b"".join(image.PixelData for image in images)
    return made


def _frame(image: Dataset) -> Dataset:
    frame, content, place, given = Dataset(), Dataset(), Dataset(), Dataset()
    content.FrameAcquisitionDateTime = f"20010315{image.AcquisitionTime}.000000+0100"
    content.TemporalPositionIndex = int(image.TriggerTime / 60_000) + 1
    place.ImagePositionPatient = image.ImagePositionPatient
    given.ContrastBolusAgentAdministered = "YES" if "ContrastBolusAgent" in image else "NO"
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [place]
    frame.ContrastBolusUsageSequence = [given]
    return frame


def scanned(root: Path, *images: Dataset, series: str = "1.2.3.80") -> Scan:
    write(root, list(images))
    return scan(root, ledger(("a", PATIENT, series)))


@pytest.mark.parametrize(("where", "said"), [("shared", "L"), ("own", "R"), ("none", "")])
def test_the_breast_of_a_frame(tmp_path: Path, where: str, said: str) -> None:
    image = enhanced(single_frames(1))
    anatomy = Dataset()
    anatomy.FrameLaterality = said
    groups = {"shared": list(image.SharedFunctionalGroupsSequence), "own": list(image.PerFrameFunctionalGroupsSequence)}
    for group in groups.get(where, []):
        group.FrameAnatomySequence = [anatomy]
    assert set(scanned(tmp_path, image).instances["laterality"]) == {said}


def test_frames_are_rows_with_their_own_groups(tmp_path: Path) -> None:
    found = scanned(tmp_path, enhanced(single_frames(PHASES)))
    rows = found.instances
    assert found.faults.empty and len(rows) == PHASES * SLICES and rows["frame"].tolist() == list(range(15))
    assert set(rows["spacing_row"]) == {0.9} and set(rows["te"]) == {2.5} and set(rows["slope"]) == {2.0}
    assert rows["temporal"].tolist() == [1.0] * 5 + [2.0] * 5 + [3.0] * 5
    assert rows["contrast"].tolist() == [False] * 5 + [True] * 10
    assert rows["acquisition_time"].iloc[-1] == 9 * 3600 + 12 * 60


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("compressed", [False, True])
def test_phases_of_a_multi_frame_file_are_those_of_single_frames(tmp_path: Path, seed: int, compressed: bool) -> None:
    images = single_frames(PHASES)
    order = np.random.default_rng(seed).permutation(len(images)).tolist()
    made = enhanced(images, order=order)
    if compressed:
        made.compress(RLELossless, generate_instance_uid=False)
    table, members, series = find_phases(scanned(tmp_path, made).instances)
    assert table["phase"].tolist() == ["pre", "post1", "post2"] and table["kept"].all()
    assert table["seconds"].tolist() == [0, 60, 120] and series["n_instances"].tolist() == [15]
    for phase, name in enumerate(table["volume"]):
        volume = read_volume(members[name], tmp_path)
        np.testing.assert_array_equal(volume.values, 2.0 * ramp((SLICES, 6, 7), start=500 * phase) - 5)
        assert volume.spacing == (3.0, 0.9, 0.8) and volume.origin == (-60.0, -100.0, 90.0)


def test_a_converted_legacy_object_reads_as_its_source(tmp_path: Path) -> None:
    """highdicom keeps trigger time, echo time and contrast agent in its sequences of unassigned attributes."""
    images = single_frames(2)[SLICES:]
    for image in images:
        image.PatientBirthDate = image.PatientSex = image.AccessionNumber = image.StudyID = ""
        image.ReferringPhysicianName = image.PositionReferenceIndicator = ""
        image.PatientPosition = "HFP"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a research code has not the parts of a person's name
        made = hd.legacy.LegacyConvertedEnhancedMRImage(images, "1.2.3.80", 3, "1.2.3.80.1", 1)
    rows = scanned(tmp_path, made).instances
    assert len(rows) == SLICES and set(rows["trigger"]) == {60_000.0} and set(rows["te"]) == {3.1}
    assert rows["contrast"].all() and set(rows["acquisition_time"]) == {9 * 3600 + 660.0}
    np.testing.assert_array_equal(read_volume(rows, tmp_path).values, ramp((SLICES, 6, 7), start=500))


def test_a_multi_frame_file_without_its_groups_is_a_fault(tmp_path: Path) -> None:
    made = enhanced(single_frames())
    made.PerFrameFunctionalGroupsSequence = made.PerFrameFunctionalGroupsSequence[:3]
    found = scanned(tmp_path, made)
    assert found.faults["reason"].tolist() == ["multi-frame with functional groups for 3 of 5 frames"]
    made.PixelData = made.PixelData[:-84]
    found = scanned(tmp_path, made)
    assert found.faults["reason"].tolist() == ["pixel data of 336 bytes where the header needs 420"]
