from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from radgen_lib.audit.adherence import adherence_rows
from radgen_lib.audit.runs import AuditRun, join_parts
from radgen_lib.core.rows import result_frame


def audit(cohort: Any, run: AuditRun, **over: Any) -> pd.DataFrame:
    settings = {"permutations": 300, "draws": 100, "seed": 1, "protocol_name": "rigorous", **over}
    rows = adherence_rows(run, cohort.real_features, cohort.conditions, cohort.patients, cohort.splits, **settings)
    return result_frame(rows)


def value(table: pd.DataFrame, metric: str, **keys: str) -> float:
    rows = table[(table["metric"] == metric) & (table["task"] == keys.get("task", ""))]
    for name, wanted in keys.items():
        rows = rows[rows[name] == wanted]
    assert len(rows) == 1, rows
    return float(rows["value"].iloc[0])


def test_conditioned_generator_passes_every_test(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run = build_run(cohort, lambda name, rng: cohort.means[name] + rng.normal(size=8), response=True)
    table = audit(cohort, run)
    assert value(table, "conditioned") == 1
    assert value(table, "sensitivity_ratio", extractor="radiomics") > 1
    assert value(table, "permutation_p_within_site") < 0.05
    assert value(table, "permutation_difference_overall") < 0
    assert value(table, "retrieval_mrr_within_site") > value(table, "retrieval_mrr_chance_within_site")
    assert value(table, "readback_r2", arm="real", task="all") > 0.5
    assert value(table, "monotone_share", task="PC1") > 0.9
    numbers = table[table["value"].notna()]
    assert (numbers["n"] > 0).all() and (numbers["interval"] != "").all()
    assert (table.loc[table["value"].isna(), "reason"] != "").all()


def test_small_galleries_of_one_fold_give_a_reason_and_all_held_out_patients_a_number(
    build_cohort: Callable[..., Any], build_run: Callable[..., AuditRun]
) -> None:
    cohort = build_cohort(folds=6)
    run = build_run(cohort, lambda name, rng: cohort.means[name] + rng.normal(size=8))
    table = audit(cohort, run)
    rows = table.set_index("metric")
    assert value(table, "retrieval_top1_chance_overall") == pytest.approx(1 / 24)
    assert value(table, "retrieval_fold_top1_chance_overall") == pytest.approx(1 / 4)
    assert "gallery of 24 patients" in rows.at["retrieval_top5_overall", "note"]
    assert "trained this generator" in rows.at["retrieval_top5_overall", "note"]
    assert rows.at["retrieval_fold_top5_overall", "reason"] == "every gallery holds 5 patients or fewer"
    assert "trained" not in rows.at["retrieval_fold_mrr_overall", "note"]


def test_generator_without_condition_that_copies_training_images_stays_at_or_below_chance(
    build_cohort: Callable[..., Any], build_run: Callable[..., AuditRun]
) -> None:
    """Patients of other folds trained the generator: nearness to them must never count for the true patient."""
    cohort = build_cohort(folds=6)
    copies = dict(zip(cohort.means, np.random.default_rng(0).permutation(list(cohort.means)), strict=True))
    test = cohort.splits[cohort.splits["role"] == "test"]
    fold_of = dict(zip(test["patient"], test["fold"], strict=True))
    for name in copies:  # a training patient of the generator that draws for this patient
        copies[name] = next(other for other in [copies[name], *cohort.means] if fold_of[other] != fold_of[name])
    table = audit(cohort, build_run(cohort, lambda name, rng: cohort.means[copies[name]] + rng.normal(size=8)))
    assert value(table, "retrieval_top1_overall") <= value(table, "retrieval_top1_chance_overall") + 0.02
    assert value(table, "conditioned") == 0


def test_generator_that_ignores_the_condition_fails(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    table = audit(cohort, build_run(cohort, lambda name, rng: rng.normal(size=8)))
    assert value(table, "conditioned") == 0
    assert abs(value(table, "icc", extractor="radiomics")) < 0.3
    assert math.isnan(value(table, "monotone_share", task="all"))


def test_mean_image_is_deterministic_and_at_chance(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    table = audit(cohort, build_run(cohort, lambda name, rng: np.ones(8)))
    reasons = table.loc[table["metric"] == "sensitivity_ratio", "reason"]
    assert len(reasons) == 2 and reasons.str.contains("deterministic").all()
    assert value(table, "permutation_p_within_site") == 1
    assert value(table, "retrieval_top1_within_site") == pytest.approx(
        value(table, "retrieval_top1_chance_within_site")
    )


@pytest.mark.parametrize("strength", [1, 6])
def test_watermark_lies_above_the_ceiling_and_fails_the_rule(
    build_cohort: Callable[..., Any], build_run: Callable[..., AuditRun], strength: float
) -> None:
    weak = build_cohort(3, signal=0.3, patients=40)
    run = build_run(weak, lambda name, rng: strength * weak.means[name] + 0.01 * rng.normal(size=8))
    table = audit(weak, run)
    assert value(table, "readback_r2", arm="real", task="all") < 0.3
    assert value(table, "readback_r", arm="synthetic", task="all") > 0.5
    assert value(table, "readback_above_ceiling", task="all") == 1
    assert value(table, "conditioned") == 0


def test_generator_without_content_is_no_watermark_even_where_the_ceiling_is_below_zero(
    build_cohort: Callable[..., Any], build_run: Callable[..., AuditRun]
) -> None:
    empty = build_cohort(1, signal=0.0)
    table = audit(empty, build_run(empty, lambda name, rng: np.zeros(8)))
    assert value(table, "readback_r2", arm="real", task="all") < 0
    assert value(table, "readback_above_ceiling", task="all") == 0


def test_same_inputs_give_the_same_table_and_another_seed_another(
    cohort: Any, build_run: Callable[..., AuditRun]
) -> None:
    run = build_run(cohort, lambda name, rng: cohort.means[name] * 0.1 + rng.normal(size=8))
    first = audit(cohort, run)
    assert_frame_equal(first, audit(cohort, run))
    changed = audit(cohort, run, seed=2)["low"]
    assert not np.array_equal(first["low"], changed, equal_nan=True)


def test_crossing_patients_are_said_on_every_row(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run = build_run(cohort, lambda name, rng: rng.normal(size=8))
    leaky = cohort.splits.copy()
    patient = leaky.loc[(leaky["fold"] == "r0f0") & (leaky["role"] == "test"), "patient"].value_counts().idxmax()
    rows = leaky.index[(leaky["fold"] == "r0f0") & (leaky["patient"] == patient)]
    leaky.loc[rows[0], "role"] = "train"
    frame = result_frame(
        adherence_rows(
            run, cohort.real_features, cohort.conditions, cohort.patients, leaky,
            permutations=100, draws=100, seed=1, protocol_name="as_published",
        )
    )  # fmt: skip
    assert len(rows) > 1
    assert frame["note"].str.contains("1 test patients also train the generator").all()


def test_features_that_are_not_finite_are_left_out_not_filled(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run = build_run(cohort, lambda name, rng: cohort.means[name] + rng.normal(size=8))
    run.features.iloc[:, 0] = np.nan
    assert value(audit(cohort, run), "conditioned") == 1
    run.features.loc[:, :] = np.nan
    empty = audit(cohort, run)
    assert "no radiomics feature" in empty.loc[empty["metric"] == "permutation_p_within_site", "reason"].iloc[0]
    assert "permutation_p_within_site" in empty.loc[empty["metric"] == "conditioned", "reason"].iloc[0]


def test_design_without_held_out_patients_is_a_reason(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run = build_run(cohort, lambda name, rng: rng.normal(size=8))
    full = cohort.splits[cohort.splits["fold"] == "r0f0"].assign(design="full", fold="full", role="train")
    rows = adherence_rows(
        run, cohort.real_features, cohort.conditions, cohort.patients, full,
        permutations=100, draws=100, seed=1, protocol_name="rigorous",
    )  # fmt: skip
    assert [row["reason"] for row in rows] == ["no design holds a patient out"]


def test_jobs_are_joined_by_row_and_only_for_the_wanted_kinds() -> None:
    index = pd.DataFrame({"row": [2, 0, 1], "kind": ["heldout", "synthetic", "heldout"], "fold": "r0f0"})
    images = np.arange(3.0)[:, None, None]
    features = pd.DataFrame({"row": [0, 1, 2], "radiomics:x": [10.0, 11.0, 12.0]})
    run = join_parts("genes15", "edm", {"a": (index, images, features), "b": (index, images, features)})
    assert run.samples.ravel().tolist() == [2, 1, 2, 1]
    assert run.features["radiomics:x"].tolist() == [12, 11, 12, 11]
    assert run.index["chunk"].tolist() == ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match="rows differ"):
        AuditRun("genes15", "edm", index, images[:2], features)
