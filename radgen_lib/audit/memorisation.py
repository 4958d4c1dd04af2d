"""Memorisation and membership (S.PRIV): are synthetic images copies of the training patients?

Distances are root mean squared differences of 32 x 32 block means, and 1 - correlation of the same. The yardstick is
always real: how near a real image lies to training images of *other* patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.audit.files import Paths, protocol_runs
from radgen_lib.audit.membership import membership_auc, membership_counts
from radgen_lib.audit.nearest import FoldNearest, fold_nearest, top_pairs
from radgen_lib.audit.ranking import chance_levels, true_scores
from radgen_lib.audit.runs import AuditRun, Fold, crossing_note, design_folds
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.intervals import Interval, patient_bootstrap

KINDS = ("heldout", "synthetic")
DISTANCES = ("rmse", "correlation")
PAIR_COLUMNS = (
    "protocol", "condition", "generator", "design", "fold", "chunk", "row", "kind", "patient", "condition_patient",
    "draw", "training_image", "training_patient", "rmse", "correlation",
)  # fmt: skip


def memorisation_rows(
    run: AuditRun,
    images: np.ndarray,
    series: pd.DataFrame,
    splits: pd.DataFrame,
    *,
    draws: int,
    seed: int,
    protocol_name: str,
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Rows of the memorisation audit per design, and the closest pairs for a contact sheet.

    Args:
        run: samples of kinds "heldout" and "synthetic" (build it with ``kinds=memorisation.KINDS``).
        images: uint8 [all images, H, W]; series: image_index and patient of each usable one.
        splits: splits.parquet; draws: bootstrap draws; seed: root seed.

    The rows per distance: ``nearest_ratio`` (distance of synthetic images to the nearest training image over that of
    real images of other patients; below 1 = nearer than a new patient would be), ``copy_rate`` (share nearer than the
    1st percentile of distances between different patients, arms synthetic and real: the real rate calibrates it);
    ``membership_auc``; ``reidentification_*``. Pairs: one row per pair (design, fold, chunk, row, kind, patient,
    condition_patient, training_image, training_patient, rmse, correlation), the ten closest of each design.
    """
    real = images.astype(np.float64) / 255.0
    # An image that could not be used is in the stack but in no fold; it belongs to nobody.
    patients = series.set_index("image_index")["patient"].astype(str)
    owners = patients.reindex(range(len(images)), fill_value="").to_numpy()
    rows: list[dict[str, Any]] = []
    pairs = []
    for design, folds in design_folds(splits).items():
        found = [one for one in (fold_nearest(run, fold, real, owners) for fold in folds) if one is not None]
        if not found:
            continue
        base: dict[str, Any] = {
            "item": "S.PRIV", "protocol": protocol_name, "condition": run.condition, "generator": run.generator,
            "design": design, "note": crossing_note(splits, design),
        }  # fmt: skip
        names = (protocol_name, run.condition, run.generator, design)
        rows += _distance_rows(found, base, draws, seed, names)
        rows.append(_membership_row(found, folds, owners, base, draws, seed, names))
        rows += _reidentification_rows(found, base, draws, seed, names)
        pairs.append(top_pairs(run, found, owners).assign(design=design))
    if not rows:
        keys: dict[str, Any] = {"protocol": protocol_name, "condition": run.condition, "generator": run.generator}
        return [result_row(item="S.PRIV", metric="nearest_ratio", reason="no synthetic image", **keys)], pd.DataFrame()
    table = pd.concat(pairs, ignore_index=True)
    table.insert(0, "generator", run.generator)
    table.insert(0, "condition", run.condition)
    table.insert(0, "protocol", protocol_name)
    return rows, table


