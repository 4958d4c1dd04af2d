"""From pooled out-of-fold risks to result rows and Kaplan-Meier curves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling, scoring
from radgen_lib.core.rows import result_row
from radgen_lib.metrics.concordance import concordance_draws, harrell_pairs, uno_pairs

Row = dict[str, Any]
MEAN_OF_P = (
    "as published: mean of the p-values of the test parts, each split at its own median; such a mean is the p-value of "
    "no test"
)


@dataclass(frozen=True)
class Pooled:
    """One out-of-fold risk per patient (sorted): time in days, event 0/1, risk, high-risk group or not.

    by_fold: repeat, fold, patient, risk, above (distance from the training median): what ``risk`` is the mean of.
    """

    patients: np.ndarray
    time: np.ndarray
    event: np.ndarray
    risk: np.ndarray
    high: np.ndarray
    covariates: float
    repeats: int
    by_fold: pd.DataFrame = field(default_factory=pd.DataFrame)


def pooled_rows(found: Pooled, keys: dict[str, Any], *, horizon: float, draws: int, seed: int) -> list[Row]:
    """Harrell's C, Uno's C (deaths before ``horizon`` days) and the log-rank p of one arm."""
    from radgen_lib.metrics.survival import harrell_c, uno_c

    time, event = found.time, found.event
    counts: Row = {"n": len(time), "events": int(event.sum())}
    weights = resampling.patient_weights(len(time), draws, seed)
    about = f"{found.covariates:.1f} covariates a fold, {found.repeats} repeats"
    note = "; ".join(t for t in (about, keys.get("note", "")) if t)
    values = {
        "c_harrell": (harrell_c(time, event, found.risk), harrell_pairs(time, event)),
        "c_uno": (
            uno_c(time, event, found.risk, train_time=time, train_event=event, horizon=horizon),
            uno_pairs(time, event, horizon),
        ),
    }
    rows: list[Row] = []
    for metric, (value, pairs) in values.items():
        row = {**keys, "note": note, "metric": metric, "events": counts["events"]}
        if not np.isfinite(value):
            rows.append(result_row(**row, n=len(time), reason="no comparable pair of patients"))
            continue
        drawn = concordance_draws(pairs, found.risk, weights)
        rows.append(result_row(**row, **resampling.banded(value, drawn, len(time))))
    return [*rows, _logrank_row(found, {**keys, "note": note}, counts)]


def _logrank_row(found: Pooled, keys: dict[str, Any], counts: Row) -> Row:
    from radgen_lib.metrics.survival import logrank_p

    if found.high.all() or not found.high.any():
        return result_row(**keys, **counts, metric="logrank_p", reason="all patients fall into one risk group")
    value = logrank_p(found.time, found.event, found.high.astype(int))
    note = "; ".join(t for t in (keys["note"], f"{int(found.high.sum())} patients in the high-risk group") if t)
    return result_row(**{**keys, "note": note}, **counts, metric="logrank_p", value=value, interval="none: a p-value")


def difference_row(a: Pooled, b: Pooled, keys: dict[str, Any], *, draws: int, seed: int) -> Row:
    """Harrell's C of ``a`` minus that of ``b`` over the patients both have, same resamples for both."""
    common, at_a, at_b = np.intersect1d(a.patients, b.patients, return_indices=True)
    pairs = harrell_pairs(a.time[at_a], a.event[at_a])
    weights = np.vstack([np.ones(len(common)), resampling.patient_weights(len(common), draws, seed)])
    drawn = concordance_draws(pairs, a.risk[at_a], weights) - concordance_draws(pairs, b.risk[at_b], weights)
    row = {**keys, "metric": "c_harrell_difference", "events": int(a.event[at_a].sum())}
    if not np.isfinite(drawn[0]):
        return result_row(**row, n=len(common), reason="no comparable pair of patients")
    return result_row(**row, **resampling.banded(drawn[0], drawn[1:], len(common), paired=True))


def holdout_rows(
    risks: pd.DataFrame, failed: list[str], used: list[int], keys: dict[str, Any], *, n: int, events: int
) -> list[Row]:
    """C-index of the training and test parts over random splits, and the log-rank p of the test parts, as published.

    risks: part (train, test), repeat, time, event, risk; n, events: patients and deaths that the splits divide. The
    rows count the patients and deaths of one training or test part. The published log-rank p is the mean of the
    p-values of the test parts, each split at its own median risk (PROTOCOLS B.5).
    """
    from radgen_lib.metrics.survival import harrell_c

    if not used:
        return [result_row(**keys, metric="c_harrell", n=n, events=events, reason=failed[0])]
    about = [f"{np.mean(used):.1f} covariates"]
    about += [f"{len(failed)} splits did not converge"] if failed else []
    rows = []
    for part, metric in (("train", "c_harrell_train"), ("test", "c_harrell")):
        splits = [one for _, one in risks[risks["part"] == part].groupby("repeat", sort=True)]
        values = [harrell_c(*(one[name].to_numpy() for name in ("time", "event", "risk"))) for one in splits]
        sizes, deaths = np.array([len(one) for one in splits]), np.array([one["event"].sum() for one in splits])
        counts, told = scoring.drawn_tests(sizes, deaths, (n, events), "deaths")
        note = "; ".join(text for text in (*about, told, keys.get("note", "")) if text)
        named = "training" if part == "train" else "test"
        what = f"random 80/20 splits of {counts['n']} {named} patients each"
        rows.append(scoring.spread_row(np.array(values), metric, {**keys, "note": note}, **counts, what=what))
    p_values = np.array([_own_median_p(one) for one in splits])  # of the test parts, which come last
    note = f"{note}; {MEAN_OF_P}"
    return [
        *rows,
        scoring.spread_row(p_values, "logrank_p", {**keys, "note": note}, **counts, what=f"p-values of {what}"),
    ]


def _own_median_p(part: pd.DataFrame) -> float:
    """Log-rank p of the patients above the median risk of ``part`` against the others; NaN where nothing tells."""
    from radgen_lib.metrics.survival import logrank_p

    high = (part["risk"] > part["risk"].median()).to_numpy()
    return logrank_p(part["time"].to_numpy(), part["event"].to_numpy(), high.astype(int))


def km_table(found: Pooled) -> pd.DataFrame:
    """Kaplan-Meier curves of the two risk groups: group ("low" | "high"), time, survival, low, high, at_risk."""
    from radgen_lib.metrics.survival import kaplan_meier

    tables = []
    for group, members in (("low", ~found.high), ("high", found.high)):
        if members.any():
            tables.append(kaplan_meier(found.time[members], found.event[members]).assign(group=group))
    return pd.concat(tables, ignore_index=True)
