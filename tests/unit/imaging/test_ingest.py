"""A shard from DICOM to packed arrays: small series of known pixels, the phantom, faults, pseudonyms, stopping."""

from __future__ import annotations

import io
import logging
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from radgen_lib.core.config.cohort import Imaging
from radgen_lib.core.config.phantom import Phantom
from radgen_lib.core.errors import DataError, StopRequested
from radgen_lib.imaging import ingest as ingest_module
from radgen_lib.imaging.ingest import ingest_shard
from radgen_lib.imaging.nifti import read_nifti
from radgen_lib.imaging.registration import Registered
from radgen_lib.imaging.resample import to_grid
from radgen_lib.imaging.store import VolumeStore
from radgen_lib.imaging.volume import Volume
from radgen_lib.sources.phantom.patients import imaged_patients
from radgen_lib.sources.phantom.truth import draw_truth
from radgen_lib.sources.phantom.write import write_phantom
from tests.unit.imaging.dicom_images import AXIAL, SAGITTAL, Series, write
from tests.unit.imaging.test_les import les_bytes

FILES = ("volumes.npy", "masks.npy", "contact_sheets.zip", "series.parquet", "phases.parquet", "selection.parquet",
         "masks.parquet")  # fmt: skip
GRID = [4, 6, 5]
PHASES = [
    "volume", "patient", "study", "study_number", "series", "phase", "decision", "seconds", "seconds_source", "view",
    "side", "slices", "rows", "cols", "spacing_slice", "spacing_row", "spacing_col", "field_strength", "manufacturer",
    "site", "index_phase", "row", "scale", "registration", "motion_before_mm", "motion_after_mm", "kept", "reason",
]  # fmt: skip


def pixels(level: int, seed: int = 0, shape: tuple[int, int, int] = (6, 12, 10)) -> np.ndarray:
    return (np.random.default_rng(seed).gamma(2.0, 100.0, shape) + level).astype(np.uint16)


def study(patient: str, number: int = 1, posts: int = 2, **options: Any) -> list[Series]:
    """One pre-contrast series and ``posts`` post-contrast ones, with rising values."""
    made = []
    for phase in range(posts + 1):
        root = f"1.2.{sum(map(ord, patient))}.{number}"
        tags = {"AcquisitionTime": f"0910{10 + phase}", "StudyDate": f"2001031{number}", "SeriesNumber": 3 + phase}
        if phase:
            tags["ContrastBolusAgent"] = "GADOLINIUM"
        values = pixels(100 * phase, phase)
        made.append(Series(values, uid=f"{root}.{phase + 1}", study=root, patient=patient, tags=tags, **options))
    return made


def store(root: Path, series: list[Series]) -> pd.DataFrame:
    """Write series in the store's layout; their ledger."""
    rows = []
    for one in series:
        folder = f"dicom/{one.patient}/{one.study}/{one.uid}"
        write(root, one.images(), folder)
        rows.append({"patient": one.patient, "study": one.study, "series": one.uid, "folder": folder})
    return pd.DataFrame(rows).assign(status="ok", reason="")


def run(
    ledger: pd.DataFrame, root: Path, out: str = "shard-0", jobs: int = 1, **options: Any
) -> dict[str, pd.DataFrame]:
    names = options.pop("names", None)
    imaging = Imaging(source="folder", volume=options.pop("volume", GRID), **options)
    counts = ingest_shard(ledger, root, root / "out" / out, imaging=imaging, names=names, jobs=jobs)
    tables = {path.stem: pd.read_parquet(path) for path in (root / "out" / out).glob("*.parquet")}
    assert counts["volumes"] == tables["phases"]["kept"].sum()
    assert counts["series_kept"] == tables["series"]["kept"].sum()
    assert counts["masks"] == tables["masks"]["kept"].sum()
    return tables


