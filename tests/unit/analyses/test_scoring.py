"""From scores to rows: averaging over repeats, thresholds, paired differences, spreads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, f1_score, precision_recall_curve, roc_auc_score
from sklearn.model_selection import KFold

from radgen_lib.analyses import scoring
from radgen_lib.analyses.classifiers import Fit, FitOptions, fit_score
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.intervals import patient_bootstrap

KEYS = {"item": "B.TB", "task": "er", "design": "out_of_fold:test_on_real", "note": ""}


def _predictions(seed: int = 0, n: int = 30, repeats: int = 2, threshold: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(int)
    tables = [
        pd.DataFrame({"patient": [f"P{i:02d}" for i in range(n)], "y": y, "score": rng.normal(size=n) + y, "repeat": r})
        for r in range(repeats)
    ]
    return pd.concat(tables, ignore_index=True).assign(threshold=threshold, centre=0.0, scale=1.0)


def _found(table: pd.DataFrame, source: str = "train", draws: int = 100) -> scoring.OutOfFold:
    return scoring.out_of_fold(table, threshold_from=source, draws=draws, seed=5)


def _rows(table: pd.DataFrame, source: str = "train", draws: int = 100) -> dict[str, dict[str, Any]]:
    rows = scoring.out_of_fold_rows(_found(table, source, draws), KEYS, draws=draws, seed=5)
    return {row["metric"]: row for row in rows}


def test_patients_are_averaged_over_repeats_before_scoring() -> None:
    table = _predictions()
    mean = table.groupby("patient")[["y", "score"]].mean()
    rows = _rows(table)
    assert rows["auroc"]["value"] == pytest.approx(roc_auc_score(mean["y"].astype(int), mean["score"]))
    assert rows["auroc"]["n"] == 30
    assert rows["auroc"]["events"] == 15
    each = [roc_auc_score(p["y"], p["score"]) for _, p in table.groupby("repeat")]
    assert rows["auroc"]["note"] == f"2 repeats: {min(each):.3f} to {max(each):.3f}"
    assert rows["average_precision"]["note"] == "prevalence 0.500"


def test_interval_is_that_of_the_metrics_room() -> None:
    table = _predictions(repeats=1)
    row = _rows(table, draws=400)["auroc"]
    mean = table.sort_values("patient")
    y, score = mean["y"].to_numpy(), mean["score"].to_numpy()
    theirs = patient_bootstrap(
        lambda r: roc_auc_score(y[r], score[r]), mean["patient"].to_numpy(), draws=400,
        rng=make_rng(5, "patient bootstrap", 30),
    )  # fmt: skip
    assert (row["value"], row["low"], row["high"]) == pytest.approx(theirs[:3])
    assert row["interval"] == theirs.method


def test_order_of_rows_does_not_matter() -> None:
    table = _predictions()
    shuffled = table.sample(frac=1, random_state=3)
    for metric, row in _rows(table).items():
        assert row["value"] == pytest.approx(_rows(shuffled)[metric]["value"])


def test_calls_use_each_folds_own_training_threshold() -> None:
    table = _predictions(repeats=1)
    half = table["patient"] < "P15"
    table["threshold"] = np.where(half, 10.0, -10.0)
    found = _found(table)
    assert found.call[:15].sum() == 0
    assert found.call[15:].all()
    expected = f1_score(found.y, found.call)
    assert _rows(table)["f1"]["value"] == pytest.approx(expected)


def test_threshold_from_test_is_the_best_possible_and_ignores_training() -> None:
    table = _predictions(repeats=1, threshold=np.nan)
    best = _rows(table, "test")["f1"]["value"]
    y, score = (table.sort_values("patient")[c].to_numpy() for c in ("y", "score"))
    assert best == pytest.approx(max(f1_score(y, score >= t) for t in score))


def test_a_difference_of_an_arm_with_itself_is_zero_with_no_width() -> None:
    found = _found(_predictions())
    row = scoring.difference_row(found, found, KEYS, draws=100, seed=5)
    assert (row["value"], row["low"], row["high"]) == (0.0, 0.0, 0.0)
    assert row["interval"] == "paired patient bootstrap, 100 draws, 95 %"


def test_a_difference_uses_shared_patients_only() -> None:
    a, b = _predictions(seed=1), _predictions(seed=2)
    b = b[b["patient"] >= "P08"]
    row = scoring.difference_row(_found(a), _found(b), KEYS, draws=100, seed=5)
    assert row["n"] == 22
    shared = a[a["patient"] >= "P08"].groupby("patient")[["y", "score"]].mean()
    other = b.groupby("patient")[["y", "score"]].mean()
    expected = roc_auc_score(shared["y"], shared["score"]) - roc_auc_score(other["y"], other["score"])
    assert row["value"] == pytest.approx(expected)


def test_paired_differences_are_narrower_than_unpaired_ones() -> None:
    a = _predictions(seed=1, n=60)
    b = a.assign(score=a["score"] + 0.05 * np.random.default_rng(0).normal(size=len(a)))
    row = scoring.difference_row(_found(a), _found(b), KEYS, draws=500, seed=5)
    alone = _rows(a, draws=500)["auroc"]
    assert row["high"] - row["low"] < 0.5 * (alone["high"] - alone["low"])


def test_random_tests_with_one_class_have_no_score() -> None:
    table = _predictions(repeats=3)
    table.loc[table["repeat"] == 1, "y"] = 1
    scores = scoring.holdout_scores(table, threshold_from="test")
    assert scores["auroc"].isna().tolist() == [False, True, False]
    assert scores["f1"].isna().tolist() == [False, True, False]
    assert (scores["tested"] == 30).all()
    row = scoring.spread_row(scores["auroc"].to_numpy(), "auroc", KEYS, n=30, events=15, what="random 10% tests")
    assert "1 without a value" in row["interval"]
    assert row["value"] == pytest.approx(scores["auroc"].mean())


def test_published_threshold_on_the_test_is_never_below_the_trained_one() -> None:
    table = _predictions(repeats=3, threshold=0.4)
    trained = scoring.holdout_scores(table, threshold_from="train")["f1"]
    peeked = scoring.holdout_scores(table, threshold_from="test")["f1"]
    assert (peeked >= trained).all()
    assert (peeked > trained).any()


def test_no_random_test_with_a_value_is_a_reason() -> None:
    row = scoring.spread_row(np.full(4, np.nan), "auroc", KEYS, n=9, events=1, what="random 10% tests")
    assert row["reason"] == "none of 4 random 10% tests gave a value"
    assert np.isnan(row["value"])


def _pooled_null(name: str, seed: int, *, scaled: bool) -> float:
    """Pooled AUROC of features without any signal: 28 patients, 6 positive, seven folds of four patients."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(28, 8)), rng.permutation(np.arange(28) < 6).astype(int)
    names = np.array([f"P{i:02d}" for i in range(28)])
    options = FitOptions(search_draws=0, inner_folds=3, whole=False, pca=False, threshold_from_training=False)
    tables = []
    for train, test in KFold(7, shuffle=True, random_state=seed).split(x):
        fit = Fit(0, "r0f0", x[train], y[train], names[train], x[test], y[test], names[test])
        found = fit_score(name, fit, options, seed)
        centre, scale = (found.centre, found.scale) if scaled else (0.0, 1.0)
        table = pd.DataFrame({"patient": names[test], "y": y[test], "score": found.score})
        tables.append(table.assign(repeat=0, threshold=0.0, centre=centre, scale=scale))
    pooled = _found(pd.concat(tables, ignore_index=True), draws=2)
    return float(roc_auc_score(pooled.y, pooled.score))


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_pooled_folds_of_pure_noise_score_one_half(name: str) -> None:
    """Unscaled pooling is biased: a fold that holds out positives trains on fewer and scores everybody lower."""
    scaled = np.mean([_pooled_null(name, seed, scaled=True) for seed in range(60)])
    assert 0.46 < scaled < 0.54
    raw = np.mean([_pooled_null(name, seed, scaled=False) for seed in range(15)])
    assert raw < 0.46


