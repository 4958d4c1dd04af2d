"""Prediction rows: planted signal, planted nulls, reasons, switches of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from radgen_lib.analyses import scoring
from radgen_lib.analyses.arms import Tables
from radgen_lib.analyses.prediction import SCORE_COLUMNS, prediction_rows
from radgen_lib.core.config.cpdm import Prediction, Protocol

Pick = Callable[..., pd.Series]
SYNTHETIC, REAL = "out_of_fold:test_on_synthetic", "out_of_fold:test_on_real"


def _rows(world: Any, protocol: Protocol, asked: Prediction, **changes: Any) -> pd.DataFrame:
    rows, _ = prediction_rows(
        changes.get("tables", world.tables), changes.get("runs", world.runs), name="rigorous", protocol=protocol,
        prediction=asked, seed=1, threads=changes.get("threads", 1),
    )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def rows(make_world: Callable[..., Any]) -> pd.DataFrame:
    from radgen_lib.core.config.cpdm import RIGOROUS

    world = make_world(repeats=2, others=90)
    protocol = RIGOROUS.model_copy(
        update={"conditions": ["genes15"], "generators": ["edm", "mean", "untrained", "noise"]}
    )
    asked = Prediction(
        tasks=["er", "mut_TP53", "subgroup"], classifiers=["logistic"], primary_tasks=["er"],
        primary_classifiers=["logistic"], search_draws=2, inner_folds=3, bootstrap=300,
    )  # fmt: skip
    return _rows(world, protocol, asked)


def test_planted_signal_is_recovered_from_synthetic_images(rows: pd.DataFrame, pick: Pick) -> None:
    for design in (SYNTHETIC, REAL):
        found = pick(rows, task="er", arm="synthetic", generator="edm", metric="auroc", design=design)
        assert found["value"] > 0.8
        assert found["low"] > 0.5
        assert found["low"] <= found["value"] <= found["high"]


@pytest.mark.parametrize("arm", ["shuffled", "untrained", "noise"])
def test_controls_find_nothing(rows: pd.DataFrame, pick: Pick, arm: str) -> None:
    found = pick(rows, task="er", arm=arm, metric="auroc", design=SYNTHETIC)
    assert found["low"] < 0.6
    assert found["value"] < 0.7


def test_null_label_covers_half_in_every_arm(rows: pd.DataFrame) -> None:
    null = rows[(rows["task"] == "mut_TP53") & (rows["metric"] == "auroc") & (rows["design"] == SYNTHETIC)]
    null = null[null["reason"] == ""]
    assert len(null) >= 5
    covered = (null["low"] <= 0.5) & (null["high"] >= 0.5)
    assert covered.sum() >= len(null) - 1


def test_images_that_are_all_the_same_score_one_half(rows: pd.DataFrame, pick: Pick) -> None:
    found = pick(rows, task="er", arm="synthetic", generator="mean", metric="auroc", design=SYNTHETIC)
    assert found["value"] == 0.5


def test_differences_compare_the_same_patients(rows: pd.DataFrame, pick: Pick) -> None:
    keys = {"task": "er", "design": SYNTHETIC, "generator": "edm"}
    gap = pick(rows, arm="synthetic minus shuffled", metric="auroc_difference", **keys)
    a = pick(rows, arm="synthetic", metric="auroc", **keys)
    b = pick(rows, arm="shuffled", metric="auroc", **keys)
    assert gap["value"] == pytest.approx(a["value"] - b["value"])
    assert gap["low"] > 0
    same = pick(rows, arm="synthetic minus condition", metric="auroc_difference", **keys)
    assert same["low"] < 0 < same["high"] or abs(same["value"]) < 0.1
    assert set(rows.loc[rows["design"] == REAL, "arm"]) >= {"both minus real", "real"}


def test_counts_and_interval_stand_in_every_row(rows: pd.DataFrame) -> None:
    numbers = rows[rows["reason"] == ""]
    assert (numbers["n"] > 0).all()
    assert (numbers["events"] > 0).all()
    assert numbers["interval"].str.contains("patient bootstrap, 300 draws").all()
    assert rows["note"].str.contains("2 repeats").any()


def test_task_without_labelled_imaged_patients_is_a_reason(rows: pd.DataFrame) -> None:
    real = rows[(rows["task"] == "subgroup") & (rows["design"] == REAL)]
    assert (real["reason"] == "0 labelled imaged patients: 0 positive, 0 negative").all()
    assert set(real["arm"]) >= {"real", "synthetic", "both", "condition", "untrained", "shuffled", "noise"}


def test_real_arm_tested_on_synthetic_images_is_a_reason(rows: pd.DataFrame, pick: Pick) -> None:
    found = pick(rows, task="er", arm="real", design=SYNTHETIC, metric="auroc")
    assert found["reason"] == "tested on synthetic images: the real arm has no such images"


def test_encoder_without_weights_is_one_reason_per_task(rows: pd.DataFrame) -> None:
    found = rows[rows["extractor"] == "vgg16"]
    assert sorted(found["task"]) == ["er", "mut_TP53", "subgroup"]
    assert (found["reason"] == "weights not present: file vgg16.safetensors").all()
    assert (found[["model", "arm", "generator", "design"]] == "").all(axis=None), "it holds for all of them"


def test_circular_label_is_stamped(rows: pd.DataFrame) -> None:
    stamped = rows[rows["note"].str.contains("function of the condition")]
    assert set(stamped["task"]) == {"subgroup"}
    numbers = rows[(rows["reason"] == "") & (rows["task"] == "mut_TP53")]
    assert numbers["note"].str.contains("chosen by survival").all()


def test_other_generators_only_where_settings_are_searched(rows: pd.DataFrame) -> None:
    assert set(rows.loc[(rows["generator"] == "mean") & (rows["arm"] == "synthetic"), "task"]) == {"er"}


def test_same_seed_same_rows_also_side_by_side(world: Any, rigorous: Protocol, asked: Prediction) -> None:
    small = asked.model_copy(update={"tasks": ["er"], "classifiers": ["logistic", "svm"], "bootstrap": 100})
    one = _rows(world, rigorous, small)
    two = _rows(world, rigorous, small, threads=2)
    pd.testing.assert_frame_equal(one, two)


def test_labels_of_tested_patients_never_move_their_scores(
    world: Any, rigorous: Protocol, asked: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: dict[str, list[pd.DataFrame]] = {"plain": [], "flipped": []}
    kept = scoring.out_of_fold
    small = asked.model_copy(update={"tasks": ["er"], "bootstrap": 100})
    protocol = rigorous.model_copy(update={"test_on": ["real"]})
    imaged = set(world.tables.real_features["patient"])
    swapped = world.tables.patients.copy()
    inside = swapped["patient"].isin(imaged)
    swapped.loc[inside, "er"] = 1 - swapped.loc[inside, "er"]
    for name, patients in (("plain", world.tables.patients), ("flipped", swapped)):
        monkeypatch.setattr(scoring, "out_of_fold", lambda t, name=name, **k: taken[name].append(t) or kept(t, **k))
        _rows(world, protocol, small, tables=replace(world.tables, patients=patients))
    synthetic = [tables[0][["patient", "score", "threshold"]] for tables in (taken["plain"][1:], taken["flipped"][1:])]
    pd.testing.assert_frame_equal(*synthetic)


def test_published_evaluation_is_a_spread_over_random_tests(
    world: Any, published: Protocol, asked: Prediction, pick: Pick
) -> None:
    runs = [r for r in world.runs if r.generator == "edm"]
    found, _ = prediction_rows(world.tables, runs, name="as_published", protocol=published, prediction=asked, seed=1)
    keys = {"task": "er", "arm": "synthetic", "design": "holdout10:test_on_synthetic"}
    auroc = pick(found, metric="auroc", **keys)
    assert auroc["interval"].startswith("spread over 6 random 10% tests")
    assert auroc["value"] > 0.8
    assert auroc["interval"] == "spread over 6 random 10% tests of 12 patients each, 95 %"
    assert auroc["n"] == 12
    assert 3 <= auroc["events"] <= 9
    assert auroc["note"].startswith("6 draws of 12 patients, ")
    assert "from 120 patients" in auroc["note"]
    assert set(found.loc[found["arm"] == "synthetic", "metric"]) >= {"auroc", "average_precision", "auprc_trapz", "f1"}
    for control in ("untrained", "noise"):
        left_out = pick(found, task="er", arm=control, metric="auroc", extractor="radiomics")["reason"]
        assert left_out == f"not drawn under as_published: {control} is not among its generators"
    assert not found["note"].str.contains("B-W10").any()


def test_threshold_from_test_never_gives_a_lower_f1(
    world: Any, published: Protocol, asked: Prediction, pick: Pick
) -> None:
    small = asked.model_copy(update={"tasks": ["mut_TP53"]})
    values = {}
    for source in ("test", "train"):
        protocol = published.model_copy(update={"threshold_from": source})
        found, _ = prediction_rows(world.tables, world.runs, name="p", protocol=protocol, prediction=small, seed=1)
        values[source] = pick(found, arm="synthetic", generator="edm", metric="f1", extractor="radiomics")["value"]
    assert values["test"] > values["train"]


def test_holdout_on_real_images(world: Any, published: Protocol, asked: Prediction) -> None:
    protocol = published.model_copy(update={"test_on": ["real"]})
    small = asked.model_copy(update={"tasks": ["er"], "holdout_seeds": 12})
    found, _ = prediction_rows(world.tables, world.runs, name="p", protocol=protocol, prediction=small, seed=1)
    real = found[(found["arm"] == "real") & (found["metric"] == "auroc")]
    assert len(real) == 1
    assert real.iloc[0]["n"] <= 16


def test_condition_of_imaged_patients_only_is_a_reason(world: Any, rigorous: Protocol, asked: Prediction) -> None:
    held = []
    for run in world.runs:
        keep = run.index["kind"] == "heldout"
        features = run.features[run.features["row"].isin(run.index.loc[keep, "row"])]
        held.append(replace(run, condition="factors17", index=run.index[keep], features=features))
    found = _rows(world, rigorous.model_copy(update={"conditions": ["factors17"]}), asked, runs=held)
    radiomics = found[found["extractor"] == "radiomics"]
    assert radiomics["reason"].str.contains("imaged patients only").all()
    assert len(radiomics) == 3


def test_later_repeats_without_images_are_left_out(
    make_world: Callable[..., Any], rigorous: Protocol, asked: Prediction
) -> None:
    world = make_world(repeats=2)
    runs = []
    for run in world.runs:
        keep = ~((run.index["kind"] != "heldout") & run.index["fold"].str.startswith("r1"))
        runs.append(replace(run, index=run.index[keep], features=run.features[keep]))
    small = asked.model_copy(update={"tasks": ["er"], "bootstrap": 100})
    found = _rows(world, rigorous.model_copy(update={"test_on": ["real"]}), small, runs=runs)
    found = found[(found["extractor"] == "radiomics") & (found["generator"] == "edm")]
    real = found[(found["arm"] == "synthetic") & (found["metric"] == "auroc")]
    assert np.isfinite(real["value"].iloc[0])
    assert "repeats" not in real["note"].iloc[0]


def test_contrast_without_shared_patients_is_a_reason() -> None:
    def one(names: list[str]) -> scoring.OutOfFold:
        y = np.array([0, 1])
        return scoring.OutOfFold(np.array(names), y, y.astype(float), y, np.full(10, 1.0), np.array([1.0]))

    row = scoring.difference_row(one(["A", "B"]), one(["C", "D"]), {"item": "B.TB", "design": "x"}, draws=10, seed=0)
    assert row["reason"] == "no patients of both classes shared"


def test_tables_labels_drop_the_unknown() -> None:
    patients = pd.DataFrame({"patient": ["A", "B", "C"], "er": [1.0, np.nan, 0.0]})
    empty = pd.DataFrame()
    assert Tables(patients, empty, {}, empty, empty).labels("er").to_dict() == {"A": 1, "C": 0}


def _recomputed(scores: pd.DataFrame) -> float:
    """AUROC of one arm as the table's documentation says: one scale, mean over repeats."""
    scaled = ((scores["score"] - scores["centre"]) / scores["scale"]).round(scoring.SCORE_DIGITS)
    mean = scores.assign(score=scaled).groupby("patient")[["y", "score"]].mean()
    return float(roc_auc_score(mean["y"].astype(int), mean["score"]))


