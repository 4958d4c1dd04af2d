"""A folder of NIfTI files: places, values, phases and seconds come out as they went in; faults are rows."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.errors import ConfigError, DataError
from radgen_lib.imaging.dicom.phases import find_phases
from radgen_lib.imaging.dicom.read import read_volume
from radgen_lib.imaging.dicom.scan import scan
from radgen_lib.imaging.ingest import ingest_shard
from radgen_lib.imaging.store import VolumeStore
from radgen_lib.imaging.volume import Volume
from radgen_lib.sources import folder
from radgen_lib.sources.imaging_source import fetch_shard
from radgen_lib.sources.nifti_dicom import rescaling
from radgen_lib.sources.nifti_folder import list_series, unlisted
from radgen_lib.sources.nifti_place import Place, open_nifti

SHAPE = (7, 6, 5)
Cells = tuple[object, ...]


def affine(axes: np.ndarray, spacing: tuple[float, ...] = (0.8, 0.9, 3.0), origin: Any = (-40.0, 25.5, 60.0)) -> Any:
    """NIfTI affine (RAS) whose voxel axes go along the columns of ``axes``."""
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = axes @ np.diag(spacing), origin
    return found


AFFINES = {
    "axial, right-handed": affine(np.eye(3)),
    "axial, left-handed": affine(np.diag([-1.0, 1.0, 1.0])),
    "sagittal": affine(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])),
    "sagittal, left-handed": affine(np.array([[0.0, 0, -1], [-1, 0, 0], [0, -1, 0]])),
    "coronal": affine(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])),
    "oblique": affine(Rotation.from_euler("xyz", [20, -25, 15], degrees=True).as_matrix()),
}


def write(path: Path, values: np.ndarray, where: np.ndarray = AFFINES["sagittal"], **header: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, where)
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    for name, value in header.items():
        image.header[name] = value
    # Changed by hand, since nibabel writes no header that disagrees with its affine.
    content = image.header.binaryblock + content[348:] if header else content
    path.write_bytes(gzip.compress(content, 1) if path.suffix.lower() == ".gz" else content)


def table(place: Path, *rows: Cells, head: str = "patient,study,phase,file,seconds") -> None:
    place.mkdir(exist_ok=True)
    (place / "phases.csv").write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")


def noise(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16)


def case(place: Path, *phases: str, patient: str = "P1", study: str = "1", seconds: Any = None, **options: Any) -> None:
    """A study whose files are ``<patient>/<study>-<phase>.nii.gz``; its table holds that study alone."""
    rows = []
    for index, phase in enumerate(phases):
        file = f"{patient}/{study}-{phase}.nii.gz"
        write(place / file, noise(index) + 100 * index, **options)
        rows.append((patient, study, phase, file, "" if seconds is None else seconds[index]))
    table(place, *rows)


def take(place: Path, root: Path, jobs: int = 1) -> pd.DataFrame:
    return fetch_shard(Imaging(source="folder", location=str(place)), root, shard=0, offline=True, jobs=jobs)


def listed(place: Path) -> pd.DataFrame:
    return folder.list_series(Imaging(source="folder", location=str(place)))


def phases_of(place: Path, root: Path) -> tuple[pd.DataFrame, dict[str, Volume]]:
    """Phase table and volumes as the reader of every other source makes them."""
    scanned = scan(root, take(place, root))
    assert scanned.faults.empty
    phases, members, _ = find_phases(scanned.instances)
    return phases, {name: read_volume(rows, root) for name, rows in members.items()}


def in_space(volume: Volume, where: np.ndarray) -> np.ndarray:
    """NIfTI voxel indices [z, y, x, 3], rounded, of the voxels of a volume; they have to be whole numbers."""
    index = np.stack(np.indices(volume.values.shape), axis=-1)
    ras = volume.point(index) * [-1.0, -1.0, 1.0]
    found = nib.affines.apply_affine(np.linalg.inv(where), ras)
    np.testing.assert_allclose(found, np.rint(found), atol=1e-3)
    return np.rint(found).astype(int)


@pytest.mark.parametrize("name", AFFINES)
def test_the_volume_lies_where_nibabel_puts_the_file(name: str, tmp_path: Path) -> None:
    where = AFFINES[name]
    write(tmp_path / "in/a.nii", noise(), where)
    table(tmp_path / "in", ("P1", "1", "pre", "a.nii", ""))
    _, volumes = phases_of(tmp_path / "in", tmp_path / "data")
    i, j, k = np.moveaxis(in_space(volumes["P1/1/pre"], where), -1, 0)
    np.testing.assert_array_equal(volumes["P1/1/pre"].values, noise()[i, j, k])
    assert {(0, 0, 0), tuple(np.subtract(SHAPE, 1))} <= set(zip(i.flat, j.flat, k.flat, strict=True))
    assert np.linalg.det(volumes["P1/1/pre"].direction) == pytest.approx(1)
    assert volumes["P1/1/pre"].spacing == pytest.approx((3.0, 0.9, 0.8), abs=1e-5)


@pytest.mark.parametrize("name", AFFINES)
def test_simpleitk_sees_one_image_in_the_file_and_in_the_series(name: str, tmp_path: Path) -> None:
    write(tmp_path / "in/a.nii.gz", noise().astype(np.float32) / 7, AFFINES[name])
    table(tmp_path / "in", ("P1", "1", "pre", "a.nii.gz", ""))
    _, volumes = phases_of(tmp_path / "in", tmp_path / "data")
    source = sitk.ReadImage(tmp_path / "in/a.nii.gz", sitk.sitkFloat64)
    store = next((tmp_path / "data/dicom").glob("*/*/*"))
    series = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(store)), sitk.sitkFloat64)
    half = (899 / 7) / 65535 / 2 * 1.01
    for image in (series, sitk.Cast(volumes["P1/1/pre"].to_sitk(), sitk.sitkFloat64)):
        found = sitk.Resample(image, source, sitk.Transform(), sitk.sitkNearestNeighbor, -1.0)
        apart = np.abs(sitk.GetArrayFromImage(found) - sitk.GetArrayFromImage(source))
        assert apart.max() <= half + 1e-5  # and the reading of 32 bits


def test_the_view_follows_the_third_axis(tmp_path: Path) -> None:
    for name in ("axial, left-handed", "sagittal", "coronal", "oblique"):
        write(tmp_path / f"in/{name}.nii", noise(), AFFINES[name])
    names = ("axial, left-handed", "sagittal", "coronal", "oblique")
    table(tmp_path / "in", *((f"P{k}", "1", "pre", f'"{name}.nii"', "") for k, name in enumerate(names)))
    phases, _ = phases_of(tmp_path / "in", tmp_path / "data")
    assert list(phases["view"]) == ["axial", "sagittal", "coronal", "oblique"]
    assert phases["kept"].all()


@given(
    turn=st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1),
    spacing=st.tuples(*[st.floats(0.2, 9.0)] * 3),
    origin=st.tuples(*[st.floats(-800, 800)] * 3),
    mirrored=st.booleans(),
    values=arrays(np.float32, (4, 5, 4), elements=st.floats(-3000, 3000, width=32)),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_straight_affine_keeps_places_and_values(
    tmp_path_factory: pytest.TempPathFactory, turn: Any, spacing: Any, origin: Any, mirrored: bool, values: np.ndarray
) -> None:
    place = tmp_path_factory.mktemp("any")
    axes = Rotation.from_quat(turn).as_matrix() @ np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    write(place / "in/a.nii", values, affine(axes, spacing, origin))
    table(place / "in", ("P1", "1", "pre", "a.nii", ""))
    (row,) = take(place / "in", place / "data").to_dict("records")
    assert row["status"] == "ok"
    scanned = scan(place / "data", pd.DataFrame([row]))
    volume = read_volume(scanned.instances, place / "data")
    i, j, k = np.moveaxis(in_space(volume, nib.load(place / "in/a.nii").affine), -1, 0)
    step = float(np.ptp(values.astype(np.float64))) / 65535
    assert np.abs(volume.values - values[i, j, k].astype(np.float64)).max() <= step / 2 * 1.001 + 1e-3 * step + 2e-4
    shutil.rmtree(place)


@given(
    kind=st.sampled_from(["<f4", "<f8", "<i2", "<u2", "<i4", "<u1"]),
    low=st.floats(-30000, 100),
    width=st.floats(0, 30000),
    seed=st.integers(0, 9),
)
def test_the_loss_is_half_a_step_and_none_for_whole_numbers(kind: str, low: float, width: float, seed: int) -> None:
    made = low + width * np.random.default_rng(seed).random((3, 4, 5))
    bounds = np.iinfo(kind) if kind[1] != "f" else np.finfo(kind)
    values = np.clip(made, float(bounds.min), float(bounds.max)).astype(kind)
    slope, intercept = rescaling(values)
    assert max(len(slope), len(intercept)) <= 16
    stored = np.rint((values.astype(np.float64) - float(intercept)) / float(slope))
    assert stored.min() >= -1e-6 and stored.max() <= 65535 + 1e-3
    error = np.abs(stored * float(slope) + float(intercept) - values).max()
    if kind[1] != "f":
        assert error == 0 and slope == "1"
    assert error <= float(np.ptp(values.astype(np.float64))) / 65535 / 2 * (1 + 1e-5) + 1e-9


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 65535], ("1", "0")), ([-5, 65530], ("1", "-5")), ([70000, 70001], ("1", "70000")),
        ([3.0, 8.0], ("1", "0")),
        ([0.5, 0.5], ("1", "0.5")), ([0, 131070], ("2.0", "0.0")), ([1e30, 1e30], ("1", "1e+30")),
    ],
)  # fmt: skip
def test_slope_and_intercept(values: list[float], expected: tuple[str, str]) -> None:
    assert rescaling(np.array(values)) == expected


def test_the_scaling_of_the_header_is_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.array(noise(), dtype=np.float32) * 0.25 - 3, AFFINES["oblique"])
    image.header.set_data_dtype(np.int16)
    image.to_filename(tmp_path / "a.nii.gz")
    table(tmp_path, ("P1", "1", "pre", "a.nii.gz", ""))
    _, volumes = phases_of(tmp_path, tmp_path / "data")
    expected = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "a.nii.gz"))
    found = np.sort(volumes["P1/1/pre"].values.ravel())
    np.testing.assert_allclose(found, np.sort(expected.ravel()), atol=225 / 65535)


def test_phases_and_seconds_come_out_as_stated(tmp_path: Path) -> None:
    case(tmp_path / "in", "post2", "pre", "post1", seconds=(181.25, 0, 92.5))
    phases, volumes = phases_of(tmp_path / "in", tmp_path / "data")
    assert list(phases["phase"]) == ["pre", "post1", "post2"]
    assert list(phases["seconds"]) == [0.0, 92.5, 181.25]
    assert list(phases["seconds_source"]) == ["acquisition"] * 3
    assert phases["decision"].tolist() == [
        "no contrast agent in the tags, unlike other phases", *["contrast agent in the tags"] * 2
    ]  # fmt: skip
    assert phases["kept"].all() and list(phases["index_phase"]) == [False, True, False]
    assert [round(float(volumes[name].values.mean() - noise(k).mean())) for name, k in zip(
        ("P1/1/post2", "P1/1/pre", "P1/1/post1"), range(3), strict=True)] == [0, 100, 200]  # fmt: skip


@pytest.mark.parametrize(
    ("phases", "seconds", "expected"),
    [
        (("pre", "post1"), None, [0.0, np.nan]),
        (("pre",), None, [0.0]),
        (("post1",), (60,), [np.nan]),
        (("post2", "post3"), (60, 120), [np.nan] * 2),
        (("pre", "post2"), ("", 120), [0.0, 120.0]),
        (("pre", "post1", "post2"), (0, "", 120), [0.0, np.nan, np.nan]),
        (("pre", *(f"post{k}" for k in range(1, 9))), range(0, 540, 60), list(range(0, 540, 60))),
    ],
)
def test_studies_that_lack_phases_or_seconds_are_kept_as_they_are(
    tmp_path: Path, phases: tuple[str, ...], seconds: Any, expected: list[float]
) -> None:
    case(tmp_path / "in", *phases, seconds=seconds)
    found, _ = phases_of(tmp_path / "in", tmp_path / "data")
    assert list(found["phase"]) == list(phases) and found["kept"].all()
    np.testing.assert_array_equal(found["seconds"], expected)


def test_studies_are_numbered_as_they_stand_and_days_are_unknown(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"in/{name}.nii", noise())
    rows = [("P1", "later", "pre", "a.nii", ""), ("P0", "x", "pre", "b.nii", ""), ("P1", "early", "pre", "c.nii", "")]
    for number, order in enumerate((rows, rows[::-1])):
        table(tmp_path / "in", *order)
        root = tmp_path / f"data{number}"
        phases, _, series = find_phases(scan(root, take(tmp_path / "in", root)).instances)
        uids = {row[1]: uid for row, uid in zip(sorted(order), listed(tmp_path / "in")["study"], strict=False)}
        assert series["days"].isna().all() and len(uids) == 3
        first = phases.loc[phases["volume"] == "P1/1/pre", "study"].item()
        expected = listed(tmp_path / "in").set_index("file")["study"]
        assert first == expected[str(tmp_path / "in" / ("a.nii" if number == 0 else "c.nii"))]


def test_identifiers_come_from_the_table_and_not_from_paths(tmp_path: Path) -> None:
    case(tmp_path / "one", "pre", "post1", seconds=(0, 60))
    first = take(tmp_path / "one", tmp_path / "data1")
    for path in (tmp_path / "one/P1").iterdir():
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "two" / path.name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
    rows = [("P1", "1", phase, f"1-{phase}.nii", seconds) for phase, seconds in (("post1", 60), ("pre", 0))]
    table(tmp_path / "two", *rows)
    pd.testing.assert_frame_equal(first, take(tmp_path / "two", tmp_path / "data2", jobs=2))
    assert set(first["origin"]) == {"folder"} and list(first["n_files"]) == [5, 5]
    assert len(set(first["study"])) == 1 and len(set(first["series"])) == 2
    assert all(uid.startswith("2.25.") and len(uid) <= 44 for uid in [*first["study"], *first["series"]])
    images = [pydicom.dcmread(path) for path in (tmp_path / "data1").rglob("*.dcm")]
    assert len({image.SOPInstanceUID for image in images}) == 10
    assert len({image.FrameOfReferenceUID for image in images}) == 1
    for image in images:
        text = str(image)
        assert not image.StudyDate and "AcquisitionDate" not in image and "1-p" not in text


def test_a_whole_series_is_kept_and_a_changed_one_is_written_again(tmp_path: Path) -> None:
    case(tmp_path / "in", "pre", "post1", seconds=(0, 60))
    root = tmp_path / "data"
    first = take(tmp_path / "in", root)

    def written() -> list[set[int]]:
        return [{path.stat().st_mtime_ns for path in (root / name).glob("*.dcm")} for name in first["folder"]]

    before = written()
    pd.testing.assert_frame_equal(take(tmp_path / "in", root), first)
    assert written() == before
    # One file of the store lost, one cut: both series are made again, as they were.
    lost, cut = (sorted((root / name).glob("*.dcm"))[0] for name in first["folder"])
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-2])
    pd.testing.assert_frame_equal(take(tmp_path / "in", root), first)
    assert written()[0].isdisjoint(before[0]) and written()[1].isdisjoint(before[1])
    # Other seconds concern post1 alone; another file its own series alone.
    before = written()
    rows = [("P1", "1", "pre", "P1/1-pre.nii.gz", 0), ("P1", "1", "post1", "P1/1-post1.nii.gz", 61)]
    table(tmp_path / "in", *rows)
    second = take(tmp_path / "in", root)
    assert sum(a == b for a, b in zip(before, written(), strict=True)) == 1
    write(tmp_path / "in/P1/1-pre.nii.gz", noise(5))
    os.utime(tmp_path / "in/P1/1-pre.nii.gz", ns=(1, 1))
    third = take(tmp_path / "in", root)
    assert len(set(first["sha256"]) & set(second["sha256"])) == len(set(second["sha256"]) & set(third["sha256"])) == 1
    assert not list(root.rglob("*.part"))


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ("file;seconds;Phase;Study;Patient", "a.nii;;pre;1;P1"),
        ("\ufeffpatient,study,phase,file,seconds,comment", "P1,1,PRE,a.nii,0,fine\r\n,,,,,\r\n"),
        ("patient\tstudy\tphase\tfile\tseconds", " P1 \t1\tpre\t./a.nii"),
        ("file,study,phase,seconds,patient", '"a.nii","1","pre","0","P1"'),
    ],
)
def test_forms_of_the_table(tmp_path: Path, head: str, rows: str) -> None:
    write(tmp_path / "a.nii", noise())
    (tmp_path / "phases.csv").write_bytes(f"{head}\r\n{rows}\r\n".encode())
    (row,) = listed(tmp_path).to_dict("records")
    assert (row["patient"], row["status"], row["n_files"], row["modality"], row["line"]) == ("P1", "", 5, "MR", 2)
    assert unlisted(Imaging(source="folder", location=str(tmp_path))) == 0


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            "patient,study,phase,file\n",
            r"phases.csv: no column, or two, named seconds\. The first row is patient,study,",
        ),
        ("patient,patient,study,phase,file,seconds\n", "no column, or two, named patient"),
        ("", "named patient, study, phase, file, seconds"),
        ("patient,study,phase,file,seconds\n\n , ,,,\n", "has no rows. Write a row for each file"),
        (b"patient,study,phase,file,seconds\nM\xfcller,1,pre,a.nii,0\n", r"cannot be read \(UnicodeDecodeError\)"),
        ("x" * 140_000, r"is not CSV"),
        ("patient,study,phase,file,seconds\n" + "x" * 140_000, r"row 2: is not CSV .*field larger.*\. Save it as CSV"),
    ],
)
def test_faults_of_the_tables_structure_are_one_line(tmp_path: Path, content: Any, match: str) -> None:
    (tmp_path / "phases.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=match) as told:
        listed(tmp_path)
    assert "\n" not in str(told.value) and str(tmp_path) not in str(told.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"patient": ""}, "patient is empty"),
        ({"patient": "a\\b"}, "backslash"),
        ({"study": ""}, "study is empty"),
        ({"phase": "arterial"}, "phase is none of pre, post1 ... post8. Write one of these"),
        ({"phase": "post0"}, "phase is none of"),
        ({"phase": "post9"}, "phase is none of"),
        ({"seconds": "-3"}, "seconds are negative"),
        ({"seconds": "1 min"}, "seconds are no number"),
        ({"seconds": "nan"}, "seconds are no number"),
        ({"seconds": "50000"}, "more than half a day"),
        ({"phase": "pre", "seconds": "5"}, "seconds of the pre-contrast phase are not 0"),
        ({"file": "Secret_Person.nii"}, "the file is not there. Correct the column file"),
        ({"file": "../in/good.nii"}, "file is no .nii or .nii.gz below the folder"),
        ({"file": "/good.nii"}, "below the folder"),
        ({"file": ""}, "below the folder"),
        ({"file": "good.mha"}, "below the folder"),
    ],
)
def test_a_faulty_row_is_lost_and_the_others_are_not(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    for name in ("good", "bad"):
        write(tmp_path / f"in/{name}.nii", noise())
    row = {"patient": "P2", "study": "1", "phase": "post1", "file": "bad.nii", "seconds": "60", **change}
    table(tmp_path / "in", ("P1", "1", "pre", "good.nii", 0), tuple(row.values()))
    ledger = take(tmp_path / "in", tmp_path / "data").sort_values("status")
    assert list(ledger["status"]) == ["failed", "ok"]
    assert ledger["reason"].iloc[0].startswith("phases.csv line 3: ") and reason in ledger["reason"].iloc[0]
    assert "Secret" not in ledger["reason"].iloc[0] and ledger["n_files"].tolist() == [0, 5]
    assert len(list((tmp_path / "data/dicom").glob("*/*/*"))) == 1


SHEARED = np.array([[0.8, 0.1, 0, 0], [0, 0.9, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]])


def with_value(value: float) -> np.ndarray:
    made = noise().astype(np.float64)
    made[1, 2, 3] = value
    return made


@pytest.mark.parametrize(
    ("values", "where", "header", "reason"),
    [
        (noise(shape=(4, 4, 4, 2)), np.eye(4), {}, "the file has 4 dimensions, not 3"),
        (noise(shape=(4, 4)), np.eye(4), {}, "the file has 2 dimensions, not 3"),
        (noise(), None, {}, r"no valid affine (sform_code and qform_code are 0)"),
        (noise(), np.eye(4), {"sform_code": 0, "qform_code": 0}, r"no valid affine (sform_code and qform_code are 0)"),
        (noise(), np.eye(4), {"srow_y": [0, 0, 0, 0]}, "no valid affine (not finite, or an axis without length)"),
        (noise(), np.eye(4), {"srow_x": [np.nan, 0, 0, 0]}, "no valid affine (not finite"),
        (noise(), np.eye(4), {"srow_x": [1, 0, 0, 1e9]}, "farther away than a kilometre"),
        (noise(), np.eye(4), {"xyzt_units": 1}, "the affine is in units of meter. Write it in mm"),
        (noise(), SHEARED, {}, "the affine is sheared"),
        (with_value(np.nan), np.eye(4), {}, "1 voxels are not finite. Replace them"),
        (with_value(-np.inf), np.eye(4), {}, "1 voxels are not finite"),
        (with_value(1e300), np.eye(4), {}, "values are larger than 32 bits hold"),
        (noise().astype(np.complex64), np.eye(4), {}, "colours or complex numbers"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_row(
    tmp_path: Path, values: np.ndarray, where: Any, header: dict[str, Any], reason: str
) -> None:
    case(tmp_path / "in", "pre", "post1")
    write(tmp_path / "in/P1/1-post1.nii.gz", values, where, **header)
    ledger = take(tmp_path / "in", tmp_path / "data").sort_values("status")
    assert list(ledger["status"]) == ["failed", "ok"]
    assert ledger["reason"].iloc[0].startswith("phases.csv line 3: ") and reason in ledger["reason"].iloc[0]
    assert len(list((tmp_path / "data/dicom").glob("*/*/*"))) == 1 and not list(tmp_path.rglob("*.part"))


def test_damaged_files_are_rows(tmp_path: Path) -> None:
    case(tmp_path / "in", "pre", "post1", "post2", "post3", "post4")
    place = tmp_path / "in/P1"
    whole = (place / "1-post1.nii.gz").read_bytes()
    (place / "1-post1.nii.gz").write_bytes(whole[: len(whole) // 2])
    (place / "1-post2.nii.gz").write_bytes(b"")
    (place / "1-post3.nii.gz").write_text("no NIfTI")
    body = bytearray(whole)
    body[len(body) // 2] ^= 0xFF  # the check sum, or the stream itself
    (place / "1-post4.nii.gz").write_bytes(bytes(body))
    ledger = take(tmp_path / "in", tmp_path / "data")
    assert sorted(ledger["status"]) == ["failed"] * 4 + ["ok"]
    assert all("cannot be read" in reason for reason in ledger.loc[ledger["status"] == "failed", "reason"])


def test_an_upper_limit_of_an_axis(tmp_path: Path) -> None:
    header = nib.Nifti2Header()
    header.set_data_shape((70000, 1, 1))
    header.set_sform(np.eye(4), 1)
    header.set_data_dtype(np.uint8)
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4 + 70000))
    table(tmp_path, ("P1", "1", "pre", "a.nii", ""))
    assert "an axis has 1 or 70000 voxels, not 1 to 65535" in listed(tmp_path)["reason"].item()


def test_two_rows_of_a_phase_lose_the_phase(tmp_path: Path) -> None:
    case(tmp_path / "in", "pre", "post1", "post2")
    names = [("pre", "pre"), ("post1", "post1"), ("Post1", "post2"), ("post2", "gone")]
    table(tmp_path / "in", *(("P1", "1", phase, f"P1/1-{file}.nii.gz", "") for phase, file in names))
    ledger = take(tmp_path / "in", tmp_path / "data").set_index("reason")["status"]
    assert dict(ledger) == {
        "": "ok",
        "phases.csv line 3: the same phase of a study stands in lines 3, 4. Keep one of them": "failed",
        "phases.csv line 5: the file is not there. Correct the column file": "failed",
    }
    # One of the two is faulty in itself: still nobody knows which is meant.
    table(tmp_path / "in", ("P1", "1", "pre", "none.mha", ""), ("P1", "1", "pre", "P1/1-pre.nii.gz", ""))
    (row,) = take(tmp_path / "in", tmp_path / "data2").to_dict("records")
    assert row["status"] == "failed" and row["reason"].startswith("phases.csv line 2: file is no .nii")


def test_one_file_is_one_phase(tmp_path: Path) -> None:
    case(tmp_path / "in", "pre")
    table(
        tmp_path / "in",
        *(("P1", "1", phase, f"{dot}P1/1-pre.nii.gz", "") for phase, dot in (("pre", ""), ("post1", "./"))),
    )
    assert set(listed(tmp_path / "in")["status"]) == {"failed"}
    assert "the same file stands in lines 2, 3" in listed(tmp_path / "in")["reason"][0]


@pytest.mark.parametrize("seconds", [(0, 120, 60), (0, 60, 60), (0, 0, 60), ("", 120, 60), (0, 60.0004, 60.0001)])
def test_seconds_that_do_not_grow_lose_the_phases_after_contrast(tmp_path: Path, seconds: Any) -> None:
    case(tmp_path / "in", "pre", "post1", "post2", seconds=seconds)
    found = listed(tmp_path / "in").sort_values("line")
    assert list(found["status"]) == ["", "failed", "failed"]
    assert "seconds of the study do not grow from phase to phase" in found["reason"].iloc[1]


def test_a_folder_without_the_table_is_refused_and_says_what_to_add(tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", noise())
    (tmp_path / "README").write_text("no DICOM")
    with pytest.raises(ConfigError, match=r"NIfTI files and no DICOM series .* add phases\.csv \(docs/how-to/own-data"):
        listed(tmp_path)


def test_files_that_stand_in_no_row_are_counted(tmp_path: Path) -> None:
    case(tmp_path, "pre")
    write(tmp_path / "other/x.nii", noise())
    write(tmp_path / "other/y.NII.GZ", noise())
    (tmp_path / "other/._x.nii").write_bytes(b"")
    assert unlisted(Imaging(source="folder", location=str(tmp_path))) == 2


def test_a_file_that_changes_between_list_and_fetch_is_a_row(tmp_path: Path) -> None:
    case(tmp_path / "in", "pre", "post1")
    imaging = Imaging(source="folder", location=str(tmp_path / "in"))
    rows = list_series(imaging)
    (tmp_path / "in/P1/1-pre.nii.gz").unlink()
    write(tmp_path / "in/P1/1-post1.nii.gz", noise(shape=(7, 6, 4)))
    ledger = folder.fetch_series(rows, tmp_path / "data", imaging, jobs=1, offline=False)
    assert sorted(ledger["status"]) == ["failed", "incomplete"]
    assert {"phases.csv line 2: the file is not there. Correct the column file", "4 files, 5 expected"} == set(
        ledger["reason"]
    )


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a.nii", noise(), AFFINES["oblique"])
    _, place = open_nifti(tmp_path / "a.nii")
    source = sitk.ReadImage(tmp_path / "a.nii")
    assert isinstance(place, Place) and place.shape == source.GetSize()
    np.testing.assert_allclose(place.origin, source.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(place.spacing, source.GetSpacing(), atol=1e-5)
    np.testing.assert_allclose(place.direction.ravel(), source.GetDirection(), atol=1e-5)


@pytest.mark.parametrize("name", ["axial, left-handed", "sagittal", "oblique"])
def test_masks_beside_the_store_land_on_their_voxels(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The lesion is bright in the first post-contrast phase; its mask has a grid of its own, mirrored and cut."""
    where, shape = AFFINES[name], (10, 9, 8)
    lesion = np.zeros(shape, dtype=np.int16)
    lesion[2:5, 3:5, 4:7] = 1
    rows = []
    for patient in ("Anna 1", "Berta"):
        for phase, seconds, bright in (("pre", "", 0), ("post1", 90, 3000)):
            file = f"{patient}_{phase}.nii.gz"
            write(tmp_path / "in" / file, noise(3, shape) // 3 + 100 + bright * lesion, where)
            rows.append((patient, "2019-06-14", phase, file, seconds))
    table(tmp_path / "in", *rows)
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = shape[0] - 2
    (tmp_path / "data/masks").mkdir(parents=True)
    write(tmp_path / "data/masks/Anna 1.nii.gz", lesion[:-1][::-1].copy(), where @ mirror)
    imaging = Imaging(source="folder", location=str(tmp_path / "in"), volume=[8, 9, 10], pseudonyms=True)
    with caplog.at_level(logging.INFO, logger="radgen"):
        ledger = fetch_shard(imaging, tmp_path / "data", shard=0, offline=True, jobs=1)
        out = tmp_path / "out/shard-0"
        counts = ingest_shard(ledger, tmp_path / "data", out, imaging=imaging, names=None, jobs=1)
    assert counts == {"series": 4, "series_kept": 4, "patients_kept": 2, "volumes": 4, "masks": 1}
    phases, masks = pd.read_parquet(out / "phases.parquet"), pd.read_parquet(out / "masks.parquet")
    assert sorted(phases["seconds"]) == [0.0, 0.0, 90.0, 90.0]
    (mask,) = masks.to_dict("records")
    assert mask["voxels"] == lesion.sum() and mask["volume_mm3"] == pytest.approx(
        lesion.sum() * 0.8 * 0.9 * 3, rel=1e-4
    )
    store = VolumeStore(tmp_path / "out")
    grid, row = store.mask_of(mask["volume"]), phases.set_index("volume").loc[mask["volume"]]
    volume = store.volume(int(row["row"])).astype(np.float32) * row["scale"]
    assert grid is not None and row["phase"] == "post1"
    # As many voxels on the grid as in the file: none is made of several.
    np.testing.assert_array_equal(grid > 0, volume > 1500)
    assert grid.sum() == lesion.sum()
    told = "\n".join([caplog.text, *(pd.read_parquet(path).to_csv() for path in out.glob("*.parquet"))])
    hidden = ("Anna", "Berta", "2019", str(tmp_path), *ledger["study"], *ledger["series"])
    assert not any(word in told for word in hidden)


def test_dciodvfy_finds_no_error(tmp_path: Path) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("needs dciodvfy (Debian package dicom3tools)")
    case(tmp_path / "in", "pre", "post1", seconds=(0, 60), where=AFFINES["oblique"])
    take(tmp_path / "in", tmp_path / "data")
    for path in list((tmp_path / "data").rglob("*.dcm"))[::3]:
        told = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
        lines = (told.stdout + told.stderr).splitlines()
        assert any("MRImage" in line for line in lines)
        assert [line for line in lines if line.startswith("Error")] == []
