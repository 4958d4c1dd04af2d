"""Clinical prediction from image features, arm by arm (table B.TB)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pandas as pd

from radgen_lib.analyses import arms as sets
from radgen_lib.analyses import scoring
from radgen_lib.analyses.arms import Arm, Material, Partition, Tables
from radgen_lib.analyses.cells import HOLDOUT_SHARE, Cell, Setting, partitions
from radgen_lib.analyses.classifiers import FitOptions, fit_score
from radgen_lib.analyses.runs import Run, featured_runs, known_extractors, missing_extractors
from radgen_lib.analyses.scoring import CONTRASTS, Row
from radgen_lib.core.config.cpdm import Prediction, Protocol
from radgen_lib.core.progress import Progress
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import derive_seed

SCORE_COLUMNS = (
    "condition", "extractor", "task", "model", "design", "arm", "generator", "repeat", "fold", "patient", "y", "score",
    "threshold", "centre", "scale",
)  # fmt: skip
CellFound = tuple[list[Row], list[pd.DataFrame]]


def prediction_rows(
    tables: Tables,
    runs: Iterable[Run],
    *,
    name: str,
    protocol: Protocol,
    prediction: Prediction,
    seed: int,
    threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of B.TB for protocol ``name``, every task, classifier, extractor and arm of every condition; and scores.

    Under ``evaluation: nested_cv`` scores are out-of-fold with patient bootstrap intervals: tested on real images, in
    the grouped folds whose generators never saw the tested patients, and on synthetic images, in the endpoint folds.
    Under ``holdout10`` the value is the mean over random 10 % tests. Rows "a minus b" compare arms on the same
    patients. ``threads`` runs that many cells side by side; the rows do not depend on it.

    The second table (columns :data:`SCORE_COLUMNS`) holds each test patient's score in each fold, from which the rows
    can be computed again: ``(score - centre) / scale`` is on one scale over folds, likewise ``threshold``.
    """
    runs = list(runs)
    setting = Setting(name, protocol, prediction, seed)
    missing = missing_extractors(runs)
    rows: list[Row] = []
    jobs: list[tuple[Material, list[str], Cell]] = []
    by_run = featured_runs(runs)
    for condition, extractor in product(protocol.conditions, known_extractors(runs)):
        cells = _cells(setting, condition, extractor)
        featured = {g: t for (c, g), t in by_run.items() if c == condition}
        reason = missing.get(extractor, "") or _unusable(featured, tables, protocol.primary, condition)
        if reason:
            rows += _reasons(setting, cells, reason)
            continue
        material = sets.gather(tables, featured, condition, extractor, setting.protocol)
        jobs += [(material, list(featured), cell) for cell in cells]
    scores = []
    for found, predicted in _in_parallel(setting, tables, jobs, threads):
        rows += found
        scores += predicted
    joined = pd.concat(scores, ignore_index=True) if scores else pd.DataFrame(columns=list(SCORE_COLUMNS))
    return result_frame(rows), joined[list(SCORE_COLUMNS)]


def _cells(setting: Setting, condition: str, extractor: str) -> list[Cell]:
    asked = setting.prediction
    grid = product(asked.tasks, asked.classifiers, setting.protocol.test_on)
    return [Cell(condition, extractor, task, classifier, on) for task, classifier, on in grid]


def _unusable(featured: dict[str, pd.DataFrame], tables: Tables, primary: str, condition: str) -> str:
    """Why nothing can be predicted under this condition, or ``""``."""
    if primary not in featured:
        return f"no images of generator {primary} under condition {condition}"
    if not (featured[primary]["kind"] == "synthetic").any():
        return f"condition {condition} is known for imaged patients only: no synthetic images"
    return "" if condition in tables.conditions else f"no table of condition {condition}"


def _reasons(setting: Setting, cells: list[Cell], reason: str) -> list[Row]:
    """One row per task (and extractor) that says why there is no number; a key left empty means every value of it."""
    first = {cell.task: cell for cell in reversed(cells)}
    every = {"model": "", "design": "", "note": ""}
    return [result_row(**{**cell.keys(setting), **every}, metric="auroc", reason=reason) for cell in first.values()]


