"""Every fault of image files: planted once, where the truth says, and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from pydicom.errors import InvalidDicomError

from radgen_lib.core.config.phantom import Phantom, Trouble
from radgen_lib.core.errors import ConfigError
from radgen_lib.sources.phantom.dicom_troubles import (
    EXPECTED,
    STUDY_WIDE,
    TROUBLE_COLUMNS,
    assign_troubles,
    is_hit,
    plant,
)
from radgen_lib.sources.phantom.image_faults import IDENTIFYING, PLANTS, Files, file_name, touched_slices
from radgen_lib.sources.phantom.patients import ImagedPatient, imaged_patients
from radgen_lib.sources.phantom.series import series_images
from radgen_lib.sources.phantom.table_troubles import TABLE_TROUBLES
from radgen_lib.sources.phantom.tables import planted_troubles, write_phantom_tables
from radgen_lib.sources.phantom.truth import draw_truth
from radgen_lib.sources.phantom.write import write_phantom

SEED = 2
SLICES = 8
SPEC = Phantom(
    patients=17,
    omics_only=20,
    shape=[SLICES, 32, 32],
    post_phases=3,
    genes=60,
    second_study_share=0.1,
    troubles=list(get_args(Trouble)),
)


class Cohort:
    """A written phantom with all faults, and ways to find what was written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = write_phantom(SPEC, SEED, folder)
        self.patients = {patient.trouble: patient for patient in imaged_patients(draw_truth(SPEC, SEED), SPEC, SEED)}
        self.rows = planted_troubles(list(self.patients.values()), SLICES)

    def patient(self, trouble: str) -> ImagedPatient:
        return self.patients[trouble]

    def folders(self, trouble: str, phase: int | None = None) -> list[Path]:
        """Folders of the series that carry the fault, or of the one that holds a phase of the first study."""
        patient = self.patient(trouble)
        study = patient.studies()[0]
        series = set(self.rows.loc[self.rows["trouble"] == trouble, "series"])
        series = series if phase is None else {study.holding(phase).uid}
        return [self.folder / where for where in self.ledger.loc[self.ledger["series"].isin(series), "folder"]]

    def where(self, trouble: str) -> str:
        return str(self.rows.loc[self.rows["trouble"] == trouble, "where"].iloc[0])

    def clean(self, trouble: str, phase: int) -> np.ndarray:
        """What was acquired in a phase of the first study."""
        return self.patient(trouble).acquired(1).phases[phase].values


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return Cohort(tmp_path_factory.mktemp("troubled"))


def headers(folder: Path) -> dict[str, pydicom.Dataset]:
    return {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}


def positions(images: dict[str, pydicom.Dataset]) -> np.ndarray:
    return np.array([[float(value) for value in image.ImagePositionPatient] for image in images.values()])


def stack(images: dict[str, pydicom.Dataset]) -> np.ndarray:
    return np.array([image.pixel_array for image in images.values()])


def named(cohort: Cohort, trouble: str) -> list[str]:
    """Files that the truth names for a fault."""
    return [part.split(" ")[-1] for part in cohort.where(trouble).split(", ")]


# The list of what is planted


def test_every_fault_of_the_configuration_is_known_to_one_of_the_two_planters() -> None:
    assert set(EXPECTED) | set(TABLE_TROUBLES) == set(get_args(Trouble))
    assert set(EXPECTED) == set(PLANTS) and set(STUDY_WIDE) < set(PLANTS)
    assert not set(EXPECTED) & set(TABLE_TROUBLES)
    verdicts = {" ".join(text.split(" ")[:2]) for text in EXPECTED.values()}
    assert verdicts <= {"series kept:", "series refused:", "file refused:"}


@given(
    st.lists(st.sampled_from(get_args(Trouble)), max_size=30),
    st.integers(16, 40),
    st.integers(0, 10_000),
)
def test_each_fault_goes_once_into_another_patient(troubles: list[str], count: int, seed: int) -> None:
    people = [f"PHAN-S1-{number:04d}" for number in range(count)]
    found = assign_troubles(troubles, people, seed)
    assert Counter(found.values()) == Counter(set(troubles) & set(EXPECTED))
    assert set(found) <= set(people)
    assert found == assign_troubles(troubles, people, seed)


