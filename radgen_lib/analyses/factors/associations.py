"""Each factor beside what is known of its patients: subtype, receptors, mutations, age and survival.

The factors are posterior means of a fit that saw no label. How uncertain they are (``posterior_sd``) stands beside
each number and is not part of its interval; it draws effects towards none.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.factors.multiple import false_discovery
from radgen_lib.cohort.factor_labels import FROM, origin_note
from radgen_lib.core.rows import RESULT_COLUMNS, result_frame, result_row
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.classification import delong
from radgen_lib.metrics.intervals import patient_bootstrap

ITEM = "F.ASSOC"
ASSOCIATION_COLUMNS = (*RESULT_COLUMNS, "p", "fdr_endpoint", "fdr", "posterior_sd")
SUBTYPE, AGE, SURVIVAL = "subtype", "age", "survival"
BINARY = ("er", "pr", "her2", "mut_TP53", "mut_PIK3CA", "mut_CDH1")
ENDPOINTS = (SUBTYPE, *BINARY, AGE, SURVIVAL)
METRICS = {SUBTYPE: "eta_squared", AGE: "spearman", SURVIVAL: "hazard_ratio"}
FEWEST_A_CLASS, FEWEST_PATIENTS, FEWEST_EVENTS = 5, 10, 10
BOOTSTRAP = 1000
Row = dict[str, Any]
Test = Callable[[np.ndarray], Row]


def associations(
    factors: pd.DataFrame,
    spread: pd.DataFrame,
    patients: pd.DataFrame,
    *,
    seed: int,
    model: str,
    draws: int = BOOTSTRAP,
) -> pd.DataFrame:
    """Association rows (F.ASSOC) of every component with every endpoint: columns :data:`ASSOCIATION_COLUMNS`.

    Args:
        factors, spread: posterior mean and SD, patients x components, indexed by patient.
        patients: labels (``cohort.factor_labels``); a factorised patient who is not in the table has none.
        model: name of the factorisation; draws: bootstrap samples of patients.

    ``arm`` is the component and ``task`` the endpoint. Effects: eta squared of ranks for ``subtype`` (Kruskal-Wallis),
    the AUROC of the factor for labels of two classes (Mann-Whitney), Spearman's correlation for age, and the hazard
    ratio per SD for ``survival`` (Cox, unpenalised), each with its 95 % interval. ``fdr_endpoint`` is Benjamini and
    Hochberg's rate over the components of the endpoint, ``fdr`` over all tests; ``posterior_sd`` the mean posterior
    SD of the component's factors, which have unit root mean square. Where too few patients are known the row has the
    reason; a fit without components has one row an endpoint.
    """
    labels = patients.set_index("patient").reindex(factors.index)
    rows: list[Row] = []
    for endpoint in ENDPOINTS:
        keys: Row = {"item": ITEM, "protocol": "rigorous", "task": endpoint, "model": model, "design": "full"}
        keys["metric"] = METRICS.get(endpoint, "auroc")
        if not len(factors.columns):
            rows.append({**result_row(**keys, reason="the fit kept no component"), "p": np.nan, "posterior_sd": np.nan})
        for component in factors.columns:
            score = factors[component].to_numpy(dtype=float)
            found = _tested(endpoint, score, labels, make_rng(seed, "association", endpoint, component), draws)
            p = found.pop("p", np.nan)
            row = result_row(**keys, arm=str(component), **found)
            rows.append({**row, "p": p, "posterior_sd": float(spread[component].mean())})
    extra = pd.DataFrame([{name: row.pop(name) for name in ("p", "posterior_sd")} for row in rows], dtype=float)
    table = result_frame(rows).join(extra)
    table["fdr_endpoint"] = table.groupby("task", sort=False)["p"].transform(false_discovery)
    table["fdr"] = false_discovery(table["p"])
    return table[list(ASSOCIATION_COLUMNS)]


def _tested(endpoint: str, score: np.ndarray, labels: pd.DataFrame, rng: np.random.Generator, draws: int) -> Row:
    """Value, limits, n and p of one component and endpoint, or the reason."""
    if endpoint == SUBTYPE:
        return class_effect(score, labels["subtype"].fillna("").to_numpy(dtype=str), rng=rng, draws=draws)
    if endpoint == SURVIVAL:
        return hazard_effect(score, *(labels[name].to_numpy(dtype=float) for name in ("os_days", "os_event")))
    values = labels[endpoint].to_numpy(dtype=float)
    if endpoint == AGE:
        return rank_effect(score, values)
    origins = labels.loc[np.isfinite(values)].get(endpoint + FROM)
    return {**binary_effect(score, values), "note": origin_note(origins)}


def eta_squared(score: np.ndarray, classes: np.ndarray) -> float:
    """Share of the variance of the ranks that lies between classes, (H - k + 1) / (n - k); about 0 without effect.

    H is Kruskal and Wallis', corrected for ties; Tomczak and Tomczak 2014. ``classes``: codes from 0, [n]. NaN when
    there is one class, one patient a class, or all scores are equal.
    """
    from scipy.stats import rankdata

    ranks = rankdata(score) - (len(score) + 1) / 2
    counts = np.bincount(classes)
    there = counts > 0
    n, k, total = len(score), int(there.sum()), float(ranks @ ranks)
    if k < 2 or n <= k or total <= 0:
        return float("nan")
    sums = np.bincount(classes, weights=ranks)[there]
    statistic = (n - 1) * float((sums**2 / counts[there]).sum()) / total
    return (statistic - k + 1) / (n - k)


def class_effect(score: np.ndarray, names: np.ndarray, *, rng: np.random.Generator, draws: int) -> Row:
    """Eta squared of ``score`` [n] between named classes ("" unknown), patient bootstrap, Kruskal-Wallis p.

    Classes of fewer than five patients are left out; the note says how many patients each has, lowest median first.
    """
    from scipy.stats import kruskal

    known, counts = np.unique(names[names != ""], return_counts=True)
    kept = [str(name) for name, count in zip(known, counts, strict=True) if count >= FEWEST_A_CLASS]
    rows = np.isin(names, kept)
    if len(kept) < 2:
        return {"n": int(rows.sum()), "reason": f"{len(kept)} classes have {FEWEST_A_CLASS} patients, 2 are needed"}
    score, names = score[rows], names[rows]
    groups = {name: score[names == name] for name in kept}
    codes = np.searchsorted(kept, names)
    # Plain percentiles: in simulations they cover at 96 %, BCa limits at 76 % (no effect) to 95 % (a large one).
    found = patient_bootstrap(
        lambda drawn: eta_squared(score[drawn], codes[drawn]), np.arange(len(score)), draws=draws, rng=rng
    )
    order = sorted(groups, key=lambda name: float(np.median(groups[name])))
    told = ", ".join(f"{name} {len(groups[name])}" for name in order)
    return {
        "value": found.value, "low": found.low, "high": found.high, "n": found.n, "interval": found.method,
        "p": float(kruskal(*groups.values()).pvalue),
        "note": f"from lowest to highest median: {told}; PAM50 is itself called from expression",
    }  # fmt: skip


def binary_effect(score: np.ndarray, labels: np.ndarray) -> Row:
    """AUROC of ``score`` [n] for ``labels`` (1, 0, NaN unknown) with DeLong's interval, Mann-Whitney p."""
    from scipy.stats import mannwhitneyu

    known = np.isfinite(labels)
    score, labels = score[known], labels[known]
    positives = int((labels == 1).sum())
    fewest = min(positives, len(labels) - positives)
    if fewest < FEWEST_A_CLASS:
        reason = f"{fewest} patients in the smaller class, {FEWEST_A_CLASS} are needed"
        return {"n": len(labels), "events": positives, "reason": reason}
    found = delong(labels, score)
    p = float(mannwhitneyu(score[labels == 1], score[labels == 0], alternative="two-sided").pvalue)
    return {
        "value": found.value, "low": found.low, "high": found.high, "n": found.n, "events": positives,
        "interval": found.method, "p": p,
    }  # fmt: skip


