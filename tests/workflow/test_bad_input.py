"""Bad input, met through the workflow: one clear line, a non-zero exit, nothing half made."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import Copier
from tests.workflow.driver import RESULTS, Outcome, Workspace, made_up

pytestmark = pytest.mark.workflow
COHORT_TARGET = f"{RESULTS}/cohort/patients.parquet"
LEAKAGE = f"{RESULTS}/cpdm/rigorous/rows/leakage.parquet"


def refused(outcome: Outcome, rule: str) -> str:
    """The one line that a failed run says; the failure is the rule's, and no traceback is shown."""
    assert outcome.code != 0
    (line,) = outcome.complaints
    assert line.startswith(f"radgen: rule {rule}: ")
    assert "Traceback" not in outcome.text
    return line


def test_a_wrong_checksum_names_both_sums_and_keeps_the_file_aside(tmp_path: Path) -> None:
    mirror = made_up(tmp_path / "mirror", wrong_checksum="receptors")
    workspace = Workspace(tmp_path / "run", mirror)
    name = "data/receptors/CliniUnOpHer2.csv"
    line = refused(workspace.run(name), "fetch_source")
    content = (mirror / "CliniUnOpHer2.csv").read_bytes()
    found, expected = (hashlib.sha256(content + end).hexdigest() for end in (b"", b"x"))
    assert f"SHA-256 is {found}, expected {expected}" in line and f"{name}.bad" in line
    assert (workspace.folder / f"{name}.bad").read_bytes() == content
    assert not (workspace.folder / name).exists() and not (workspace.folder / "results").exists()


def test_a_file_that_is_nowhere_says_where_it_belongs(tmp_path: Path) -> None:
    mirror = made_up(tmp_path / "mirror")
    (mirror / "CliniUnOpHer2.csv").unlink()
    line = refused(Workspace(tmp_path / "run", mirror).run("data/receptors/CliniUnOpHer2.csv"), "fetch_source")
    assert "offline" in line and "https://example.org/released/CliniUnOpHer2.csv" in line


@pytest.mark.parametrize(
    ("fault", "file", "problem"),
    [
        ("truncated_zip", "SidePNG128.zip", "not a whole zip file"),
        ("zip_outside", "SidePNG128.zip", r"outside\.png"),
        ("png_count", "SidePNG128.zip|SideViewBTF.csv", "35"),
    ],
)
def test_a_fault_of_structure_stops_with_one_line(tmp_path: Path, fault: str, file: str, problem: str) -> None:
    workspace = Workspace(tmp_path / "run", made_up(tmp_path / "mirror", faults=[fault]))
    line = refused(workspace.run(COHORT_TARGET), "cohort_tables")
    assert re.search(file, line) and re.search(problem, line)
    assert not list((workspace.folder / "results").rglob("*.*"))
    assert not list(tmp_path.rglob("outside.png"))


def test_faults_of_images_are_rows_and_the_run_goes_on(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "run", made_up(tmp_path / "mirror", faults=["broken_png"]))
    outcome = workspace.run(COHORT_TARGET)
    assert outcome.code == 0, outcome.text
    selection = pd.read_parquet(workspace.results / "cohort/selection.parquet")
    lost = selection[(selection["step"] == "image") & ~selection["kept"]]
    assert len(lost) == 1 and "035.png" in " ".join(lost[["id", "row", "reason"]].iloc[0])
    assert len(pd.read_parquet(workspace.results / "cohort/series.parquet")) == 35


def test_a_patient_on_both_sides_fails_the_run(copied: Copier) -> None:
    workspace = copied()
    path = workspace.results / "splits/splits.parquet"
    splits = pd.read_parquet(path)
    test = splits[(splits["design"] == "grouped") & (splits["role"] == "test")]
    moved = test[test.duplicated(["fold", "patient"])].iloc[0]
    splits.loc[moved.name, "role"] = "train"
    splits.to_parquet(path, index=False)
    before = (workspace.folder / LEAKAGE).read_bytes()
    outcome = workspace.run(LEAKAGE, options=["--allowed-rules", "leakage"])
    line = refused(outcome, "leakage")
    assert moved["patient"] in line and moved["fold"] in line and "training and test" in line
    assert (workspace.folder / LEAKAGE).read_bytes() == before


def test_a_fit_on_other_patients_than_its_fold_fails_the_run(copied: Copier) -> None:
    """A split that is drawn anew under a finished training does not pass unseen."""
    workspace = copied()
    path = workspace.results / "splits/splits.parquet"
    splits = pd.read_parquet(path)
    rows = splits["fold"] == "r0f0"
    splits.loc[rows, "role"] = splits.loc[rows, "role"].map({"train": "test", "test": "train"})
    splits.to_parquet(path, index=False)
    line = refused(workspace.run(LEAKAGE, options=["--allowed-rules", "leakage"]), "leakage")
    assert "r0f0" in line and "trained on and tested" in line


def test_a_full_run_stops_at_a_leak(copied: Copier) -> None:
    """The report is not written over a leak: it needs the leakage rows."""
    workspace = copied()
    (workspace.folder / LEAKAGE).unlink()
    plan = workspace.run(options=["-n"])
    assert plan.jobs == dict.fromkeys(("leakage", "tables", "figures", "page", "all"), 1)