def test_volumes_are_the_pixels_over_the_scale_of_the_pre_contrast_phase(tmp_path: Path) -> None:
    series = study("TCGA-AO-A03M")
    tables = run(store(tmp_path, series), tmp_path)
    phases = tables["phases"]
    assert list(phases.columns) == PHASES
    assert list(phases["volume"]) == [f"TCGA-AO-A03M/1/{name}" for name in ("pre", "post1", "post2")]
    assert list(phases["row"]) == [0, 1, 2]
    assert list(phases["index_phase"]) == [False, True, False]
    # Sagittal as written: slices to the right, rows down, columns back, which is the canonical order.
    grids = [to_grid(Volume(one.values.astype(np.float32), one.spacing, (0, 0, 0), np.eye(3)), GRID) for one in series]
    scale = float(np.percentile(grids[0], 99.5))
    np.testing.assert_allclose(phases["scale"], scale)
    kept = VolumeStore(tmp_path / "out")
    for row, grid in enumerate(grids):
        np.testing.assert_allclose(kept.volume(row) * scale, grid, rtol=1e-3)
    assert np.load(tmp_path / "out/shard-0/volumes.npy").dtype == np.float16
    assert tables["series"]["kept"].all()
    with zipfile.ZipFile(tmp_path / "out/shard-0/contact_sheets.zip") as sheets:
        assert sheets.namelist() == [f"TCGA-AO-A03M_1_{name}.jpg" for name in ("pre", "post1", "post2")]
        greys = [np.asarray(Image.open(io.BytesIO(sheets.read(name)))).mean() for name in sheets.namelist()]
    assert greys == sorted(greys)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_files_do_not_depend_on_processes_file_names_or_order_of_the_ledger(tmp_path: Path) -> None:
    series = [one for number in range(1, 4) for one in study(f"TCGA-AO-A03{number}", posts=1)]
    ledger = store(tmp_path, series)
    run(ledger, tmp_path, "shard-0", nifti=True)
    run(ledger, tmp_path, "shard-1", jobs=2, nifti=True)
    for path in sorted((tmp_path / "dicom").rglob("*.dcm")):
        path.rename(path.with_name(f"z{999 - int(path.stem)}.dcm"))
    run(ledger.iloc[::-1], tmp_path, "shard-2", nifti=True)
    one, two, three = (contents(tmp_path / f"out/shard-{k}") for k in range(3))
    assert set(FILES) < set(one)
    assert len(one) == len(FILES) + 6
    assert one == two
    del one["selection.parquet"], three["selection.parquet"]  # its rows follow the ledger
    assert one == three


def broken(tmp_path: Path) -> pd.DataFrame:
    """A good study, one whose first post-contrast file lost its end, text files, a series that was not fetched."""
    good, bad = study("TCGA-AO-A03M"), study("TCGA-AR-A1AX")
    ledger = store(tmp_path, [*good, *bad])
    victim = sorted((tmp_path / ledger["folder"].iloc[4]).glob("*.dcm"))[2]
    victim.write_bytes(victim.read_bytes()[:-40])
    (tmp_path / "dicom/TCGA-E2-A1IE/1.7/1.7.1").mkdir(parents=True)
    (tmp_path / "dicom/TCGA-E2-A1IE/1.7/1.7.1/note.dcm").write_text("no DICOM")
    lost = [
        {"patient": "TCGA-E2-A1IE", "study": "1.7", "series": "1.7.1", "folder": "dicom/TCGA-E2-A1IE/1.7/1.7.1",
         "status": "ok", "reason": ""},
        {"patient": "TCGA-E2-A1L7", "study": "1.8", "series": "1.8.1", "folder": "dicom/TCGA-E2-A1L7/1.8/1.8.1",
         "status": "missing", "reason": "no such object"},
    ]  # fmt: skip
    return pd.concat([ledger, pd.DataFrame(lost)], ignore_index=True)


