"""Survival rows: planted risk is found out of fold, controls find nothing, nothing of the test part leaks in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import cox_risk as cox_module
from radgen_lib.analyses.arms import Partition
from radgen_lib.analyses.cox_risk import Block, NotConverged, clinical_table, cox_risk, design_matrix
from radgen_lib.analyses.survival import RISK_COLUMNS, imaged_reasons, survival_rows
from radgen_lib.analyses.survival_design import SurvivalSetting, outcome_table, pooled_risk
from radgen_lib.analyses.survival_scores import holdout_rows
from radgen_lib.core.config.cpdm import Protocol, Survival

Pick = Callable[..., pd.Series]
SYNTHETIC = {"arm": "synthetic", "generator": "edm", "extractor": "radiomics"}


@pytest.fixture(scope="module")
def found(world: Any) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    from radgen_lib.core.config.cpdm import RIGOROUS

    protocol = RIGOROUS.model_copy(update={"conditions": ["genes15"], "survival_components": 5})
    return survival_rows(
        world.tables, world.runs, name="rigorous", protocol=protocol, survival=Survival(), seed=1, draws=200
    )


def test_planted_risk_is_found_and_controls_find_nothing(found: Any, pick: Pick) -> None:
    rows, _, _ = found
    for metric in ("c_harrell", "c_uno"):
        row = pick(rows, task="survival", metric=metric, **SYNTHETIC)
        assert row["value"] > 0.65
        assert row["low"] > 0.5
        assert row["low"] < row["value"] < row["high"]
        for arm in ("noise", "untrained", "shuffled"):
            null = pick(rows, task="survival", metric=metric, arm=arm)
            assert null["low"] < 0.5
    assert pick(rows, task="survival", metric="logrank_p", **SYNTHETIC)["value"] < 0.01


def test_equal_images_give_one_half_and_one_group(found: Any, pick: Pick) -> None:
    rows, _, _ = found
    keys = {"task": "survival", "arm": "synthetic", "generator": "mean", "extractor": "radiomics"}
    assert pick(rows, metric="c_harrell", **keys)["value"] == 0.5
    assert pick(rows, metric="logrank_p", **keys)["reason"] == "all patients fall into one risk group"


def test_comparator_and_paired_differences(found: Any, pick: Pick, world: Any) -> None:
    rows, _, _ = found
    clinical = pick(rows, task="survival", arm="clinical", metric="c_harrell")
    both = pick(rows, task="survival", arm="clinical+synthetic", metric="c_harrell")
    assert clinical["n"] == both["n"] < pick(rows, task="survival", metric="c_harrell", **SYNTHETIC)["n"]
    gap = pick(rows, task="survival", arm="clinical+synthetic minus clinical", metric="c_harrell_difference")
    assert gap["value"] == pytest.approx(both["value"] - clinical["value"])
    assert gap["low"] > 0
    noise = pick(rows, task="survival", arm="synthetic minus noise", generator="edm", metric="c_harrell_difference")
    assert noise["interval"].startswith("paired patient bootstrap")


def test_arms_of_real_images_state_the_deaths_found(found: Any, pick: Pick, world: Any) -> None:
    rows, _, _ = found
    imaged = world.tables.patients[world.tables.patients["patient"].isin(world.tables.real_features["patient"])]
    deaths = int(imaged["os_event"].sum())
    assert deaths > 0
    for arm in ("real", "both"):
        row = pick(rows, task="survival", arm=arm, metric="c_harrell")
        assert f"({deaths} deaths among {len(imaged)} with follow-up)" in row["reason"]
        assert (row["n"], row["events"]) == (len(imaged), deaths)
    alive = world.tables.patients.copy()
    alive.loc[imaged.index, "os_event"] = 0.0
    none = imaged_reasons(replace(world.tables, patients=alive), {"item": "B.TC", "task": "survival"}, "edm")
    assert [r["arm"] for r in none] == ["real", "both"]
    assert none[0]["reason"] == f"no death among the imaged patients (0 deaths among {len(imaged)} with follow-up)"


def test_shuffled_conditions_are_compared(found: Any, pick: Pick) -> None:
    rows, _, _ = found
    gap = pick(rows, task="survival", arm="synthetic minus shuffled", generator="edm", metric="c_harrell_difference")
    assert gap["low"] > 0


def test_numbers_have_n_deaths_and_the_selection_note(found: Any) -> None:
    rows, _, _ = found
    numbers = rows[rows["reason"] == ""]
    assert (numbers["n"] > 0).all()
    assert (numbers["events"] > 0).all()
    assert (numbers["interval"] != "").all()
    assert numbers["note"].str.contains("B-W10").all()
    missing = rows[rows["extractor"] == "vgg16"]
    assert (missing["reason"] == "weights not present: file vgg16.safetensors").all()
    assert len(missing) == 2


def test_curves_start_at_one_and_fall(found: Any) -> None:
    _, curves, _ = found
    assert set(curves["group"]) == {"low", "high"}
    one = curves[(curves["arm"] == "synthetic") & (curves["generator"] == "edm") & (curves["task"] == "survival")]
    for _, part in one.groupby("group"):
        assert part["survival"].is_monotonic_decreasing
        assert part["survival"].iloc[0] == 1
    last = {group: np.interp(1500, part["time"], part["survival"]) for group, part in one.groupby("group")}
    assert last["high"] < last["low"]


def test_published_splits_report_train_and_test(world: Any, published: Protocol, cox: Survival, pick: Pick) -> None:
    rows, curves, risks = survival_rows(
        world.tables, world.runs, name="as_published", protocol=published, survival=cox, seed=1, draws=100, holdouts=4
    )
    keys = {"task": "survival_subgroup", "design": "holdout20", **SYNTHETIC}
    train, test = (pick(rows, metric=m, **keys) for m in ("c_harrell_train", "c_harrell"))
    assert test["interval"].startswith("spread over 4 random 80/20 splits of 24 test patients each")
    assert train["interval"].startswith("spread over 4 random 80/20 splits of 96 training patients each")
    assert (test["n"], train["n"]) == (24, 96)
    assert test["events"] < train["events"]
    assert "4 draws of 24 patients, " in test["note"] and "from 120 patients" in test["note"]
    assert train["value"] > 0.6
    mine = risks[(risks["task"] == "survival_subgroup") & (risks["arm"] == "synthetic") & (risks["generator"] == "edm")]
    p = pick(rows, metric="logrank_p", **keys)
    tests = [one for _, one in mine[mine["part"] == "test"].groupby("repeat")]
    assert p["value"] == pytest.approx(np.mean([_split_at_own_median(one) for one in tests]))
    assert (p["n"], p["events"]) == (test["n"], test["events"])
    assert p["interval"].startswith("spread over 4 p-values of random 80/20 splits of 24 test patients each")
    assert p["note"].endswith("such a mean is the p-value of no test")
    for part, row in (("train", train), ("test", test)):
        each = [_harrell(one) for _, one in mine[mine["part"] == part].groupby("repeat")]
        assert row["value"] == pytest.approx(np.mean(each))
    assert curves.empty
    assert list(curves.columns)[:4] == ["condition", "generator", "extractor", "task"]


def test_test_outcomes_never_move_their_risk(world: Any, rigorous: Protocol, cox: Survival) -> None:
    outcome = outcome_table(world.tables.patients).iloc[20:90]
    table = pd.DataFrame({"x": world.latent[outcome.index]}, index=outcome.index)
    people = list(outcome.index)
    part = Partition(0, "e0f0", people[:50], people[50:], "full")
    setting = SurvivalSetting("rigorous", rigorous, cox, 1, 100)
    changed = outcome.copy()
    changed.loc[people[50:], "time"] = changed.loc[people[50:], "time"].to_numpy()[::-1] + 7
    changed.loc[people[50:], "event"] = 1 - changed.loc[people[50:], "event"]
    a, b = (pooled_risk([Block(table, 1)], [part], o, setting) for o in (outcome, changed))
    assert np.array_equal(a.risk, b.risk)
    assert np.array_equal(a.high, b.high)


def test_groups_are_split_at_the_training_median(world: Any, rigorous: Protocol, cox: Survival) -> None:
    outcome = outcome_table(world.tables.patients).iloc[20:90]
    table = pd.DataFrame({"x": world.latent[outcome.index]}, index=outcome.index)
    people = list(outcome.loc[table.sort_values("x").index].index)
    part = Partition(0, "e0f0", people[:60], people[60:], "full")
    pooled = pooled_risk([Block(table)], [part], outcome, SurvivalSetting("r", rigorous, cox, 1, 100))
    assert pooled.high.all()


def _harrell(table: pd.DataFrame) -> float:
    from lifelines.utils import concordance_index

    return float(concordance_index(table["time"], -table["risk"], table["event"]))


def _split_at_own_median(table: pd.DataFrame) -> float:
    from lifelines.statistics import logrank_test

    high = table["risk"] > table["risk"].median()
    a, b = table[high], table[~high]
    return float(logrank_test(a["time"], b["time"], a["event"], b["event"]).p_value)


def test_parts_of_equal_risk_have_no_logrank_p() -> None:
    parts = [
        pd.DataFrame({"time": [1.0, 2, 3, 4], "event": 1, "risk": 0.5}).assign(part=part, repeat=repeat)
        for part in ("train", "test")
        for repeat in (0, 1)
    ]
    rows = holdout_rows(pd.concat(parts), [], [1, 1], {"item": "B.TC"}, n=8, events=8)
    found = {row["metric"]: row for row in rows}
    assert found["c_harrell"]["value"] == 0.5
    assert found["logrank_p"]["reason"].startswith("none of 2 p-values of random 80/20 splits")


def test_numbers_can_be_computed_again_from_the_risks(found: Any, pick: Pick) -> None:
    rows, _, risks = found
    assert list(risks.columns) == list(RISK_COLUMNS)
    numbers = rows[(rows["metric"] == "c_harrell") & rows["value"].notna()]
    assert len(numbers) >= 10
    for row in numbers.to_dict("records"):
        keys = {name: row[name] for name in ("arm", "generator", "extractor", "task", "model", "design")}
        mine = risks[np.logical_and.reduce([risks[name] == value for name, value in keys.items()])]
        mean = mine.groupby("patient")[["time", "event", "risk"]].mean()
        assert _harrell(mean) == pytest.approx(row["value"], abs=1e-9), keys
        assert (len(mean), mean["event"].sum()) == (row["n"], row["events"])


def test_a_sample_of_the_patients_is_told(world: Any, rigorous: Protocol, cox: Survival) -> None:
    further = [world.tables.patients.tail(1).assign(patient=f"TCGA-ZZ-{i:04d}") for i in range(30)]
    tables = replace(world.tables, patients=pd.concat([world.tables.patients, *further], ignore_index=True))
    rows, _, _ = survival_rows(tables, world.runs, name="p", protocol=rigorous, survival=cox, seed=1, draws=100)
    numbers = rows[rows["value"].notna()]
    assert numbers["note"].str.contains("sample of 120 of 150 patients without MRI", regex=False).all()


def test_no_source_generator_is_a_reason(world: Any, rigorous: Protocol, cox: Survival) -> None:
    runs = [
        replace(r, index=r.index[k], features=r.features[k])
        for r in world.runs
        if (k := r.index["kind"] == "heldout").any()
    ]
    rows, _, _ = survival_rows(world.tables, runs, name="rigorous", protocol=rigorous, survival=cox, seed=1, draws=100)
    radiomics = rows[rows["extractor"] == "radiomics"]
    assert radiomics["reason"].str.contains("no synthetic images of generator edm").all()
    assert (radiomics[["arm", "generator"]] == "").all(axis=None), "it holds for all of them"


def test_too_few_deaths_is_a_reason(world: Any, rigorous: Protocol, cox: Survival) -> None:
    alive = replace(world.tables, patients=world.tables.patients.assign(os_event=0.0))
    rows, _, _ = survival_rows(alive, world.runs, name="rigorous", protocol=rigorous, survival=cox, seed=1, draws=100)
    assert rows.loc[rows["extractor"] == "radiomics", "reason"].str.endswith("patients, 0 deaths").all()


def test_outcome_needs_a_positive_time_and_an_event_code() -> None:
    patients = pd.DataFrame(
        {"patient": list("ABCD"), "os_days": [5.0, 0.0, np.nan, 9.0], "os_event": [1.0, 1.0, 0.0, np.nan]}
    )
    assert list(outcome_table(patients).index) == ["A"]


def test_clinical_table_reads_stages_and_leaves_out_the_incomplete() -> None:
    patients = pd.DataFrame(
        {
            "patient": list("ABCDEF"),
            "age": [50.0, 60, 70, np.nan, 40, 45],
            "stage": ["STAGE IIIC", "Stage IV", "STAGE X", "STAGE I", "", "STAGE IB"],
            "subtype": ["BRCA_LumA", "BRCA_Basal", "BRCA_LumA", "BRCA_LumA", "BRCA_LumA", "BRCA_LumA"],
        }
    )
    found = clinical_table(patients)
    assert found["stage"].to_dict() == {"A": 3.0, "B": 4.0, "F": 1.0}
    assert list(found.columns) == ["age", "stage", "subtype_BRCA_Basal"]
    assert clinical_table(patients.assign(subtype="")).empty


def test_components_and_scaling_come_from_training_patients() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(40, 6)), index=[f"P{i:02d}" for i in range(40)])
    people = list(table.index)
    far = table.copy()
    far.iloc[30:] *= 100
    for choice in (2, 0.95, None):
        a, _ = design_matrix([Block(table, choice)], people[:30], people[30:], whole=False)
        b, _ = design_matrix([Block(far, choice)], people[:30], people[30:], whole=False)
        assert np.array_equal(a, b)
    whole, _ = design_matrix([Block(far, 2)], people[:30], people[30:], whole=True)
    train, test = design_matrix([Block(table, 2), Block(table)], people[:30], people[30:], whole=False)
    assert train.shape == (30, 8)
    assert test.shape == (10, 8)
    assert not np.allclose(whole, train[:, :2])
    flat = pd.DataFrame(1.0, index=table.index, columns=range(3))
    assert design_matrix([Block(flat, 2)], people[:30], people[30:], whole=False)[1].shape == (10, 0)


def test_risk_agrees_with_lifelines_own_prediction() -> None:
    from lifelines import CoxPHFitter

    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 2))
    time, event = rng.exponential(np.exp(-x[:, 0])) + 0.01, (rng.random(80) < 0.7).astype(int)
    risk = cox_risk(x[:60], time[:60], event[:60], x[60:], penalizer=0.1)
    table = pd.DataFrame(x[:60], columns=["a", "b"]).assign(time=time[:60], event=event[:60])
    model = CoxPHFitter(penalizer=0.1).fit(table, "time", "event")
    theirs = model.predict_log_partial_hazard(pd.DataFrame(x[60:], columns=["a", "b"])).to_numpy()
    assert np.allclose(risk.test - risk.test.mean(), theirs - theirs.mean())
    assert risk.covariates == 2


def test_failure_to_converge_is_one_line_with_lifelines_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    def fail(*args: object, **kwargs: object) -> None:
        raise ConvergenceError("delta is NaN\nmore advice", original_exception=ValueError("x"))

    monkeypatch.setattr(CoxPHFitter, "fit", fail)
    with pytest.raises(NotConverged, match="did not converge: delta is NaN"):
        cox_module.cox_risk(np.ones((4, 1)), np.ones(4), np.ones(4), np.ones((1, 1)), penalizer=0.0)


def test_warnings_of_the_fit_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    x = np.zeros((30, 2))
    x[:, 0] = np.arange(30)
    x[0, 1] = 1e-4
    with caplog.at_level(logging.INFO, logger="radgen"):
        cox_risk(x, np.arange(1.0, 31), (np.arange(30) % 2).astype(int), x[:2], penalizer=0.1)
    assert "Cox model on 30 patients" in caplog.text


def test_all_splits_failing_is_a_row_with_the_reason() -> None:
    rows = holdout_rows(pd.DataFrame(), ["did not converge: x"], [], {"item": "B.TC"}, n=9, events=2)
    assert [r["reason"] for r in rows] == ["did not converge: x"]
