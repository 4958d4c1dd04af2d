"""The published search "best of 3,630 Cox settings on test folds", and how much of its maximum is optimism (B.TC).

Assumption: the four lists of the search (11 x 10 x 3 x 11) are ridge strength, step size, tie handling and the share of
LASSO in the penalty. Step size and tie handling do not move the optimum of a convex problem with few tied times, so
each setting is one fit by penalty and share; but each is scored over its own freshly shuffled 10-fold split, and the
maximum over settings of the mean test C-index is what was reported.

Scaler and PCA of the features follow ``fit_scope``: fitted once on all patients (as published), or on the training part
of every fold of every setting. The second way takes about 36,000 fits of them, and as many single Cox fits for the real
and for each permuted outcome: set ``cpdm.survival.search_settings`` to try fewer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.arms import Tables, sample_note
from radgen_lib.analyses.cox_risk import Design, design_matrix, fold_design
from radgen_lib.analyses.runs import Run, featured_runs, known_extractors, missing_extractors
from radgen_lib.analyses.survival_design import TASKS, covariates, few_deaths, outcome_table
from radgen_lib.core.config.cpdm import Protocol, Survival
from radgen_lib.core.progress import Progress
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import make_rng

ITEM = "B.TC"
TASK = TASKS[1]
FOLDS = 10
PENALIZERS = tuple(float(v) for v in np.logspace(-3, 2, 11))
STEPS = 10
TIES = 3
L1_RATIOS = tuple(float(v) for v in np.linspace(0, 1, 11))
SIZE = len(PENALIZERS) * STEPS * TIES * len(L1_RATIOS)
Row = dict[str, Any]


class Setting(NamedTuple):
    """One setting of the grid; ``number`` seeds its own split."""

    number: int
    penalizer: float
    l1_ratio: float


class Optimism(NamedTuple):
    """Best mean test C-index, the same maximum for each permuted outcome [permutations], and the best setting."""

    best: float
    null: np.ndarray
    setting: Setting


def settings_grid(sample: int | None, seed: int) -> list[Setting]:
    """All 3,630 settings, or a seeded sample of them in grid order."""
    shape = (len(PENALIZERS), STEPS, TIES, len(L1_RATIOS))
    numbers = np.arange(SIZE)
    if sample is not None and sample < SIZE:
        numbers = np.sort(make_rng(seed, "settings").choice(SIZE, size=sample, replace=False))
    found = []
    for number in numbers:
        penalty, _, _, share = np.unravel_index(number, shape)
        found.append(Setting(int(number), PENALIZERS[penalty], L1_RATIOS[share]))
    return found


def fold_numbers(n: int, settings: list[Setting], seed: int) -> np.ndarray:
    """Fold 0 to 9 of each patient in each setting's own shuffle: int [settings, n]."""
    folds = np.arange(n) % FOLDS
    return np.stack([make_rng(seed, "shuffle", s.number).permutation(folds) for s in settings])


def search_optimism(
    x: np.ndarray | Design,
    time: np.ndarray,
    event: np.ndarray,
    settings: list[Setting],
    *,
    permutations: int,
    seed: int,
) -> Optimism:
    """Run the search on the real outcome and on ``permutations`` outcomes shuffled over patients.

    x: float [n, p], already standardised, or what fits them to the training patients of a fold; time in days; event
    0/1. Test folds without a comparable pair are left out of a setting's mean, a setting without any such fold out of
    the maximum.
    """
    n = len(time)
    folds = fold_numbers(n, settings, seed)
    shuffles = [make_rng(seed, "permutation", number).permutation(n) for number in range(permutations)]
    orders = [np.arange(n), *shuffles]
    if callable(x):
        means = refitted_test_c(x, time, event, settings, folds, orders)
    else:
        progress = Progress("search under real and permuted outcomes", len(orders))
        means = np.full((len(orders), len(settings)), np.nan)
        for place, order in enumerate(orders):
            means[place] = mean_test_c(x, time[order], event[order], settings, folds)
            progress.advance()
    best = int(np.nanargmax(means[0]))
    return Optimism(float(means[0, best]), np.nanmax(means[1:], axis=1), settings[best])