def test_what_cannot_be_used_is_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    tables = run(broken(tmp_path), tmp_path)
    phases, series = tables["phases"].set_index("volume"), tables["series"].set_index("series")
    assert phases.loc[phases["kept"]].index.str.startswith("TCGA-AO").sum() == 3
    assert len(series) == 8
    lost = series[~series["kept"]]
    assert len(lost) == 3
    assert (lost["reason"].str.len() > 5).all()
    assert lost.loc["1.8.1", "reason"] == "missing: no such object"
    assert lost.loc["1.7.1", "n_instances"] == 0
    assert not phases.loc[~phases["kept"], "reason"].eq("").any()
    unknown = phases.loc["TCGA-E2-A1IE/1/unreadable"]
    assert (unknown["reason"], unknown["row"], unknown["site"]) == ("not a DICOM file", -1, "E2")
    # The truncated series is the first post-contrast one of its study: the next one takes its place.
    mine = phases[phases["patient"] == "TCGA-AR-A1AX"]
    assert mine[mine["index_phase"]]["kept"].all()
    selection = tables["selection"]
    patients = selection[selection["step"] == "patients"].set_index("id")["kept"]
    assert dict(patients) == {"TCGA-AO-A03M": True, "TCGA-AR-A1AX": True, "TCGA-E2-A1IE": False, "TCGA-E2-A1L7": False}
    files = selection[selection["step"] == "files"]
    assert {"note.dcm"} < set(files["row"])
    assert not files["kept"].any()
    assert (selection["kept"] == (selection["reason"] == "")).all()


def test_pixels_that_vanish_between_scan_and_reading_cost_one_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = store(tmp_path, study("TCGA-AO-A03M"))
    scan = ingest_module.scan

    def scan_then_lose(root: Path, *args: Any, **options: Any) -> Any:
        found = scan(root, *args, **options)
        next((root / ledger["folder"].iloc[1]).glob("*.dcm")).unlink()
        return found

    monkeypatch.setattr(ingest_module, "scan", scan_then_lose)
    tables = run(ledger, tmp_path)
    phases = tables["phases"].set_index("phase")
    assert dict(phases["kept"]) == {"pre": True, "post1": False, "post2": True}
    assert phases.loc["post1", "reason"].startswith("a file cannot be read")
    assert (phases.loc["post1", "row"], phases.loc["post2", "row"]) == (-1, 1)
    assert dict(phases["index_phase"]) == {"pre": False, "post1": False, "post2": True}
    lost = tables["series"].loc[~tables["series"]["kept"]]
    assert list(lost["series"]) == [ledger["series"].iloc[1]]
    assert lost["reason"].iloc[0].startswith("a file cannot be read")


def test_an_empty_image_is_refused_and_without_pre_contrast_each_phase_has_its_own_scale(tmp_path: Path) -> None:
    series = study("TCGA-AO-A03M")
    series[0].values[:] = 0
    phases = run(store(tmp_path, series), tmp_path)["phases"].set_index("phase")
    assert phases.loc["pre", "reason"].startswith("no signal")
    assert phases.loc["post1", "scale"] < phases.loc["post2", "scale"]
    assert phases.loc["post1", "index_phase"]


def test_a_shard_without_usable_series_is_a_shard(tmp_path: Path) -> None:
    ledger = store(tmp_path, study("TCGA-AO-A03M", posts=0)).assign(status="missing", reason="gone")
    tables = run(ledger, tmp_path)
    assert len(tables["series"]) == 1
    assert len(tables["phases"]) == len(tables["masks"]) == 0
    assert list(tables["phases"].columns) == PHASES
    assert len(VolumeStore(tmp_path / "out")) == 0
    assert np.load(tmp_path / "out/shard-0/volumes.npy").shape == (0, *GRID)


SECRETS = ("Secret^Person", "19500607", "20010311", "City Hospital", "ACC123", "091010", "LOCAL 77")


