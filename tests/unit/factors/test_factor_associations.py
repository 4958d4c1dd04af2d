"""Factors and clinical facts: each effect against another implementation, planted effects, and too few patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import false_discovery_control, kruskal, mannwhitneyu, spearmanr

from radgen_lib.analyses.factors import associations as module
from radgen_lib.analyses.factors.associations import (
    ASSOCIATION_COLUMNS,
    BINARY,
    ENDPOINTS,
    associations,
    binary_effect,
    class_effect,
    eta_squared,
    hazard_effect,
    rank_effect,
)

N = 160
NAMES = [f"PHAN-S1-{i:04d}" for i in range(N)]


@pytest.fixture(scope="module")
def factors() -> pd.DataFrame:
    values = np.random.default_rng(1).standard_normal((N, 3))
    return pd.DataFrame(values, index=pd.Index(NAMES, name="patient"), columns=["F01", "F02", "F03"])


@pytest.fixture(scope="module")
def spread(factors: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(np.tile([0.1, 0.2, 0.3], (N, 1)), index=factors.index, columns=factors.columns)


@pytest.fixture(scope="module")
def patients(factors: pd.DataFrame) -> pd.DataFrame:
    """F01 moves subtype and ER, F02 age and survival; the rest is chance. Shuffled, with one who has no factor."""
    rng = np.random.default_rng(2)
    first, second = factors["F01"].to_numpy(), factors["F02"].to_numpy()
    table = pd.DataFrame({"patient": NAMES})
    table["subtype"] = np.select([first < -0.6, first < 0.6], ["Basal", "LumB"], "LumA")
    table.loc[:9, "subtype"] = ""
    for name in BINARY:
        table[name] = (rng.random(N) < 0.3).astype(float)
    table["er"] = (first + 0.5 * rng.standard_normal(N) > 0).astype(float)
    table.loc[5:20, "er"] = np.nan
    table["age"] = 60 + 5 * second + 5 * rng.standard_normal(N)
    table["os_days"] = np.ceil(rng.exponential(900 * np.exp(-0.9 * second)) + 1)
    table["os_event"] = (rng.random(N) < 0.6).astype(float)
    table.loc[:4, ["os_days", "os_event"]] = np.nan
    stranger = table.iloc[[0]].assign(patient="PHAN-S1-9999")
    return pd.concat([table, stranger], ignore_index=True).sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def table(factors: pd.DataFrame, spread: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    return associations(factors, spread, patients, seed=7, model="btf_gibbs", draws=200)


# Single effects


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=8, max_size=60))
def test_eta_squared_is_that_of_kruskal_and_wallis(rows: list[tuple[int, int]]) -> None:
    score, classes = np.array(rows, dtype=float).T
    groups = [score[classes == c] for c in np.unique(classes)]
    found = eta_squared(score, classes.astype(int))
    if len(groups) < 2 or np.ptp(score) == 0:
        assert np.isnan(found)
        return
    h, k, n = kruskal(*groups).statistic, len(groups), len(score)
    assert found == pytest.approx((h - k + 1) / (n - k), abs=1e-9)


def test_notes_say_where_the_receptor_status_is_from(
    factors: pd.DataFrame, spread: pd.DataFrame, patients: pd.DataFrame
) -> None:
    origins = np.where(patients["er"].isna(), "", np.where(patients["age"] > 60, "further", "different"))
    table = associations(
        factors[["F01"]], spread[["F01"]], patients.assign(er_from=origins), seed=0, model="btf_gibbs", draws=50
    ).set_index("task")
    counts = pd.Series(origins)[(patients["patient"] != "PHAN-S1-9999").to_numpy()].value_counts()
    assert table.loc["er", "note"].endswith(f"{counts['different']} different there, {counts['further']} unknown there")
    assert table.loc["er", "n"] == counts["different"] + counts["further"]
    assert set(table.loc[["pr", "her2", "mut_TP53"], "note"]) == {""}


def test_classes_are_tested_by_kruskal_and_wallis_and_small_ones_left_out() -> None:
    rng = np.random.default_rng(3)
    names = np.array(["A"] * 30 + ["B"] * 20 + ["C"] * 4 + [""] * 10)
    score = rng.standard_normal(64) + np.where(names == "A", 1.0, 0.0)
    found = class_effect(score, names, rng=np.random.default_rng(4), draws=200)
    assert found["p"] == pytest.approx(kruskal(score[:30], score[30:50]).pvalue)
    assert found["n"] == 50 and found["low"] < found["value"] < found["high"]
    assert found["note"].startswith("from lowest to highest median: B 20, A 30;")


def test_the_interval_of_eta_squared_holds_the_true_value() -> None:
    """True value from 200,000 patients; 30 cohorts of 120."""
    rng = np.random.default_rng(5)
    many = rng.integers(0, 3, 200_000)
    true = eta_squared(0.5 * many + rng.standard_normal(len(many)), many)
    held = 0
    for _ in range(30):
        classes = rng.integers(0, 3, 120)
        score = 0.5 * classes + rng.standard_normal(120)
        found = class_effect(score, np.array(["A", "B", "C"])[classes], rng=rng, draws=100)
        held += found["low"] <= true <= found["high"]
    assert held >= 25


def test_two_classes_are_tested_by_mann_and_whitney() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat([1.0, 0.0, np.nan], [12, 25, 5])
    score = rng.standard_normal(42).round(1) + np.where(labels == 1, 0.8, 0.0)
    test = mannwhitneyu(score[:12], score[12:37])
    found = binary_effect(score, labels)
    assert found["value"] == pytest.approx(test.statistic / (12 * 25)) and found["p"] == pytest.approx(test.pvalue)
    assert (found["n"], found["events"]) == (37, 12) and found["low"] < found["value"] < found["high"]
    other = binary_effect(-score, labels)
    assert other["value"] == pytest.approx(1 - found["value"]) and other["low"] == pytest.approx(1 - found["high"])


def test_age_is_tested_by_spearman_and_its_interval_covers() -> None:
    rng = np.random.default_rng(7)
    true = 6 / np.pi * np.arcsin(0.5 / 2)  # Spearman's correlation of a normal pair with correlation 0.5
    held = 0
    for _ in range(200):
        score, noise = rng.standard_normal((2, 60))
        age = 0.5 * score + np.sqrt(0.75) * noise
        found = rank_effect(score, np.append(age[:-1], np.nan))
        rho, p = spearmanr(score[:-1], age[:-1])
        assert found["value"] == pytest.approx(rho) and found["p"] == pytest.approx(p) and found["n"] == 59
        gaps = np.diff(np.arctanh([found["low"], rho, found["high"]]))
        assert gaps == pytest.approx(1.959964 * np.sqrt((1 + rho**2 / 2) / 56))
        held += found["low"] <= true <= found["high"]
    assert 182 <= held <= 198


def test_the_hazard_ratio_is_that_of_the_partial_likelihood() -> None:
    rng = np.random.default_rng(8)
    score = 3 + 2 * rng.standard_normal(90)
    days, event = rng.permutation(90) + 1.0, (rng.random(90) < 0.5).astype(float)
    days[:3], event[3:5] = [0, -5, np.nan], np.nan
    known = (days > 0) & np.isfinite(event)
    x = (score[known] - score[known].mean()) / score[known].std()
    order = np.argsort(days[known])
    x, died = x[order], event[known][order] == 1

    def minus_log_likelihood(beta: float) -> float:
        at_risk = np.log(np.cumsum(np.exp(beta * x)[::-1])[::-1])
        return float(-(beta * x - at_risk)[died].sum())

    beta = minimize_scalar(minus_log_likelihood, tol=1e-12).x
    step = 1e-3
    curvature = sum(minus_log_likelihood(beta + s) for s in (-step, step)) - 2 * minus_log_likelihood(beta)
    half = 1.959964 / np.sqrt(curvature / step**2)
    found = hazard_effect(score, days, event)
    assert (found["n"], found["events"]) == (int(known.sum()), int(died.sum()))
    assert np.log(found["value"]) == pytest.approx(beta, abs=1e-5)
    assert np.log([found["low"], found["high"]]) == pytest.approx([beta - half, beta + half], abs=1e-3)


# Too few patients


def test_what_cannot_be_tested_says_why() -> None:
    score, rng = np.arange(40.0), np.random.default_rng(0)
    one = class_effect(score, np.array(["A"] * 36 + ["B"] * 4), rng=rng, draws=10)
    assert one == {"n": 36, "reason": "1 classes have 5 patients, 2 are needed"}
    few = binary_effect(score, np.repeat([1.0, 0.0], [4, 36]))
    assert few == {"n": 40, "events": 4, "reason": "4 patients in the smaller class, 5 are needed"}
    assert rank_effect(score, np.repeat([50.0, np.nan], [9, 31]))["reason"] == "9 patients, 10 are needed"
    assert rank_effect(score, np.full(40, 50.0))["reason"] == "all patients have the same value"
    deaths = hazard_effect(score, score + 1, (score < 9).astype(float))
    assert deaths == {"n": 40, "events": 9, "reason": "9 deaths, 10 are needed"}


def test_a_likelihood_without_a_maximum_is_a_reason() -> None:
    died = np.repeat([1.0, 0.0], [20, 40])
    found = hazard_effect(died, np.where(died == 1, 1.0 + np.arange(60), 500.0), died)
    assert found["reason"].startswith("Cox model did not converge") and "value" not in found


# The table


def test_the_table_has_a_row_for_each_component_and_endpoint(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == ASSOCIATION_COLUMNS
    assert list(zip(table["task"], table["arm"], strict=True)) == [
        (e, c) for e in ENDPOINTS for c in ("F01", "F02", "F03")
    ]
    assert set(table["reason"]) == {""} and (table["low"] <= table["value"]).all()
    assert table.groupby("arm")["posterior_sd"].unique().map(list).to_dict() == {
        "F01": pytest.approx([0.1]), "F02": pytest.approx([0.2]), "F03": pytest.approx([0.3]),
    }  # fmt: skip


def test_patients_are_counted_who_are_known_and_have_factors(table: pd.DataFrame) -> None:
    counts = table.groupby("task")["n"].agg(["min", "max"])
    assert (counts["min"] == counts["max"]).all()
    expected = {"subtype": N - 10, "er": N - 16, "age": N, "survival": N - 5}
    assert {name: counts.loc[name, "min"] for name in expected} == expected


def test_planted_effects_are_found_where_they_are(table: pd.DataFrame) -> None:
    found = set(table.loc[table["fdr"] < 0.01, ["task", "arm"]].itertuples(index=False, name=None))
    assert found == {("subtype", "F01"), ("er", "F01"), ("age", "F02"), ("survival", "F02")}
    value = table.set_index(["task", "arm"])["value"]
    assert value["er", "F01"] > 0.85 and value["survival", "F02"] > 1.5 and value["age", "F02"] > 0.5


def test_rates_run_within_the_endpoint_and_over_all(table: pd.DataFrame) -> None:
    np.testing.assert_allclose(table["fdr"], false_discovery_control(table["p"]))
    for _, part in table.groupby("task"):
        np.testing.assert_allclose(part["fdr_endpoint"], false_discovery_control(part["p"]))


def test_the_order_of_patients_changes_nothing(
    factors: pd.DataFrame, spread: pd.DataFrame, patients: pd.DataFrame, table: pd.DataFrame
) -> None:
    again = associations(factors, spread, patients[::-1], seed=7, model="btf_gibbs", draws=200)
    pd.testing.assert_frame_equal(again, table)


def test_missing_labels_leave_a_reason_and_no_gap_in_the_rates(
    factors: pd.DataFrame, spread: pd.DataFrame, patients: pd.DataFrame
) -> None:
    lacking = patients.assign(her2=np.nan, os_event=np.where(patients["os_event"] == 1, 0.0, patients["os_event"]))
    found = associations(factors, spread, lacking, seed=7, model="btf_gibbs", draws=50).set_index("task")
    assert found.loc["her2", "n"].tolist() == [0, 0, 0] and found.loc["her2", "value"].isna().all()
    assert set(found.loc["survival", "reason"]) == {"0 deaths, 10 are needed"}
    untested = found["p"].isna()
    assert set(found.index[untested]) == {"her2", "survival"}
    np.testing.assert_allclose(found.loc[~untested, "fdr"], false_discovery_control(found.loc[~untested, "p"]))


def test_a_fit_without_components_has_a_row_an_endpoint(patients: pd.DataFrame) -> None:
    nothing = pd.DataFrame(index=pd.Index(NAMES, name="patient"))
    found = associations(nothing, nothing, patients, seed=1, model="btf_gibbs")
    assert found["task"].tolist() == list(ENDPOINTS) and set(found["reason"]) == {"the fit kept no component"}


def test_a_failing_fit_is_a_reason_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    def fail(*_: object, **__: object) -> None:
        raise ConvergenceError("the matrix is singular\nsecond line")

    monkeypatch.setattr(CoxPHFitter, "fit", fail)
    found = module.hazard_effect(np.arange(30.0), np.arange(30.0) + 1, np.ones(30))
    assert found["reason"] == "Cox model did not converge: the matrix is singular"