def test_more_faults_than_patients_are_refused_in_one_line() -> None:
    with pytest.raises(
        ConfigError, match=r"phantom\.troubles: 3 image faults for 2 patients with MRI. Raise"
    ) as caught:
        assign_troubles(["not_dicom", "compressed", "multiframe", "not_utf8"], ["PHAN-S1-0001", "PHAN-S1-0002"], 1)
    assert "\n" not in str(caught.value)


def test_the_list_names_series_of_the_ledger_and_different_patients(cohort: Cohort) -> None:
    rows = cohort.rows
    assert tuple(rows.columns) == TROUBLE_COLUMNS
    assert set(rows["trouble"]) == set(EXPECTED)
    assert rows.groupby("patient")["trouble"].nunique().max() == 1
    assert rows.groupby("trouble")["patient"].nunique().max() == 1
    pairs = set(zip(cohort.ledger["patient"], cohort.ledger["series"], strict=True))
    assert set(zip(rows["patient"], rows["series"], strict=True)) <= pairs
    assert (rows["expected"] == rows["trouble"].map(EXPECTED)).all()
    wide = rows.groupby("trouble").size()
    for trouble in EXPECTED:
        posts = int(cohort.patient(trouble).patient["n_posts"])
        apart = trouble in STUDY_WIDE and trouble != "phases_in_one_series"
        assert wide[trouble] == (posts + 1 if apart else 1)


def test_the_truth_lists_faults_of_images_and_of_tables(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"patients": 4, "troubles": ["truncated_dicom", "not_utf8", "sample_swap"]})
    write_phantom_tables(spec, SEED, tmp_path)
    found = pd.read_parquet(tmp_path / "truth" / "troubles.parquet").set_index("trouble")
    assert sorted(found.index) == ["not_utf8", "sample_swap", "truncated_dicom"]
    assert found.loc["truncated_dicom", "patient"].startswith("PHAN-")
    assert found.loc["not_utf8", "patient"] == "" and "data_clinical_patient.txt" in found.loc["not_utf8", "where"]
    assert (found["expected"] != "").all()
    content = (tmp_path / "study" / "data_clinical_patient.txt").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")


@given(st.integers(4, 60))
def test_faults_never_sit_at_an_end_of_the_stack(slices: int) -> None:
    patient = imaged_patients(draw_truth(SPEC, SEED), SPEC, SEED)[0]
    study = patient.studies()[0]
    for trouble in EXPECTED:
        first, count = touched_slices(trouble, study, slices)
        assert first >= 1 and first + count <= slices - 1


def test_only_the_first_study_and_dynamic_series_are_hit(cohort: Cohort) -> None:
    for trouble in EXPECTED:
        patient = cohort.patient(trouble)
        for study in patient.studies():
            hit = [series.name for series in study.series if is_hit(trouble, study, series)]
            assert not any(is_hit(None, study, series) for series in study.series)
            if study.number > 1:
                assert hit == []
            elif trouble == "phases_in_one_series":
                assert hit == ["dynamic"]
            elif trouble in STUDY_WIDE:
                assert hit == ["pre", *(f"post{k + 1}" for k in range(int(patient.patient["n_posts"])))]
            else:
                assert hit == ["post2"]


def test_planting_leaves_the_clean_images_as_they_are(cohort: Cohort) -> None:
    for trouble in EXPECTED:
        patient = cohort.patient(trouble)
        study = patient.studies()[0]
        series = next(series for series in study.series if is_hit(trouble, study, series))
        acquisition = patient.acquired(1)
        clean: Files = {file_name(k): image for k, image in enumerate(series_images(study, series, acquisition))}
        before = {name: str(image) for name, image in clean.items()}
        planted = plant(trouble, clean, study, series)
        assert {name: str(image) for name, image in clean.items()} == before
        changed = {name: str(content) for name, content in planted.items()} != before
        assert changed or trouble == "series_twice"


def test_the_first_post_contrast_phase_is_whole_in_every_patient(cohort: Cohort) -> None:
    for trouble in EXPECTED:
        if trouble in STUDY_WIDE:
            continue
        (folder,) = cohort.folders(trouble, phase=1)
        images = headers(folder)
        np.testing.assert_array_equal(stack(images), cohort.clean(trouble, 1))
        assert {image.PatientID for image in images.values()} == {cohort.patient(trouble).name}


