"""Which images are drawn (patients, conditions, shifts, seeds) and what is refused of what was drawn."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.errors import DataError
from radgen_lib.generators import sampling
from radgen_lib.generators.base import Generator, Options
from radgen_lib.generators.sampling import (
    LARGEST,
    SHIFTS,
    SamplePlan,
    choose_others,
    draw_samples,
    exchanged,
    first_direction,
    plan_rows,
)
from radgen_lib.generators.store import FittedGenerator
from radgen_lib.omics.conditions import ConditionScaler

NAMES = ("A", "B", "C")
OTHERS = [f"X{i}" for i in range(7)]
SPLITS = pd.DataFrame(
    [(fold, p, "test" if p in test else "train") for fold, test in [("f0", "ab"), ("f1", "cd")] for p in "abcd"],
    columns=["fold", "patient", "role"],
)


class Recorder(Generator):
    """Image: the first condition at pixel (0, 0), the seed's last digit at (0, 1), else ``fill``."""

    fill = 0.5

    def fit(self, data, context):
        raise NotImplementedError

    def sample(self, conditions, seeds, *, device="cpu"):
        self.calls = [*getattr(self, "calls", []), (np.array(conditions), list(seeds), device)]
        images = np.full((len(conditions), 4, 4), self.fill, dtype=np.float32)
        images[:, 0, 0], images[:, 0, 1] = conditions[:, 0], np.array(seeds) % 10
        return images

    def state(self):
        return {}

    def load_state(self, state):
        del state


@pytest.fixture
def conditions() -> pd.DataFrame:
    """One direction carries nearly all variance: A and -2 B move together."""
    rng = np.random.default_rng(4)
    patients = [*"abcd", *OTHERS]
    along = rng.normal(size=len(patients))
    values = np.outer(along, [1.0, -2.0, 0.0]) + 0.01 * rng.normal(size=(len(patients), 3))
    return pd.DataFrame(values, columns=list(NAMES)).assign(patient=patients)


@pytest.fixture
def fitted(conditions) -> FittedGenerator:
    raw = conditions[list(NAMES)] * [1.0, 1.0, 0.0]  # C: no variance, so its scale stays 1
    scaler = ConditionScaler.fit(raw, "cohort_zscore", log=False)
    return FittedGenerator(Recorder(Options(), image_size=4, n_conditions=3), scaler, NAMES)


def plan(**changes) -> SamplePlan:
    return SamplePlan(
        **{"draws": 3, "synthetic_folds": ["f0"], "others": OTHERS, "primary": True, "seed": 9, **changes}
    )


def drawn(fitted, table, conditions, **kwargs):
    trained_on = {"f0": ["c", "d", "c"], "f1": ["a", "b"]}
    return draw_samples(dict.fromkeys(["f0", "f1"], fitted), trained_on, table, conditions, device="cpu", **kwargs)


@pytest.mark.parametrize("n", [2, 3, 4, 50])
def test_nobody_keeps_the_own_condition(n):
    patients = [f"P{i}" for i in range(n)]
    for seed in range(60):
        pairs = exchanged(patients, seed, "f0")
        assert [p for p, _ in pairs] == patients and sorted(q for _, q in pairs) == sorted(patients)
        assert all(p != q for p, q in pairs)


def test_exchange_depends_on_seed_and_fold_and_needs_two():
    assert exchanged(OTHERS, 1, "f0") == exchanged(OTHERS, 1, "f0")
    assert exchanged(OTHERS, 1, "f0") != exchanged(OTHERS, 2, "f0")
    assert exchanged(OTHERS, 1, "f0") != exchanged(OTHERS, 1, "f1")
    assert exchanged(["P0"], 1, "f0") == [] == exchanged([], 1, "f0")


def test_every_other_patient_may_give_the_condition():
    givers = [dict(exchanged(["P0", "P1", "P2", "P3"], seed, "f0"))["P0"] for seed in range(300)]
    counts = pd.Series(givers).value_counts()
    assert set(counts.index) == {"P1", "P2", "P3"} and counts.min() > 70


