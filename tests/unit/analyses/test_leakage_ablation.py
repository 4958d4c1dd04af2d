"""Leakage ablation: a split by image rewards recognising the patient, and the rows show by how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import leakage_ablation as leak
from radgen_lib.generators.base import FitContext
from radgen_lib.generators.training import Recipe, train_fold
from radgen_lib.omics.conditions import Preparation

GENES = Preparation("genes15", "cohort_zscore", log=True)
Pick = Callable[..., pd.Series]


@pytest.fixture(scope="module")
def fingerprints() -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """18 patients with 3 near-copies each; features and images say who it is, labels and conditions say nothing."""
    rng = np.random.default_rng(4)
    people = [f"TCGA-{'AO' if i < 9 else 'E2'}-{i:04d}" for i in range(18)]
    owner = [p for p in people for _ in range(3)]
    own = rng.normal(size=(18, 60))
    features = pd.DataFrame(
        np.repeat(own, 3, axis=0) + 0.02 * rng.normal(size=(54, 60)), columns=[f"radiomics:f{i}" for i in range(60)]
    )
    features.insert(0, "patient", owner)
    features.insert(0, "image_index", range(54))
    label = rng.permutation([0.0, 1.0] * 9)
    patients = pd.DataFrame({"patient": people, "er": label, "mut_TP53": rng.permutation(label)})
    condition = pd.DataFrame(np.exp2(6 + 2 * rng.normal(size=(18, 4))), columns=list("abcd")).assign(patient=people)
    pictures = rng.integers(0, 255, size=(18, 8, 8)).astype(np.uint8)
    images = np.repeat(pictures, 3, axis=0)
    series = features[["image_index", "patient"]]
    parts = []
    for fold in range(3):
        test = series["patient"].isin(people[fold::3])
        parts.append(series.assign(design="grouped", fold=f"r0f{fold}", role=np.where(test, "test", "train")))
    for site in ("AO", "E2"):
        test = series["patient"].str[5:7] == site
        parts.append(series.assign(design="site", fold=f"site-{site}", role=np.where(test, "test", "train")))
    return images, features, patients, condition, pd.concat(parts)


@pytest.fixture(scope="module")
def rows(fingerprints: Any) -> pd.DataFrame:
    return leak.leakage_rows(*fingerprints, prepared=GENES, seed=1, draws=300)


def test_split_by_image_recognises_patients_and_split_by_patient_does_not(rows: pd.DataFrame, pick: Pick) -> None:
    leaky = pick(rows, task="er", metric="auroc", design="split by image, fitted on train")
    clean = pick(rows, task="er", metric="auroc", design="split by patient, fitted on train")
    assert leaky["value"] > 0.95
    assert clean["low"] < 0.5
    delta = pick(rows, task="er", metric="auroc_delta", design="split by image, fitted on train")
    assert delta["value"] == pytest.approx(leaky["value"] - clean["value"])
    assert delta["low"] > 0
    assert delta["interval"].startswith("paired patient bootstrap")


def test_copying_is_perfect_when_the_patient_is_in_training(rows: pd.DataFrame, pick: Pick) -> None:
    keys = {"task": "image", "metric": "mse"}
    leaky = pick(rows, design="split by image, fitted on train", **keys)["value"]
    clean = pick(rows, design="split by patient, fitted on train", **keys)["value"]
    assert leaky < 0.25 * clean
    assert pick(rows, task="image", metric="mse_delta", design="split by image, fitted on train")["high"] < 0


def test_every_cell_but_the_honest_one_has_a_difference(rows: pd.DataFrame) -> None:
    for task, metric in (("er", "auroc"), ("mut_TP53", "auroc"), ("image", "mse")):
        part = rows[rows["task"] == task]
        assert (part["metric"] == metric).sum() == 6
        assert (part["metric"] == f"{metric}_delta").sum() == 5
        assert (part["n"] == 18).all()
        assert part["note"].str.startswith("54 images of 18 patients").all()


def test_a_label_with_one_class_in_training_is_a_reason(fingerprints: Any, pick: Pick) -> None:
    images, features, patients, condition, splits = fingerprints
    rare = patients.assign(er=(patients["patient"].str[5:7] == "AO").astype(float))
    rows = leak.leakage_rows(images, features, rare, condition, splits, prepared=GENES, seed=1, draws=100)
    site = pick(rows, task="er", metric="auroc", design="split by site, fitted on train")
    assert site["reason"].startswith("a training part holds")
    assert np.isfinite(pick(rows, task="er", metric="auroc", design="split by patient, fitted on all")["value"])


def test_image_folds_partition_the_images_as_finely_as_the_grouped_ones(fingerprints: Any) -> None:
    _, features, _, _, splits = fingerprints
    folds = leak.unit_folds(features, splits, "image", 0)
    assert [len(f) for f in folds[0]] == [18, 18, 18]
    assert sorted(np.concatenate(folds[0])) == list(range(54))
    patient = leak.unit_folds(features, splits, "patient", 0)
    for fold in patient[0]:
        assert len(set(features["patient"].to_numpy()[fold])) * 3 == len(fold)


def test_scope_all_uses_the_tested_rows_for_scaling(fingerprints: Any) -> None:
    _, features, patients, _, splits = fingerprints
    folds = leak.unit_folds(features, splits, "site", 0)
    stretched = features.copy()
    inside = stretched["patient"].str[5:7] == "AO"
    columns = [c for c in features if c.startswith("radiomics")]
    stretched.loc[inside, columns] *= 50
    found = {scope: leak.logistic_scores(stretched, patients, "er", folds, scope) for scope in leak.SCOPES}
    a, b = found["all"], found["train"]
    assert isinstance(a, leak.Measured)
    assert isinstance(b, leak.Measured)
    assert not np.allclose(a.value, b.value)


def test_copy_takes_the_nearest_condition(fingerprints: Any) -> None:
    images, features, _, condition, splits = fingerprints
    folds = leak.unit_folds(features, splits, "patient", 0)
    twins = condition.copy()
    for fold in folds[0]:
        tested = features["patient"].to_numpy()[fold][0]
        break
    donor = next(p for p in condition["patient"] if p not in set(features["patient"].to_numpy()[folds[0][0]]))
    twins.loc[twins["patient"] == tested, list("abcd")] = twins.loc[twins["patient"] == donor, list("abcd")].to_numpy()
    found = leak.copy_errors(images, features, twins, folds, "train", GENES)
    assert isinstance(found, leak.Measured)
    mine = found.value[found.patients == tested]
    pair = [images[features.index[features["patient"] == p][0]].astype(np.float32) / 255 for p in (tested, donor)]
    assert mine == pytest.approx([((pair[0] - pair[1]) ** 2).mean()], rel=1e-4)


@pytest.mark.parametrize("log", [True, False])
def test_the_copy_is_that_of_the_generator_nearest(fingerprints: Any, log: bool) -> None:
    images, features, _, condition, splits = fingerprints
    fold = leak.unit_folds(features, splits, "patient", 0)[0][0]
    prepared = Preparation("genes15", "cohort_zscore", log=log)
    found = leak.copy_errors(images, features, condition, [[fold]], "train", prepared)
    assert isinstance(found, leak.Measured)
    recipe = Recipe(
        "radgen_lib.generators.baselines:NearestPatient",
        {},
        prepared.condition,
        prepared.scaling,
        log=log,
        image_size=8,
    )
    rows = features.loc[~features["image_index"].isin(fold), ["image_index", "patient"]]
    nearest = train_fold(recipe, images, rows, condition, FitContext(seed=0))
    copies = nearest.sample(condition.set_index("patient").loc[found.patients], [0] * len(found.patients))
    real = np.array([images[features.index[features["patient"] == p]] for p in found.patients]) / 255
    expected = ((real - copies[:, None]) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found.value, expected, rtol=1e-4)


def test_the_copy_without_logarithm_is_another_one(fingerprints: Any) -> None:
    images, features, _, condition, splits = fingerprints
    folds = leak.unit_folds(features, splits, "patient", 0)
    found = [
        leak.copy_errors(images, features, condition, folds, "train", Preparation("genes15", "cohort_zscore", log=log))
        for log in (True, False)
    ]
    assert isinstance(found[0], leak.Measured) and isinstance(found[1], leak.Measured)
    assert not np.allclose(found[0].value, found[1].value)


def test_one_training_patient_is_no_condition_to_scale_by(fingerprints: Any) -> None:
    images, features, _, condition, _ = fingerprints
    folds = [[np.arange(3, 54)]]  # images 0 to 2, of one patient, remain for training
    reason = "a training part holds one patient with the condition"
    assert leak.copy_errors(images, features, condition, folds, "train", GENES) == reason
    assert isinstance(leak.copy_errors(images, features, condition, folds, "all", GENES), leak.Measured)


def test_a_copy_of_the_nearest_condition_is_an_arm_of_its_own(rows: pd.DataFrame) -> None:
    """Not `copy`, the arm of B.TD: in a split by patient the tested patient has no training image."""
    assert set(rows.loc[rows["task"] == "image", "arm"]) == {"nearest_copy"}


def test_a_cohort_without_sites_or_labels_gets_reasons(fingerprints: Any, pick: Pick) -> None:
    images, features, patients, condition, splits = fingerprints
    bare = patients.assign(er=np.nan, mut_TP53=np.nan)
    grouped = splits[splits["design"] == "grouped"]
    rows = leak.leakage_rows(images, features, bare, condition, grouped, prepared=GENES, seed=1, draws=100)
    assert pick(rows, task="image", metric="mse", design="split by site, fitted on all")["reason"] == leak.NO_FOLDS
    assert np.isfinite(pick(rows, task="image", metric="mse", design="split by patient, fitted on train")["value"])
    unlabelled = rows[rows["task"] == "er"]
    assert unlabelled["value"].isna().all()
    assert (unlabelled["reason"] != "").all()
    none = leak.leakage_rows(images, features, bare, condition.iloc[:0], splits, prepared=GENES, seed=1, draws=100)
    assert none["value"].isna().all()


def test_a_patient_counts_once_however_many_images_it_has() -> None:
    """One patient with eight images that are scored wrongly is one wrong patient: images would say AUROC 0.2."""
    owners = ["A"] * 8 + ["B", "C", "D", "E"]
    found = pd.DataFrame({"patient": owners, "image_index": range(12), "y": [1] * 8 + [1, 1, 0, 0]})
    found["value"] = [-1.0] * 8 + [2.0, 3.0, 0.0, 1.0]
    twice = pd.concat([found, found.assign(value=found["value"] + 1)])  # two repeats
    cell = leak._by_patient(twice)
    assert list(cell.patients) == list("ABCDE") and list(cell.y) == [1, 1, 1, 0, 0] and cell.images == 12
    assert cell.value == pytest.approx([-0.5, 2.5, 3.5, 0.5, 1.5])
    row = leak._row(leak._draws(cell, "auroc", 50, 1), cell, {"item": leak.ITEM}, "auroc")
    assert row["value"] == pytest.approx(4 / 6)
    assert (row["n"], row["events"]) == (5, 3)
    assert row["note"].startswith("12 images of 5 patients")


def test_the_score_of_a_patient_is_the_mean_of_its_images() -> None:
    found = pd.DataFrame({"patient": ["A", "A", "A", "B"], "image_index": range(4), "y": [0, 0, 0, 1]})
    cell = leak._by_patient(found.assign(value=[0.0, 0.0, 9.0, 2.0]))
    assert cell.value == pytest.approx([3.0, 2.0])