# Each fault


def test_a_truncated_file_lacks_the_end_of_its_pixels(cohort: Cohort) -> None:
    (folder,) = cohort.folders("truncated_dicom")
    (name,) = named(cohort, "truncated_dicom")
    broken = pydicom.dcmread(folder / name)
    assert len(broken.PixelData) == 32 * 32 * 2 // 2
    with pytest.raises(ValueError, match="pixel data"):
        _ = broken.pixel_array
    others = {path.name: path for path in folder.iterdir() if path.name != name}
    assert len(others) == SLICES - 1
    for path in others.values():
        assert pydicom.dcmread(path).pixel_array.shape == (32, 32)


def test_a_web_page_lies_among_the_images(cohort: Cohort) -> None:
    (folder,) = cohort.folders("not_dicom")
    assert cohort.where("not_dicom") == "IM-9999.dcm"
    with pytest.raises(InvalidDicomError):
        pydicom.dcmread(folder / "IM-9999.dcm")
    (folder / "IM-9999.dcm").rename(folder.parent / "page")
    np.testing.assert_array_equal(stack(headers(folder)), cohort.clean("not_dicom", 2))
    (folder.parent / "page").rename(folder / "IM-9999.dcm")


def test_two_patients_share_a_series(cohort: Cohort) -> None:
    (folder,) = cohort.folders("two_patients_in_one_series")
    images = headers(folder)
    own = cohort.patient("two_patients_in_one_series").name
    foreign = [name for name, image in images.items() if image.PatientID != own]
    assert foreign == named(cohort, "two_patients_in_one_series") and len(foreign) == 2
    assert len({image.SeriesInstanceUID for image in images.values()}) == 1


def test_a_series_lies_in_two_folders(cohort: Cohort) -> None:
    first, second = cohort.folders("series_twice")
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in second.iterdir()
    }
    rows = cohort.ledger[cohort.ledger["series"] == first.name]
    assert len(rows) == 2 and len(set(rows["sha256"])) == 1 and len(set(rows["folder"])) == 2


def test_some_slices_lie_otherwise(cohort: Cohort) -> None:
    (folder,) = cohort.folders("mixed_orientations")
    images = headers(folder)
    kinds = Counter(tuple(image.ImageOrientationPatient) for image in images.values())
    assert sorted(kinds.values()) == [2, SLICES - 2]
    odd = [name for name, image in images.items() if kinds[tuple(image.ImageOrientationPatient)] == 2]
    assert odd == named(cohort, "mixed_orientations")
    for cosines in kinds:
        row, column = np.array(cosines[:3], dtype=float), np.array(cosines[3:], dtype=float)
        assert float(row @ column) == pytest.approx(0) and float(row @ row) == pytest.approx(1)


def test_two_slices_are_missing_inside(cohort: Cohort) -> None:
    (folder,) = cohort.folders("missing_slices")
    images = headers(folder)
    assert len(images) == SLICES - 2 and not set(named(cohort, "missing_slices")) & set(images)
    steps = np.linalg.norm(np.diff(positions(images), axis=0), axis=1)
    assert steps.max() == pytest.approx(3 * steps.min(), rel=1e-4)
    assert {"IM-0001.dcm", file_name(SLICES - 1)} <= set(images)


def test_two_slices_are_there_twice_under_their_own_names(cohort: Cohort) -> None:
    (folder,) = cohort.folders("duplicated_slices")
    images = headers(folder)
    assert len(images) == SLICES + 2
    assert len({image.SOPInstanceUID for image in images.values()}) == SLICES + 2
    assert len(np.unique(positions(images), axis=0)) == SLICES
    for copy, name in zip(list(images)[SLICES:], named(cohort, "duplicated_slices"), strict=True):
        assert images[copy].ImagePositionPatient == images[name].ImagePositionPatient
        np.testing.assert_array_equal(images[copy].pixel_array, images[name].pixel_array)


def test_a_series_has_no_pixels(cohort: Cohort) -> None:
    (folder,) = cohort.folders("no_pixel_data")
    images = headers(folder)
    assert len(images) == SLICES
    assert not any("PixelData" in image for image in images.values())
    assert all(image.Rows == 32 for image in images.values())


