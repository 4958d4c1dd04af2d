"""Condition adherence (S.ADH): does the condition change the image, and in the right direction?

The six tests of this audit, on held-out patients only: sensitivity ratio, permutation, retrieval, read-back, watermark
control (:mod:`radgen_lib.audit.watermark`) and monotone response, and the rule that allows the word "conditioned".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from radgen_lib.audit import adherence_tests as tests
from radgen_lib.audit.files import Paths, protocol_runs
from radgen_lib.audit.preparation import OVERALL, WITHIN_SITE, FoldSpace, distances, fold_space, pixel_draws, rankings
from radgen_lib.audit.response_tests import response_rows
from radgen_lib.audit.runs import AuditRun, Fold, crossing_note, design_folds, held_out_images
from radgen_lib.audit.spaces import extractors
from radgen_lib.audit.watermark import watermark_rows
from radgen_lib.core.rows import result_frame, result_row

PRIMARY = "radiomics"
KINDS = ("heldout", "response")


def adherence_rows(
    run: AuditRun,
    real_features: pd.DataFrame,
    conditions: pd.DataFrame,
    patients: pd.DataFrame,
    splits: pd.DataFrame,
    *,
    permutations: int,
    draws: int,
    seed: int,
    protocol_name: str,
) -> list[dict[str, Any]]:
    """Rows of tests 1 to 4 and 6 and of the pass rule, for every design that holds patients out.

    Args:
        run: samples of kinds "heldout" and, for the generators of test 6, "response".
        real_features: image_index, patient and feature columns of the real images.
        conditions: patient and the raw condition columns.
        patients: patient and site.
        splits: splits.parquet.
        permutations: permutations of tests 2, 3 and 6; draws: bootstrap draws behind intervals.
        seed: root seed; protocol_name: value of the protocol column.
    """
    rows: list[dict[str, Any]] = []
    for design, folds in design_folds(splits).items():
        held_out = [fold for fold in folds if len(fold.test) and len(run.rows("heldout", fold.name))]
        if not held_out:
            continue
        used = splits[splits["fold"].isin([fold.name for fold in held_out])]
        context = tests.Context(
            base={
                "item": "S.ADH", "protocol": protocol_name, "condition": run.condition, "generator": run.generator,
                "design": design, "note": crossing_note(used, design),
            },
            permutations=permutations, draws=draws, seed=seed,
        )  # fmt: skip
        rows += _design_rows(run, held_out, real_features, conditions, patients, context)
    if rows:
        return rows
    keys: dict[str, Any] = {"protocol": protocol_name, "condition": run.condition, "generator": run.generator}
    return [result_row(item="S.ADH", metric="conditioned", reason="no design holds a patient out", **keys)]


def adherence_of_protocol(
    names: Sequence[Sequence[str]],
    paths: Paths,
    *,
    prediction: pd.DataFrame,
    permutations: int,
    draws: int,
    seed: int,
    protocol_name: str,
) -> pd.DataFrame:
    """All adherence rows of one protocol: tests 1 to 4 and 6 of every generator, and test 5 from ``prediction``.

    ``names`` are ``[condition, generator, chunk]`` of the training jobs; ``paths`` holds their files (samples, index,
    features, status) and those of the cohort (real, patients, splits, and one file per condition).
    """
    real = pd.read_parquet(paths["real"])
    patients, splits = pd.read_parquet(paths["patients"]), pd.read_parquet(paths["splits"])
    rows: list[dict[str, Any]] = []
    for run in protocol_runs(names, paths, KINDS):
        rows += adherence_rows(
            run, real, pd.read_parquet(_only(paths[run.condition])), patients, splits,
            permutations=permutations, draws=draws, seed=seed, protocol_name=protocol_name,
        )  # fmt: skip
    return result_frame([*rows, *watermark_rows(prediction, protocol_name=protocol_name)])


def _only(path: Any) -> str:
    """The one file of an input that a workflow may hand over as a list."""
    return path if isinstance(path, str) else str(path[0])


def _design_rows(
    run: AuditRun,
    folds: list[Fold],
    real_features: pd.DataFrame,
    conditions: pd.DataFrame,
    patients: pd.DataFrame,
    context: tests.Context,
) -> list[dict[str, Any]]:
    sites = dict(zip(patients["patient"].astype(str), patients["site"].astype(str), strict=True))
    rows = tests.sensitivity_rows(pixel_draws(run, folds), "pixels", context)
    for extractor in sorted({PRIMARY, *extractors(real_features, run.features)}):
        found = [fold_space(run, fold, real_features, extractor, held_out_images(fold, folds)) for fold in folds]
        spaces = [space for space in found if space is not None]
        if not spaces:
            why = f"no {extractor} feature is finite and varies between training patients"
            rows.append(context.row("permutation_p_within_site", extractor=extractor, reason=why))
            continue
        rows += tests.feature_sensitivity_rows(spaces, extractor, context)
        for scope in (WITHIN_SITE, OVERALL):
            own_fold = distances(spaces, sites, scope)
            rows += tests.matching_rows(own_fold, scope, extractor, context)
            rows += tests.retrieval_rows(own_fold, rankings(spaces, sites, scope), scope, extractor, context)
        if extractor == PRIMARY:
            rows += _read_back(spaces, conditions, run.condition, context)
    rows += response_rows(run, folds, real_features, conditions, sites, PRIMARY, context)
    return [*rows, pass_rule(rows, context)]


def _read_back(
    spaces: list[FoldSpace], conditions: pd.DataFrame, condition: str, context: tests.Context
) -> list[dict[str, Any]]:
    """Test 4, where the condition's columns mean the same in all folds."""
    if "fold" in conditions.columns:
        why = "each fold has components of its own: none can be read back across folds"
        return [context.row("readback_above_ceiling", task="all", extractor=PRIMARY, reason=why)]
    return tests.read_back_rows(spaces, conditions, condition, context)


def pass_rule(rows: list[dict[str, Any]], context: tests.Context, *, level: float = 0.05) -> dict[str, Any]:
    """Row ``conditioned``: 1 when tests 2 and 3 are significant within site and the read-back is below its ceiling.

    Both tests must be significant, so no correction for two tests is due. NaN with the reason when a part is missing.
    """
    wanted = ("permutation_p_within_site", "retrieval_p_within_site", "readback_above_ceiling")
    parts = {}
    for metric in wanted:
        here = [r for r in rows if r["metric"] == metric and r["extractor"] == PRIMARY and r["task"] in ("", "all")]
        if not here or not math.isfinite(here[0]["value"]):
            why = here[0]["reason"] if here else "not computed"
            return context.row("conditioned", extractor=PRIMARY, reason=f"{metric}: {why}")
        parts[metric] = here[0]
    permutation, rank, above = (parts[metric]["value"] for metric in wanted)
    passed = permutation <= level and rank <= level and above == 0
    text = (
        f"permutation p {permutation:.3g}, retrieval p {rank:.3g}, read-back above ceiling: {'yes' if above else 'no'}"
    )
    n = int(min(part["n"] for part in parts.values()))
    return context.row(
        "conditioned", extractor=PRIMARY, value=float(passed), n=n, interval="none: a rule, not an estimate", note=text
    )