def test_pseudonyms_are_all_that_leaves_a_private_cohort(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    identity = {
        "PatientName": "Secret^Person", "PatientBirthDate": "19500607", "InstitutionName": "City Hospital",
        "AccessionNumber": "ACC123", "SeriesDescription": "DYN for Secret^Person",
        "Manufacturer": "Secret^Person", "ManufacturerModelName": "Secret^Person of City Hospital",
    }  # fmt: skip
    series = study("LOCAL77")
    for one in series:
        one.patient = "LOCAL 77"
        one.tags |= identity
    ledger = store(tmp_path, series)
    (tmp_path / ledger["folder"].iloc[0] / "Secret^Person.dcm").write_text("no DICOM")
    with caplog.at_level(logging.INFO, logger="radgen"):
        tables = run(ledger, tmp_path, pseudonyms=True, nifti=True)
    (patient,) = set(tables["phases"]["patient"])
    assert patient.startswith("P-")
    assert list(tables["phases"]["site"].unique()) == [""]
    assert tables["phases"]["volume"].iloc[0] == f"{patient}/1/pre"
    assert set(tables["series"]["identifying"]) == {"PatientName,PatientBirthDate,InstitutionName,AccessionNumber"} or (
        "PatientName" in tables["series"]["identifying"].iloc[0]
    )
    uids = {one.study for one in series} | {one.uid for one in series}
    names = [path.name for path in (tmp_path / "out").rglob("*")]
    told = "\n".join([*names, caplog.text, *(table.to_csv() for table in tables.values())])
    for word in (*SECRETS, *uids, str(tmp_path)):
        assert word not in told
    for content in contents(tmp_path / "out").values():
        assert not any(word.encode() in content for word in (*SECRETS, *uids))
    links = pd.read_parquet(tmp_path / "pseudonyms/links-shard-0.parquet")
    assert set(links["identifier"]) >= {"LOCAL 77", *uids}


def test_given_names_replace_patients_and_keep_uids(tmp_path: Path) -> None:
    series = study("TCGA-AO-A03M")
    tables = run(store(tmp_path, series), tmp_path, names={"TCGA-AO-A03M": "Q-1"})
    assert set(tables["phases"]["patient"]) == set(tables["selection"]["id"]) == {"Q-1"}
    assert set(tables["series"]["series"]) == {one.uid for one in series}
    two = store(tmp_path, study("TCGA-AR-A1AX"))
    with pytest.raises(ValueError, match="two patients have the same name"):
        run(pd.concat([store(tmp_path, series), two]), tmp_path, names={"TCGA-AO-A03M": "Q", "TCGA-AR-A1AX": "Q"})


def test_lesion_files_beside_the_store_become_masks(tmp_path: Path) -> None:
    ledger = store(tmp_path, study("TCGA-AO-A03M"))
    (tmp_path / "masks").mkdir()
    box = np.ones((2, 6, 6), dtype=bool)
    (tmp_path / "masks/TCGA-AO-A03M.les").write_bytes(les_bytes(box, 3, 3, 2))
    (tmp_path / "masks/TCGA-AO-A03M-2.les").write_bytes(les_bytes(box, 3, 3, 40))
    (tmp_path / "masks/TCGA-XX-XXXX.les").write_bytes(b"")
    masks = run(ledger, tmp_path)["masks"]
    good, bad = masks[masks["kept"]].iloc[0], masks[~masks["kept"]].iloc[0]
    assert len(masks) == 2
    assert (good["volume"], good["patient"], good["row"], good["voxels"]) == (
        "TCGA-AO-A03M/1/post1",
        "TCGA-AO-A03M",
        0,
        72,
    )
    assert good["volume_mm3"] == pytest.approx(72 * 3.0 * 0.9 * 0.8)
    assert "InstanceNumber 40 is not in the volume" in bad["reason"]
    grid = VolumeStore(tmp_path / "out").mask_of("TCGA-AO-A03M/1/post1")
    assert grid is not None
    # InstanceNumbers 2 and 3 of six slices are slices 1 and 2, counted from 0; the grid has slices 0, 2, 3 and 5.
    assert np.flatnonzero(grid.any(axis=(1, 2))).tolist() == [1]


def test_nifti_files_hold_the_volume_as_acquired_and_old_ones_go(tmp_path: Path) -> None:
    series = study("TCGA-AO-A03M", posts=1, orientation=AXIAL)
    ledger = store(tmp_path, series)
    run(ledger, tmp_path, nifti=True)
    folder = tmp_path / "out/shard-0/nifti"
    assert sorted(path.name for path in folder.iterdir()) == [
        "TCGA-AO-A03M_1_post1.nii.gz",
        "TCGA-AO-A03M_1_pre.nii.gz",
    ]
    found = read_nifti(folder / "TCGA-AO-A03M_1_pre.nii.gz")
    np.testing.assert_array_equal(found.values, series[0].values)
    np.testing.assert_allclose(found.origin, series[0].origin, atol=1e-4)
    run(ledger[:1], tmp_path, nifti=True)
    assert [path.name for path in folder.iterdir()] == ["TCGA-AO-A03M_1_pre.nii.gz"]
    run(ledger, tmp_path)
    assert list(folder.iterdir()) == []


def test_sigterm_leaves_an_earlier_shard_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = store(tmp_path, study("TCGA-AO-A03M")), store(tmp_path, study("TCGA-AR-A1AX"))
    run(first, tmp_path)
    before = contents(tmp_path / "out")
    read: Callable[..., Any] = ingest_module.read_study

    def read_and_be_stopped(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return read(*args)

    monkeypatch.setattr(ingest_module, "read_study", read_and_be_stopped)
    with pytest.raises(StopRequested, match="reads it again"):
        run(pd.concat([first, second], ignore_index=True), tmp_path)
    assert contents(tmp_path / "out") == before
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, Phantom]:
    root = tmp_path_factory.mktemp("phantom")
    spec = Phantom(patients=4, omics_only=0, shape=[8, 32, 32], post_phases=2, second_study_share=0.3, axial_share=0.3)
    return root, write_phantom(spec, 5, root), spec


def test_the_phantom_is_read_whole(phantom: tuple[Path, pd.DataFrame, Phantom]) -> None:
    root, ledger, spec = phantom
    tables = run(ledger, root, "plain", volume=[8, 32, 32])
    phases, masks = tables["phases"], tables["masks"]
    kept = phases[phases["kept"]]
    truth = {patient.name: patient for patient in imaged_patients(draw_truth(spec, 5), spec, 5)}
    wanted = {
        f"{name}/{plan.number}/{image.label}"
        for name, patient in truth.items()
        for plan in patient.studies()
        for image in patient.acquired(plan.number).phases
    }
    assert set(kept["volume"]) == wanted
    assert kept.groupby(["patient", "study_number"])["index_phase"].sum().eq(1).all()
    assert masks["kept"].all()
    for row in masks.to_dict("records"):
        name, number, _ = row["volume"].split("/")
        lesion = truth[name].acquired(int(number)).lesion
        assert row["voxels"] == lesion.sum()
    values = np.load(root / "out/plain/volumes.npy", mmap_mode="r")
    assert len(values) == len(wanted)
    assert np.isfinite(values).all()


def test_masks_of_the_phantom_lie_on_what_enhances(phantom: tuple[Path, pd.DataFrame, Phantom]) -> None:
    root, ledger, _ = phantom
    run(ledger, root, "shard-0", volume=[8, 32, 32])
    found = VolumeStore(root / "out")
    rows = {volume: row for row, volume in found.index["volume"].items()}
    ratios = []
    for volume in found.masks["volume"]:
        mask = found.mask_of(volume)
        pre, post = (found.volume(rows[name]) for name in (volume.rsplit("/", 1)[0] + "/pre", volume))
        assert mask is not None
        tissue = pre > np.percentile(pre, 60)
        ratios.append((post - pre)[mask].mean() / (post - pre)[tissue].mean())
    assert np.median(ratios) > 2


def test_registration_and_bias_correction_are_switches(phantom: tuple[Path, pd.DataFrame, Phantom]) -> None:
    root, ledger, _ = phantom
    some = ledger[ledger["patient"] == ledger["patient"].iloc[0]]
    plain = run(some, root, "off", volume=[8, 32, 32])["phases"]
    assert plain["motion_before_mm"].isna().all()
    done = run(some, root, "on", volume=[8, 32, 32], registration="rigid", bias_correction=True)["phases"]
    posts = done["kept"] & (done["phase"] != "pre")
    assert done.loc[posts, "motion_before_mm"].notna().all()
    assert done.loc[~posts, "motion_before_mm"].isna().all()
    kinds = set(done.loc[posts, "registration"].str.split(":").str[0])
    assert kinds <= {"none", "shift", "rigid"} and kinds & {"shift", "rigid"}
    assert set(done.loc[~posts, "registration"]) == {""}
    assert set(plain["registration"]) == {""}
    assert done.loc[posts, "motion_after_mm"].mean() < done.loc[posts, "motion_before_mm"].mean()
    off, on = (np.load(root / f"out/{name}/volumes.npy") for name in ("off", "on"))
    assert off.shape == on.shape
    assert not np.array_equal(off[0], on[0])


def test_what_became_of_a_registration_is_a_column_and_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = store(tmp_path, study("TCGA-AO-A03M"))
    why = "none: rigid dropped, it does not raise mutual information"

    def dropped(moving: Volume, fixed: Volume, how: str) -> Registered:
        level = float(moving.values.mean() - fixed.values.mean())
        return Registered(moving, 0.4, 0.4, None, why if level < 150 else how)

    monkeypatch.setattr("radgen_lib.imaging.registration.registered", dropped)
    with caplog.at_level(logging.WARNING, logger="radgen"):
        phases = run(ledger, tmp_path, registration="rigid")["phases"].set_index("phase")
    assert dict(phases["registration"]) == {"pre": "", "post1": why, "post2": "rigid"} and phases["kept"].all()
    assert phases.loc["post1", ["motion_before_mm", "motion_after_mm"]].tolist() == [0.4, 0.4]
    assert [line.getMessage() for line in caplog.records] == [f"TCGA-AO-A03M/1/post1: registration {why}"]


def test_without_a_pre_contrast_phase_nothing_is_registered_and_it_is_told(tmp_path: Path) -> None:
    ledger = store(tmp_path, study("TCGA-AO-A03M"))
    for path in (tmp_path / ledger["folder"].iloc[0]).glob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-2])
    phases = run(ledger, tmp_path, registration="rigid")["phases"].set_index("phase")
    assert dict(phases["registration"]) == {
        "pre": "",
        **dict.fromkeys(("post1", "post2"), "none: no pre-contrast phase"),
    }
    assert dict(phases["kept"]) == {"pre": False, "post1": True, "post2": True}


