"""Which images are drawn (patients, conditions, shifts, seeds) and what is refused of what was drawn."""

from __future__ import annotations

import logging
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.errors import DataError
from radgen_lib.generators import sampling
from radgen_lib.generators.base import Generator, Options
from radgen_lib.generators.sampling import (
    FIRST,
    LARGEST,
    SHIFTS,
    SamplePlan,
    choose_others,
    directions,
    draw_samples,
    exchanged,
    factors_to_shift,
    plan_rows,
)
from radgen_lib.generators.store import FittedGenerator
from radgen_lib.omics.conditions import ConditionScaler

NAMES = ("A", "B", "C")
OTHERS = [f"X{i}" for i in range(7)]
SPLITS = pd.DataFrame(
    [(fold, p, "test" if p in test else "train") for fold, test in [("f0", "ab"), ("f1", "cd")] for p in "abcd"],
    columns=["fold", "patient", "role"],
).assign(design="grouped")
FACTORS = (FIRST, "A", "B")


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
        **{
            "draws": 3,
            "synthetic_folds": ["f0"],
            "others": OTHERS,
            "primary": True,
            "seed": 9,
            "shifted": dict.fromkeys(["f0", "f1"], FACTORS),
            **changes,
        }
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
    assert (table.loc[table["kind"] != "response", "shift"] == 0).all()
    rest = table[table["kind"] != "shuffled"]
    assert (rest["patient"] == rest["condition_patient"]).all()


def test_one_factor_at_a_time_is_shifted_and_all_share_the_image_without_shift():
    table = plan_rows(SPLITS, ["f0", "f1"], plan())
    response = table[table["kind"] == "response"]
    assert len(response) == 4 * (1 + len(FACTORS) * 4)  # 4 patients: once as they are, then 4 shifts a factor
    still = response[response["shift"] == 0]
    assert still["patient"].tolist() == [*"abcd"] and (still["factor"] == "").all()
    moved = response[response["shift"] != 0].groupby(["fold", "patient", "factor"], sort=False)["shift"].apply(tuple)
    assert moved.tolist() == [SHIFTS] * 12 and sorted((*SHIFTS, 0)) == [-2, -1, 0, 1, 2]
    assert response.groupby(["fold", "patient"])["seed"].nunique().eq(1).all()  # the same noise at every shift


def test_folds_without_factors_draw_no_shifts():
    table = plan_rows(SPLITS, ["f0", "f1"], plan(shifted={"f1": FACTORS}))
    assert set(table.loc[table["kind"] == "response", "fold"]) == {"f1"}
    assert "response" not in set(plan_rows(SPLITS, ["f0", "f1"], plan(shifted={}))["kind"])


def many(designs=("grouped",)):
    """Twelve patients, three a fold, for each design."""
    return pd.DataFrame(
        [
            (f"{design[0]}{fold}", f"P{i:02d}", "test" if i % 4 == fold else "train", design)
            for design in designs
            for fold in range(4)
            for i in range(12)
        ],
        columns=["fold", "patient", "role", "design"],
    )


def drawn_with_shifts(limit, folds=("g0", "g1", "g2", "g3"), seed=9):
    settings = plan(shifted=dict.fromkeys(folds, FACTORS), shifted_patients=limit, seed=seed, synthetic_folds=[])
    table = plan_rows(many(("grouped", "site")), folds, settings)
    return set(table.loc[table["kind"] == "response", "patient"])


def test_a_limit_takes_that_many_patients_of_a_design_in_a_fixed_order():
    chosen = [drawn_with_shifts(limit) for limit in range(1, 13)]
    assert [len(names) for names in chosen] == list(range(1, 13)) and drawn_with_shifts(None) == chosen[-1]
    assert all(few < more for few, more in pairwise(chosen)), "a larger limit adds patients"
    assert drawn_with_shifts(5, folds=("s0", "s1", "s2", "s3")) == chosen[4], "the same in every design"
    assert drawn_with_shifts(5, folds=("g2",)) == chosen[4] & {"P02", "P06", "P10"}, "and whatever else a job draws"
    assert any(drawn_with_shifts(5, seed=seed) != chosen[4] for seed in range(3))


def test_variables_are_the_first_of_the_condition():
    assert factors_to_shift(NAMES, None) == (FIRST, "A", "B", "C")
    assert factors_to_shift(NAMES, 2) == (FIRST, "A", "B") and factors_to_shift(NAMES, 9) == (FIRST, "A", "B", "C")


