from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.audit.membership import attack_distances, membership_auc
from radgen_lib.audit.memorisation import memorisation_rows
from radgen_lib.audit.nearest import image_distances
from radgen_lib.audit.runs import AuditRun
from radgen_lib.core.rows import result_frame

PATIENTS = 18
NAMES = np.array([f"TCGA-E2-A{i:03d}" for i in range(PATIENTS)])


def world(seed: int = 0) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Smooth uint8 images, one a patient and a second for every third; three folds by patient."""
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(PATIENTS), np.arange(0, PATIENTS, 3)])
    coarse = rng.integers(0, 256, size=(PATIENTS, 32, 32))[owner]
    shade = rng.integers(-5, 6, size=(len(owner), 1, 1))
    images = np.clip(np.kron(coarse, np.ones((1, 2, 2))) + shade, 0, 255).astype(np.uint8)
    series = pd.DataFrame({"image_index": np.arange(len(owner)), "patient": NAMES[owner]})
    parts = [
        series.assign(design="grouped", fold=f"r0f{f}", role=np.where(owner % 3 == f, "test", "train"))
        for f in range(3)
    ]
    return images, series, pd.concat([*parts, series.assign(design="full", fold="full", role="train")])


def run_of(make: Any, splits: pd.DataFrame, *, draws: int = 3) -> AuditRun:
    """Samples ``make(training image indexes, rng)`` of each held-out patient and, for ``full``, of two outsiders."""
    rng = np.random.default_rng(9)
    rows, images = [], []
    for fold, part in splits.groupby("fold", sort=False):
        train = part.loc[part["role"] == "train", "image_index"].to_numpy()
        held_out = sorted(part.loc[part["role"] == "test", "patient"].unique())
        kind, who = ("heldout", held_out) if held_out else ("synthetic", ["TCGA-A1-A0SB", "TCGA-A1-A0SD"])
        for name in who:
            for draw in range(draws):
                row = {"fold": fold, "kind": kind, "patient": name, "condition_patient": name, "draw": draw}
                rows.append({**row, "row": len(rows)})
                images.append(make(train, rng))
    return AuditRun("genes15", "g", pd.DataFrame(rows), np.asarray(images), pd.DataFrame(index=range(len(rows))))


def audited(make: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    images, series, splits = world()
    run = run_of(lambda train, rng: make(images[train] / 255.0, rng), splits)
    rows, pairs = memorisation_rows(run, images, series, splits, draws=150, seed=1, protocol_name="rigorous")
    return result_frame(rows), pairs


def value(table: pd.DataFrame, metric: str, arm: str = "", design: str = "grouped") -> float:
    keep = (table["metric"] == metric) & (table["arm"] == arm) & (table["design"] == design)
    rows = table[keep & table["extractor"].isin(["pixels_rmse"])]
    assert len(rows) == 1, rows
    return float(rows["value"].iloc[0])


def test_generator_that_copies_is_caught_by_every_score() -> None:
    table, pairs = audited(lambda train, rng: train[rng.integers(len(train))])
    assert value(table, "nearest_ratio", "synthetic") == pytest.approx(0, abs=1e-6)
    assert value(table, "copy_rate", "synthetic") == 1
    assert value(table, "copy_rate", "real") < 0.5
    assert value(table, "membership_auc") > 0.8
    assert (pairs["rmse"] < 1e-9).all() and (pairs["correlation"] > 0.999).all()
    assert pairs.groupby("design").size().to_dict() == {"full": 6, "grouped": 10}


def test_generator_of_new_images_looks_like_a_new_patient() -> None:
    table, _ = audited(lambda train, rng: np.kron(rng.integers(0, 256, size=(32, 32)), np.ones((2, 2))) / 255)
    assert value(table, "nearest_ratio", "synthetic") == pytest.approx(1, abs=0.05)
    assert value(table, "membership_auc") == pytest.approx(0.5, abs=0.2)
    assert value(table, "reidentification_mrr") < 0.4
    assert table["low"].notna().sum() > 10


def test_design_that_trains_on_everyone_says_what_cannot_be_asked() -> None:
    table, _ = audited(lambda train, rng: train[0])
    full = table[table["design"] == "full"]
    assert value(table, "nearest_ratio", "synthetic", "full") == pytest.approx(0, abs=1e-6)
    reasons = full.loc[full["value"].isna()].set_index("metric")["reason"]
    assert set(reasons.index) == {"membership_auc", "reidentification_mrr"}
    assert "training images" in full.loc[full["metric"] == "nearest_ratio", "note"].iloc[0]


def test_pairs_name_the_training_patient_that_was_copied() -> None:
    images, series, splits = world()
    run = run_of(lambda train, rng: images[train[0]] / 255.0, splits)
    _, pairs = memorisation_rows(run, images, series, splits, draws=100, seed=1, protocol_name="rigorous")
    trained = splits[splits["role"] == "train"].groupby("fold")["image_index"].min()
    same = [np.array_equal(images[row.training_image], images[trained[row.fold]]) for row in pairs.itertuples()]
    assert all(same)
    owners = series.set_index("image_index")["patient"]
    assert (owners.loc[pairs["training_image"]].to_numpy() == pairs["training_patient"]).all()


def test_image_distances_agree_with_numpy_and_stay_defined_for_flat_images() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((4, 64)), rng.random((3, 64))
    found = image_distances(a, b)
    assert found["rmse"][1, 2] == pytest.approx(np.sqrt(np.mean((a[1] - b[2]) ** 2)))
    assert found["correlation"][0, 1] == pytest.approx(1 - np.corrcoef(a[0], b[1])[0, 1])
    assert image_distances(np.ones((1, 64)), b)["correlation"].tolist() == [[1, 1, 1]]


def test_a_held_out_patient_is_not_given_away_by_its_own_condition() -> None:
    distance = np.array([[0.0, 5.0, 6.0], [4.0, 4.0, 4.0], [1.0, 2.0, 3.0]])
    owners, conditions = np.array(["out1", "out2", "in"]), np.array(["out1", "out2", "out3"])
    scores = attack_distances(distance, owners, conditions)
    assert scores["out1"] == 5.0
    assert scores["in"] == pytest.approx((2 + 1 + 1) / 3)


def test_membership_auc_counts_pairs_by_drawn_patients() -> None:
    wins, pairs = np.array([[0, 1.0], [0, 0]]), np.array([[0, 1.0], [0, 0]])
    assert membership_auc(np.array([0, 1, 1]), wins, pairs) == 1
    assert np.isnan(membership_auc(np.array([0, 0]), wins, pairs))


def test_no_sample_is_one_row_with_a_reason() -> None:
    images, series, splits = world()
    run = run_of(lambda train, rng: images[0] / 255.0, splits[splits["fold"] == "r0f0"])
    rows, pairs = memorisation_rows(
        run, images, series, splits[splits["fold"] == "r0f1"], draws=100, seed=1, protocol_name="rigorous"
    )
    assert [row["reason"] for row in rows] == ["no synthetic image"]
    assert pairs.empty
