"""The published search: its maximum is optimistic under the null, and the correction says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import survival_search as search
from radgen_lib.analyses.cox_risk import Block, fold_design
from radgen_lib.core.config.cpdm import Protocol, Survival
from radgen_lib.metrics.survival import harrell_c

Pick = Callable[..., pd.Series]


def _null(n: int = 70, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)), rng.exponential(1000, size=n) + 1, (rng.random(n) < 0.5).astype(int)


def test_grid_has_3630_settings_and_a_sample_is_seeded() -> None:
    every = search.settings_grid(None, 0)
    assert len(every) == search.SIZE == 3630
    assert len({(s.penalizer, s.l1_ratio) for s in every}) == 121
    some = search.settings_grid(60, 5)
    assert some == search.settings_grid(60, 5) != search.settings_grid(60, 6)
    assert len({s.number for s in some}) == 60
    assert set(some) <= set(every)


def test_each_setting_shuffles_anew_into_ten_even_folds() -> None:
    settings = search.settings_grid(3, 0)
    folds = search.fold_numbers(123, settings, 1)
    assert folds.shape == (3, 123)
    for row in folds:
        assert set(np.bincount(row)) == {12, 13}
    assert not np.array_equal(folds[0], folds[1])


def test_mean_test_score_is_that_of_lifelines_fold_by_fold() -> None:
    from lifelines import CoxPHFitter

    x, time, event = _null(50, seed=3)
    settings = [search.Setting(7, 0.1, 0.0)]
    folds = search.fold_numbers(50, settings, 1)
    scores = []
    for fold in range(search.FOLDS):
        train = folds[0] != fold
        table = pd.DataFrame(x[train]).assign(time=time[train], event=event[train])
        beta = CoxPHFitter(penalizer=0.1).fit(table, "time", "event").params_.to_numpy()
        scores.append(harrell_c(time[~train], event[~train], x[~train] @ beta))
    found = search.mean_test_c(x, time, event, settings, folds)
    assert found[0] == pytest.approx(np.nanmean(scores), abs=1e-6)


def test_maximum_is_above_one_half_under_the_null_and_the_correction_takes_it_back() -> None:
    x, time, event = _null()
    found = search.search_optimism(x, time, event, search.settings_grid(25, 1), permutations=5, seed=1)
    assert found.best > 0.5
    assert found.null.mean() > 0.5
    rows = {r["metric"]: r for r in search.optimism_rows(found, {"item": "B.TC", "note": "n"}, n=70, events=35)}
    assert rows["optimism"]["value"] == pytest.approx(found.null.mean() - 0.5)
    corrected = rows["c_harrell_corrected"]
    assert corrected["value"] == pytest.approx(found.best - rows["optimism"]["value"])
    assert abs(corrected["value"] - 0.5) < found.best - 0.5 + 0.05
    assert corrected["low"] <= corrected["value"] <= corrected["high"]
    assert rows["p_value"]["value"] >= 1 / 6


def test_planted_risk_beats_its_null() -> None:
    x, _, event = _null(80, seed=2)
    time = np.exp(-1.5 * x[:, 0] + 0.1 * np.random.default_rng(0).normal(size=80)) * 500
    found = search.search_optimism(x, time, event, search.settings_grid(6, 1), permutations=4, seed=1)
    assert found.best > found.null.max()
    assert found.best > 0.8


def test_rows_of_the_protocol_that_selects_on_test(world: Any, published: Protocol, cox: Survival, pick: Pick) -> None:
    rows = search.search_rows(world.tables, world.runs, name="as_published", protocol=published, survival=cox, seed=1)
    top = pick(rows, metric="c_harrell", extractor="radiomics")
    assert top["model"] == "cox_best_of_search"
    assert top["n"] == 120
    assert top["events"] > 10
    assert top["note"].startswith("8 of 3630 settings, 5 covariates; best: penalizer")
    assert set(rows.loc[rows["reason"] == "", "metric"]) == {
        "c_harrell", "c_harrell_null_max", "optimism", "c_harrell_corrected", "p_value",
    }  # fmt: skip
    assert pick(rows, extractor="vgg16")["reason"].startswith("weights not present")


def test_a_test_row_leaves_the_covariates_of_its_fold_alone() -> None:
    rng = np.random.default_rng(0)
    people = [f"P{i:02d}" for i in range(30)]
    table = pd.DataFrame(rng.normal(size=(30, 4)), index=people)
    far, train = table.copy(), np.arange(30) != 7
    far.iloc[7] = 1e6
    for components in (None, 2, 0.95):
        a, b = (fold_design([Block(one, components)], people)(train) for one in (table, far))
        assert np.array_equal(a[train], b[train])
        assert not np.array_equal(a[7], b[7])


def test_fits_in_each_fold_are_those_of_lifelines_on_its_training_part() -> None:
    from lifelines import CoxPHFitter

    raw, time, event = _null(50, seed=3)
    people = [f"P{i:02d}" for i in range(50)]
    settings = [search.Setting(7, 0.1, 0.0)]
    folds, orders = search.fold_numbers(50, settings, 1), [np.arange(50), np.arange(50)[::-1]]
    design = fold_design([Block(pd.DataFrame(raw, index=people))], people)
    found = search.refitted_test_c(design, time, event, settings, folds, orders)
    for draw, order in enumerate(orders):
        scores = []
        for fold in range(search.FOLDS):
            train = folds[0] != fold
            x = (raw - raw[train].mean(axis=0)) / raw[train].std(axis=0)
            table = pd.DataFrame(x[train]).assign(time=time[order][train], event=event[order][train])
            beta = CoxPHFitter(penalizer=0.1).fit(table, "time", "event").params_.to_numpy()
            scores.append(harrell_c(time[order][~train], event[order][~train], x[~train] @ beta))
        assert found[draw, 0] == pytest.approx(np.nanmean(scores), abs=1e-6)


def test_fold_without_covariates_scores_one_half() -> None:
    _, time, event = _null(40)
    settings = search.settings_grid(2, 0)
    found = search.search_optimism(
        lambda train: np.zeros((len(train), 0)), time, event, settings, permutations=1, seed=0
    )  # fmt: skip
    assert found.best == 0.5
    assert found.null.tolist() == [0.5]


def test_search_follows_the_scope_of_the_fit(world: Any, published: Protocol, cox: Survival, pick: Pick) -> None:
    mixture = published.model_copy(update={"fit_scope": "train", "survival_components": 2})
    whole = published.model_copy(update={"survival_components": 2})
    few = cox.model_copy(update={"search_settings": 2, "search_permutations": 1})
    a, b = (
        pick(
            search.search_rows(world.tables, world.runs, name="p", protocol=protocol, survival=few, seed=1),
            metric="c_harrell", extractor="radiomics",
        )
        for protocol in (mixture, whole)
    )  # fmt: skip
    assert a["note"].startswith("2 of 3630 settings, covariates fitted in each fold; best: ")
    assert b["note"].startswith("2 of 3630 settings, 2 covariates; best: ")
    assert a["value"] != b["value"]


def test_prespecified_protocol_has_no_search(world: Any, rigorous: Protocol, cox: Survival) -> None:
    rows = search.search_rows(world.tables, world.runs, name="rigorous", protocol=rigorous, survival=cox, seed=1)
    assert rows.empty


def test_without_permutations_the_optimism_is_a_reason() -> None:
    found = search.Optimism(0.7, np.empty(0), search.Setting(0, 0.1, 0.0))
    rows = search.optimism_rows(found, {"item": "B.TC", "note": "n"}, n=70, events=35)
    assert [r["reason"] for r in rows] == ["", "search_permutations is 0"]


def test_missing_generator_and_too_few_deaths_are_reasons(
    world: Any, published: Protocol, cox: Survival, pick: Pick
) -> None:
    other = published.model_copy(update={"primary": "cpdm"})
    gone = search.search_rows(world.tables, world.runs, name="p", protocol=other, survival=cox, seed=1)
    assert "no synthetic images of generator cpdm" in pick(gone, extractor="radiomics")["reason"]
    tables = world.tables
    few = type(tables)(
        tables.patients.assign(os_event=0.0),
        tables.real_features,
        tables.conditions,
        tables.splits,
        tables.endpoint_splits,
    )
    rows = search.search_rows(few, world.runs, name="p", protocol=published, survival=cox, seed=1)
    assert pick(rows, extractor="radiomics")["reason"] == "120 patients, 0 deaths"
