"""DICOM objects of the phantom against independent readers and checkers: SimpleITK, pydicom, highdicom, dciodvfy."""

from __future__ import annotations

import datetime
import logging
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID
from scipy import ndimage

from radgen_lib.sources.phantom import dicom
from radgen_lib.sources.phantom.image_faults import file_name
from radgen_lib.sources.phantom.multiframe import is_reversed, multiframe_image
from radgen_lib.sources.phantom.protocol import StudyPlan, phase_name, plan_study
from radgen_lib.sources.phantom.segmentation import lesion_segmentation
from radgen_lib.sources.phantom.series import geometry_of, series_images

SHAPE = (8, 24, 20)
SECONDS = (0.0, 95.25, 182.5, 270.125)
KINDS = ("localiser", "t2", "pre", "post1", "subtraction", "dynamic", "lesion", "multiframe")
VIEWS = {
    "sagittal": ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (3.5, 0.0, 0.0)),
    "axial": ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 3.5)),
    # Slices from left to right: highdicom sorts frames the other way round.
    "backward": ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (-3.5, 0.0, 0.0)),
}


@dataclass(frozen=True)
class Phase:
    """What a phase of an acquisition has."""

    values: np.ndarray
    seconds: float
    label: str
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class StandIn:
    """An acquisition of noise, with unlike rows and columns so that none can be taken for the other."""

    phases: tuple[Phase, ...]
    orientation: tuple[float, ...]
    slice_step: tuple[float, float, float]
    lesion: np.ndarray
    spacing: tuple[float, float, float] = (3.5, 1.25, 1.5)
    origin: tuple[float, float, float] = (-31.5, -80.25, 64.0)
    te_ms: float = 2.4
    tr_ms: float = 6.1
    flip_deg: float = 10.0
    kinetics: dict[str, float] = field(default_factory=dict)


def stand_in(view: str = "sagittal") -> StandIn:
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.uniform(0, 900, SHAPE), 1.5)
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[2:5, 6:11, 9:12] = True
    orientation, step = VIEWS[view]
    phases = tuple(
        Phase((smooth * (1 + 0.2 * k * lesion) + rng.uniform(0, 20, SHAPE)).astype(np.uint16), seconds, phase_name(k))
        for k, seconds in enumerate(SECONDS)
    )
    return StandIn(phases, orientation, step, lesion)


def person(**changes: object) -> pd.Series:
    row = {
        "patient": "PHAN-S1-0007", "site": "S1", "scanner": "GE Signa 1.5T", "manufacturer": "GE MEDICAL SYSTEMS",
        "field_strength": 1.5, "view": "sagittal", "n_posts": 3, "n_studies": 2, "age": 51.0, "laterality": "L",
    }  # fmt: skip
    return pd.Series({**row, **changes})


SIEMENS = {"manufacturer": "SIEMENS", "scanner": "Siemens Avanto 1.5T", "view": "axial"}


def study_with(*kinds: str, combined: bool = False, **changes: object) -> StudyPlan:
    """The first study, over seeds, that has the further series named."""
    for seed in range(200):
        plan = plan_study(person(**changes), lesion=True, study=1, seed=seed, combined=combined)
        if {series.name for series in plan.series} >= set(kinds):
            return plan
    raise AssertionError(f"no study with {kinds}")


def images_of(plan: StudyPlan, kind: str, acquisition: StandIn) -> list[Dataset]:
    series = next(series for series in plan.series if series.name == kind)
    return series_images(plan, series, acquisition)


def segmentation(sources: list[Dataset], lesion: np.ndarray) -> Dataset:
    return lesion_segmentation(sources, lesion, series=dicom.uid(1, "seg"), number=9, description="Lesion", seed=1)


def again(image: Dataset) -> Dataset:
    """The object as a reader finds it in a file."""
    return pydicom.dcmread(BytesIO(dicom.encode(image)))