def rank_effect(score: np.ndarray, values: np.ndarray) -> Row:
    """Spearman's correlation of ``score`` with ``values`` [n] (NaN unknown) and its p.

    The interval is Bonett and Wright's (2000), on Fisher's scale.
    """
    from scipy.stats import norm, spearmanr

    known = np.isfinite(values)
    score, values = score[known], values[known]
    if len(values) < FEWEST_PATIENTS:
        return {"n": len(values), "reason": f"{len(values)} patients, {FEWEST_PATIENTS} are needed"}
    if np.ptp(values) == 0:
        return {"n": len(values), "reason": "all patients have the same value"}
    rho, p = spearmanr(score, values)
    half = norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (len(values) - 3))
    with np.errstate(divide="ignore"):  # a perfect order has an endless z
        low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return {
        "value": float(rho), "low": float(low), "high": float(high), "n": len(values), "p": float(p),
        "interval": "Bonett and Wright, 95 %",
    }  # fmt: skip


def hazard_effect(score: np.ndarray, days: np.ndarray, event: np.ndarray) -> Row:
    """Hazard ratio per SD of ``score`` [n] among patients with a time above zero, Wald's interval and p (lifelines)."""
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    known = (days > 0) & np.isfinite(event)
    score, days, event = score[known], days[known], event[known]
    counts: Row = {"n": len(days), "events": int(event.sum())}
    if counts["events"] < FEWEST_EVENTS:
        return {**counts, "reason": f"{counts['events']} deaths, {FEWEST_EVENTS} are needed"}
    table = pd.DataFrame({"factor": (score - score.mean()) / score.std(), "days": days, "event": event})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted = CoxPHFitter().fit(table, duration_col="days", event_col="event").summary.loc["factor"]
        except (ConvergenceError, np.linalg.LinAlgError) as error:
            return {**counts, "reason": f"Cox model did not converge: {str(error).splitlines()[0]}"}
    for text in sorted({str(one.message).strip().splitlines()[0] for one in caught}):
        logging.getLogger("radgen").info("Cox model on %d patients: %s", len(table), text)
    value, low, high = (float(fitted[f"exp(coef){end}"]) for end in ("", " lower 95%", " upper 95%"))
    if not np.isfinite([value, low, high]).all():
        return {**counts, "reason": "Cox model did not converge: the likelihood has no maximum"}
    return {
        **counts, "value": value, "low": low, "high": high, "p": float(fitted["p"]),
        "interval": "Wald, 95 %", "note": "per SD of the factor",
    }  # fmt: skip
