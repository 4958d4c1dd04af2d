"""`radgen doctor --cohort`: what it finds out about ingested cohorts before anything runs."""

from __future__ import annotations

import re
import shutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml

from radgen_lib.cli import local_checks
from radgen_lib.cli.checks import Check
from radgen_lib.cli.cohort_checks import check_cohort, describe
from radgen_lib.core.config.load import resolve
from radgen_lib.core.config.model import Config
from radgen_lib.core.config.phantom import Trouble
from radgen_lib.sources.ledger import listing_frame, series_folder
from radgen_lib.sources.registry import load_registry
from tests.hospital import SPEC, Hospital, write_hospital

ROOT = Path(__file__).resolve().parents[3]
Rows = Callable[..., list[Check]]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return write_hospital(tmp_path_factory.mktemp("clinic"), SPEC.model_copy(update={"patients": 4, "omics_only": 4}))


@pytest.fixture(autouse=True)
def address(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """No test asks the network: every address answers, or what is said instead."""

    def answer(said: str) -> None:
        monkeypatch.setattr("radgen_lib.sources.status.check_address", lambda source: said)

    answer("yes")
    return answer


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Rows of doctor on cohort ``mine``, its blocks and the rest of the configuration given."""

    def asked(imaging: dict[str, Any], omics: dict[str, Any] | None = None, **changes: Any) -> list[Check]:
        rest = {key: changes.pop(key) for key in ("clinical", "phantom", "subgroups") if key in changes}
        mine = {"kind": "ingested", "imaging": imaging, "omics": omics, **rest}
        places = {key: f"{tmp_path}/{key}" for key in ("results", "downloads", "resume")}
        config: Config = resolve({**places, "cohorts": {"mine": mine}, **changes})
        return list(check_cohort(config, load_registry(), "mine", None))

    return asked


def only(found: list[Check], what: str, status: str | None = None) -> Check:
    (row,) = [row for row in found if row.what == f"{what} of mine" and status in (None, row.status)]
    return row


def own(hospital: Hospital, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    imaging = {"source": "folder", "location": str(hospital.dicom), "series": "all", "pseudonyms": True, **changes}
    return imaging, {"source": "folder", "location": str(hospital.omics)}


def free(monkeypatch: pytest.MonkeyPatch, gigabytes: float) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: types.SimpleNamespace(free=gigabytes * 1e9))


def test_attributes_of_the_portal(rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 2000)
    series = {"source": "idc", "collection": "duke_breast_cancer_mri"}
    omics = {"study": "brca_tcga_pan_can_atlas_2018", "rest": ["brca_tcga/ER_STATUS_BY_IHC"]}
    assert only(rows(series, omics), "attributes").status == "OK"
    refused = only(rows(series, omics, offline=True), "attributes", "FAIL")
    assert "1 of the portal's REST service" in refused.found and "rest.tsv and its card" in refused.todo
    (tmp_path / "downloads/mine").mkdir(parents=True)
    (tmp_path / "downloads/mine/rest.tsv").touch()
    assert "of an earlier run" in only(rows(series, omics, offline=True), "attributes", "OK").found
    assert not [row for row in rows(series, omics | {"rest": []}) if row.what.startswith("attributes")]


def test_a_collection_of_the_index(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 2000)
    found = rows({"source": "idc", "collection": "duke_breast_cancer_mri", "series": "all", "nifti": True})
    images = only(found, "images")
    assert images.status == "OK" and "922 patients" in images.found and "5034 series" in images.found
    # Fetched (368 GB) and written once more as NIfTI.
    assert 736 < float(images.found.split("about ")[1].split()[0]) < 750
    assert next(row for row in found if row.what == "fetching mine").found.startswith("0 of 5034 series in")
    assert only(found, "omics").found == "none: images alone are read, no system runs"
    free(monkeypatch, 300)
    short = only(rows({"source": "idc", "collection": "duke_breast_cancer_mri"}), "images")
    assert short.status == "FAIL" and "300.0 GB free" in short.found and "imaging.patients" in short.todo


def test_offline_counts_what_the_store_holds(rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1000)
    block = {"source": "idc", "collection": "tcga_brca", "series": "all", "patients": ["TCGA-AO-A03M"]}

    def fetching(**changes: Any) -> Check:
        return next(row for row in rows(block, **changes) if row.what == "fetching mine")

    assert fetching().status == "OK" and "over the network" in fetching().found
    assert fetching(offline=True).status == "FAIL" and "offline: true" in fetching(offline=True).found
    from radgen_lib.sources.idc_index_query import index_series

    listing = index_series("tcga_brca")
    for row in listing[listing["patient"] == "TCGA-AO-A03M"].itertuples():
        (tmp_path / "downloads/mine" / series_folder(row.patient, row.study, row.series)).mkdir(parents=True)
    assert fetching(offline=True).status == "OK" and "network" not in fetching(offline=True).found


def test_the_papers_list_may_not_be_here_yet(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1000)
    found = rows({"source": "idc", "collection": "tcga_brca", "series": "papers"})
    assert "btf_features" in only(found, "images", "WARN").found
    assert "1858 series" in only(found, "images", "OK").found


def test_an_unknown_collection_is_a_row(rows: Rows) -> None:
    (fault, _) = rows({"source": "idc", "collection": "tcga_brcc"})
    assert fault.status == "FAIL" and "tcga_brcc" in fault.found and "Nearest: tcga_brca" in fault.found


def test_servers_are_not_asked(rows: Rows) -> None:
    assert only(rows({"source": "nbia", "collection": "TCGA-BRCA"}), "images").status == "WARN"
    offline = only(rows({"source": "dicomweb", "location": "http://127.0.0.1:9"}, offline=True), "images")
    assert offline.status == "FAIL" and "127.0.0.1" not in offline.found


def test_phantom_sizes(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"patients": 1000, "omics_only": 0, "shape": [16, 64, 64], "second_study_share": 0.0}
    block = {"source": "phantom"}, {"source": "phantom"}
    found = only(rows(*block, phantom=sizes), "images")
    # 1,000 patients x 7 series of 16 slices of 64 x 64 x 2 bytes and 2 kB, half spare.
    assert "1000 digital patients at 16 x 64 x 64" in found.found and "about 1.72 GB needed" in found.found
    free(monkeypatch, 2)
    assert only(rows(*block, phantom=sizes), "images").status == "WARN"


def test_tables_of_the_registry(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    block = {"source": "idc", "collection": "tcga_brca", "series": "all"}
    found = rows(block, {"source": "cbioportal", "study": "no_such_study"}, offline=True, clinical="duke_clinical")
    assert only(found, "omics").found == "not in the registry: no_such_study"
    assert only(found, "clinical table")[0:3:2] == ("FAIL", "1 of 1 files not here, offline: true")
    alone = rows(block, None, offline=True, clinical="duke_clinical")
    assert "nothing reads it" in only(alone, "clinical table", "WARN").found


def test_a_clinical_table_that_is_a_file(rows: Rows, tmp_path: Path) -> None:
    block = {"source": "idc", "collection": "tcga_brca", "series": "all"}, {"study": "brca_tcga_pan_can_atlas_2018"}
    place = tmp_path / "clinical.csv"
    missing = only(rows(*block, offline=True, clinical=str(place)), "clinical table")
    assert missing.status == "FAIL" and "no such file, nor such entry" in missing.found
    place.write_text("PATIENT_ID\n")
    assert only(rows(*block, offline=True, clinical=str(place)), "clinical table", "OK").found == str(place)


def test_the_table_of_subgroups(rows: Rows, hospital: Hospital, tmp_path: Path) -> None:
    series, place = {"source": "idc", "collection": "tcga_brca", "series": "all"}, tmp_path / "subgroups.csv"
    study = {"study": "brca_tcga_pan_can_atlas_2018"}
    assert only(rows(series, study, subgroups="subgroups"), "subgroups", "OK").found.endswith("not here, all reachable")
    away = only(rows(series, study, subgroups="subgroups", offline=True), "subgroups")
    assert away[0:3:2] == ("FAIL", "1 of 1 files not here, offline: true")
    missing = only(rows(series, study, subgroups=str(place)), "subgroups", "FAIL")
    assert missing.found == f"{place}: no such file, nor such entry of the registry"
    assert missing.todo == "Correct `subgroups` of the cohort"
    place.touch()
    assert only(rows(series, study, subgroups=str(place)), "subgroups", "OK").found == str(place)
    # Of a folder of one's own too, whose clinical table has a row of its own.
    mine = rows(*own(hospital, pseudonyms=False), subgroups="elsewhere.csv")
    assert only(mine, "subgroups").status == "FAIL" and only(mine, "clinical table").status == "OK"
    assert "nothing reads it" in only(rows(series, None, subgroups=str(place)), "subgroups", "WARN").found
    assert not [row for row in rows(series, study) if row.what.startswith("subgroups")]


def test_the_tables_of_the_duke_collection(
    rows: Rows, tmp_path: Path, address: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 2000)
    series = {"source": "idc", "collection": "duke_breast_cancer_mri"}
    assert only(rows(series), "Duke tables", "OK").found == "2 of 2 files not here, all reachable"
    assert only(rows(series, offline=True), "Duke tables")[0:3:2] == ("FAIL", "2 of 2 files not here, offline: true")
    address("no: HTTP 404")
    assert "2 not reachable (no: HTTP 404)" in only(rows(series), "Duke tables", "FAIL").found
    source = load_registry()["duke_boxes"]
    place = tmp_path / "downloads" / source.name / source.filename
    place.parent.mkdir(parents=True)
    place.write_bytes(b"another workbook")
    wrong = only(rows(series), "Duke tables", "FAIL")
    assert wrong.found.startswith("Annotation_Boxes.xlsx in downloads: no") and "Remove the wrong file" in wrong.todo
    config = resolve({"cohorts": {"mine": {"kind": "ingested", "imaging": series}}})
    lacking = [*check_cohort(config, {}, "mine", None)]
    assert only(lacking, "Duke tables").found == "not in the registry: duke_clinical, duke_boxes"
    others = rows({"source": "idc", "collection": "tcga_brca", "series": "all"})
    digital = rows({"source": "phantom"}, {"source": "phantom"}, phantom={"patients": 4})
    assert not [row for row in (*others, *digital) if row.what.startswith("Duke")], "a phantom brings its own"


def test_a_folder_that_is_whole(rows: Rows, hospital: Hospital) -> None:
    before = sorted(hospital.dicom.rglob("*"))
    found = rows(*own(hospital))
    assert {row.status for row in found} == {"OK", "WARN"}
    assert only(found, "images").found.startswith("4 patients, 4 studies")
    assert "4 post1, 4 pre" in only(found, "phases", "OK").found
    assert "4 sagittal" in only(found, "phases", "OK").found
    assert only(found, "phases")  # the one row: localisers and subtractions are no loss
    assert only(found, "privacy").found.endswith("AccessionNumber, InstitutionName, PatientBirthDate, PatientName")
    assert only(found, "overlap").found == "4 imaged, 8 with expression, 4 with both"
    assert sorted(hospital.dicom.rglob("*")) == before
    shown = " ".join(f"{row.found} {row.todo}" for row in found)
    assert not any(secret in shown for secret in hospital.secrets)


def test_a_sample_of_whole_studies(rows: Rows, hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    every = only(rows(*own(hospital)), "phases", "OK").found
    monkeypatch.setattr(local_checks, "SAMPLE", 1)  # less than a study has: one whole study all the same
    one = only(rows(*own(hospital)), "phases", "OK").found
    assert "(4 studies)" in every and "(1 studies)" in one and one.startswith("1 post1, 1 pre in a sample of ")


def test_no_folder_and_no_dicom(rows: Rows, hospital: Hospital, tmp_path: Path) -> None:
    found = rows({"source": "folder", "location": str(tmp_path / "none")}, {"source": "folder", "location": "none"})
    assert "source folder needs a folder" in found[0].found and found[0].status == "FAIL"
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes/a.nii.gz").write_bytes(b"")
    found = rows({"source": "folder", "location": str(tmp_path / "volumes")}, {"source": "folder", "location": "none"})
    assert only(found, "images").status == "FAIL" and "add phases.csv (docs/how-to" in only(found, "images").found
    (tmp_path / "volumes/a.nii.gz").unlink()
    empty = rows({"source": "folder", "location": str(tmp_path / "volumes")})
    assert only(empty, "images")[2:] == ("no DICOM series of MR", "Correct `imaging.location`")
    assert only(found, "omics")[2:] == ("there is no such folder", "Correct `omics.location`")


def volumes(place: Path, *rows: str) -> dict[str, Any]:
    """A NIfTI folder of the phases pre and post1 of ``P1``, the rows given added to its table."""
    place.mkdir()
    sagittal = np.array([[0.0, 0, 3, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    for phase in ("pre", "post1"):
        nib.Nifti1Image(np.arange(240, dtype=np.int16).reshape(6, 8, 5), sagittal).to_filename(place / f"{phase}.nii")
    said = [f"P1,1,{phase},{phase}.nii,{seconds}" for phase, seconds in (("pre", 0), ("post1", 60))]
    (place / "phases.csv").write_text("\n".join(["patient,study,phase,file,seconds", *said, *rows]) + "\n")
    return {"source": "folder", "location": str(place), "pseudonyms": True}


def test_a_folder_of_nifti_files(rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1)
    block = volumes(tmp_path / "in")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "in").iterdir()}
    found = rows(block)
    assert {row.status for row in found} == {"OK"}
    images = only(found, "images").found
    assert images.startswith("1 patients, 1 studies, 2 series, 10 files, 0.00 GB of DICOM, written from NIfTI; about")
    # Five phases of 32 x 128 x 128 voxels of 3 bytes.
    assert "about 0.01 GB needed" in images
    assert only(found, "phases").found == "1 post1, 1 pre in a sample of 2 of 2 series (1 studies); 1 sagittal"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "in").iterdir()} == before
    assert not (tmp_path / "downloads").exists()


def test_faults_of_a_folder_of_nifti_files(rows: Rows, tmp_path: Path) -> None:
    block = volumes(
        tmp_path / "in",
        *(f"Mueller,1,{phase},gone.nii," for phase in ("early", *(f"post{k}" for k in range(1, 9)), "x", "y")),
    )
    nib.Nifti1Image(np.full((6, 8, 5), np.nan, np.float32), np.eye(4)).to_filename(tmp_path / "in/post1.nii")
    (tmp_path / "in/extra.nii.gz").write_bytes(b"")
    found = rows(block)
    told = [row.found for row in found if row.what == "images of mine" and row.status == "WARN"]
    assert told[0] == "1 NIfTI files are not read" and told[-1] == "1 further faults" and len(told) == 12
    assert "phases.csv line 4: phase is none of pre, post1 ... post8. Write one of these" in told
    assert any("240 voxels are not finite" in row.found for row in found if row.what == "phases of mine")
    assert "Mueller" not in " ".join(f"{row.found} {row.todo}" for row in found)
    (tmp_path / "in/phases.csv").write_text("patient,study,phase,file,seconds\nP1,1,pre,gone.nii,\n")
    found = rows(block)
    assert only(found, "images", "FAIL")[2:] == ("no usable row in phases.csv", "Repair the rows above")
    (tmp_path / "in/phases.csv").write_text("patient\n")
    assert "no column, or two, named study" in only(rows(block), "images").found


@pytest.fixture
def changed(hospital: Hospital, tmp_path: Path) -> Hospital:
    """A copy whose files may be changed."""
    for place in ("dicom", "omics"):
        shutil.copytree(getattr(hospital, place), tmp_path / "copy" / place)
    return Hospital(tmp_path / "copy/dicom", tmp_path / "copy/omics", hospital.patients, hospital.secrets)


def test_faults_of_files_are_rows(rows: Rows, changed: Hospital) -> None:
    files = sorted(path for path in changed.dicom.rglob("IM*"))
    images = [path for path in files if pydicom.dcmread(path, stop_before_pixels=True).Modality == "MR"]
    images[-1].write_bytes(images[-1].read_bytes()[:-100])
    images[0].write_bytes(b"not DICOM at all" * 20)
    (changed.dicom / "export.nii").write_bytes(b"")
    found = rows(*own(changed))
    told = " | ".join(row.found for row in found if row.status == "WARN")
    assert "1 x file is no DICOM file" in told and "truncated" in told and "1 NIfTI files are not read" in told
    assert not any(secret in told for secret in changed.secrets)


def test_series_left_out_by_description(rows: Rows, hospital: Hospital) -> None:
    found = only(rows(*own(hospital, series="dynamic")), "images", "WARN")
    assert "left out by series: dynamic" in found.found and "`series: all`" in found.todo


def test_missing_tables_genes_and_labels(rows: Rows, changed: Hospital) -> None:
    for name in ("methylation.csv", "mutations.csv", "sequenced.txt"):
        (changed.omics / name).unlink()
    matrix = pd.read_csv(changed.omics / "expression.csv", index_col=0)
    matrix.drop(index=["CD6", "LTB"]).to_csv(changed.omics / "expression.csv")
    clinical = pd.read_csv(changed.omics / "clinical.csv", sep=";")
    clinical.drop(columns=["HER2", "Stage"]).to_csv(changed.omics / "clinical.csv", index=False)
    found = rows(*own(changed))
    told = {(row.status, row.found) for row in found if row.what == "omics of mine"}
    assert ("WARN", "methylation: no table") in told and ("WARN", "mutations: none") in told
    assert ("FAIL", "expression lacks 2 of 15 genes of the condition: LTB, CD6") in told
    assert "No values of stage, her2" in only(found, "clinical table").todo
    (changed.omics / "expression.csv").unlink()
    found = rows(*own(changed))
    assert ("FAIL", "expression: no table") in {(row.status, row.found) for row in found}
    assert only(found, "overlap").status == "FAIL"


def test_tables_of_other_people(rows: Rows, changed: Hospital) -> None:
    for path in changed.omics.glob("*.csv"):
        path.write_text(path.read_text().replace("H00", "X00"))
    found = only(rows(*own(changed)), "overlap")
    assert found.status == "FAIL" and found.found == "4 imaged, 8 with expression, 0 with both"


def test_local_identifiers_want_pseudonyms(rows: Rows, hospital: Hospital) -> None:
    found = only(rows(*own(hospital, pseudonyms=False)), "identifiers")
    assert found.status == "FAIL" and found.found == "4 of 4 patients bear no public research code"
    assert only(rows(*own(hospital)), "identifiers").status == "OK"


def test_description_of_a_listing() -> None:
    listing = listing_frame(
        [
            {"patient": "a", "study": "1", "series": "1", "n_files": 3, "bytes": 10**9},
            {"patient": "a", "study": "2", "series": "2"},
        ]
    )
    assert describe(listing) == "1 patients, 2 studies, 2 series, 3 files, 1.00 GB"


@pytest.mark.parametrize("page", ["own-data.md", "phantom.md"])
def test_examples_of_the_pages_are_valid(page: str) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/how-to" / page).read_text(), flags=re.DOTALL)
    assert examples
    for text in examples:
        resolve({}, yaml.safe_load(text))


def test_the_page_of_the_phantom_lists_every_trouble() -> None:
    text = (ROOT / "docs/how-to/phantom.md").read_text()
    lists = "".join(re.findall(r"(?ms)^- (?:Images|Tables): (.*?)\.$", text))
    assert sorted(re.findall(r"`(\w+)`", lists)) == sorted(get_args(Trouble))


def test_sizes_on_the_page_of_the_phantom_are_those_of_the_presets() -> None:
    said = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (.+) \|$", (ROOT / "docs/how-to/phantom.md").read_text(), re.M)
    assert {name for name, *_ in said} == {"mini", "demo", "proof"}
    for name, patients, others, shape in said:
        phantom = resolve({"preset": name}).cohorts["phantom"].phantom
        assert phantom is not None
        found = (phantom.patients, phantom.omics_only, " x ".join(map(str, phantom.shape)))
        assert found == (int(patients), int(others), shape)
