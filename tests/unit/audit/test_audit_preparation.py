from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.audit.adherence import pass_rule
from radgen_lib.audit.adherence_tests import Context
from radgen_lib.audit.preparation import (
    OVERALL,
    WITHIN_SITE,
    distances,
    feature_draws,
    fold_space,
    pixel_draws,
    rankings,
)
from radgen_lib.audit.runs import AuditRun, crossing_note, design_folds, held_out_images


def simple(cohort: Any, build_run: Callable[..., AuditRun], **more: Any) -> AuditRun:
    return build_run(cohort, lambda name, rng: cohort.means[name] + rng.normal(size=8), **more)


def test_folds_of_designs_carry_sides_and_repeats(build_cohort: Callable[..., Any]) -> None:
    splits = build_cohort(repeats=2).splits
    site = splits[splits["fold"] == "r0f0"].assign(design="site", fold="site-E2")
    designs = design_folds(pd.concat([splits, site]))
    assert list(designs) == ["grouped", "site"]
    assert [fold.repeat for fold in designs["grouped"]] == ["0", "0", "0", "1", "1", "1"]
    assert designs["site"][0].repeat == ""
    for fold in designs["grouped"]:
        assert not set(fold.train) & set(fold.test)
        assert len(fold.train) + len(fold.test) == 36


