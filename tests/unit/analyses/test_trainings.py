"""Rows over several trainings of the single split: what they average, how far they may speak, and who ignores them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import arms
from radgen_lib.analyses.fidelity import fidelity_rows
from radgen_lib.analyses.prediction import prediction_rows
from radgen_lib.analyses.reference_rows import reference_rows
from radgen_lib.analyses.resampling import trainings_band
from radgen_lib.analyses.runs import Run, featured_runs
from radgen_lib.analyses.trainings import as_single_split, training_rows
from radgen_lib.audit.adherence import adherence_rows
from radgen_lib.audit.memorisation import memorisation_rows
from radgen_lib.audit.runs import join_parts
from radgen_lib.core.config.cpdm import Prediction, Protocol
from radgen_lib.core.trainings import further_trainings

Pick = Callable[..., pd.Series]
PIXELS = {"pixelrow_frechet_best", "pixelrow_frechet_mean", "mse", "ssim"}


def trained_again(run: Run, times: int, *, shift: float = 0.05) -> Run:
    """``run`` with further trainings of the single split, whose held-out images are brighter one after the other."""
    index, samples, features = [run.index], [np.asarray(run.samples)], [run.features]
    held = run.index[(run.index["fold"] == "split") & (run.index["kind"] == "heldout")]
    for number, name in enumerate(further_trainings(times), 1):
        rows = np.arange(len(held)) + sum(map(len, index))
        again = run.features.set_index("row").loc[held["row"]].reset_index(drop=True)
        index.append(held.assign(fold=name, row=rows))
        samples.append(np.asarray(run.samples[held["row"]]) + np.float16(shift * number))
        features.append((again + shift * number).assign(row=rows))
    tables = (pd.concat(parts, ignore_index=True) for parts in (index, features))
    whole, known = tables
    return replace(run, index=whole, samples=np.concatenate(samples), features=known)


@pytest.fixture
def single(published: Protocol) -> Protocol:
    return published.model_copy(update={"designs": ["published_split"]})


def rows_of(world: Any, runs: list[Run], protocol: Protocol) -> pd.DataFrame:
    tables = world.tables
    return training_rows(
        world.images, tables.real_features, runs, tables.splits, name="as_published", protocol=protocol
    )


def headline(world: Any, run: Run, protocol: Protocol) -> pd.DataFrame:
    tables = world.tables
    return fidelity_rows(
        world.images, tables.real_features, [run], tables.splits, name="as_published", protocol=protocol, seed=3,
        draws=100,
    )  # fmt: skip


def test_mean_and_interval_are_over_the_values_of_each_training_alone(world: Any, single: Protocol, pick: Pick) -> None:
    run = trained_again(world.runs[0], 3)
    names = ["split", "split-s1", "split-s2"]
    alone = [headline(world, as_single_split(run, name), single) for name in names]
    rows = rows_of(world, [run], single)
    assert set(rows["metric"]) == PIXELS | {"kid", "frd"}
    for row in rows.to_dict("records"):
        keys = {"metric": row["metric"], "extractor": row["extractor"], "design": "published_split"}
        values = np.array([pick(table, generator="edm", **keys)["value"] for table in alone])
        assert len(set(values)) == 3
        assert row["value"] == pytest.approx(values.mean())
        half = 4.302653 * values.std(ddof=1) / np.sqrt(3)  # Student's t of 2 degrees of freedom
        assert (row["low"], row["high"]) == pytest.approx((values.mean() - half, values.mean() + half))
        assert row["interval"] == "t interval of the mean over 3 trainings, 95 %"
        assert row["n"] == 3 and "the same 4 test images in each" in row["note"]
        assert f"trainings {values[0]:.4g}, " in row["note"]


def test_two_trainings_have_a_range_and_one_has_no_row(world: Any, single: Protocol, pick: Pick) -> None:
    rows = rows_of(world, [trained_again(world.runs[0], 2)], single)
    row = pick(rows, metric="mse")
    assert row["interval"] == "range of 2 trainings"
    assert row["low"] < row["value"] < row["high"] and row["value"] == pytest.approx((row["low"] + row["high"]) / 2)
    assert rows_of(world, world.runs, single).empty
    folds = single.model_copy(update={"designs": ["published_folds"]})
    assert rows_of(world, [trained_again(world.runs[0], 3)], folds).empty


def test_trainings_that_agree_to_the_bit_have_no_interval() -> None:
    band = trainings_band(np.array([0.3, 0.3, 0.3]))
    assert np.isnan([band["low"], band["high"]]).all() and band["interval"].startswith(
        "none: 3 trainings gave the same"
    )


def test_a_training_without_a_value_is_a_reason(world: Any, single: Protocol, pick: Pick) -> None:
    run = trained_again(world.runs[0], 3)
    lost = run.index.loc[run.index["fold"] == "split-s1", "row"]
    features = run.features.copy()
    features.loc[features["row"].isin(lost), [c for c in features if c != "row"]] = np.nan
    row = pick(rows_of(world, [replace(run, features=features)], single), metric="kid")
    assert row["reason"] == "1 of 3 trainings gave no value" and np.isnan(row["value"])


def test_chunks_of_one_generator_are_put_together(world: Any, single: Protocol) -> None:
    run = trained_again(world.runs[0], 3)
    parts = [as_single_split(run, "split"), *(_only(run, name) for name in further_trainings(3))]
    pd.testing.assert_frame_equal(rows_of(world, parts, single), rows_of(world, [run], single))


def _only(run: Run, training: str) -> Run:
    one = as_single_split(run, training)
    return replace(one, index=one.index.assign(fold=training))


def test_the_headline_and_every_other_row_stay_those_of_one_training(world: Any, single: Protocol) -> None:
    once, again = world.runs[0], trained_again(world.runs[0], 3)
    pd.testing.assert_frame_equal(headline(world, again, single), headline(world, once, single))
    both = [
        reference_rows(
            world.images, world.series, [run], world.tables.splits, name="as_published", clamp=False, seed=1,
            test_images={0: (world.series["patient"][0], "1.2.0")},
        )
        for run in (once, again)
    ]  # fmt: skip
    assert "model" in set(both[0]["arm"])
    pd.testing.assert_frame_equal(*both)


def test_predictions_take_images_of_the_first_training_alone(world: Any, single: Protocol, asked: Prediction) -> None:
    once, again = world.runs[0], trained_again(world.runs[0], 3)
    found = [
        prediction_rows(
            world.tables, [run], name="as_published", protocol=single,
            prediction=asked.model_copy(update={"tasks": ["er"], "holdout_seeds": 2}), seed=1, threads=1,
        )[0]
        for run in (once, again)
    ]  # fmt: skip
    assert (found[0]["reason"] == "").any()
    pd.testing.assert_frame_equal(*found)
    material = arms.gather(
        world.tables, {"edm": featured_runs([again])["genes15", "edm"]}, "genes15", "radiomics", single
    )
    assert {fold for _, _, fold in material.samples}.isdisjoint(further_trainings(3))


def test_audits_pass_over_further_trainings(world: Any) -> None:
    images = np.kron(world.images, np.ones((1, 2, 2), dtype=np.uint8))  # the audits compare blocks of 32 x 32

    def audited(run: Run) -> list[pd.DataFrame]:
        larger = np.kron(np.asarray(run.samples), np.ones((1, 2, 2), dtype=np.float16))
        joined = join_parts("genes15", "edm", {"all": (run.index, larger, run.features)}, ("heldout", "synthetic"))
        tables = world.tables
        splits = tables.splits[tables.splits["design"] == "published_split"]
        memorised, pairs = memorisation_rows(
            joined, images, world.series, splits, draws=100, seed=1, protocol_name="as_published"
        )
        adhered = adherence_rows(
            joined, tables.real_features, tables.conditions["genes15"],
            tables.patients.assign(site=tables.patients["patient"].str[5:7]), splits, permutations=100, draws=100,
            seed=1, protocol_name="as_published",
        )  # fmt: skip
        return [pd.DataFrame(memorised), pairs.drop(columns="row"), pd.DataFrame(adhered)]

    for once, again in zip(audited(world.runs[0]), audited(trained_again(world.runs[0], 3)), strict=True):
        assert len(once)
        pd.testing.assert_frame_equal(once, again)
