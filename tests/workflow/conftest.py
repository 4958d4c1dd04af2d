"""One finished run of the whole workflow, which the tests look at or copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.driver import Outcome, Workspace, made_up

# Faults of rows that the run has to survive; those of images have a test of their own.
PLANTED = frozenset(
    {
        "no_expression",
        "text_in_expression",
        "negative_expression",
        "unknown_label",
        "bad_survival",
        "factor_text",
        "foreign_row",
    }
)
Copier = Callable[..., Workspace]


@dataclass(frozen=True)
class Finished:
    """A finished run: where it lies and what it said. Look, do not change: copy it with the ``copied`` fixture."""

    workspace: Workspace
    outcome: Outcome

    @property
    def results(self) -> Path:
        return self.workspace.results


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up released files, with every fault of a row that has no test of its own."""
    return made_up(tmp_path_factory.mktemp("released"), faults=PLANTED)


@pytest.fixture(scope="session")
def finished(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole workflow at the mini preset, run once."""
    workspace = Workspace(tmp_path_factory.mktemp("finished"), released)
    outcome = workspace.run()
    assert outcome.code == 0, outcome.text[-20000:]
    return Finished(workspace, outcome)


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Copier:
    """Makes a copy of the finished run that may be changed: ``copied()``, ``copied(without=["results/.."])``."""

    def copy(*, without: tuple[str, ...] = ()) -> Workspace:
        return finished.workspace.copy(tmp_path / "copy", without=without)

    return copy