def objects(kind: str, view: str = "sagittal", maker: dict[str, str] | None = None) -> list[Dataset]:
    acquisition = stand_in(view)
    changes = {"view": "axial" if view == "axial" else "sagittal", **(maker or {})}
    if kind in ("lesion", "multiframe"):
        sources = images_of(study_with("post1", **changes), "post1", acquisition)
        return [segmentation(sources, acquisition.lesion)] if kind == "lesion" else [multiframe_image(sources, 1)]
    return images_of(study_with(kind, combined=kind == "dynamic", **changes), kind, acquisition)


def saved(images: list[Dataset], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place, image in enumerate(images):
        (folder / file_name(place)).write_bytes(dicom.encode(image))
    return folder


# Parts of a header


@given(st.integers(0, 2**31), st.lists(st.text(max_size=8), max_size=4))
def test_a_uid_is_valid_and_depends_on_seed_and_names_alone(seed: int, names: list[str]) -> None:
    made = dicom.uid(seed, *names)
    assert UID(made).is_valid and made.startswith("2.25.") and len(made) <= 64
    assert made == dicom.uid(seed, *names)
    assert made != dicom.uid(seed + 1, *names)
    assert made != dicom.uid(seed, *names, "")


@given(st.integers(0, 86_399_999))
def test_a_time_of_day_is_kept_to_the_millisecond(thousandths: int) -> None:
    text = dicom.clock(thousandths / 1000)
    assert pydicom.valuerep.TM(text) is not None
    assert dicom.seconds_of_day(text) == pytest.approx(thousandths / 1000, abs=1e-6)


@given(st.floats(-99_999, 99_999))
def test_a_decimal_string_fits_and_keeps_a_micrometre(value: float) -> None:
    text = dicom.number(value)
    assert len(text) <= 16 and pydicom.valuerep.is_valid_ds(text) and text != "-0"
    assert float(text) == pytest.approx(value, abs=1e-7)


@given(st.sampled_from(sorted(VIEWS)), st.tuples(*(st.integers(0, size - 1) for size in SHAPE)))
def test_the_place_of_a_voxel_is_the_slice_s_position_plus_the_way_along_its_axes(
    view: str, index: tuple[int, int, int]
) -> None:
    where = geometry_of(stand_in(view))
    z, y, x = index
    row, column = np.array(where.orientation[:3]), np.array(where.orientation[3:])
    expected = np.array(where.position(z)) + x * where.col * row + y * where.row * column
    np.testing.assert_allclose(where.point(z, y, x), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("maker", "found"), [("GE", "GE"), ("GE MEDICAL SYSTEMS", "GE"), ("Siemens", "SIEMENS"), ("SIEMENS", "SIEMENS")]
)
def test_the_vendor_is_known_by_its_name(maker: str, found: str) -> None:
    assert dicom.vendor(maker) == found


def test_a_header_says_that_the_identity_was_removed_and_how() -> None:
    header = dicom.study_header(person(), study=1, seed=5)
    assert header.PatientIdentityRemoved == "YES" and "113100" in header.DeidentificationMethod
    assert header.LongitudinalTemporalInformationModified == "MODIFIED"
    assert header.PatientID == str(header.PatientName) == "PHAN-S1-0007"
    assert header.PatientAge == "051Y" and header.PatientSex == "F"
    for keyword in ("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName"):
        assert str(header[keyword].value) == ""
    for keyword in ("InstitutionName", "OperatorsName", "StationName", "PatientAddress"):
        assert keyword not in header


def test_a_header_names_the_scanner() -> None:
    ge = dicom.study_header(person(), study=1, seed=5)
    assert (ge.Manufacturer, ge.ManufacturerModelName, ge.MagneticFieldStrength) == ("GE MEDICAL SYSTEMS", "Signa", 1.5)
    other = dicom.study_header(person(**SIEMENS, field_strength=3.0), study=1, seed=5)
    assert (other.Manufacturer, other.ManufacturerModelName, other.MagneticFieldStrength) == ("SIEMENS", "Avanto", 3)
    bare = dicom.study_header(person(scanner="GE 1.5T"), study=1, seed=5)
    assert bare.ManufacturerModelName == "SIGNA EXCITE"


@given(st.integers(0, 500))
def test_a_later_study_is_months_later(seed: int) -> None:
    dates = [
        datetime.datetime.strptime(dicom.study_header(person(), study=study, seed=seed).StudyDate, "%Y%m%d")
        for study in (1, 2, 3)
    ]
    gaps = np.diff(dates) / datetime.timedelta(days=1)
    assert (gaps >= 60).all() and (gaps < 400).all()


def test_a_copied_header_can_change_alone() -> None:
    header = dicom.study_header(person(), study=1, seed=5)
    for original in (header, dicom.settled(header)):
        copy = dicom.copied(original)
        copy.PatientID = "PHAN-S2-0001"
        copy.EchoTime = "9"
        assert original.PatientID == "PHAN-S1-0007" and "EchoTime" not in original


def test_settling_a_header_changes_none_of_it() -> None:
    header = dicom.study_header(person(), study=1, seed=5)
    assert dicom.settled(header) == header


def test_libraries_are_quiet_only_inside(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("highdicom")
    before = log.level
    with caplog.at_level(logging.INFO), dicom.quiet_libraries():
        logging.getLogger("highdicom.base").info("copied this and that")
        warnings.warn('The string "X" is unlikely to represent the intended person name', UserWarning, stacklevel=1)
    assert not caplog.records and log.level == before
    with pytest.raises(ZeroDivisionError), dicom.quiet_libraries():
        _ = 1 / 0
    assert log.level == before


# Plans


def test_each_phase_is_a_series_or_all_are_one() -> None:
    apart = plan_study(person(), lesion=True, study=1, seed=1, combined=False)
    assert [series.phases for series in apart.series if series.phases] == [(0,), (1,), (2,), (3,)]
    assert [apart.holding(phase).name for phase in range(4)] == ["pre", "post1", "post2", "post3"]
    together = plan_study(person(), lesion=True, study=1, seed=1, combined=True)
    assert [series.phases for series in together.series if series.phases] == [(0, 1, 2, 3)]
    assert together.holding(2).name == "dynamic"


def test_series_of_a_study_have_their_own_numbers_and_uids() -> None:
    plans = [plan_study(person(), lesion=True, study=study, seed=1) for study in (1, 2)]
    for plan in plans:
        assert [series.number for series in plan.series] == list(range(1, len(plan.series) + 1))
    uids = [series.uid for plan in plans for series in plan.series] + [p.header.StudyInstanceUID for p in plans]
    assert len(set(uids)) == len(uids)
    assert plan_study(person(), lesion=True, study=1, seed=1).series == plans[0].series


def test_only_a_lesion_is_segmented() -> None:
    with_one = plan_study(person(), lesion=True, study=1, seed=1)
    without = plan_study(person(), lesion=False, study=1, seed=1)
    assert [series.name for series in with_one.series if series not in without.series] == ["lesion"]


def test_further_series_are_in_about_a_third_of_the_studies() -> None:
    plans = [plan_study(person(), lesion=False, study=1, seed=seed) for seed in range(300)]
    for kind in ("localiser", "t2", "subtraction"):
        share = np.mean([any(series.name == kind for series in plan.series) for plan in plans])
        assert 0.25 < share < 0.45


def test_about_half_of_siemens_studies_hold_all_phases_in_one_series_and_no_ge_study_does() -> None:
    def share(**changes: object) -> float:
        plans = [plan_study(person(**changes), lesion=False, study=1, seed=seed) for seed in range(200)]
        return float(np.mean([any(len(series.phases) > 1 for series in plan.series) for plan in plans]))

    assert share() == 0.0
    assert 0.38 < share(**SIEMENS) < 0.62


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({}, "pre", "Sag T1 VIBRANT pre"),
        ({}, "post1", "Sag DYN 1st post"),
        ({"view": "axial"}, "post3", "Ax DYN 3rd post"),
        (SIEMENS, "pre", "t1_fl3d_tra_dyn pre"),
        (SIEMENS, "post2", "t1_fl3d_tra_dyn 2nd pass"),
        (SIEMENS, "t2", "t2_tse_tra"),
        ({}, "localiser", "3-plane LOC"),
        ({}, "subtraction", "Sag SUB 1st post - pre"),
    ],
)
def test_series_are_described_in_the_vendor_s_words(changes: dict[str, object], kind: str, text: str) -> None:
    plan = study_with(kind, **changes)
    assert next(series.description for series in plan.series if series.name == kind) == text


