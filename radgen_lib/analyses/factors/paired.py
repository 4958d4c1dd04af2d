"""Ours minus each other method on the same patients and the same hidden entries, with paired intervals.

Two intervals that overlap say little about a difference when the same easy and hard patients make both. Rows have the
metric with ``_difference`` behind it, the other method as model and ``ours - other`` as arm. Methods that were fitted
on test patients are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.factors.imputing import DENSITY, ENTRIES, EVERY, OMIC, members
from radgen_lib.analyses.scoring import OutOfFold, Row
from radgen_lib.core.rows import result_row
from radgen_lib.metrics.concordance import concordance_draws, harrell_pairs
from radgen_lib.metrics.intervals import weighted_auroc

# What endpoints gave: (model, task) -> pooled scores, one a label; or of survival a table of time, event and risk.
Score: TypeAlias = list[OutOfFold] | pd.DataFrame
Scored: TypeAlias = Mapping[tuple[str, str], Score]
UNPAIRED = "one of the two has no number: see its own row"
NOBODY = "no patients of both classes, or whose order is known, have both"


def imputation_differences(
    scores: pd.DataFrame, own: str, others: Sequence[str], omics: Sequence[str], reasons: Mapping[str, str], *,
    draws: int, seed: int,
) -> list[Row]:  # fmt: skip
    """Differences of errors and densities of hidden values; patients, entries and draws are those of both methods.

    scores: totals and counts of every patient (``imputing.SCORE_COLUMNS``), of all folds; reasons: model -> why it
    could not be fitted in some fold. Such a model has no difference.
    """
    scores = scores[~scores["model"].isin(reasons)]
    rows = []
    for other in others:
        for metric, tasks in ((ENTRIES, (EVERY, *omics)), (OMIC, omics), (DENSITY, (EVERY, *omics))):
            for task in tasks:
                keys = _keys(own, other, metric, task)
                both = _both(scores[scores["metric"] == metric], own, other, members(task, omics))
                if both is None:
                    rows.append(result_row(**keys, reason=reasons.get(other, UNPAIRED)))
                    continue
                weights = np.vstack([np.ones(len(both)), resampling.patient_weights(len(both), draws, seed)])
                means = [(weights @ both[who, "total"]) / (weights @ both[who, "count"]) for who in (own, other)]
                a, b = means if metric == DENSITY else np.sqrt(means)
                band = resampling.banded((a - b)[0], (a - b)[1:], len(both), paired=True)
                rows.append(result_row(**keys, **band, note=f"{int(both[own, 'count'].sum())} hidden values"))
    return rows


def _both(scores: pd.DataFrame, own: str, other: str, omics: Sequence[str]) -> pd.DataFrame | None:
    """Totals and counts [patients; (model, column)] of what both predicted; None where one said nothing of an omic."""
    sides = []
    for model in (own, other):
        part = scores[(scores["model"] == model) & scores["omic"].isin(omics)]
        if set(part["omic"]) != set(omics):
            return None
        sides.append(part.groupby(["patient", "omic"], sort=True)[["total", "count"]].sum())
    both = pd.concat(dict(zip((own, other), sides, strict=True)), axis=1, join="inner")
    # A method that is silent about some entries of a patient is not compared on others than these.
    both = both[both[own, "count"] == both[other, "count"]]
    return both.groupby(level="patient", sort=True).sum() if len(both) else None


def endpoint_differences(
    scored: Scored, own: str, others: Sequence[str], tasks: Sequence[str], reasons: Mapping[str, str], *,
    draws: int, seed: int,
) -> list[Row]:  # fmt: skip
    """Differences of AUROC (macro: mean over the labels) and of Harrell's C over the patients whom both predict."""
    rows = []
    for other in others:
        for task in tasks:
            keys = _keys(own, other, "harrell_c" if task == "survival" else "auroc", task)
            a, b = scored.get((own, task)), scored.get((other, task))
            if a is None or b is None:
                rows.append(result_row(**keys, reason=reasons.get(other, UNPAIRED)))
                continue
            drawn, n, events = _drawn(a, b, draws, seed)
            if not np.isfinite(drawn[0]):
                rows.append(result_row(**keys, n=n, reason=NOBODY))
                continue
            count = None if task == "subtype" else events
            rows.append(result_row(**keys, **resampling.banded(drawn[0], drawn[1:], n, paired=True), events=count))
    return rows


def _drawn(a: Score, b: Score, draws: int, seed: int) -> tuple[np.ndarray, int, int]:
    if isinstance(a, pd.DataFrame):
        assert isinstance(b, pd.DataFrame)
        return _c_draws(a, b, draws, seed)
    assert not isinstance(b, pd.DataFrame)
    return _auroc_draws(a, b, draws, seed)


def _auroc_draws(a: list[OutOfFold], b: list[OutOfFold], draws: int, seed: int) -> tuple[np.ndarray, int, int]:
    """Difference over everybody and in each draw [1 + draws], patients and positives."""
    common, at_a, at_b = np.intersect1d(a[0].patients, b[0].patients, return_indices=True)
    weights = np.vstack([np.ones(len(common)), resampling.patient_weights(len(common), draws, seed)])
    found = [
        weighted_auroc(x.y[at_a], x.score[at_a], weights) - weighted_auroc(x.y[at_a], y.score[at_b], weights)
        for x, y in zip(a, b, strict=True)
    ]
    return np.mean(found, axis=0), len(common), int(a[0].y[at_a].sum())


def _c_draws(a: pd.DataFrame, b: pd.DataFrame, draws: int, seed: int) -> tuple[np.ndarray, int, int]:
    """As :func:`_auroc_draws`; tables by patient with time, event and risk."""
    common = a.index.intersection(b.index).sort_values()
    time, event = (a.loc[common, name].to_numpy() for name in ("time", "event"))
    pairs = harrell_pairs(time, event)
    weights = np.vstack([np.ones(len(common)), resampling.patient_weights(len(common), draws, seed)])
    one, two = (concordance_draws(pairs, table.loc[common, "risk"].to_numpy(), weights) for table in (a, b))
    return one - two, len(common), int(event.sum())


def _keys(own: str, other: str, metric: str, task: str) -> Row:
    keys: Row = {"item": "F.CMP", "protocol": "rigorous", "model": other, "arm": f"{own} - {other}"}
    return {**keys, "metric": f"{metric}_difference", "task": task}