UPSIDE_DOWN = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def test_every_view_is_brought_to_its_own_order(tmp_path: Path) -> None:
    """Axial and sagittal as written are canonical; upside down, a sagittal stack has its rows up, its slices left."""
    turned = {AXIAL: np.s_[:], SAGITTAL: np.s_[:], UPSIDE_DOWN: np.s_[::-1, ::-1]}
    for number, (orientation, turn) in enumerate(turned.items()):
        series = study("TCGA-AO-A03M", posts=0, orientation=orientation)
        root = tmp_path / str(number)
        run(store(root, series), root, volume=[6, 12, 10])
        made = np.load(root / "out/shard-0/volumes.npy")[0].astype(np.float32)
        wanted = series[0].values[turn].astype(np.float32)
        np.testing.assert_allclose(made / made.max(), wanted / wanted.max(), rtol=2e-3)


def test_identifiers_of_a_hospital_need_pseudonyms(tmp_path: Path) -> None:
    ledger = pd.DataFrame({"patient": ["H0001", "TCGA-AO-A03M", "", "H0002"]})
    with pytest.raises(DataError, match=r"2 patients have identifiers .*imaging\.pseudonyms: true") as caught:
        ingest_shard(ledger, tmp_path, tmp_path / "out", imaging=Imaging(source="folder"), names=None, jobs=1)
    assert "H0001" not in str(caught.value) and not (tmp_path / "out").exists()


