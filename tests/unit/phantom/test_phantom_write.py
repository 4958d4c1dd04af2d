"""The phantom on disk: the store of series, resuming, shards, processes, and the tables of the truth beside it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shutil
import signal
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import highdicom as hd
import numpy as np
import pandas as pd
import pydicom
import pytest

from radgen_lib.core.atomic import write_parquet
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.errors import StopRequested
from radgen_lib.sources.ledger import LEDGER_COLUMNS, check_store, folder_sha256, ledger_frame, shard_of
from radgen_lib.sources.phantom import patients as patients_module
from radgen_lib.sources.phantom import write as write_module
from radgen_lib.sources.phantom.patients import ImagedPatient, each_patient, imaged_patients, lesion_at
from radgen_lib.sources.phantom.tables import BOX_COLUMNS, duke_boxes, image_truth, lesion_box
from radgen_lib.sources.phantom.truth import draw_truth
from radgen_lib.sources.phantom.write import write_patient, write_phantom, write_phantom_tables
from radgen_lib.sources.reference.genesets import read_gene_sets

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow_scripts"
SEED = 4
SPEC = Phantom(
    patients=5, omics_only=20, shape=[6, 32, 32], post_phases=2, genes=60, axial_share=0.4, second_study_share=0.2
)


def everyone(spec: Phantom = SPEC, seed: int = SEED) -> list[ImagedPatient]:
    return imaged_patients(draw_truth(spec, seed), spec, seed)


def contents(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A small phantom with its tables, and its ledger. Tests that change a file take a copy."""
    folder = tmp_path_factory.mktemp("phantom")
    ledger = write_phantom(SPEC, SEED, folder)
    write_phantom_tables(SPEC, SEED, folder)
    return folder, ledger


@pytest.fixture
def one(written: tuple[Path, pd.DataFrame], tmp_path: Path) -> tuple[ImagedPatient, Path]:
    """A patient whose phases are a series each, and a folder that holds a copy of this patient's images."""
    patient = next(p for p in everyone() if p.patient["manufacturer"] != "SIEMENS" and p.patient["n_posts"] == 2)
    shutil.copytree(written[0] / "dicom" / patient.name, tmp_path / "dicom" / patient.name)
    return patient, tmp_path


# The store and its ledger


def test_the_ledger_says_what_is_there(written: tuple[Path, pd.DataFrame]) -> None:
    folder, ledger = written
    assert tuple(ledger.columns) == LEDGER_COLUMNS
    assert set(ledger["status"]) == {"ok"} and set(ledger["origin"]) == {"phantom"} and set(ledger["reason"]) == {""}
    assert (ledger["n_files"] == ledger["expected_files"]).all() and (ledger["bytes"] == ledger["expected_bytes"]).all()
    pd.testing.assert_frame_equal(check_store(ledger, folder), ledger)
    for row in ledger.itertuples():
        assert folder_sha256(folder / row.folder) == row.sha256
    assert set(ledger["patient"]) == {patient.name for patient in everyone()}


def test_the_store_holds_nothing_that_the_ledger_does_not_name(written: tuple[Path, pd.DataFrame]) -> None:
    folder, ledger = written
    found = {str(path.parent.relative_to(folder)) for path in (folder / "dicom").rglob("*.dcm")}
    assert found == set(ledger["folder"])
    rest = [path for path in (folder / "dicom").rglob("*") if path.is_file() and path.suffix != ".dcm"]
    assert {path.name for path in rest} == {".series.json"}


def test_folders_and_objects_agree(written: tuple[Path, pd.DataFrame]) -> None:
    folder, ledger = written
    seen: set[str] = set()
    for row in ledger.itertuples():
        for path in sorted((folder / row.folder).iterdir()):
            image = pydicom.dcmread(path, stop_before_pixels=True)
            assert (image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID) == (
                row.patient, row.study, row.series,
            )  # fmt: skip
            assert path.parts[-4:-1] == (row.patient, row.study, row.series)
            assert re.fullmatch(r"IM-\d{4}\.dcm", path.name)
            assert image.SOPInstanceUID not in seen
            seen.add(image.SOPInstanceUID)