def mean_test_c(
    x: np.ndarray, time: np.ndarray, event: np.ndarray, settings: list[Setting], folds: np.ndarray
) -> np.ndarray:
    """Mean test C-index of each setting over the folds of its shuffle: [settings]; NaN where no fold has a pair."""
    from radgen_lib.metrics.cox import batched_harrell_c, fit_cox_batch

    test = np.concatenate([folds == fold for fold in range(FOLDS)])
    penalizer = np.tile([s.penalizer for s in settings], FOLDS)
    l1_ratio = np.tile([s.l1_ratio for s in settings], FOLDS)
    beta = fit_cox_batch(x, time, event, penalizer=penalizer, l1_ratio=l1_ratio, ties="efron", train=~test)
    return _mean_of_folds(batched_harrell_c(time, event, beta @ x.T, test).reshape(FOLDS, len(settings)))


def refitted_test_c(
    design: Design, time: np.ndarray, event: np.ndarray, settings: list[Setting], folds: np.ndarray,
    orders: list[np.ndarray],
) -> np.ndarray:  # fmt: skip
    """As :func:`mean_test_c` with covariates of their own in every fold, for each order of the outcome.

    Returns [orders, settings]. A fold without covariates gives all its patients one risk, a C-index of 0.5.
    """
    from radgen_lib.metrics.cox import batched_harrell_c, fit_cox

    scores = np.full((len(orders), FOLDS, len(settings)), np.nan)
    progress, failed = Progress("search with covariates fitted in each fold", len(settings)), 0
    for place, setting in enumerate(settings):
        for fold in range(FOLDS):
            test = folds[place] == fold
            x = design(~test)
            for draw, order in enumerate(orders):
                risk, outcome = np.zeros((1, len(time))), (time[order], event[order])
                if x.shape[1]:
                    fit = fit_cox(
                        x, *outcome, penalizer=setting.penalizer, l1_ratio=setting.l1_ratio, train=~test[None]
                    )
                    risk, failed = fit.beta @ x.T, failed + int(not fit.converged[0])
                scores[draw, fold, place] = batched_harrell_c(*outcome, risk, test[None])[0]
        progress.advance()
    if failed:
        logging.getLogger("radgen").warning("%d of %d Cox fits did not converge", failed, scores.size)
    return np.stack([_mean_of_folds(one) for one in scores])


def _mean_of_folds(scores: np.ndarray) -> np.ndarray:
    """Mean of [folds, settings] over the folds that have a number: [settings]."""
    found = np.isfinite(scores)
    total = np.where(found, scores, 0.0).sum(axis=0)
    return np.divide(total, found.sum(axis=0), out=np.full(scores.shape[1], np.nan), where=found.any(axis=0))


def search_rows(
    tables: Tables,
    runs: Iterable[Run],
    *,
    name: str,
    protocol: Protocol,
    survival: Survival,
    seed: int,
) -> pd.DataFrame:
    """Rows of the search for protocol ``name`` (none under ``survival_selection: prespecified``).

    Metrics: c_harrell (as published), c_harrell_null_max (mean of the maxima under permuted outcomes), optimism
    (that mean minus 0.5), c_harrell_corrected (maximum minus optimism), p_value (share of maxima at least as high).
    """
    runs = list(runs)
    rows: list[Row] = []
    if protocol.survival_selection != "best_on_test":
        return result_frame(rows)
    missing, by_run = missing_extractors(runs), featured_runs(runs)
    for condition in protocol.conditions:
        featured = {g: t for (c, g), t in by_run.items() if c == condition}
        for extractor in known_extractors(runs):
            keys: Row = {
                "item": ITEM, "protocol": name, "condition": condition, "generator": protocol.primary,
                "arm": "synthetic", "extractor": extractor, "task": TASK, "model": "cox_best_of_search",
                "design": "best_on_test_folds",
            }  # fmt: skip
            if extractor in missing:
                rows.append(result_row(**keys, metric="c_harrell", reason=missing[extractor]))
                continue
            rows += _one_search(tables, featured, keys, protocol, survival, seed)
    return result_frame(rows)