def test_numbers_can_be_computed_again_from_the_scores(make_world: Callable[..., Any], rigorous: Protocol) -> None:
    world = make_world(repeats=2, others=60)
    small = Prediction(tasks=["er"], classifiers=["logistic"], primary_tasks=[], bootstrap=100, inner_folds=3)
    rows, scores = prediction_rows(world.tables, world.runs, name="p", protocol=rigorous, prediction=small, seed=1)
    assert list(scores.columns) == list(SCORE_COLUMNS)
    numbers = rows[(rows["metric"] == "auroc") & rows["value"].notna()]
    assert len(numbers) >= 10
    for row in numbers.to_dict("records"):
        keys = {name: row[name] for name in ("arm", "generator", "design", "extractor", "task", "model")}
        mine = scores[np.logical_and.reduce([scores[name] == value for name, value in keys.items()])]
        assert _recomputed(mine) == pytest.approx(row["value"], abs=1e-9), keys
        assert mine["patient"].nunique() == row["n"]
        assert not mine.duplicated(["repeat", "patient"]).any()


def test_random_tests_can_be_computed_again_from_the_scores(
    world: Any, published: Protocol, asked: Prediction, pick: Pick
) -> None:
    small = asked.model_copy(update={"tasks": ["er"]})
    rows, scores = prediction_rows(world.tables, world.runs, name="p", protocol=published, prediction=small, seed=1)
    row = pick(rows, arm="synthetic", generator="edm", metric="auroc", extractor="radiomics")
    mine = scores[(scores["arm"] == "synthetic") & (scores["generator"] == "edm")]
    each = [roc_auc_score(part["y"], part["score"]) for _, part in mine.groupby("repeat") if part["y"].nunique() == 2]
    assert row["value"] == pytest.approx(np.mean(each))
    assert row["n"] == mine.groupby("repeat").size().mean()
    assert sorted(mine["fold"].unique()) == [f"h{i}" for i in range(6)]