def test_each_study_has_every_phase_and_a_segmentation_of_its_lesion(written: tuple[Path, pd.DataFrame]) -> None:
    folder, ledger = written
    for patient in everyone():
        for study in patient.studies():
            mine = ledger[ledger["study"] == study.header.StudyInstanceUID].set_index("series")
            slices = sum(mine.loc[series.uid, "n_files"] for series in study.series if series.phases)
            assert slices == 6 * (patient.patient["n_posts"] + 1)
            masks = [series.uid for series in study.series if series.name == "lesion"]
            assert len(masks) == bool(patient.lesion["present"])
            for uid in masks:
                assert pydicom.dcmread(folder / mine.loc[uid, "folder"] / "IM-0001.dcm").Modality == "SEG"


def test_the_pixels_are_those_that_were_acquired(written: tuple[Path, pd.DataFrame]) -> None:
    folder, ledger = written
    patient = everyone()[1]
    study = patient.studies()[0]
    acquisition = patient.acquired(1)
    series = study.holding(1)
    place = 6 * series.phases.index(1)
    where = folder / ledger.set_index("series").loc[series.uid, "folder"]
    images = [pydicom.dcmread(where / f"IM-{place + k + 1:04d}.dcm").pixel_array for k in range(6)]
    np.testing.assert_array_equal(images, acquisition.phases[1].values)


