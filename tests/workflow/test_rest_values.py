"""Clinical attributes that a study lacks, asked of a portal on this machine and joined by the workflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.unit.sources.portal import Portal
from tests.workflow.driver import Outcome, Workspace

pytestmark = pytest.mark.workflow
CLINICAL, DECISIONS = "results/phantom/omics/clinical.parquet", "results/phantom/omics/decisions.parquet"
REST, CARD = "data/phantom/rest.tsv", "data/phantom/rest.card.json"
ASKED = ["s/MENOPAUSE_STATUS", "t/ER_STATUS"]
STRANGER = "PHAN-S9-9999"


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    served = Portal()
    yield served
    served.close()


class Portals:
    """A workspace whose phantom asks the portal."""

    def __init__(self, workspace: Workspace, portal: Portal) -> None:
        self.workspace, self.portal = workspace, portal

    def run(self, *targets: str, offline: bool, rest: list[str], options: tuple[str, ...] = ()) -> Outcome:
        sizes = {"patients": 4, "omics_only": 12, "genes": 60, "missing_share": 0.0}
        omics = {"rest": rest, "endpoint": self.portal.url}
        text = yaml.safe_dump({"phantom": {"omics": omics, "phantom": sizes}}, default_flow_style=True, width=10_000)
        config = ["run=[phantom]", f"cohorts={text.strip()}", f"offline={str(offline).lower()}"]
        return self.workspace.run(*targets, options=options, config=config)

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.workspace.folder / name)


@pytest.fixture(scope="module")
def place(released: Path, portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Portals:
    settings = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return Portals(Workspace(tmp_path_factory.mktemp("rest"), released, settings=settings), portal)


@pytest.fixture(scope="module")
def plain(place: Portals) -> pd.DataFrame:
    """The clinical table without the portal, which then says of everyone post menopause, and of ER the opposite."""
    outcome = place.run(CLINICAL, offline=True, rest=[])
    assert outcome.code == 0 and "fetch_rest" not in outcome.jobs, outcome.text[-5000:]
    table = place.table(CLINICAL).set_index("patient")
    place.portal.study("s", patient={"MENOPAUSE_STATUS": dict.fromkeys([*table.index, STRANGER], "Post")})
    opposite = {f"{who}-01": "Negative" if value == 1 else "Positive" for who, value in table["er"].items()}
    place.portal.study("t", sample={"ER_STATUS": opposite})
    return table


def test_offline_is_refused_with_what_to_do(place: Portals, plain: pd.DataFrame) -> None:
    outcome = place.run(REST, offline=True, rest=ASKED)
    (line,) = outcome.complaints
    assert outcome.code != 0 and "rule fetch_rest: omics.rest: offline" in line
    assert ", ".join(ASKED) in line and "`offline: false` once" in line and "Traceback" not in outcome.text
    assert not (place.workspace.folder / REST).exists() and not place.portal.asked


def test_answers_are_kept_and_fill_gaps_alone(place: Portals, plain: pd.DataFrame) -> None:
    place.portal.script = [429, None, 500]
    outcome = place.run(CLINICAL, offline=False, rest=ASKED)
    assert outcome.code == 0 and outcome.jobs["fetch_rest"] == outcome.jobs["read_omics"] == 1, outcome.text[-5000:]
    found, decisions = place.table(CLINICAL).set_index("patient"), place.table(DECISIONS)
    for column, value in (("menopause", "post"), ("er", 1.0)):
        gaps = plain[column].isna() | (plain[column] == "")
        assert gaps.any() and not gaps.all() and (found.loc[gaps, column] == value).all()
        pd.testing.assert_series_equal(found.loc[~gaps, column], plain.loc[~gaps, column])
        mine = decisions[(decisions["step"] == "clinical (REST)") & decisions["item"].str.endswith(column)]
        assert mine.loc[mine["decision"] == "filled", "count"].tolist() == [gaps.sum()]
        differ = plain.index[~gaps & (plain[column] != "post")]
        assert sorted(mine.loc[mine["decision"] == "the study's value is kept", "item"]) == sorted(
            f"{who} {column}" for who in differ
        )
    assert decisions.query("item == 'patients' and decision == 'left out'")["count"].tolist() == [1]
    pd.testing.assert_frame_equal(found.drop(columns=["menopause", "er"]), plain.drop(columns=["menopause", "er"]))
    card = json.loads((place.workspace.folder / CARD).read_text())
    assert card["service"] == place.portal.url and card["answers"]["t/ER_STATUS"]["level"] == "sample"
    inputs = json.loads((place.workspace.folder / "results/phantom/omics/card.json").read_text())["inputs"]
    assert inputs[REST] == card["sha256"] and len(card["sha256"]) == 64


def test_what_is_here_is_not_asked_again(place: Portals, plain: pd.DataFrame) -> None:
    before = len(place.portal.asked)
    outcome = place.run(CLINICAL, offline=True, rest=ASKED)
    assert outcome.code == 0 and "fetch_rest" not in outcome.jobs and len(place.portal.asked) == before > 0


def test_an_attribute_that_is_not_there_is_one_line(place: Portals, plain: pd.DataFrame) -> None:
    outcome = place.run(CLINICAL, offline=False, rest=["t/ER_STATU"])
    (line,) = outcome.complaints
    assert outcome.code != 0 and "study t has no attribute 'ER_STATU'; near ones are ER_STATUS" in line
