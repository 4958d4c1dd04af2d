"""Snakemake's own checks and its report."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from radgen_lib.core.layout import TABLES
from tests.workflow.conftest import Copier, Finished
from tests.workflow.driver import Workspace

pytestmark = pytest.mark.workflow


def test_lint_is_clean(tmp_path: Path, released: Path) -> None:
    outcome = Workspace(tmp_path / "run", released).run(options=["--lint"])
    assert outcome.code == 0 and "Congratulations, your workflow is in a good condition!" in outcome.text


def test_report_archive_holds_tables_and_figures(finished: Finished, tmp_path: Path) -> None:
    archive = tmp_path / "report.zip"
    outcome = finished.workspace.run(options=["--report", str(archive)])
    assert outcome.code == 0, outcome.text
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert opened.testzip() is None
        (index,) = [name for name in names if name.endswith("/report.html")]
        text = opened.read(index).decode()
        for name in TABLES:
            assert f"{name}.csv" in text + " ".join(names), name
    assert sum(name.endswith(".csv") for name in names) == len(TABLES)
    assert any(name.endswith("index.html") for name in names)
    assert sum(name.endswith((".svg", ".png")) for name in names) >= 8


def test_a_lost_report_does_not_run_an_analysis(copied: Copier) -> None:
    workspace = copied(without=("results/tcga_brca_released/report",))
    assert workspace.run(options=["-n"]).jobs == {"page": 1, "factor_page": 1, "all": 1}