def test_a_series_refused_whole_keeps_its_row_and_the_names_of_the_others(tmp_path: Path) -> None:
    """Whatever becomes of the second of four series: pseudonyms, masks and arrays follow the same names."""
    ledger = store(tmp_path, study("TCGA-AO-A03M", posts=3))
    whole = run(ledger, tmp_path, "whole")["phases"].set_index("volume")
    for path in (tmp_path / ledger["folder"].iloc[1]).glob("*.dcm"):
        path.write_bytes(path.read_bytes()[:-2])
    tables = run(ledger, tmp_path, "cut")
    phases, series = tables["phases"].set_index("volume"), tables["series"].set_index("series")
    assert phases.index.tolist() == whole.index.tolist()
    lost = phases.loc["TCGA-AO-A03M/1/post1"]
    assert not lost["kept"] and lost["row"] == -1
    assert lost["reason"] == "all 6 images refused: truncated: 238 of 240 bytes of pixel data"
    assert phases["row"].tolist() == [0, -1, 1, 2] and phases["index_phase"].tolist() == [False, False, True, False]
    row = series.loc[ledger["series"].iloc[1]]
    assert (row["n_instances"], row["study_number"], row["kept"], row["reason"]) == (0, 1, False, lost["reason"])
    selection = tables["selection"]
    steps = selection[(selection["row"] == "TCGA-AO-A03M/1/post1") & (selection["step"] == "phases")]
    assert steps["reason"].tolist() == [lost["reason"]]
    hidden = run(ledger, tmp_path, "hidden", pseudonyms=True)["phases"]
    assert hidden["phase"].tolist() == phases["phase"].tolist() and hidden["patient"].str.startswith("P-").all()


