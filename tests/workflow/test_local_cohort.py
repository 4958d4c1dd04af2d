"""A cohort of one's own: a hospital's folder through doctor and ingestion; nothing of a person is written onward."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from radgen_lib.cli.main import main
from tests.hospital import Hospital, write_hospital
from tests.workflow.driver import NO_NETWORK, ROOT, Outcome, finish

pytestmark = pytest.mark.workflow
PAGE, PATIENTS = "results/local/report/data.html", "results/local/cohort/patients.csv"


@dataclass(frozen=True)
class LocalRun:
    """A folder with a hospital's files, its configuration, and what doctor and the workflow said."""

    folder: Path
    hospital: Hospital
    doctor: str
    status: int
    outcome: Outcome


def settings(*, pseudonyms: bool = True) -> dict[str, Any]:
    """The configuration that docs/how-to/own-data.md shows, at a small size."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/how-to/own-data.md").read_text(), flags=re.DOTALL)
    tree: dict[str, Any] = {"preset": "mini", **yaml.safe_load(text)}
    tree["cohorts"]["local"]["imaging"] |= {"volume": [8, 32, 32], "pseudonyms": pseudonyms}
    return tree


def workflow(folder: Path, *targets: str, options: tuple[str, ...] = ()) -> Outcome:
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder), "-c2"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE_")}
    process = subprocess.Popen(
        [*command, "--configfile", "local.yaml", *options, "--", *targets], cwd=folder, env={**clean, **NO_NETWORK},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    return finish(process)


def asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and words of ``radgen doctor`` in ``folder``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        status = main(["doctor", "--cohort", "local", "--config", "local.yaml"])
    return status, capsys.readouterr().out


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return write_hospital(tmp_path_factory.mktemp("project") / "hospital")


@pytest.fixture(scope="module")
def ran(hospital: Hospital) -> LocalRun:
    folder = hospital.dicom.parents[1]
    (folder / "local.yaml").write_text(yaml.safe_dump(settings()))
    command = [sys.executable, "-m", "radgen_lib.cli.main", "doctor", "--cohort", "local", "--config", "local.yaml"]
    told = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert not (folder / "results").exists() and not (folder / "data").exists()  # doctor writes nothing
    return LocalRun(folder, hospital, told.stdout, told.returncode, workflow(folder, PAGE, PATIENTS))


def test_doctor_tells_what_was_understood_and_what_is_missing(ran: LocalRun) -> None:
    assert ran.status == 0, ran.doctor
    rows = {
        (words[0], words[1]): words[2] for line in ran.doctor.splitlines() if len(words := re.split(r" {2,}", line)) > 2
    }
    assert "6 patients, 6 studies" in rows["OK", "images of local"]
    assert re.search(r"6 post1, 6 pre in a sample of \d+ of \d+ series \(6 studies\)", rows["OK", "phases of local"])
    assert rows["WARN", "privacy of local"].startswith(
        "identifying attributes present: AccessionNumber, InstitutionName"
    )
    assert rows["OK", "overlap of local"] == "6 imaged, 12 with expression, 6 with both"
    assert rows["OK", "clinical table of local"].startswith("of 15 patients: age 13, stage 12, subtype 12, er 12")
    assert "expression: 12 patients x 101 genes" in ran.doctor
    assert not any(secret in ran.doctor for secret in ran.hospital.secrets)


def test_the_run_reaches_page_and_cohort(ran: LocalRun) -> None:
    assert ran.outcome.code == 0, ran.outcome.text[-8000:]
    patients = pd.read_csv(ran.folder / PATIENTS)
    assert len(patients) == 12 and (patients["n_images"] == 1).sum() == 6
    assert patients["patient"].str.fullmatch("P-[0-9a-f]{12}").all()
    assert patients["er"].notna().all() and (patients["os_days"] > 0).all()
    links = pd.read_parquet(ran.folder / "data/local/pseudonyms/links-omics.parquet").set_index("pseudonym")
    assert set(links.loc[patients["patient"], "identifier"]) == set(ran.hospital.patients)
    images = pd.read_parquet(ran.folder / "results/local/imaging/shard-0/phases.parquet")
    assert set(images["patient"]) == set(patients.loc[patients["n_images"] > 0, "patient"])
    # The tables of an imaged patient are those of the same person, not merely of somebody.
    clinical = pd.read_csv(ran.hospital.omics / "clinical.csv", sep=";").set_index("Patient")
    ages = clinical.loc[links.loc[patients["patient"], "identifier"], "Age"].to_numpy(dtype=float)
    assert (patients["age"].to_numpy() == ages).all()


def test_what_no_cell_should_hold_is_a_row_with_line_and_kind(ran: LocalRun) -> None:
    folder = ran.folder / "results/local/omics"
    decisions = pd.read_parquet(folder / "decisions.parquet")
    faults = decisions[decisions["decision"] == "left empty"]
    steps = {f"clinical {name}" for name in ("age", "stage", "subtype", "T", "er", "pr", "her2", "os_days", "race")}
    assert steps <= set(faults["step"])
    assert faults.loc[faults["step"] == "clinical age", "item"].tolist() == ["line 14", "line 15"]
    assert decisions.loc[decisions["decision"] == "pooled", "count"].tolist() == [1]
    assert (pd.read_parquet(folder / "clinical.parquet")["age"] == 90).sum() == 1
    series = pd.read_parquet(ran.folder / "results/local/imaging/shard-0/series.parquet")
    assert set(series["manufacturer"]) == {"GE MEDICAL SYSTEMS"} and not series["model"].str.contains("frau").any()
    masks = pd.read_parquet(ran.folder / "results/local/imaging/shard-0/masks.parquet")
    assert set(masks["label"]) <= {"", "lesion", "segment 1"}


def readable(path: Path) -> Iterator[bytes]:
    """Everything a person or a program can read out of a file, unpacked."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        yield pd.read_parquet(path).to_csv().encode()
    elif path.suffix == ".gz":
        yield gzip.decompress(content)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name.encode() + b"\n" + archive.read(name)