def test_the_plan_has_each_kind_for_its_folds_and_patients():
    table = plan_rows(SPLITS, ["f0", "f1"], plan())
    held = table[table["kind"] == "heldout"]
    assert held.groupby("fold")["patient"].apply(list).to_dict() == {"f0": [*"aaabbb"], "f1": [*"cccddd"]}
    assert held["draw"].tolist() == [0, 1, 2] * 4
    for kind in ("synthetic", "shuffled"):
        rows = table[table["kind"] == kind]
        assert rows["patient"].tolist() == OTHERS and set(rows["fold"]) == {"f0"}
        own = rows["patient"] == rows["condition_patient"]
        assert own.all() if kind == "synthetic" else not own.any()
    response = table[table["kind"] == "response"]
    assert response.groupby(["fold", "patient"])["shift"].apply(tuple).tolist() == [SHIFTS] * 4
    assert SHIFTS == (-2, -1, 0, 1, 2) and (table.loc[table["kind"] != "response", "shift"] == 0).all()
    rest = table[table["kind"] != "shuffled"]
    assert (rest["patient"] == rest["condition_patient"]).all()


def test_only_the_primary_generator_draws_controls():
    table = plan_rows(SPLITS, ["f0", "f1"], plan(primary=False))
    assert set(table["kind"]) == {"heldout", "synthetic"}
    whole = plan_rows(SPLITS, ["f0", "f1"], plan())
    both = whole[whole["kind"].isin(["heldout", "synthetic"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, both)


def test_seeds_tell_patients_draws_kinds_and_folds_apart_but_not_shifts():
    table = plan_rows(SPLITS, ["f0", "f1"], plan(synthetic_folds=["f0", "f1"]))
    once = table.drop_duplicates(["fold", "kind", "patient", "draw"])
    assert once["seed"].is_unique and len(once) < len(table)
    assert len(table[["fold", "kind", "patient", "draw", "seed"]].drop_duplicates()) == len(once)
    assert not set(table["seed"]) & set(plan_rows(SPLITS, ["f0", "f1"], plan(seed=10))["seed"])


def test_a_further_patient_or_fold_moves_no_other_seed():
    small = plan_rows(SPLITS, ["f0"], plan(others=OTHERS[:4], draws=2))
    keys = ["fold", "kind", "patient", "draw", "shift"]
    joined = small.merge(plan_rows(SPLITS, ["f0", "f1"], plan()), on=keys, suffixes=("", "_more"))
    assert len(joined) == len(small) and (joined["seed"] == joined["seed_more"]).all()


def cohort(n: int = 260) -> pd.DataFrame:
    """Every fifth has images, every seventh no expression; every 13th is ER-negative, every third labelled."""
    i = np.arange(n)
    return pd.DataFrame(
        {
            "patient": [f"P{k:03d}" for k in i],
            "n_images": (i % 5 == 0).astype(int),
            "has_genes15": i % 7 != 0,
            "er": np.where(i % 13 == 0, 0.0, 1.0),
            "subgroup": np.where(i % 3 == 0, "good", None),
        }
    )


def test_without_a_limit_all_who_have_a_condition_and_no_image():
    table = cohort()
    expected = table[(table["n_images"] == 0) & table["has_genes15"]]["patient"].tolist()
    shuffled_rows = table.sample(frac=1, random_state=0)
    assert choose_others(shuffled_rows, None, seed=1) == expected == choose_others(table, len(expected), seed=1)


def test_a_limit_takes_the_labelled_first_and_keeps_both_classes():
    table = cohort().set_index("patient")
    for seed in range(20):
        chosen = choose_others(cohort(), 18, seed=seed)
        taken = table.loc[chosen]
        assert len(set(chosen)) == 18 and chosen == sorted(chosen)
        assert (taken["n_images"] == 0).all() and taken["has_genes15"].all()
        assert taken["subgroup"].notna().sum() >= 9
        assert (taken["er"] == 0).sum() >= 3  # a plain sample of 18 has one or two
    assert choose_others(cohort(), 18, seed=0) == choose_others(cohort().iloc[::-1], 18, seed=0)
    assert choose_others(cohort(), 18, seed=0) != choose_others(cohort(), 18, seed=1)


def test_the_first_direction_is_one_sd_along_the_training_patients(fitted, conditions):
    step = first_direction(fitted, conditions, ["a", "b", "c", "d", "a"])
    scaled = fitted.scaler.transform(conditions.set_index("patient").loc[[*"abcd"], list(NAMES)].to_numpy())
    along = (scaled - scaled.mean(axis=0)) @ (step / np.linalg.norm(step))
    assert np.linalg.norm(step) == pytest.approx(along.std(ddof=1), rel=1e-4)
    assert abs(step[0] / step[1] + 1) < 0.1 and abs(step[2]) < 0.1  # A and B against each other, C still
    assert step[np.abs(step).argmax()] > 0
    flipped = conditions.assign(**{name: -conditions[name] for name in NAMES})
    np.testing.assert_allclose(np.abs(first_direction(fitted, flipped, [*"abcd"])), np.abs(step), rtol=1e-4)


def test_each_row_gets_its_condition_its_shift_and_its_seed(fitted, conditions):
    table = plan_rows(SPLITS, ["f0", "f1"], plan())
    images, index = drawn(fitted, table, conditions)
    assert images.dtype == np.float16 and images.shape == (len(table), 4, 4)
    assert index["row"].tolist() == list(range(len(table)))
    pd.testing.assert_frame_equal(index.drop(columns="row"), table)
    given = fitted.scaler.transform(
        conditions.set_index("patient").loc[index["condition_patient"], list(NAMES)].to_numpy()
    )
    steps = {
        "f0": first_direction(fitted, conditions, ["c", "d"]),
        "f1": first_direction(fitted, conditions, ["a", "b"]),
    }
    moved = given[:, 0] + index["shift"] * np.array([steps[fold][0] for fold in index["fold"]])
    np.testing.assert_allclose(images[:, 0, 0].astype(float), moved, atol=2e-3)
    np.testing.assert_array_equal(images[:, 0, 1], index["seed"] % 10)


def test_batches_change_nothing(fitted, conditions, monkeypatch):
    table = plan_rows(SPLITS, ["f0", "f1"], plan())
    whole, _ = drawn(fitted, table, conditions)
    monkeypatch.setattr(sampling, "BATCH", 4)
    fitted.generator.calls = []
    parts, _ = drawn(fitted, table, conditions)
    np.testing.assert_array_equal(parts, whole)
    assert max(len(seeds) for _, seeds, _ in fitted.generator.calls) == 4


def test_a_patient_without_the_condition_drops_out(fitted, conditions):
    table = plan_rows(SPLITS, ["f0", "f1"], plan())
    images, index = drawn(fitted, table, conditions[conditions["patient"] != "X3"])
    gone = table[table["condition_patient"] == "X3"]
    assert len(gone) == 2 and len(images) == len(index) == len(table) - 2
    assert "X3" not in set(index["condition_patient"]) and index["row"].tolist() == list(range(len(index)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stops_the_job(fitted, conditions, value):
    fitted.generator.fill = value
    with pytest.raises(DataError, match=r"fold f1: \d+ pixels are no numbers: training diverged.*learning_rate"):
        drawn(fitted, plan_rows(SPLITS, ["f1"], plan()), conditions)


def test_what_float16_cannot_hold_is_limited_and_said(fitted, conditions, caplog):
    fitted.generator.fill = -1e9
    with caplog.at_level(logging.WARNING, "radgen"):
        images, _ = drawn(fitted, plan_rows(SPLITS, ["f1"], plan(draws=1, primary=False)), conditions)
    assert np.isfinite(images).all() and float(images.min()) == np.float16(-LARGEST)
    assert f"{2 * 14} pixels beyond 60000" in caplog.text