def test_published_model_is_evaluated_for_the_published_endpoint_only(
    world: Any, rigorous: Protocol, asked: Prediction
) -> None:
    """Its overview number must come from CPDM's own images under every protocol, whatever the primary generator."""
    runs = [*world.runs, replace(world.runs[0], generator="cpdm")]
    protocol = rigorous.model_copy(update={"test_on": ["synthetic"]})
    found = _rows(world, protocol, asked.model_copy(update={"bootstrap": 100}), runs=runs)
    cpdm = found[(found["generator"] == "cpdm") & (found["arm"] == "synthetic")]
    assert set(cpdm["task"]) == {"subgroup"}
    assert cpdm["value"].notna().all()


def test_a_sample_of_the_patients_is_told(world: Any, rigorous: Protocol, asked: Prediction, pick: Pick) -> None:
    many = world.tables.patients.tail(1)
    further = [many.assign(patient=f"TCGA-ZZ-{i:04d}") for i in range(30)]
    tables = replace(world.tables, patients=pd.concat([world.tables.patients, *further], ignore_index=True))
    small = asked.model_copy(update={"tasks": ["er"], "bootstrap": 100})
    told = "sample of 120 of 150 patients without MRI, drawn to hold the labelled ones"
    rows = _rows(world, rigorous, small, tables=tables)
    numbers = rows[rows["value"].notna()]
    real = numbers["arm"] == "real"
    assert real.any()
    assert numbers.loc[~real, "note"].str.contains(told, regex=False).all()
    assert not numbers.loc[real, "note"].str.contains("sample of").any()
    assert not _rows(world, rigorous, small)["note"].str.contains("sample of").any()