def test_no_file_names_this_machine_or_its_user(written: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = written
    secrets = [str(folder).encode(), str(Path.home()).encode() + b"/", os.uname().nodename.encode()]
    for path in (folder / "dicom").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not any(secret in content for secret in secrets)


# Resuming


def test_a_second_call_writes_nothing_and_says_the_same(
    written: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ledger = written

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be made again")

    monkeypatch.setattr(patients_module, "acquire", forbidden)
    monkeypatch.setattr(write_module, "encode", forbidden)
    pd.testing.assert_frame_equal(write_phantom(SPEC, SEED, folder), ledger)


@pytest.mark.parametrize("loss", ["series", "file", "part of a file"])
def test_what_was_lost_is_written_again_with_the_same_bytes(one: tuple[ImagedPatient, Path], loss: str) -> None:
    patient, folder = one
    before = contents(folder)
    rows = write_patient(patient, folder)
    phases = [folder / str(row["folder"]) for row in rows if row["n_files"] == 6]
    target, other = phases[1], phases[0] / "IM-0001.dcm"
    kept = other.stat().st_mtime_ns
    if loss == "series":
        shutil.rmtree(target)
    elif loss == "file":
        (target / "IM-0002.dcm").unlink()
    else:
        content = (target / "IM-0002.dcm").read_bytes()
        (target / "IM-0002.dcm").write_bytes(content[:-100])
    assert write_patient(patient, folder) == rows
    assert contents(folder) == before
    assert other.stat().st_mtime_ns == kept


def test_a_slice_lost_after_fetching_is_told_when_the_images_are_read(
    one: tuple[ImagedPatient, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient, folder = one
    ledger = ledger_frame(write_patient(patient, folder))
    lost = folder / str(ledger.loc[ledger["n_files"] == 6, "folder"].iloc[0])
    # The last slice: what is left is an even stack, in which geometry alone sees nothing missing.
    max(lost.glob("*.dcm")).unlink()
    write_parquet(folder / "ledger-0.parquet", ledger)
    out = tmp_path / "out"
    out.mkdir()
    job = SimpleNamespace(
        input=SimpleNamespace(ledger=folder / "ledger-0.parquet"),
        output=SimpleNamespace(volumes=out / "volumes.npy", nifti=out / "nifti", card=out / "card.json"),
        params=SimpleNamespace(imaging={"source": "phantom", "volume": [4, 16, 16]}),
        threads=1,
    )
    monkeypatch.setattr("radgen_lib.core.job.open_job", lambda job: nullcontext(Mock()))
    runpy.run_path(str(SCRIPTS / "read_images.py"), {"snakemake": job})
    series = pd.read_parquet(out / "series.parquet").set_index("series")
    assert not series.loc[lost.name, "kept"]
    assert "the store lost it: 5 files, 6 expected" in series.loc[lost.name, "reason"]
    assert series.drop(index=lost.name)["kept"].any()


@pytest.mark.parametrize("after", [0, 1, 9, 18])
def test_a_kill_leaves_whole_series_and_the_next_call_goes_on(
    one: tuple[ImagedPatient, Path],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    patient, whole = one
    folder = tmp_path_factory.mktemp("killed")
    encode, calls = write_module.encode, [0]

    def dying(image: pydicom.Dataset) -> bytes:
        calls[0] += 1
        if calls[0] > after:
            raise KeyboardInterrupt
        return encode(image)

    monkeypatch.setattr(write_module, "encode", dying)
    with pytest.raises(KeyboardInterrupt):
        write_patient(patient, folder)
    expected = contents(whole)
    visible = {name: digest for name, digest in contents(folder).items() if "/." not in name}
    assert visible.items() <= expected.items()
    for where in {str(Path(name).parent) for name in visible}:
        assert len(list((folder / where).iterdir())) == len(list((whole / where).iterdir()))
    monkeypatch.setattr(write_module, "encode", encode)
    write_patient(patient, folder)
    assert contents(folder) == expected


def test_other_settings_replace_what_is_there(one: tuple[ImagedPatient, Path]) -> None:
    patient, folder = one
    before = contents(folder)
    stale = folder / "dicom" / patient.name / "2.25.1" / "2.25.2"
    stale.mkdir(parents=True)
    (stale / "IM-0001.dcm").write_bytes(b"of an earlier version")
    moved = next(p for p in everyone(SPEC.model_copy(update={"motion_mm": 9.0})) if p.name == patient.name)
    write_patient(moved, folder)
    after = contents(folder)
    assert not stale.exists() and after != before
    write_patient(patient, folder)
    assert contents(folder) == before


def test_a_store_without_its_journal_is_written_anew(one: tuple[ImagedPatient, Path]) -> None:
    patient, folder = one
    before = contents(folder)
    (folder / "dicom" / patient.name / ".series.json").unlink()
    damaged = next((folder / "dicom").rglob("*.dcm"))
    damaged.write_bytes(b"0" * damaged.stat().st_size)
    write_patient(patient, folder)
    assert contents(folder) == before


def test_the_journal_holds_no_time_and_no_path(one: tuple[ImagedPatient, Path]) -> None:
    patient, folder = one
    journal = json.loads((folder / "dicom" / patient.name / ".series.json").read_text())
    assert set(journal) == {"digest", "series"}
    for where, facts in journal["series"].items():
        assert where.startswith(f"dicom/{patient.name}/") and set(facts) == {"n_files", "bytes", "sha256"}


def test_the_digest_tells_seeds_settings_and_faults_apart() -> None:
    first = everyone()[0]
    others = [
        everyone(seed=SEED + 1)[0],
        everyone(SPEC.model_copy(update={"shape": [8, 32, 32]}))[0],
        ImagedPatient(first.patient, first.lesion, first.spec, first.seed, "compressed"),
        everyone()[1],
    ]
    assert len({patient.digest() for patient in [first, *others]}) == 5
    assert everyone()[0].digest() == first.digest()


def test_planting_a_fault_in_one_patient_leaves_the_others_alone() -> None:
    plain, planted = everyone(), everyone(SPEC.model_copy(update={"troubles": ["not_dicom"]}))
    changed = [a.name for a, b in zip(plain, planted, strict=True) if a.digest() != b.digest()]
    assert changed == [patient.name for patient in planted if patient.trouble == "not_dicom"] and len(changed) == 1


# Shards, processes, stopping, memory


def test_shards_make_the_whole(written: tuple[Path, pd.DataFrame]) -> None:
    folder, ledger = written
    parts = [write_phantom(SPEC, SEED, folder, shard=shard, shards=3) for shard in range(3)]
    for shard, part in enumerate(parts):
        assert {shard_of(patient, 3) for patient in part["patient"]} <= {shard}
    together = pd.concat(parts).sort_values(["patient", "study", "series", "folder"], ignore_index=True)
    pd.testing.assert_frame_equal(together, ledger)


def test_processes_write_the_same_bytes(written: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    folder, ledger = written
    pd.testing.assert_frame_equal(write_phantom(SPEC, SEED, tmp_path, jobs=2), ledger)
    assert contents(tmp_path / "dicom") == contents(folder / "dicom")


def _name(patient: ImagedPatient) -> str:
    return patient.name


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order(jobs: int) -> None:
    people = everyone()
    assert list(each_patient(_name, people, jobs, "names")) == [patient.name for patient in people]


def test_sigterm_ends_the_work_after_the_patient_in_hand() -> None:
    done: list[str] = []

    def work(patient: ImagedPatient) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append(patient.name)
        return patient.name

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StopRequested, match="the next start goes on"):
        list(each_patient(work, everyone(), 1, "phantom patients"))
    assert done == [everyone()[0].name]
    assert signal.getsignal(signal.SIGTERM) is before


def test_memory_does_not_grow_with_the_patients(tmp_path: Path) -> None:
    spec = Phantom(patients=5, omics_only=0, shape=[4, 16, 16], post_phases=1, genes=60)
    people = everyone(spec)
    write_patient(people[0], tmp_path)  # tables of the libraries are read once
    tracemalloc.start()
    held = []
    for patient in people[1:]:
        write_patient(patient, tmp_path)
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] - held[0] < 2e5


# Studies and lesions


def test_a_later_study_shows_a_lesion_of_another_size() -> None:
    patient = next(patient for patient in everyone() if patient.patient["n_studies"] == 2)
    first, second = (patient.diameter_mm(study) for study in (1, 2))
    assert first == patient.lesion["diameter_mm"]
    assert first != second and 0.8 <= second / first <= 1.25
    assert lesion_at(patient.lesion, 2, SEED).drop("diameter_mm").equals(patient.lesion.drop("diameter_mm"))


def test_lesions_grow_and_shrink_over_patients() -> None:
    ratios = [
        lesion_at(row, 2, SEED)["diameter_mm"] / row["diameter_mm"] for _, row in draw_truth(SPEC, 1).lesions.iterrows()
    ]
    assert min(ratios) < 0.95 and max(ratios) > 1.05


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (np.zeros((3, 4, 5), dtype=bool), (-1,) * 6),
        (np.ones((3, 4, 5), dtype=bool), (0, 2, 0, 3, 0, 4)),
        (np.arange(60).reshape(3, 4, 5) == 27, (1, 1, 1, 1, 2, 2)),
    ],
)
def test_a_box_holds_its_first_and_last_voxel(mask: np.ndarray, box: tuple[int, ...]) -> None:
    assert lesion_box(mask) == box


# Tables


@pytest.fixture
def images(written: tuple[Path, pd.DataFrame]) -> pd.DataFrame:
    return pd.read_parquet(written[0] / "truth" / "lesions_images.parquet")


def test_tables_of_all_three_kinds_are_there(written: tuple[Path, pd.DataFrame]) -> None:
    folder, _ = written
    assert (folder / "study" / "data_mrna_seq_v2_rsem.txt").is_file()
    assert (folder / "tables" / "Annotation_Boxes.xlsx").is_file()
    sets = read_gene_sets(folder / "tables" / "gene_sets.tsv", whole=False).table
    assert set(sets["gene"]) <= set(draw_truth(SPEC, SEED).genes)
    for name in ("patients", "lesions", "factors", "associations", "lesions_images", "troubles"):
        assert (folder / "truth" / f"{name}.parquet").is_file()
    troubles = pd.read_parquet(folder / "truth" / "troubles.parquet")
    assert list(troubles.columns) == ["trouble", "patient", "series", "where", "expected"] and troubles.empty


def test_the_truth_of_images_has_a_row_for_each_phase(written: tuple[Path, pd.DataFrame], images: pd.DataFrame) -> None:
    people = draw_truth(SPEC, SEED).patients.query("imaged").set_index("patient")
    expected = people["n_studies"] * (people["n_posts"] + 1)
    assert images.groupby("patient").size().to_dict() == expected.to_dict()
    assert set(images["series"]) <= set(written[1]["series"]) and set(images["study"]) <= set(written[1]["study"])
    first = images[images["phase"] == "pre"]
    assert (first["seconds"] == 0).all() and (first[["shift_z_mm", "shift_y_mm", "shift_x_mm"]] == 0).all(axis=None)
    later = images[images["phase"] != "pre"]
    assert (later["seconds"] > 0).all()
    assert np.linalg.norm(later[["shift_z_mm", "shift_y_mm", "shift_x_mm"]], axis=1).max() <= SPEC.motion_mm + 1e-3


def test_volumes_and_boxes_are_those_of_the_segmentations(
    written: tuple[Path, pd.DataFrame], images: pd.DataFrame
) -> None:
    folder, ledger = written
    truth = images[images["phase"] == "post1"].set_index("study")
    checked = 0
    for where in ledger["folder"]:
        path = folder / where / "IM-0001.dcm"
        if pydicom.dcmread(path, specific_tags=["Modality"]).Modality != "SEG":
            continue
        found = hd.seg.segread(path)
        row = truth.loc[str(found.StudyInstanceUID)]
        measures = found.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        size = float(np.prod([float(v) for v in measures.PixelSpacing])) * float(measures.SpacingBetweenSlices)
        frames = found.pixel_array.reshape(-1, 32, 32).astype(bool)
        assert frames.sum() == row["voxels"]
        assert frames.sum() * size == pytest.approx(row["volume_mm3"], rel=1e-5)
        slices, rows, columns = np.nonzero(frames)
        assert np.ptp(slices) == row["slice_last"] - row["slice_first"]
        assert (rows.min(), rows.max()) == (row["row_first"], row["row_last"])
        assert (columns.min(), columns.max()) == (row["col_first"], row["col_last"])
        checked += 1
    assert checked == len(truth)


def test_kinetics_are_those_of_the_truth(images: pd.DataFrame) -> None:
    lesions = draw_truth(SPEC, SEED).lesions.set_index("patient")
    for name in ("ktrans", "kep", "vp"):
        np.testing.assert_allclose(images[name], lesions.loc[images["patient"], name])
    first = images[images["study_number"] == 1]
    np.testing.assert_allclose(first["diameter_mm"], lesions.loc[first["patient"], "diameter_mm"])


def test_a_patient_without_a_lesion_has_no_box_and_no_kinetics() -> None:
    patient = everyone()[0]
    lesion = patient.lesion.copy()
    lesion["present"] = False
    without = ImagedPatient(patient.patient, lesion, patient.spec, patient.seed, None)
    assert all(series.name != "lesion" for study in without.studies() for series in study.series)
    table = image_truth(without)
    assert (table[list(BOX_COLUMNS)] == -1).all(axis=None) and (table["volume_mm3"] == 0).all()
    assert table[["ktrans", "kep", "vp", "diameter_mm"]].isna().all(axis=None)
    assert duke_boxes(table).empty


def test_duke_boxes_count_from_one(written: tuple[Path, pd.DataFrame], images: pd.DataFrame) -> None:
    boxes = pd.read_excel(written[0] / "tables" / "Annotation_Boxes.xlsx").set_index("Patient ID")
    first = images[(images["study_number"] == 1) & (images["phase"] == "pre")].set_index("patient")
    assert set(boxes.index) == set(first.index)
    first = first.loc[boxes.index]
    for title, column in (("Row", "row"), ("Column", "col"), ("Slice", "slice")):
        np.testing.assert_array_equal(boxes[f"Start {title}"], first[f"{column}_first"] + 1)
        np.testing.assert_array_equal(boxes[f"End {title}"], first[f"{column}_last"] + 1)
    assert (boxes >= 1).all(axis=None)


def test_tables_are_the_same_again_whatever_the_processes(written: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "data_linear_cna.txt").write_text("of an earlier run with a fault\n")
    write_phantom_tables(SPEC, SEED, tmp_path, jobs=2)
    expected = {name: digest for name, digest in contents(written[0]).items() if not name.startswith("dicom/")}
    assert contents(tmp_path) == expected


def test_progress_is_logged_without_names(caplog: pytest.LogCaptureFixture) -> None:
    work: Callable[[ImagedPatient], str] = _name
    with caplog.at_level("INFO", logger="radgen"):
        list(each_patient(work, everyone(), 1, "phantom patients"))
    assert any("phantom patients: 5/5" in message for message in caplog.messages)
    assert not any("PHAN-" in message for message in caplog.messages)
