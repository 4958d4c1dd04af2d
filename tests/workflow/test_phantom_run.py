"""The phantom from its own files to the report: written, read by the real readers, carried through everything."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from radgen_lib.core.config.load import resolve
from radgen_lib.core.layout import Layout
from tests.workflow.driver import ROOT, Outcome, Workspace

pytestmark = pytest.mark.workflow
PHANTOM = ["run=[phantom]"]
LAYOUT = Layout(resolve(yaml.safe_load((ROOT / "config.yaml").read_text()), {"preset": "mini"}))
RESULTS = "results/phantom"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, released: Path) -> tuple[Workspace, Outcome]:
    """The whole workflow on the phantom at the mini preset, without a network, run once."""
    workspace = Workspace(tmp_path_factory.mktemp("phantom"), released)
    outcome = workspace.run(config=PHANTOM)
    assert outcome.code == 0, outcome.text[-20000:]
    return workspace, outcome


@pytest.fixture(scope="module")
def table(ran: tuple[Workspace, Outcome]) -> Callable[[str], pd.DataFrame]:
    return lambda name: pd.read_parquet(ran[0].folder / name)


def test_every_file_is_made_and_named_by_the_target(ran: tuple[Workspace, Outcome]) -> None:
    folder = ran[0].folder
    wanted = {folder / name for name in LAYOUT.everything("phantom")}
    assert not [path for path in wanted if not path.exists()]
    made = {path for path in (folder / RESULTS).rglob("*") if path.is_file()}
    assert not [path for path in made - wanted if not wanted & set(path.parents)]
    assert "fetch_source" not in ran[1].jobs


def test_a_second_run_has_nothing_to_do(ran: tuple[Workspace, Outcome]) -> None:
    again = ran[0].run(config=PHANTOM, options=["-n"])
    assert again.code == 0 and not again.jobs, again.text[-3000:]


def test_each_patient_is_read_as_it_was_written(table: Callable[[str], pd.DataFrame]) -> None:
    phases = table(f"{RESULTS}/imaging/shard-0/phases.parquet")
    truth = table("data/phantom/truth/lesions_images.parquet")
    kept = phases[phases["kept"]]
    written = truth.groupby(["patient", "study"]).ngroups if "study" in truth else None
    assert set(kept["patient"]) == set(truth["patient"])
    assert kept.groupby(["patient", "study_number"]).ngroups == (written or kept["volume"].nunique())
    assert set(kept.loc[kept["index_phase"], "phase"]) == {"post1"}
    # What is not a contrast phase is named as such, and no contrast phase is lost.
    assert kept["phase"].str.fullmatch(r"pre|post\d").all()
    assert not phases.loc[phases["phase"].str.fullmatch(r"pre|post\d") & ~phases["kept"], "volume"].tolist()


def test_labels_and_survival_are_those_of_the_truth(table: Callable[[str], pd.DataFrame]) -> None:
    patients = table(f"{RESULTS}/cohort/patients.parquet").set_index("patient")
    truth = table("data/phantom/truth/patients.parquet").set_index("patient").loc[patients.index]
    for label in ("er", "pr", "her2", "mut_TP53", "mut_PIK3CA", "mut_CDH1"):
        known = patients[label].notna()
        assert known.mean() > 0.6 and (patients.loc[known, label] == truth.loc[known, label]).all(), label
    timed = patients["os_days"].notna()
    assert timed.mean() > 0.9
    np.testing.assert_allclose(patients.loc[timed, "os_days"], truth.loc[timed, "os_days"], atol=1.0)


def test_the_truth_is_read_by_the_score_of_recovery_alone_and_nothing_is_fitted_with_that() -> None:
    text = "\n".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk")))
    rules = dict(re.findall(r"(?sm)^rule (\w+):\n(.*?)(?=^rule |\Z)", text))
    inputs = {name: re.search(r"(?s)    input:\n(.*?)    output:", body) for name, body in rules.items()}
    given = {name: found.group(1) for name, found in inputs.items() if found}
    assert [name for name, files in given.items() if "truth" in files] == ["factor_comparison"]
    # What the scores become: the page of the factors, which ends there.
    assert [name for name, files in given.items() if re.search("comparison|FACTOR_RESULTS", files)] == ["factor_page"]
    made = re.search(r"(?s)    output:\n(.*?)    log:", rules["factor_comparison"])
    assert made is not None and "comparison.parquet" in made.group(1)


def test_pages_say_that_nobody_was_imaged(ran: tuple[Workspace, Outcome]) -> None:
    report = ran[0].folder / RESULTS / "report"
    index, data = (report / name for name in ("index.html", "data.html"))
    assert "Digital patients" in index.read_text() and "Digital patients" in data.read_text()
    assert 'href="data.html"' in index.read_text()
    assert str(ran[0].folder) not in data.read_text()


def test_real_cohorts_can_be_planned_without_a_network(ran: tuple[Workspace, Outcome]) -> None:
    for cohort, rules in {"tcga_brca": {"fetch_images": 8, "read_omics": 1}, "duke": {"fetch_images": 64}}.items():
        plan = ran[0].run(cohort, options=["-n"], config=["preset=paper", "registry=null"])
        assert plan.code == 0, plan.text[-3000:]
        assert {rule: plan.jobs[rule] for rule in rules} == rules
        assert plan.jobs["read_images"] == rules["fetch_images"] and plan.jobs["data_page"] == 1
        assert plan.jobs["page"] == int(cohort == "tcga_brca")