def test_a_model_without_coefficients_ties_all_folds() -> None:
    """Constant scores differ between folds only by their training prevalence: centred, all patients are tied."""
    table = _predictions(repeats=1)
    fold = np.arange(len(table)) % 3
    centre = np.array([0.1, 0.2, 0.3])[fold]
    found = _found(table.assign(score=centre + 1e-16, centre=centre, threshold=centre))
    assert np.ptp(found.score) == 0
    assert found.call.all()
    assert found.draws == pytest.approx(0.5)


def test_pooling_does_not_see_the_scale_of_a_fold() -> None:
    table = _predictions(repeats=1, threshold=0.4)
    half = np.where(table["patient"] < "P15", 3.0, 1.0)
    moved = table.assign(score=7 + half * table["score"], threshold=7 + half * 0.4, centre=7.0, scale=half)
    a, b = _found(table), _found(moved)
    assert a.score == pytest.approx(b.score, abs=1e-8)
    assert np.array_equal(a.call, b.call)


def test_trapezoid_area_stands_beside_average_precision() -> None:
    table = _predictions(repeats=1)
    precision, recall, _ = precision_recall_curve(table["y"], table["score"])
    rows = _rows(table)
    assert rows["auprc_trapz"]["value"] == pytest.approx(auc(recall, precision))
    assert rows["auprc_trapz"]["low"] < rows["auprc_trapz"]["value"] < rows["auprc_trapz"]["high"]
    assert rows["auprc_trapz"]["note"] == rows["average_precision"]["note"]