def test_a_series_belongs_to_another_patient(cohort: Cohort) -> None:
    (folder,) = cohort.folders("patient_id_disagrees")
    found = {image.PatientID for image in headers(folder).values()}
    everybody = {patient.name for patient in cohort.patients.values()}
    assert len(found) == 1 and not found & everybody
    assert folder.parts[-3] == cohort.patient("patient_id_disagrees").name


def test_identifying_attributes_are_in_one_patient_alone(cohort: Cohort) -> None:
    own = cohort.patient("identifying_attributes").name
    value = IDENTIFYING["InstitutionName"].encode()
    holders = {path.parts[-4] for path in (cohort.folder / "dicom").rglob("*.dcm") if value in path.read_bytes()}
    assert holders == {own}
    for folder in cohort.folders("identifying_attributes"):
        for image in headers(folder).values():
            assert image.PatientIdentityRemoved == "NO" and image.PatientID == own
            for keyword, text in IDENTIFYING.items():
                assert str(image[keyword].value) == text
    assert not any(value in str(row) for row in cohort.rows.to_dict("records") for value in IDENTIFYING.values())


def test_a_tilted_series_is_sheared_and_its_anatomy_stays(cohort: Cohort) -> None:
    (folder,) = cohort.folders("gantry_tilt")
    images = headers(folder)
    first = next(iter(images.values()))
    cosines = np.array([float(value) for value in first.ImageOrientationPatient])
    normal = np.cross(cosines[:3], cosines[3:])
    steps = np.diff(positions(images), axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-4)
    angle = np.degrees(np.arccos(abs(steps[0] @ normal) / np.linalg.norm(steps[0])))
    assert angle == pytest.approx(12.0, abs=0.01)
    # Bring each slice back to where it was: it shows again what was acquired there.
    clean = cohort.clean("gantry_tilt", 2).astype(float)
    away = (np.arange(SLICES) - (SLICES - 1) / 2) * (steps[0] @ cosines[3:]) / float(first.PixelSpacing[0])
    rows = np.arange(6, 26)
    straight, sheared = [], []
    for plane, pixels, shift in zip(clean, stack(images), away, strict=True):
        back = np.array([np.interp(rows - shift, np.arange(32), column) for column in pixels.T.astype(float)]).T
        straight.append(np.abs(back - plane[rows]).mean())
        sheared.append(np.abs(pixels[rows] - plane[rows]).mean())
    assert straight[0] < 0.7 * sheared[0] and straight[-1] < 0.7 * sheared[-1]


def test_one_gap_between_slices_is_wider(cohort: Cohort) -> None:
    (folder,) = cohort.folders("uneven_spacing")
    steps = np.linalg.norm(np.diff(positions(headers(folder)), axis=0), axis=1)
    wide = np.flatnonzero(steps > 1.2 * np.median(steps))
    assert wide.size == 1 and steps[wide[0]] == pytest.approx(1.4 * np.median(steps), rel=1e-4)
    assert named(cohort, "uneven_spacing") == ["on"] and file_name(int(wide[0]) + 1) in cohort.where("uneven_spacing")


def test_phases_of_one_series_are_told_apart_by_trigger_time_alone(cohort: Cohort) -> None:
    (folder,) = cohort.folders("phases_in_one_series")
    images = headers(folder)
    acquisition = cohort.patient("phases_in_one_series").acquired(1)
    phases = len(acquisition.phases)
    for keyword in ("AcquisitionNumber", "AcquisitionTime", "ContentTime", "SeriesInstanceUID"):
        assert len({str(image[keyword].value) for image in images.values()}) == 1
    assert not any("TemporalPositionIdentifier" in image for image in images.values())
    places = positions(images)
    assert all(len(np.unique(places[k : k + phases], axis=0)) == 1 for k in range(0, len(places), phases))
    ordered = sorted(images.values(), key=lambda image: (float(image.TriggerTime), int(image.InstanceNumber)))
    for phase, taken in enumerate(acquisition.phases):
        part = ordered[phase * SLICES : (phase + 1) * SLICES]
        assert [float(image.TriggerTime) for image in part] == pytest.approx([taken.seconds * 1000] * SLICES, abs=1)
        np.testing.assert_array_equal([image.pixel_array for image in part], taken.values)