def test_only_the_primary_generator_draws_controls():
    table = plan_rows(SPLITS, ["f0", "f1"], plan(primary=False))
    assert set(table["kind"]) == {"heldout", "synthetic", "response"}
    whole = plan_rows(SPLITS, ["f0", "f1"], plan())
    rest = whole[whole["kind"] != "shuffled"].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, rest)


def test_seeds_tell_patients_draws_kinds_and_folds_apart_but_not_shifts():
    table = plan_rows(SPLITS, ["f0", "f1"], plan(synthetic_folds=["f0", "f1"]))
    once = table.drop_duplicates(["fold", "kind", "patient", "draw"])
    assert once["seed"].is_unique and len(once) < len(table)
    assert len(table[["fold", "kind", "patient", "draw", "seed"]].drop_duplicates()) == len(once)
    assert not set(table["seed"]) & set(plan_rows(SPLITS, ["f0", "f1"], plan(seed=10))["seed"])


def test_a_further_patient_or_fold_moves_no_other_seed():
    small = plan_rows(SPLITS, ["f0"], plan(others=OTHERS[:4], draws=2))
    keys = ["fold", "kind", "patient", "draw", "factor", "shift"]
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
    step = directions(fitted, conditions, ["a", "b", "c", "d", "a"])[FIRST]
    scaled = fitted.scaler.transform(conditions.set_index("patient").loc[[*"abcd"], list(NAMES)].to_numpy())
    along = (scaled - scaled.mean(axis=0)) @ (step / np.linalg.norm(step))
    assert np.linalg.norm(step) == pytest.approx(along.std(ddof=1), rel=1e-4)
    assert abs(step[0] / step[1] + 1) < 0.1 and abs(step[2]) < 0.1  # A and B against each other, C still
    assert step[np.abs(step).argmax()] > 0
    flipped = conditions.assign(**{name: -conditions[name] for name in NAMES})
    np.testing.assert_allclose(np.abs(directions(fitted, flipped, [*"abcd"])[FIRST]), np.abs(step), rtol=1e-4)


@pytest.mark.parametrize("scaling", ["cohort_zscore", "per_patient_minmax"])
def test_a_variable_moves_alone_by_the_sd_that_the_generator_sees_in_training_patients(fitted, conditions, scaling):
    scaler = ConditionScaler.fit(conditions[list(NAMES)], scaling, log=False)
    one = FittedGenerator(fitted.generator, scaler, NAMES)
    trained_on = ["a", "b", "c", "a", "a"]  # images; a patient counts once
    steps = directions(one, conditions, trained_on)
    scaled = scaler.transform(conditions.set_index("patient").loc[[*"abc"], list(NAMES)].to_numpy())
    for i, name in enumerate(NAMES):
        expected = np.zeros(3)
        expected[i] = scaled[:, i].std(ddof=1)
        np.testing.assert_allclose(steps[name], expected, atol=1e-6)
    elsewhere = conditions.assign(A=np.where(conditions["patient"].isin([*"abc"]), conditions["A"], 100.0))
    np.testing.assert_allclose(directions(one, elsewhere, trained_on)["A"], steps["A"])


def test_each_row_gets_its_condition_its_shift_and_its_seed(fitted, conditions):
    table = plan_rows(SPLITS, ["f0", "f1"], plan())
    images, index = drawn(fitted, table, conditions)
    assert images.dtype == np.float16 and images.shape == (len(table), 4, 4)
    assert index["row"].tolist() == list(range(len(table)))
    pd.testing.assert_frame_equal(index.drop(columns="row"), table)
    given = fitted.scaler.transform(
        conditions.set_index("patient").loc[index["condition_patient"], list(NAMES)].to_numpy()
    )
    trained = {"f0": ["c", "d"], "f1": ["a", "b"]}
    steps = {fold: directions(fitted, conditions, names) for fold, names in trained.items()}
    by = [
        shift * steps[fold][factor] if shift else np.zeros(3)
        for fold, factor, shift in index[["fold", "factor", "shift"]].itertuples(index=False)
    ]
    called = np.concatenate([conditions for conditions, _, _ in fitted.generator.calls])
    np.testing.assert_allclose(called, given + np.array(by), atol=1e-5)
    np.testing.assert_allclose(images[:, 0, 0].astype(float), called[:, 0], atol=2e-3)
    np.testing.assert_array_equal(images[:, 0, 1], index["seed"] % 10)