# Images


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_simpleitk_reads_the_very_values_and_geometry(view: str, tmp_path: Path) -> None:
    acquisition = stand_in(view)
    plan = study_with("post1", view="axial" if view == "axial" else "sagittal")
    folder = saved(images_of(plan, "post1", acquisition), tmp_path / "post1")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    found = reader.Execute()
    for index in ((0, 0, 0), (7, 23, 19), (3, 11, 5)):
        place = geometry_of(acquisition).point(*index)
        there = found.TransformPhysicalPointToIndex(place)
        np.testing.assert_allclose(found.TransformIndexToPhysicalPoint(there), place, atol=1e-4)
        assert found[there] == acquisition.phases[1].values[index]
    np.testing.assert_allclose(found.GetSpacing(), (1.5, 1.25, 3.5))


def test_slices_are_numbered_in_order_and_lie_where_their_position_says() -> None:
    images = objects("pre")
    assert [int(image.InstanceNumber) for image in images] == list(range(1, 9))
    normal = np.cross(images[0].ImageOrientationPatient[:3], images[0].ImageOrientationPatient[3:])
    for image in images:
        assert float(image.SliceLocation) == pytest.approx(float(np.dot(normal, image.ImagePositionPatient)))
    assert len({image.SOPInstanceUID for image in images}) == len(images)


