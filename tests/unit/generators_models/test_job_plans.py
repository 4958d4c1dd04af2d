"""Further trainings of the single split: trained on its images with seeds of their own, drawn for held-out patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.errors import DataError
from radgen_lib.generators.base import FitContext
from radgen_lib.generators.plans import SETTINGS, job_rows, planned_rows
from radgen_lib.generators.sampling import SamplePlan, plan_rows
from radgen_lib.generators.training import Recipe, fold_images, train_folds

SPLITS = pd.DataFrame(
    [
        (fold, image, f"P{image}", "test" if image in test else "train")
        for fold, test in (("split", {0, 1}), ("image-00", {2}))
        for image in range(6)
    ],
    columns=["fold", "image_index", "patient", "role"],
)
PLAN = SamplePlan(2, ["split"], ["Q0", "Q1", "Q2"], True, 5)
AGAIN = ["split-s1", "split-s2"]


def test_further_trainings_draw_held_out_patients_alone() -> None:
    rows = job_rows(SPLITS, ["split", "image-00", *AGAIN], PLAN)
    pd.testing.assert_frame_equal(
        rows[~rows["fold"].isin(AGAIN)].reset_index(drop=True), plan_rows(SPLITS, ["split", "image-00"], PLAN)
    )
    for name in AGAIN:
        mine = rows[rows["fold"] == name]
        assert set(mine["kind"]) == {"heldout"}
        assert mine["patient"].tolist() == ["P0", "P0", "P1", "P1"]
        first = rows[(rows["fold"] == "split") & (rows["kind"] == "heldout")]
        assert set(mine["seed"]).isdisjoint(first["seed"])
    alone = job_rows(SPLITS, AGAIN[:1], PLAN)
    assert set(alone["fold"]) == {"split-s1"} and len(alone) == 4


def test_settings_of_a_job_make_its_plan() -> None:
    settings: dict[str, Any] = {
        "folds": ["split", *AGAIN], "sampling": {"draws_heldout": 2, "max_synthetic": None},
        "synthetic_folds": ["split"], "primary": True, "seed": 5, "shifted": ["split"],
        "shifted_variables": 1, "shifted_patients": None,
    }  # fmt: skip
    assert tuple(settings) == SETTINGS
    splits = SPLITS.assign(design="published_split")
    names = dict.fromkeys(settings["folds"], ("CD6", "LTB"))
    rows = planned_rows(splits, ["Q0", "Q1", "Q2"], names, **settings)
    plan = replace(PLAN, shifted={"split": ("PC1", "CD6")})
    pd.testing.assert_frame_equal(rows, job_rows(splits, ["split", *AGAIN], plan))
    assert set(rows["factor"]) == {"", "PC1", "CD6"}


def test_further_trainings_have_the_images_of_their_split() -> None:
    for role in ("train", "test"):
        np.testing.assert_array_equal(fold_images(SPLITS, "split-s2", role), fold_images(SPLITS, "split", role))
    with pytest.raises(DataError, match="no fold 'split-s0'"):
        fold_images(SPLITS, "split-s0", "train")


def test_trainings_differ_in_their_weights_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    series = SPLITS[SPLITS["fold"] == "split"][["image_index", "patient"]]
    seen: dict[str, list[int]] = {}
    fitted, figures = train_folds(
        Recipe(
            "radgen_lib.generators.vae:PublishedVAE",
            {"width": 0.125, "working_size": 32, "epochs": 1, "batch_size": 4},
            "genes15", "cohort_zscore", log=True, image_size=32,
        ),
        ["split", *AGAIN],
        images=rng.integers(0, 255, (6, 32, 32), dtype=np.uint8),
        series=series,
        splits=SPLITS,
        conditions=pd.DataFrame(rng.gamma(2, 9, (6, 2)), columns=["CD6", "LTB"]).assign(patient=series["patient"]),
        context=FitContext(seed=3, resume=tmp_path),
        on_fold=lambda fold, rows: seen.update({fold: rows["image_index"].tolist()}),
    )  # fmt: skip
    assert seen == {name: [2, 3, 4, 5] for name in ("split", *AGAIN)}
    weights = [np.concatenate([v.ravel() for v in one.generator.state().values()]) for one in fitted.values()]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not np.array_equal(weights[a], weights[b])
    scalers = [one.scaler.state() for one in fitted.values()]
    for other in scalers[1:]:
        for key, value in scalers[0].items():
            np.testing.assert_array_equal(value, other[key])
    assert list(figures["fold"].unique()) == ["split", *AGAIN]