def _in_parallel(
    setting: Setting, tables: Tables, jobs: list[tuple[Material, list[str], Cell]], threads: int
) -> list[CellFound]:
    progress = Progress("prediction cells", len(jobs))
    if threads == 1 or len(jobs) < 2:
        return [_counted(progress, cell_rows(setting, tables, *job)) for job in jobs]
    from joblib import Parallel, delayed, parallel_config

    # One thread a process: left alone, each would take as many as the job itself.
    with parallel_config(backend="loky", inner_max_num_threads=1):
        run = Parallel(n_jobs=threads, return_as="generator")
        return [_counted(progress, one) for one in run(delayed(cell_rows)(setting, tables, *job) for job in jobs)]


def _counted(progress: Progress, found: CellFound) -> CellFound:
    progress.advance()
    return found


def cell_rows(setting: Setting, tables: Tables, material: Material, generators: list[str], cell: Cell) -> CellFound:
    """Rows of all arms of one cell and of their differences, and the scores behind them (SCORE_COLUMNS)."""
    labels, primary = tables.labels(cell.task), setting.protocol.primary
    keys = cell.keys(setting)
    parts, reason = partitions(setting, tables, material, cell, labels)
    arms = sets.arms_of(cell.evaluated(setting, generators), primary)
    rows: list[Row] = []
    predicted: dict[tuple[str, str], pd.DataFrame] = {}
    for arm in arms:
        arm_keys = {**keys, "arm": arm.name, "generator": arm.generator}
        found = (
            reason or _not_drawn(setting, material, cell, arm) or _predict(setting, material, cell, arm, parts, labels)
        )
        if isinstance(found, str):
            rows.append(result_row(**arm_keys, metric="auroc", reason=found))
        else:
            predicted[arm.name, arm.generator] = found
    named = {name: keys[name] for name in ("condition", "extractor", "task", "model", "design")}
    scores = [table.assign(**named, arm=arm, generator=generator) for (arm, generator), table in predicted.items()]
    if setting.protocol.evaluation == "holdout10":
        pool = labels.loc[sorted({p for part in parts for p in (*part.train, *part.test)})]
        rows += _holdout_rows(setting, predicted, keys, pool)
    else:
        rows += _out_of_fold_rows(setting, predicted, keys)
    return _with_sample(
        rows, sets.sample_note(tables.patients, sets.drawn_patients(material, primary), material.fitted_on())
    ), scores


def _not_drawn(setting: Setting, material: Material, cell: Cell, arm: Arm) -> str:
    """Why a control arm has no images at all where the protocol does not ask for them, or ``""``."""
    if arm.name not in sets.CONTROLS or any(name == arm.generator for name, _, _ in material.samples):
        return ""
    if arm.generator not in setting.protocol.generators:
        return f"not drawn under {setting.name}: {arm.generator} is not among its generators"
    left_out = cell.condition == "factors" and arm.generator not in setting.protocol.on_factors
    return f"not drawn under {setting.name}: {arm.generator} is not among on_factors" if left_out else ""


def _with_sample(rows: list[Row], sample: str) -> list[Row]:
    """Rows with ``sample`` in the note; those of real images alone use no patient without MRI and stay as they are."""
    return [
        row
        if row["arm"] == "real" or row["reason"]
        else {**row, "note": "; ".join(filter(None, (row["note"], sample)))}
        for row in rows
    ]