def test_pixels_are_sixteen_bits_unsigned_with_one_window_for_the_study() -> None:
    plan = study_with("pre")
    pre, post = (again(images_of(plan, kind, stand_in())[0]) for kind in ("pre", "post3"))
    assert (pre.BitsAllocated, pre.BitsStored, pre.PixelRepresentation) == (16, 16, 0)
    assert (pre.WindowCenter, pre.WindowWidth) == (post.WindowCenter, post.WindowWidth)
    assert pre.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert pre.SOPClassUID == pre.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.4"
    np.testing.assert_array_equal(pre.pixel_array, stand_in().phases[0].values[0])


@pytest.mark.parametrize("combined", [False, True])
def test_times_of_acquisition_give_the_seconds_after_the_first_phase(combined: bool) -> None:
    plan, acquisition = study_with(combined=combined, **SIEMENS), stand_in("axial")
    starts = []
    for phase in range(4):
        series = plan.holding(phase)
        images = series_images(plan, series, acquisition)
        place = 8 * series.phases.index(phase)
        assert len({image.AcquisitionTime for image in images[place : place + 8]}) == 1
        starts.append(dicom.seconds_of_day(images[place].AcquisitionTime))
    np.testing.assert_allclose(np.array(starts) - starts[0], SECONDS, atol=1e-3)


def test_phases_in_one_series_are_told_apart_by_number_and_temporal_position() -> None:
    images = images_of(study_with(combined=True, **SIEMENS), "dynamic", stand_in("axial"))
    assert [int(image.InstanceNumber) for image in images] == list(range(1, 33))
    assert [int(image.TemporalPositionIdentifier) for image in images] == [1] * 8 + [2] * 8 + [3] * 8 + [4] * 8
    assert [int(image.AcquisitionNumber) for image in images[::8]] == [1, 2, 3, 4]
    assert {int(image.NumberOfTemporalPositions) for image in images} == {4}
    assert len({tuple(image.ImagePositionPatient) for image in images}) == 8