def audit_protocol(
    names: Sequence[Sequence[str]],
    paths: Paths,
    *,
    images: np.ndarray,
    series: pd.DataFrame,
    splits: pd.DataFrame,
    draws: int,
    seed: int,
    protocol_name: str,
    wanted: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Result rows and closest pairs of every generator of one protocol; ``wanted`` False (B-W13 off): a reason.

    ``names`` are ``[condition, generator, chunk]`` of the training jobs; ``paths`` holds their files.
    """
    if not wanted:
        why = "memorisation_audit is off in this protocol"
        row = result_row(item="S.PRIV", protocol=protocol_name, metric="nearest_ratio", reason=why)
        return result_frame([row]), pd.DataFrame(columns=list(PAIR_COLUMNS))
    rows: list[dict[str, Any]] = []
    pairs = []
    for run in protocol_runs(names, paths, KINDS):
        found, closest = memorisation_rows(
            run, images, series, splits, draws=draws, seed=seed, protocol_name=protocol_name
        )
        rows += found
        pairs.append(closest)
    return result_frame(rows), pd.concat(pairs, ignore_index=True).reindex(columns=list(PAIR_COLUMNS))


def _distance_rows(
    found: Sequence[FoldNearest], base: dict[str, Any], draws: int, seed: int, names: tuple[str, ...]
) -> list[dict[str, Any]]:
    rows = []
    for distance in DISTANCES:
        drawn = np.concatenate([one.synthetic[distance].min(axis=1) for one in found])
        owner = np.concatenate([one.synthetic_patients for one in found])
        real = np.concatenate([one.reference[distance] for one in found])
        real_owner = np.concatenate([one.reference_patients for one in found])
        limit = np.concatenate([np.full(len(one.synthetic_patients), one.copy_limit[distance]) for one in found])
        real_limit = np.concatenate([np.full(len(one.reference_patients), one.copy_limit[distance]) for one in found])
        rng = make_rng(seed, "memorisation", *names, distance)
        ratio = _ratio_interval(drawn, owner, real, real_owner, draws, rng)
        where = "held-out" if found[0].held_out else "training"
        note = f"real: {where} images against training images of other patients"
        keys: dict[str, Any] = {**base, "extractor": f"pixels_{distance}"}
        rows.append(_row(keys, "nearest_ratio", ratio, arm="synthetic", note=note))
        for arm, near, who, bound in (("synthetic", drawn, owner, limit), ("real", real, real_owner, real_limit)):
            flags = (near < bound).astype(float)
            copies = _patient_rate(flags, who, draws, make_rng(seed, "memorisation", *names, distance, arm))
            rows.append(_row(keys, "copy_rate", copies, arm=arm, note=note if arm == "real" else ""))
    return rows


def _row(keys: dict[str, Any], metric: str, found: Interval, *, note: str = "", **more: Any) -> dict[str, Any]:
    reason = "" if np.isfinite(found.value) else "not a number: the real images lie at distance 0"
    notes = "; ".join(text for text in (note, keys["note"]) if text)
    return result_row(
        **{**keys, "note": notes}, metric=metric, value=found.value, low=found.low, high=found.high, n=found.n,
        interval=found.method,
        reason=reason, **more,
    )  # fmt: skip


def _ratio_interval(
    drawn: np.ndarray, owner: np.ndarray, real: np.ndarray, real_owner: np.ndarray, draws: int, rng: np.random.Generator
) -> Interval:
    """Mean over images of ``drawn`` / mean of ``real``; patients of both sides are drawn together."""
    values = np.concatenate([drawn, real])
    is_real = np.concatenate([np.zeros(len(drawn), bool), np.ones(len(real), bool)])

    def statistic(rows: np.ndarray) -> float:
        picked, flags = values[rows], is_real[rows]
        below = picked[flags].mean() if flags.any() else 0.0
        return float(picked[~flags].mean() / below) if below > 0 and not flags.all() else float("nan")

    return patient_bootstrap(statistic, np.concatenate([owner, real_owner]), draws=draws, rng=rng)


def _patient_rate(flags: np.ndarray, owners: np.ndarray, draws: int, rng: np.random.Generator) -> Interval:
    """Mean over patients of each patient's share of flagged images."""
    table = pd.Series(flags).groupby(owners).mean()
    shares = table.to_numpy()
    return patient_bootstrap(lambda rows: float(shares[rows].mean()), table.index.to_numpy(), draws=draws, rng=rng)


def _membership_row(
    found: Sequence[FoldNearest], folds: Sequence[Fold], owners: np.ndarray, base: dict[str, Any], draws: int,
    seed: int, names: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    keys: dict[str, Any] = {**base, "extractor": "pixels_rmse"}
    patients, wins, pairs = membership_counts(found, folds, owners)
    if not pairs.sum():
        why = "no fold has a held-out patient without a training image, or one condition only"
        return result_row(**keys, metric="membership_auc", reason=why)
    rng = make_rng(seed, "membership", *names)
    interval = patient_bootstrap(lambda rows: membership_auc(rows, wins, pairs), patients, draws=draws, rng=rng)
    note = "attack: distance of a real image to the nearest synthetic image that was not drawn for it"
    return _row(keys, "membership_auc", interval, note=note)


def _reidentification_rows(
    found: Sequence[FoldNearest], base: dict[str, Any], draws: int, seed: int, names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Rank of the true patient among all real patients of the fold, by the synthetic images of its condition."""
    keys: dict[str, Any] = {**base, "extractor": "pixels_rmse"}
    scores: dict[str, list[np.ndarray]] = {}
    queries, sizes = [], []
    for one in found:
        if one.gallery is None:
            continue
        for key, values in true_scores(one.gallery, one.gallery_true).items():
            scores.setdefault(key, []).append(values)
        queries.append(one.queries)
        sizes.append(len(one.gallery))
    if not queries:
        why = "no held-out patient's condition was drawn"
        return [result_row(**keys, metric="reidentification_mrr", reason=why)]
    patients = np.concatenate(queries)
    chance = {key: float(np.mean([chance_levels(size)[key] for size in sizes])) for key in scores}
    rows = []
    for key, parts in scores.items():
        values = np.concatenate(parts)
        rng = make_rng(seed, "reidentification", *names, key)
        interval = patient_bootstrap(partial(_mean_of, values), patients, draws=draws, rng=rng)
        rows.append(_row(keys, f"reidentification_{key}", interval, note=f"chance {chance[key]:.3g}"))
    return rows


def _mean_of(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())