def test_batches_change_nothing(fitted, conditions, monkeypatch):
    table = plan_rows(SPLITS, ["f0", "f1"], plan())
    whole, _ = drawn(fitted, table, conditions)
    monkeypatch.setattr(sampling, "BATCH", 4)
    fitted.generator.calls = []
    parts, _ = drawn(fitted, table, conditions)
    np.testing.assert_array_equal(parts, whole)
    assert max(len(seeds) for _, seeds, _ in fitted.generator.calls) == 4


class Rounding(Recorder):
    """As a network in single precision: an image depends a little on its place and on the size of its batch."""

    def sample(self, conditions, seeds, *, device="cpu"):
        images = super().sample(conditions, seeds, device=device)
        images[:, 2, 2] = conditions[:, 2]
        images[:, 3, :2] = np.stack([np.arange(len(seeds)), np.full(len(seeds), len(seeds))], axis=1)
        return images


@pytest.fixture
def still(conditions):
    """Every patient has the smallest value in B and the largest in C: scaled they are 0 and 1, without spread."""
    raw = conditions.assign(B=-100.0, C=50.0 + np.arange(len(conditions)))
    scaler = ConditionScaler.fit(raw[list(NAMES)], "per_patient_minmax", log=False)
    return FittedGenerator(Rounding(Options(), image_size=4, n_conditions=3), scaler, NAMES), raw


def test_a_variable_without_spread_gives_the_bytes_of_the_image_at_shift_0(still):
    fitted, raw = still
    patients = [f"P{i:02d}" for i in range(60)]
    raw = pd.concat([raw, raw.iloc[:1].merge(pd.Series(patients, name="patient"), how="cross", suffixes=("_", ""))])
    raw["A"] += np.random.default_rng(0).normal(size=len(raw))
    splits = pd.DataFrame({"fold": "f1", "patient": [*"ab", *patients], "design": "grouped"})
    splits["role"] = np.where(splits["patient"].isin([*"ab"]), "train", "test")
    table = plan_rows(splits, ["f1"], plan(shifted={"f1": NAMES}, draws=1))
    response = table[table["kind"] == "response"]
    images, index = drawn(fitted, table, raw)
    rows = index[index["kind"] == "response"]
    for name in patients:
        mine = rows[rows["patient"] == name]
        at_0 = images[mine.index[mine["shift"] == 0]]
        constant = images[mine.index[mine["factor"].isin(["B", "C"])]]
        assert len(constant) == 8 and (constant == at_0).all()
        assert (images[mine.index[mine["factor"] == "A"], 0, 0] != at_0[:, 0, 0]).all()
    sizes = [len(seeds) for _, seeds, _ in fitted.generator.calls]
    assert max(sizes) <= sampling.BATCH < sum(sizes) == len(table) - 8 * 60
    # One patient, one batch.
    told = [set(seeds) for _, seeds, _ in fitted.generator.calls]
    assert all(sum(seed in batch for batch in told) == 1 for seed in response["seed"].unique())


def test_a_patient_of_more_rows_than_a_batch_is_drawn_in_several(still, monkeypatch):
    fitted, raw = still
    monkeypatch.setattr(sampling, "BATCH", 3)
    table = plan_rows(SPLITS, ["f1"], plan(shifted={"f1": NAMES}, draws=1, synthetic_folds=[]))
    images, index = drawn(fitted, table, raw)
    sizes = [len(seeds) for _, seeds, _ in fitted.generator.calls]
    assert max(sizes) == 3 and sum(sizes) == len(table) - 2 * 8
    for _, mine in index[index["kind"] == "response"].groupby("patient"):
        constant = images[mine.index[mine["factor"].isin(["B", "C"])]]
        assert (constant == images[mine.index[mine["shift"] == 0]]).all()


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
        images, _ = drawn(fitted, plan_rows(SPLITS, ["f1"], plan(draws=1, primary=False, shifted={})), conditions)
    assert np.isfinite(images).all() and float(images.min()) == np.float16(-LARGEST)
    assert f"{2 * 14} pixels beyond 60000" in caplog.text