def test_contrast_is_stated_after_it_was_given() -> None:
    plan = study_with("t2", "localiser", "subtraction")
    given_in = {
        series.name for series in plan.series
        if series.name != "lesion" and "ContrastBolusAgent" in images_of(plan, series.name, stand_in())[0]
    }  # fmt: skip
    assert given_in == {"post1", "post2", "post3", "subtraction"}


def test_sequences_are_those_of_the_acquisition() -> None:
    dynamic, t2 = objects("post1")[0], objects("t2")[0]
    assert (dynamic.ScanningSequence, dynamic.RepetitionTime, dynamic.EchoTime, dynamic.FlipAngle) == (
        "GR",
        6.1,
        2.4,
        10,
    )
    assert t2.ScanningSequence == "SE" and t2.EchoTime > 80 and t2.RepetitionTime > 2000


def test_a_subtraction_is_the_difference_where_it_is_positive() -> None:
    acquisition = stand_in()
    images = objects("subtraction")
    difference = acquisition.phases[1].values.astype(int) - acquisition.phases[0].values
    assert (difference < 0).any()
    np.testing.assert_array_equal([again(image).pixel_array for image in images], np.maximum(difference, 0))
    assert list(images[0].ImageType) == ["DERIVED", "SECONDARY", "OTHER", "SUBTRACT"]


def test_a_t2_series_has_the_slices_of_the_phases() -> None:
    t2, pre = objects("t2"), objects("pre")
    assert [image.ImagePositionPatient for image in t2] == [image.ImagePositionPatient for image in pre]
    assert not np.array_equal(again(t2[3]).pixel_array, again(pre[3]).pixel_array)


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_localiser_shows_the_volume_in_three_orientations_at_the_right_place(view: str) -> None:
    acquisition = stand_in(view)
    images = [again(image) for image in objects("localiser", view)]
    orientations = [tuple(np.round([float(v) for v in image.ImageOrientationPatient], 6)) for image in images]
    assert len(images) == 9 and len(set(orientations)) == 3
    where, volume = geometry_of(acquisition), acquisition.phases[0].values.astype(float)
    ways = np.array([np.array(where.point(*unit)) - where.origin for unit in np.eye(3)])
    for image in images:
        axes = np.array([float(v) for v in image.ImageOrientationPatient])
        rows, columns = image.Rows // 2, image.Columns // 2
        place = np.array([float(v) for v in image.ImagePositionPatient])
        place = (
            place + columns * float(image.PixelSpacing[1]) * axes[:3] + rows * float(image.PixelSpacing[0]) * axes[3:]
        )
        index = np.linalg.solve(ways.T, place - where.origin)
        value = ndimage.map_coordinates(volume, index[:, None], order=1, mode="nearest")[0]
        assert image.pixel_array[rows, columns] == pytest.approx(value, abs=1.0)


@pytest.mark.parametrize(("view", "side"), [("sagittal", "L"), ("axial", "B")])
def test_the_imaged_side_is_stated(view: str, side: str) -> None:
    assert objects("pre", view)[0].ImageLaterality == side


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_depend_on_no_clock(kind: str) -> None:
    first, second = ([dicom.encode(image) for image in objects(kind)] for _ in range(2))
    assert first == second
    today = datetime.datetime.now().astimezone().strftime("%Y%m%d").encode()
    assert not any(today in encoded for encoded in first)


# Segmentation and multi-frame


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_highdicom_reads_the_lesion_back_on_the_source_images(view: str, tmp_path: Path) -> None:
    acquisition = stand_in(view)
    sources = images_of(study_with("post1"), "post1", acquisition)
    path = saved([segmentation(sources, acquisition.lesion)], tmp_path) / file_name(0)
    found = hd.seg.segread(path)
    uids = [str(image.SOPInstanceUID) for image in sources]
    mask = found.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)[..., 0]
    np.testing.assert_array_equal(mask.astype(bool), acquisition.lesion)
    assert found.NumberOfFrames == 3
    assert {image.SeriesInstanceUID for image in found.ReferencedSeriesSequence} == {sources[0].SeriesInstanceUID}
    assert found.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert found.PatientIdentityRemoved == "YES"


