"""Who enters a survival analysis, and how risks of several folds and repeats are put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.arms import Partition
from radgen_lib.analyses.cox_risk import Block, NotConverged, cox_risk
from radgen_lib.analyses.runs import featured_runs
from radgen_lib.analyses.survival_design import (
    SurvivalSetting,
    complete_cases,
    covariates,
    few_deaths,
    outcome_table,
    pooled_risk,
)
from radgen_lib.core.config.cpdm import Protocol, Survival
from radgen_lib.omics.conditions import Preparation


@pytest.fixture
def setting(rigorous: Protocol, cox: Survival) -> SurvivalSetting:
    return SurvivalSetting("rigorous", rigorous, cox, 1, 100)


@pytest.fixture
def people(world: Any) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    outcome = outcome_table(world.tables.patients).iloc[20:80]
    table = pd.DataFrame({"x": world.latent[outcome.index]}, index=outcome.index)
    return outcome, table, list(outcome.index)


def test_arms_and_their_blocks(world: Any, rigorous: Protocol) -> None:
    featured = {generator: table for (_, generator), table in featured_runs(world.runs).items()}
    arms, source = covariates(world.tables, featured, "genes15", "radiomics", rigorous)
    assert source == "full"
    assert set(arms) == {
        ("synthetic", "edm"), ("synthetic", "mean"), ("untrained", "untrained"), ("noise", "noise"),
        ("condition", ""), ("clinical", ""), ("clinical+synthetic", "edm"), ("shuffled", "edm"),
    }  # fmt: skip
    assert arms["synthetic", "edm"][0].components == 2
    assert arms["clinical", ""][0].components is None
    raw, splits = world.tables.conditions["genes15"].set_index("patient"), world.tables.splits
    given = Preparation("genes15", "cohort_zscore", log=True).given(
        raw, splits.loc[splits["fold"].eq("full") & splits["role"].eq("train"), "patient"]
    )
    pd.testing.assert_frame_equal(arms["condition", ""][0].table, given)
    assert len(arms["clinical+synthetic", "edm"]) == 2
    every = covariates(
        world.tables, featured, "genes15", "radiomics", rigorous.model_copy(update={"survival_components": None})
    )
    assert every[0]["synthetic", "edm"][0].components == 0.95
    assert covariates(world.tables, featured, "factors17", "radiomics", rigorous) == ({}, "")


def test_few_deaths_and_complete_cases(people: Any) -> None:
    outcome, table, names = people
    assert few_deaths(outcome) == ""
    assert few_deaths(outcome.assign(event=0)) == "60 patients, 0 deaths"
    holes = table.copy()
    holes.iloc[0] = np.nan
    found = complete_cases([Block(table.iloc[:50]), Block(holes)], outcome)
    assert list(found) == sorted(names[1:50])


def test_risks_are_in_units_of_the_training_spread(people: Any, setting: SurvivalSetting) -> None:
    outcome, table, names = people
    parts = [Partition(0, "e0f0", names[:40], names[40:], "full")]
    pooled = pooled_risk([Block(table)], parts, outcome, setting)
    train, test = table.loc[names[:40], "x"], table.loc[pooled.patients, "x"]
    assert pooled.risk == pytest.approx((test - train.mean()) / train.std(ddof=0), rel=1e-6)
    assert pooled.covariates == 1


def test_repeats_are_averaged(people: Any, setting: SurvivalSetting) -> None:
    outcome, table, names = people
    folds = [
        [Partition(r, f"e{r}f{f}", [n for n in names if n not in test], test, "full") for f, test in enumerate(tests)]
        for r, tests in enumerate(([names[:30], names[30:]], [names[::2], names[1::2]]))
    ]
    one, two = (pooled_risk([Block(table)], part, outcome, setting) for part in folds)
    both = pooled_risk([Block(table)], folds[0] + folds[1], outcome, setting)
    assert both.risk == pytest.approx((one.risk + two.risk) / 2)
    assert (one.repeats, both.repeats) == (1, 2)
    assert list(both.patients) == sorted(names)


def test_a_fold_without_deaths_in_training_and_no_folds_at_all(people: Any, setting: SurvivalSetting) -> None:
    outcome, table, names = people
    quiet = outcome.copy()
    quiet.loc[names[:40], "event"] = 0
    part = Partition(0, "e0f0", names[:40], names[40:], "full")
    with pytest.raises(NotConverged, match="fold e0f0: 0 deaths in training"):
        pooled_risk([Block(table)], [part], quiet, setting)
    with pytest.raises(NotConverged, match="no folds"):
        pooled_risk([Block(table)], [], outcome, setting)


def test_no_covariates_mean_equal_risks(people: Any, setting: SurvivalSetting) -> None:
    outcome, table, names = people
    flat = pd.DataFrame(1.0, index=table.index, columns=["a", "b"])
    pooled = pooled_risk([Block(flat, 2)], [Partition(0, "e0f0", names[:40], names[40:], "full")], outcome, setting)
    assert not pooled.risk.any()
    assert not pooled.high.any()
    none = cox_risk(np.zeros((3, 0)), np.ones(3), np.ones(3), np.zeros((2, 0)), penalizer=0.1)
    assert none.covariates == 0