def test_space_is_fitted_on_training_images_alone(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run, fold = simple(cohort, build_run), design_folds(cohort.splits)["grouped"][0]
    space = fold_space(run, fold, cohort.real_features, "radiomics")
    moved = cohort.real_features.copy()
    columns = [c for c in moved if c.startswith("radiomics:")]
    moved.loc[moved["image_index"].isin(fold.test), columns] *= 100.0
    other = fold_space(run, fold, moved, "radiomics")
    assert space is not None and other is not None
    np.testing.assert_array_equal(space.train.values, other.train.values)
    np.testing.assert_array_equal(space.synthetic.values, other.synthetic.values)
    assert not np.allclose(space.real.values, other.real.values)


def test_space_holds_only_held_out_patients_with_both_images(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run, fold = simple(cohort, build_run), design_folds(cohort.splits)["grouped"][0]
    held_out = set(cohort.real_features.loc[cohort.real_features["image_index"].isin(fold.test), "patient"])
    space = fold_space(run, fold, cohort.real_features, "radiomics")
    assert space is not None
    assert set(space.patients) == set(space.real.owners) == set(space.synthetic.owners) == held_out
    assert not set(space.train.owners) & held_out
    assert fold_space(run, fold, cohort.real_features, "vgg16") is None


def test_strata_are_sites_or_everyone(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run, fold = simple(cohort, build_run), design_folds(cohort.splits)["grouped"][0]
    space = fold_space(run, fold, cohort.real_features, "radiomics")
    assert space is not None
    sites = dict(zip(cohort.patients["patient"], cohort.patients["site"], strict=True))
    (inside,), (everyone,) = (distances([space], sites, scope) for scope in (WITHIN_SITE, OVERALL))
    assert set(inside.strata) == {"AO", "E2"} and set(everyone.strata) == {"all"}
    np.testing.assert_array_equal(inside.distance, everyone.distance)
    assert inside.distance.diagonal().mean() < inside.distance.mean()


def test_gallery_holds_every_held_out_patient_of_the_repeat_in_the_space_of_the_querying_fold(
    build_cohort: Callable[..., Any], build_run: Callable[..., AuditRun]
) -> None:
    cohort = build_cohort(repeats=2)
    folds = design_folds(cohort.splits)["grouped"]
    run, fold = simple(cohort, build_run), folds[0]
    assert set(held_out_images(fold, folds)) == set(cohort.real_features["image_index"])
    assert set(held_out_images(fold, folds[:1])) == set(fold.test)
    space = fold_space(run, fold, cohort.real_features, "radiomics", held_out_images(fold, folds))
    alone = fold_space(run, fold, cohort.real_features, "radiomics")
    assert space is not None and alone is not None
    assert not set(space.others.owners) & set(space.patients) and len(alone.others.owners) == 0
    np.testing.assert_array_equal(space.synthetic.values, alone.synthetic.values)
    sites = dict(zip(cohort.patients["patient"], cohort.patients["site"], strict=True))
    (wide,), (inside,) = rankings([space], sites, OVERALL), distances([space], sites, OVERALL)
    assert list(wide.gallery) == sorted(cohort.patients["patient"])
    at = [list(wide.gallery).index(name) for name in space.patients]
    np.testing.assert_allclose(wide.distance[at], inside.distance)
    # Entries of other folds are the training patients themselves: their mean row is what the space was fitted on.
    np.testing.assert_allclose(space.others.means().values, space.train.values)
    np.testing.assert_allclose(space.others.means().values.mean(axis=0), 0, atol=1e-12)


def test_draws_are_grouped_by_condition_in_pixels_and_features(cohort: Any, build_run: Callable[..., AuditRun]) -> None:
    run, folds = simple(cohort, build_run, draws=3), design_folds(cohort.splits)["grouped"]
    pixels = pixel_draws(run, folds)
    assert [one.values.shape for one in pixels] == [(8, 3, 1024)] * 3
    space = fold_space(run, folds[0], cohort.real_features, "radiomics")
    assert space is not None
    (features,) = feature_draws([space])
    assert list(features.patients) == list(pixels[0].patients)
    # Stripes of 4 rows repeat each feature, so both spaces see the same spread inside a condition.
    at = run.rows("heldout", folds[0].name)
    own = run.features.iloc[at][(run.index["condition_patient"].iloc[at] == features.patients[0]).to_numpy()]
    np.testing.assert_allclose(pixels[0].values[0][:, ::128], own.to_numpy())


def test_crossing_note_counts_patients_once(cohort: Any) -> None:
    splits = cohort.splits.copy()
    assert crossing_note(splits, "grouped") == ""
    last = splits["image_index"].max()  # the second image of the last patient, whose first stays in the test part
    splits.loc[splits["image_index"] == last, "role"] = "train"
    assert crossing_note(splits, "grouped") == "1 test patients also train the generator"


def rows_for(context: Context, permutation: float, retrieval: float, above: float) -> list[dict[str, Any]]:
    keys = {"extractor": "radiomics", "n": 20, "interval": "x"}
    return [
        context.row("permutation_p_within_site", value=permutation, **keys),
        context.row("retrieval_p_within_site", value=retrieval, **keys),
        context.row("readback_above_ceiling", value=above, task="all", **keys),
    ]


def test_rule_needs_all_three_parts() -> None:
    base = {"item": "S.ADH", "protocol": "p", "condition": "c", "generator": "g", "design": "d"}
    context = Context(base, 100, 100, 1)
    for parts, expected in [((0.01, 0.05, 0), 1), ((0.06, 0.01, 0), 0), ((0.01, 0.06, 0), 0), ((0.01, 0.01, 1), 0)]:
        row = pass_rule(rows_for(context, *parts), context)
        assert (row["value"], row["n"]) == (expected, 20)
    missing = pass_rule(rows_for(context, 0.01, 0.01, 0)[:2], context)
    assert np.isnan(missing["value"]) and missing["reason"] == "readback_above_ceiling: not computed"


def test_rule_is_rarely_passed_without_any_link(
    build_cohort: Callable[..., Any], build_run: Callable[..., AuditRun]
) -> None:
    """Real images that depend on the condition, synthetic ones of another patient's: at most one pass in twenty."""
    from radgen_lib.audit.adherence import adherence_rows

    passed = 0
    for seed in range(20):
        cohort = build_cohort(seed, patients=16, folds=2)
        other = dict(zip(cohort.means, np.random.default_rng(seed).permutation(list(cohort.means)), strict=True))
        run = build_run(cohort, lambda name, rng, o=other, c=cohort: c.means[o[name]] + rng.normal(size=8), seed=seed)
        rows = adherence_rows(
            run, cohort.real_features, cohort.conditions, cohort.patients, cohort.splits,
            permutations=100, draws=100, seed=seed, protocol_name="rigorous",
        )  # fmt: skip
        passed += next(row["value"] for row in rows if row["metric"] == "conditioned") == 1
    assert passed <= 1
