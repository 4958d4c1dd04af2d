"""From scores of patients to result rows: out-of-fold with a patient bootstrap, or the spread over random tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.core.rows import result_row
from radgen_lib.metrics.intervals import weighted_auroc

Row = dict[str, Any]
SCORE_DIGITS = 9
# What a claim about images rests on (DESIGN section 5): the first arm minus the second, on the same patients.
CONTRASTS = (
    ("synthetic", "condition"), ("synthetic", "untrained"), ("synthetic", "shuffled"), ("synthetic", "noise"),
    ("both", "real"),
)  # fmt: skip


@dataclass(frozen=True)
class OutOfFold:
    """One score per patient (mean over repeats): sorted patients, y 0/1, score, call 0/1, AUROC of each draw."""

    patients: np.ndarray
    y: np.ndarray
    score: np.ndarray
    call: np.ndarray
    draws: np.ndarray
    by_repeat: np.ndarray


def out_of_fold(predictions: pd.DataFrame, *, threshold_from: str, draws: int, seed: int) -> OutOfFold:
    """Put the scores of all folds on one scale, average those of each patient over repeats, then call positives.

    predictions: repeat, patient, y, score, threshold, centre, scale (mean and SD of the model's scores on its fold's
    training part); scores and thresholds are pooled as (score - centre) / scale. ``threshold_from: test`` chooses the
    threshold of the best F1 on these very patients instead, as the published study did.
    """
    from radgen_lib.metrics.classification import auroc, best_f1_threshold

    table = _on_one_scale(predictions)
    table = table.assign(margin=table["score"] - table["threshold"])
    mean = table.groupby("patient", sort=True)[["y", "score", "margin"]].mean()
    y, score = mean["y"].to_numpy(dtype=int), mean["score"].to_numpy()
    chosen = best_f1_threshold(y, score) if threshold_from == "test" else None
    call = mean["margin"].to_numpy() >= 0 if chosen is None else score >= chosen
    by_repeat = np.array([auroc(p["y"].to_numpy(), p["score"].to_numpy()) for _, p in table.groupby("repeat")])
    drawn = weighted_auroc(y, score, resampling.patient_weights(len(y), draws, seed))
    return OutOfFold(mean.index.to_numpy(dtype=str), y, score, call.astype(int), drawn, by_repeat)


def _on_one_scale(predictions: pd.DataFrame) -> pd.DataFrame:
    """Scores and thresholds in SD of the training part; rounded, so that rounding noise cannot rank equal scores."""
    centre, scale = predictions["centre"], predictions["scale"]
    units = {name: ((predictions[name] - centre) / scale).round(SCORE_DIGITS) for name in ("score", "threshold")}
    return predictions.assign(**units)


def out_of_fold_rows(found: OutOfFold, keys: dict[str, Any], *, draws: int, seed: int) -> list[Row]:
    """AUROC, average precision, trapezoid area (as published) and F1 of one arm with patient bootstrap intervals."""
    n = len(found.y)
    one, weights = np.ones((1, n)), resampling.patient_weights(n, draws, seed)
    prevalence = f"prevalence {found.y.mean():.3f}"
    notes = {"auroc": repeats_note(found.by_repeat), "average_precision": prevalence, "auprc_trapz": prevalence}
    scores = {
        "auroc": (weighted_auroc(found.y, found.score, one), found.draws),
        "average_precision": tuple(resampling.average_precision_draws(found.y, found.score, w) for w in (one, weights)),
        "auprc_trapz": tuple(resampling.auprc_trapz_draws(found.y, found.score, w) for w in (one, weights)),
        "f1": tuple(resampling.f1_draws(found.y, found.call, w) for w in (one, weights)),
    }
    rows = []
    for metric, (value, drawn) in scores.items():
        note = "; ".join(text for text in (notes.get(metric, ""), keys.get("note", "")) if text)
        band = resampling.banded(value[0], drawn, n)
        rows.append(result_row(**{**keys, "note": note}, **band, metric=metric, events=int(found.y.sum())))
    return rows


def repeats_note(by_repeat: np.ndarray) -> str:
    """Range of a score over repeats of the folds [repeats]; "" with one."""
    if by_repeat.size < 2:
        return ""
    return f"{by_repeat.size} repeats: {np.nanmin(by_repeat):.3f} to {np.nanmax(by_repeat):.3f}"


def difference_row(a: OutOfFold, b: OutOfFold, keys: dict[str, Any], *, draws: int, seed: int) -> Row:
    """AUROC of ``a`` minus AUROC of ``b`` over the patients both have, same resampled patients for both."""
    common, at_a, at_b = np.intersect1d(a.patients, b.patients, return_indices=True)
    y = a.y[at_a]
    if min(int(y.sum()), int((1 - y).sum())) == 0:
        return result_row(**keys, metric="auroc_difference", n=len(common), reason="no patients of both classes shared")
    weights = np.vstack([np.ones(len(y)), resampling.patient_weights(len(y), draws, seed)])
    drawn = weighted_auroc(y, a.score[at_a], weights) - weighted_auroc(y, b.score[at_b], weights)
    band = resampling.banded(drawn[0], drawn[1:], len(y), paired=True)
    return result_row(**keys, **band, metric="auroc_difference", events=int(y.sum()))


def holdout_scores(predictions: pd.DataFrame, *, threshold_from: str) -> pd.DataFrame:
    """AUROC, average precision, trapezoid area and F1 of each random test (NaN where it holds one class only)."""
    from radgen_lib.metrics import classification as cls

    rows = []
    for repeat, part in predictions.groupby("repeat", sort=True):
        y, score = part["y"].to_numpy(dtype=int), part["score"].to_numpy()
        both = 0 < y.sum() < len(y)
        threshold = part["threshold"].iloc[0]
        if threshold_from == "test":
            threshold = cls.best_f1_threshold(y, score) if both else np.nan
        rows.append(
            {
                "repeat": repeat,
                "auroc": cls.auroc(y, score) if both else np.nan,
                "average_precision": cls.average_precision(y, score) if both else np.nan,
                "auprc_trapz": cls.auprc_trapz(y, score) if both else np.nan,
                "f1": cls.f1(y, score, threshold) if both else np.nan,
                "tested": len(part),
            }
        )
    return pd.DataFrame(rows).set_index("repeat")


def drawn_tests(sizes: np.ndarray, events: np.ndarray, pool: tuple[int, int], what: str) -> tuple[dict[str, int], str]:
    """Fields ``n`` and ``events`` of rows over random tests (means over the tests), and where the tests come from.

    sizes, events: patients and ``what`` (positives, deaths) of each test; pool: those whom the tests were drawn from.
    Tests drawn from one pool share patients, so neither their sum nor their union is a number of patients tested
    independently.
    """
    size, hits = float(np.mean(sizes)), float(np.mean(events))
    note = (
        f"{len(sizes)} draws of {size:.3g} patients, {hits:.3g} {what} each, from {pool[0]} patients "
        f"({pool[1]} {what}); n counts one draw"
    )
    return {"n": round(size), "events": round(hits)}, note


def spread_row(values: np.ndarray, metric: str, keys: dict[str, Any], *, n: int, events: int, what: str) -> Row:
    """Mean over repeated values with their spread; a row with a reason when none is a number."""
    if not np.isfinite(values).any():
        reason = f"none of {values.size} {what} gave a value"
        return result_row(**keys, metric=metric, n=n, events=events, reason=reason)
    mean, band = float(np.nanmean(values)), resampling.spread(values, what)
    return result_row(**keys, **band, metric=metric, value=mean, n=n, events=events)