def test_a_segmentation_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no voxel"):
        segmentation(objects("post1"), np.zeros(SHAPE, dtype=bool))


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_frames_of_a_multiframe_image_are_its_slices(view: str) -> None:
    acquisition = stand_in(view)
    sources = images_of(study_with("post1"), "post1", acquisition)
    made = multiframe_image(sources, 1)
    order = slice(None, None, -1) if is_reversed(made, sources[0]) else slice(None)
    read = again(made)
    np.testing.assert_array_equal(read.pixel_array[order], acquisition.phases[1].values)
    positions = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in read.PerFrameFunctionalGroupsSequence]
    assert positions[order] == [image.ImagePositionPatient for image in sources]
    frame = read.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
    assert frame.FrameAcquisitionDateTime == f"{sources[0].StudyDate}{sources[0].AcquisitionTime}"
    assert read.SeriesDescription == sources[0].SeriesDescription


def test_frames_may_lie_in_either_order() -> None:
    found = {}
    for view in VIEWS:
        sources = images_of(study_with("post1"), "post1", stand_in(view))
        found[view] = is_reversed(multiframe_image(sources, 1), sources[0])
    assert set(found.values()) == {True, False}
    assert found["sagittal"] != found["backward"]


def test_a_lesion_can_refer_to_frames(tmp_path: Path) -> None:
    acquisition = stand_in("backward")
    sources = images_of(study_with("post1"), "post1", acquisition)
    image = multiframe_image(sources, 1)
    path = saved([segmentation([image], acquisition.lesion[::-1])], tmp_path) / file_name(0)
    found = hd.seg.segread(path)
    frames = list(range(1, SHAPE[0] + 1))
    mask = found.get_pixels_by_source_frame(
        str(image.SOPInstanceUID), frames, assert_missing_frames_are_empty=True
    )[..., 0]  # fmt: skip
    np.testing.assert_array_equal(mask.astype(bool), acquisition.lesion[::-1])


# Independent checkers


@pytest.mark.parametrize("maker", ["GE", "SIEMENS"])
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(kind: str, maker: str, tmp_path: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("needs dciodvfy (Debian package dicom3tools)")
    changes = {name: value for name, value in SIEMENS.items() if name != "view"} if maker == "SIEMENS" else {}
    folder = saved(objects(kind, "axial" if maker == "SIEMENS" else "sagittal", changes), tmp_path)
    for path in sorted(folder.iterdir()):
        told = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
        lines = (told.stdout + told.stderr).splitlines()
        assert any("MRImage" in line or "Segmentation" in line for line in lines)
        assert [line for line in lines if line.startswith("Error")] == []


def test_dciodvfy_would_find_an_error(tmp_path: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("needs dciodvfy (Debian package dicom3tools)")
    image = objects("pre")[0]
    del image.ScanningSequence
    path = saved([image], tmp_path) / file_name(0)
    told = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    assert "Error" in told.stdout + told.stderr


def test_dicom_validator_finds_no_error(tmp_path: Path) -> None:
    """The package reads the standard's text, which it fetches once into the user's folder."""
    if not any((Path.home() / "dicom-validator").glob("*/docbook/part03.xml")):
        pytest.skip("needs the DICOM standard, which dicom-validator fetches: run `validate_iods` once with a network")
    for kind in KINDS:
        saved(objects(kind), tmp_path / kind)
    command = [sys.executable, "-m", "dicom_validator.validate_iods", "--edition", "local", str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_truth_with_another_number_of_phases_is_not_written_in_part() -> None:
    acquisition = stand_in()
    fewer = replace(acquisition, phases=acquisition.phases[:2])
    plan = study_with("post3")
    with pytest.raises(IndexError):
        images_of(plan, "post3", fewer)