def _predict(
    setting: Setting, material: Material, cell: Cell, arm: Arm, parts: list[Partition], labels: pd.Series
) -> pd.DataFrame | str:
    """Scores of all test patients (columns of :func:`scoring.out_of_fold`), or the reason why the arm has none."""
    protocol, asked = setting.protocol, setting.prediction
    options = FitOptions(
        search_draws=asked.search_draws if cell.searched(asked) else 0,
        inner_folds=asked.inner_folds,
        whole=protocol.fit_scope == "all",
        pca=cell.extractor != "radiomics" and arm.name != "condition",
        threshold_from_training=protocol.threshold_from == "train",
    )
    tables = []
    for part in parts:
        fit = sets.make_fit(arm, material, part, labels, protocol.primary, cell.test_on)
        reason = fit if isinstance(fit, str) else fit.shortage()
        if isinstance(fit, str) or reason:
            return reason
        seed = derive_seed(setting.seed, cell.task, cell.classifier, cell.extractor, cell.condition, part.fold)
        scored = fit_score(cell.classifier, fit, options, seed)
        columns = {"patient": fit.test_patients, "y": fit.test_y, "score": scored.score}
        scale = {"threshold": scored.threshold, "centre": scored.centre, "scale": scored.scale}
        tables.append(pd.DataFrame(columns).assign(repeat=part.repeat, fold=part.fold, **scale))
    return pd.concat(tables, ignore_index=True)


def _contrasts(predicted: dict[tuple[str, str], pd.DataFrame]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Pairs of arms to compare: every generator's synthetic arm against each control, and against its own shuffled."""
    return [
        (a, b)
        for first, second in CONTRASTS
        for a in predicted
        for b in predicted
        if (a[0], b[0]) == (first, second) and (second != "shuffled" or a[1] == b[1])
    ]


def _out_of_fold_rows(
    setting: Setting, predicted: dict[tuple[str, str], pd.DataFrame], keys: dict[str, Any]
) -> list[Row]:
    draws, seed = setting.prediction.bootstrap, derive_seed(setting.seed, "interval", keys["task"], keys["design"])
    source = setting.protocol.threshold_from
    found = {
        key: scoring.out_of_fold(table, threshold_from=source, draws=draws, seed=seed)
        for key, table in predicted.items()
    }
    rows: list[Row] = []
    for (arm, generator), scores in found.items():
        rows += scoring.out_of_fold_rows(scores, {**keys, "arm": arm, "generator": generator}, draws=draws, seed=seed)
    for a, b in _contrasts(predicted):
        pair = {**keys, "arm": f"{a[0]} minus {b[0]}", "generator": a[1]}
        rows.append(scoring.difference_row(found[a], found[b], pair, draws=draws, seed=seed))
    return rows


def _holdout_rows(
    setting: Setting, predicted: dict[tuple[str, str], pd.DataFrame], keys: dict[str, Any], pool: pd.Series
) -> list[Row]:
    """Mean and spread over random tests; ``n`` and ``events`` are those of one test. pool: labels of whom they drew."""
    scores = {
        key: scoring.holdout_scores(table, threshold_from=setting.protocol.threshold_from)
        for key, table in predicted.items()
    }
    rows: list[Row] = []
    for (arm, generator), table in scores.items():
        counts, what, told = _tests(predicted[arm, generator], pool, keys["note"])
        arm_keys = {**keys, "arm": arm, "generator": generator, "note": told}
        for metric in ("auroc", "average_precision", "auprc_trapz", "f1"):
            rows.append(scoring.spread_row(table[metric].to_numpy(), metric, arm_keys, **counts, what=what))
    for a, b in _contrasts(predicted):
        difference = (scores[a]["auroc"] - scores[b]["auroc"]).to_numpy()
        counts, what, told = _tests(predicted[a], pool, keys["note"])
        pair = {**keys, "arm": f"{a[0]} minus {b[0]}", "generator": a[1], "note": told}
        rows.append(scoring.spread_row(difference, "auroc_difference", pair, **counts, what=what))
    return rows


def _tests(predicted: pd.DataFrame, pool: pd.Series, note: str) -> tuple[dict[str, int], str, str]:
    """Counts of one random test, the name of the tests, and the note that says both."""
    by_test = predicted.groupby("repeat")["y"]
    drawn_from = (len(pool), int(pool.sum()))
    counts, told = scoring.drawn_tests(by_test.size().to_numpy(), by_test.sum().to_numpy(), drawn_from, "positives")
    what = f"random {HOLDOUT_SHARE:.0%} tests of {counts['n']} patients each"
    return counts, what, "; ".join(text for text in (told, note) if text)