def test_three_lossless_syntaxes_hold_the_very_pixels(cohort: Cohort) -> None:
    patient = cohort.patient("compressed")
    syntaxes = []
    for phase in range(int(patient.patient["n_posts"]) + 1):
        (folder,) = cohort.folders("compressed", phase)
        images = headers(folder)
        syntaxes += list({image.file_meta.TransferSyntaxUID.name for image in images.values()})
        np.testing.assert_array_equal(stack(images), cohort.clean("compressed", phase))
        # A second decoder: SimpleITK's, where it knows the syntax.
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in sorted(folder.iterdir())])
        values = sitk.GetArrayFromImage(reader.Execute())
        np.testing.assert_array_equal(np.sort(values, axis=None), np.sort(stack(images), axis=None))
    assert syntaxes[:3] == [
        "RLE Lossless", "JPEG-LS Lossless Image Compression", "JPEG 2000 Image Compression (Lossless Only)",
    ]  # fmt: skip


def test_each_phase_is_one_file_with_frames(cohort: Cohort) -> None:
    patient = cohort.patient("multiframe")
    for phase in range(int(patient.patient["n_posts"]) + 1):
        (folder,) = cohort.folders("multiframe", phase)
        (image,) = headers(folder).values()
        assert image.NumberOfFrames == SLICES and image.SOPClassUID.name == "Legacy Converted Enhanced MR Image Storage"
        clean = cohort.clean("multiframe", phase)
        assert any(np.array_equal(image.pixel_array, order) for order in (clean, clean[::-1]))
        assert image.SeriesInstanceUID == folder.name


def test_a_segmentation_refers_to_frames_that_exist(cohort: Cohort) -> None:
    patient = cohort.patient("multiframe")
    assert bool(patient.lesion["present"])
    (source,) = headers(cohort.folders("multiframe", 1)[0]).values()
    uid = next(series.uid for series in patient.studies()[0].series if series.name == "lesion")
    where = cohort.ledger.set_index("series").loc[uid, "folder"]
    mask = hd.seg.segread(cohort.folder / where / "IM-0001.dcm").get_pixels_by_source_frame(
        str(source.SOPInstanceUID), list(range(1, SLICES + 1)), assert_missing_frames_are_empty=True
    )[..., 0]  # fmt: skip
    acquisition = patient.acquired(1)
    same = np.array_equal(source.pixel_array, acquisition.phases[1].values)
    np.testing.assert_array_equal(mask.astype(bool), acquisition.lesion if same else acquisition.lesion[::-1])


def test_signed_values_are_the_plain_ones_after_rescaling(cohort: Cohort) -> None:
    (folder,) = cohort.folders("signed_rescaled", 1)
    images = headers(folder)
    stored = stack(images)
    assert stored.dtype == np.int16 and stored.min() < 0
    first = next(iter(images.values()))
    values = stored * float(first.RescaleSlope) + float(first.RescaleIntercept)
    np.testing.assert_array_equal(values, cohort.clean("signed_rescaled", 1))
    files = [str(path) for path in sorted(folder.iterdir())]
    read = sitk.GetArrayFromImage(sitk.ReadImage(files))
    np.testing.assert_allclose(np.sort(read, axis=None), np.sort(values, axis=None))


@pytest.mark.parametrize("trouble", sorted(EXPECTED))
def test_a_fault_gives_the_same_bytes_again(cohort: Cohort, trouble: str, tmp_path: Path) -> None:
    from radgen_lib.sources.phantom.write import write_patient

    patient = cohort.patient(trouble)
    rows = write_patient(patient, tmp_path)
    mine = cohort.ledger[cohort.ledger["patient"] == patient.name].set_index("folder")["sha256"]
    assert {str(row["folder"]): row["sha256"] for row in rows} == mine.to_dict()


def test_a_fault_is_found_by_the_checks_of_the_store(cohort: Cohort) -> None:
    """Nothing looks lost on the way: what is wrong with the files is for the reader to find."""
    count: Callable[[str], int] = lambda folder: len(list((cohort.folder / folder).glob("*.dcm")))  # noqa: E731
    assert [count(folder) for folder in cohort.ledger["folder"]] == cohort.ledger["n_files"].tolist()
    assert set(cohort.ledger["status"]) == {"ok"}