def _one_search(
    tables: Tables, featured: dict[str, pd.DataFrame], keys: dict[str, Any], protocol: Protocol, survival: Survival,
    seed: int,
) -> list[Row]:  # fmt: skip
    arms, _ = covariates(tables, featured, keys["condition"], keys["extractor"], protocol)
    if not arms:
        reason = f"no synthetic images of generator {protocol.primary} for all patients without MRI"
        return [result_row(**keys, metric="c_harrell", reason=reason)]
    blocks, outcome = arms["synthetic", protocol.primary], outcome_table(tables.patients)
    asked = set(tables.endpoint_splits.loc[tables.endpoint_splits["task"] == TASK, "patient"])
    outcome = outcome.loc[sorted(asked & set(outcome.index) & set(blocks[0].table.index))]
    deaths = int(outcome["event"].sum())
    if reason := few_deaths(outcome):
        return [result_row(**keys, metric="c_harrell", n=len(outcome), events=deaths, reason=reason)]
    people = list(outcome.index)
    x, _ = design_matrix(blocks, people, people, whole=True)
    if x.shape[1] == 0:
        reason = "all features are the same for all patients"
        return [result_row(**keys, metric="c_harrell", n=len(outcome), events=deaths, reason=reason)]
    settings = settings_grid(survival.search_settings, seed)
    per_fold = protocol.fit_scope == "train"
    covered = fold_design(blocks, people) if per_fold else x
    found = search_optimism(
        covered, outcome["time"].to_numpy(), outcome["event"].to_numpy(), settings,
        permutations=survival.search_permutations, seed=seed,
    )  # fmt: skip
    about = f"{len(settings)} of {SIZE} settings, " + (
        "covariates fitted in each fold" if per_fold else f"{x.shape[1]} covariates"
    )
    sample = sample_note(tables.patients, blocks[0].table.index)
    about = f"{about}; {sample}" if sample else about
    return optimism_rows(found, {**keys, "note": about}, n=len(outcome), events=deaths)


def optimism_rows(found: Optimism, keys: dict[str, Any], *, n: int, events: int) -> list[Row]:
    """Result rows of one search."""
    setting = f"best: penalizer {found.setting.penalizer:.4g}, l1_ratio {found.setting.l1_ratio:.1f}"
    counts: Row = {"n": n, "events": events}
    top = {**keys, "note": f"{keys['note']}; {setting}", "interval": "none: a maximum over settings"}
    rows = [result_row(**top, **counts, metric="c_harrell", value=found.best)]
    if not found.null.size:
        return [*rows, result_row(**keys, **counts, metric="optimism", reason="search_permutations is 0")]
    band = resampling.spread(found.null, "outcome permutations")
    mean = float(found.null.mean())
    shifted = {**band, "low": band["low"] - 0.5, "high": band["high"] - 0.5}
    corrected = {**band, "low": found.best - shifted["high"], "high": found.best - shifted["low"]}
    p_value = float((1 + (found.null >= found.best).sum()) / (1 + found.null.size))
    return [
        *rows,
        result_row(**keys, **counts, **band, metric="c_harrell_null_max", value=mean),
        result_row(**keys, **counts, **shifted, metric="optimism", value=mean - 0.5),
        result_row(**keys, **counts, **corrected, metric="c_harrell_corrected", value=found.best - mean + 0.5),
        result_row(**{**keys, "interval": "none: a p-value"}, **counts, metric="p_value", value=p_value),
    ]