def two_breasts(posts: int = 1) -> list[Series]:
    """The left breast, twice as bright, beside the right one; UIDs of the right one come last."""
    made = study("TCGA-AO-A03M", posts=posts)
    for one in study("TCGA-AO-A03M", posts=posts):
        one.values, one.origin, one.uid = 2 * one.values, (60.0, -100.0, 90.0), f"1.1.{one.uid}"
        made.append(one)
    return made


def test_each_breast_is_scaled_by_its_own_pre_contrast_phase(tmp_path: Path) -> None:
    tables = run(store(tmp_path, two_breasts()), tmp_path, registration="rigid")
    phases = tables["phases"].set_index("volume")
    names = [f"TCGA-AO-A03M/1/{name}" for name in ("pre", "pre-2", "post1", "post1-2")]
    assert phases.index.tolist() == names and phases["kept"].all()
    assert phases["side"].tolist() == ["right", "left", "right", "left"]
    assert phases.loc[names[0], "scale"] == phases.loc[names[2], "scale"]
    assert phases.loc[names[1], "scale"] == phases.loc[names[3], "scale"]
    assert phases.loc[names[1], "scale"] == pytest.approx(2 * phases.loc[names[0], "scale"], rel=1e-3)
    assert phases.loc[phases["index_phase"]].index.tolist() == [names[2]]
    kept = VolumeStore(tmp_path / "out")
    np.testing.assert_allclose(kept.volume(0), kept.volume(1), rtol=1e-2, atol=1e-3)
    assert not phases["registration"].str.contains("no pre-contrast phase").any()


def test_a_breast_that_lost_its_pre_contrast_phase_is_not_scaled_by_that_of_the_other(tmp_path: Path) -> None:
    series = two_breasts()
    series[0].values = np.zeros_like(series[0].values)
    phases = run(store(tmp_path, series), tmp_path, registration="rigid")["phases"].set_index("volume")
    names = [f"TCGA-AO-A03M/1/{name}" for name in ("pre", "pre-2", "post1", "post1-2")]
    assert phases.loc[names, "kept"].tolist() == [False, True, True, True]
    assert phases.loc[names[2], "registration"] == "none: no pre-contrast phase"
    own = to_grid(Volume(series[1].values.astype(np.float32), series[1].spacing, (0, 0, 0), np.eye(3)), GRID)
    assert phases.loc[names[2], "scale"] == pytest.approx(float(np.percentile(own, 99.5)), rel=1e-4)


def test_every_stack_becomes_a_volume_where_all_are_asked_for(tmp_path: Path) -> None:
    late = Series(pixels(50), uid="1.9.1", orientation=AXIAL, tags={"AcquisitionTime": "093000"})
    series = study("TCGA-AO-A03M")
    late.study, late.patient = series[0].study, series[0].patient
    ledger = store(tmp_path, [*series, late])
    assert run(ledger, tmp_path)["phases"]["kept"].tolist() == [True, True, True, False]
    every = run(ledger, tmp_path, phases="all")["phases"]
    assert every["phase"].tolist() == ["pre", "post1", "post2", "other"] and every["kept"].all()
    assert set(every["scale"]) == {every["scale"].iloc[0]}, "the scale of the study's pre-contrast phase"
    assert every.loc[every["index_phase"], "phase"].tolist() == ["post1"]
