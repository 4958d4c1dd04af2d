"""Running again: nothing twice, only what depends on a loss, the same bytes, and earlier results survive a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from radgen_lib.core.layout import TABLES
from tests.workflow.conftest import Copier, Finished
from tests.workflow.driver import RESULTS, Workspace, contents

pytestmark = pytest.mark.workflow
# Cards hold durations and the machine; logs of training hold times.
UNEQUAL = (".card.json", "card.json")
RIGOROUS = "cpdm/rigorous/genes15"
REPORTING = {"tables", "figures", "page", "all"}


def test_a_second_run_has_nothing_to_do(finished: Finished) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.results.rglob("*")}
    again = finished.workspace.run()
    assert again.code == 0 and "Nothing to be done" in again.text and not again.jobs
    assert before == {path: path.stat().st_mtime_ns for path in finished.results.rglob("*")}


def test_a_lost_result_is_made_again_with_what_depends_on_it_alone(copied: Copier) -> None:
    workspace = copied()
    before = contents(workspace.results, without=UNEQUAL)
    times = {path: path.stat().st_mtime_ns for path in workspace.results.rglob("*") if path.is_file()}
    lost = workspace.results / "cpdm/rigorous/rows/fidelity.parquet"
    lost.unlink()
    again = workspace.run()
    assert again.code == 0, again.text
    assert again.jobs == dict.fromkeys({"fidelity", *REPORTING}, 1)
    assert contents(workspace.results, without=UNEQUAL) == before
    touched = {path for path, time in times.items() if path.stat().st_mtime_ns != time}
    folders = {path.relative_to(workspace.results).parts[0] for path in touched}
    assert folders == {"cpdm", "tables", "figures", "report"}
    assert {path.name for path in touched if "cpdm" in path.parts} == {
        "fidelity.parquet", "fidelity.csv", "fidelity.card.json",
    }  # fmt: skip


def test_lost_features_bring_back_the_analyses_of_their_protocol_alone(copied: Copier) -> None:
    workspace = copied()
    (workspace.results / RIGOROUS / "nearest/all/features.parquet").unlink()
    plan = workspace.run(options=["-n"])
    analyses = {"fidelity", "prediction", "survival", "survival_search", "adherence", "memorisation"}
    assert plan.jobs == dict.fromkeys({"sample_features", *analyses, *REPORTING}, 1)
    assert "protocol=as_published" not in plan.text


def test_a_changed_setting_reruns_what_reads_it_alone(copied: Copier) -> None:
    plan = copied().run(options=["-n"], config=["cpdm={survival: {penalizer: 0.2}}"])
    assert plan.jobs == {"survival": 2, "survival_search": 2, **dict.fromkeys(REPORTING, 1)}


@pytest.mark.parametrize(
    ("setting", "rule"),
    [("rank_grid: [2]", "factor_rank"), ("seeds: 4", "factor_stability"), ("peers: [pca]", "factor_comparison")],
)
def test_a_setting_of_one_look_at_the_factors_fits_nothing_again(finished: Finished, setting: str, rule: str) -> None:
    """Neither tensor nor fits, which take days at paper sizes, nor what is trained on the factors of the fits."""
    plan = finished.workspace.run(options=["-n"], config=[f"factors={{{setting}}}"])
    # The pages hold the configuration.
    assert plan.jobs == dict.fromkeys({rule, "factor_page", *REPORTING}, 1), plan.text


def test_lost_splits_come_back_equal(copied: Copier) -> None:
    workspace = copied()
    path = workspace.results / "splits/splits.parquet"
    before = path.read_bytes()
    path.unlink()
    again = workspace.run(f"{RESULTS}/splits/splits.parquet")
    assert again.code == 0 and path.read_bytes() == before


def test_the_same_seed_gives_the_same_bytes_elsewhere(finished: Finished, tmp_path: Path) -> None:
    """Everything but the cards: tables, weights, samples, rows, figures and the page."""
    other = Workspace(tmp_path / "elsewhere", finished.workspace.mirror)
    outcome = other.run()
    assert outcome.code == 0, outcome.text[-20000:]
    first, second = (contents(folder, without=UNEQUAL) for folder in (finished.results, other.results))
    assert sum(name.endswith("weights.safetensors") for name in first) > 8
    assert {f"tables/{name}.csv" for name in TABLES} | {"report/index.html"} <= set(first)
    assert [name for name in sorted(first.keys() | second.keys()) if first.get(name) != second.get(name)] == []


def test_a_failing_rerun_leaves_earlier_results_as_they_were(copied: Copier) -> None:
    workspace = copied()
    before = contents(workspace.results)
    failing = workspace.run(config=["cpdm={genes: [TNNI2, NOPE]}"])
    assert failing.code != 0 and set(failing.jobs) <= {"cohort_tables"}
    (line,) = failing.complaints
    assert "'NOPE'" in line and "allGeneExprs.csv" in line and "cpdm.genes" in line
    assert contents(workspace.results) == before