def leaks(folder: Path, secrets: tuple[str, ...]) -> set[tuple[str, str]]:
    """(file, secret) for every secret that stands in a file below ``folder``, its relative name included."""
    return {
        (path.name, secret)
        for path in folder.rglob("*")
        if path.is_file()
        for content in (path.relative_to(folder).as_posix().encode(), *readable(path))
        for secret in secrets
        if secret.encode() in content
    }


def test_nothing_of_a_person_leaves_ingestion(ran: LocalRun) -> None:
    secrets = ran.hospital.secrets
    assert leaks(ran.folder / "data", secrets)  # the private folder has them, so the search can find them
    assert len(list((ran.folder / "results").rglob("*"))) > 30
    assert not leaks(ran.folder / "results", (*secrets, str(ran.folder)))
    assert not leaks(ran.folder / "logs", secrets)
    assert not any(secret in ran.outcome.text for secret in secrets)


@pytest.fixture
def copied(ran: LocalRun, tmp_path: Path) -> Path:
    """A copy of the finished run, with the times of all files, that may be changed."""
    return Path(shutil.copytree(ran.folder, tmp_path / "copy", symlinks=True))


def planned(folder: Path) -> set[str]:
    """Rules that the next run would start."""
    plan = workflow(folder, PAGE, PATIENTS, options=("-n",))
    assert plan.code == 0, plan.text[-8000:]
    return set(plan.jobs)


def test_a_changed_table_is_read_again(copied: Path) -> None:
    assert planned(copied) == set()  # nothing has changed: the copy has the same names, sizes and times
    clinical = copied / "hospital/omics/clinical.csv"
    folder, text = clinical.parent.stat(), clinical.read_text()
    ages = pd.read_csv(clinical, sep=";")["Age"]
    clinical.write_text(text.replace(f";{ages[0]};", ";31.5;", 1))
    assert clinical.parent.stat().st_mtime_ns == folder.st_mtime_ns  # the folder's own time tells nothing
    rules = planned(copied)
    assert "read_omics" in rules and not {"fetch_images", "read_images"} & rules
    outcome = workflow(copied, "results/local/omics/clinical.parquet")
    assert outcome.code == 0 and outcome.jobs == {"read_omics": 1}, outcome.text[-8000:]
    assert (pd.read_parquet(copied / "results/local/omics/clinical.parquet")["age"] == 31.5).sum() == 1


def test_a_new_dicom_file_is_read_again(copied: Path) -> None:
    """A file below a folder that was there before: neither the folder of the cohort nor any list of files changes."""
    ledger = "data/local/ledger-0.parquet"
    before = pd.read_parquet(copied / ledger)
    image = next(path for path in sorted((copied / "hospital/dicom").rglob("*")) if path.is_file())
    shutil.copy(image, image.with_name("IM99999"))
    rules = planned(copied)
    assert "fetch_images" in rules and "read_omics" not in rules
    outcome = workflow(copied, ledger)
    assert outcome.code == 0 and outcome.jobs == {"fetch_images": 1}, outcome.text[-8000:]
    after = pd.read_parquet(copied / ledger)
    assert after["n_files"].sum() == before["n_files"].sum() + 1 and len(after) == len(before)
    assert "read_images" in planned(copied)


def test_a_mask_put_beside_the_series_is_read(copied: Path, ran: LocalRun) -> None:
    masks = copied / "data/local/masks"
    masks.mkdir()
    (masks / f"{ran.hospital.patients[0]}.nii.gz").write_bytes(b"no mask")
    rules = planned(copied)
    assert "read_images" in rules and not {"fetch_images", "read_omics"} & rules


def test_without_pseudonyms_both_refuse(ran: LocalRun, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text(yaml.safe_dump(settings(pseudonyms=False)))
    (tmp_path / "hospital").symlink_to(ran.folder / "hospital")
    status, told = asked(tmp_path, capsys)
    assert status == 1 and "6 of 6 patients bear no public research code" in told
    assert "Set `imaging.pseudonyms: true`" in told
    outcome = workflow(tmp_path, "results/local/omics/clinical.parquet")
    (line,) = outcome.complaints
    assert outcome.code != 0 and "15 of 15 patients" in line and "imaging.pseudonyms: true" in line
    assert not any(secret in outcome.text for secret in ran.hospital.secrets)
