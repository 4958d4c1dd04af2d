"""Survival from image features with a penalised Cox model (table B.TC)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import arms as sets
from radgen_lib.analyses.arms import Tables
from radgen_lib.analyses.cox_risk import Block, NotConverged, cox_risk, design_matrix
from radgen_lib.analyses.runs import Run, featured_runs, known_extractors, missing_extractors, selection_note
from radgen_lib.analyses.survival_design import (
    TASKS,
    ArmKey,
    SurvivalSetting,
    complete_cases,
    covariates,
    few_deaths,
    outcome_table,
    pooled_risk,
)
from radgen_lib.analyses.survival_scores import Pooled, Row, difference_row, holdout_rows, km_table, pooled_rows
from radgen_lib.core.config.cpdm import Protocol, Survival
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import derive_seed

ITEM = "B.TC"
HOLDOUT_SHARE = 0.2
CONTRASTS = (
    ("synthetic", "condition"), ("synthetic", "untrained"), ("synthetic", "shuffled"), ("synthetic", "noise"),
    ("synthetic", "clinical"), ("clinical+synthetic", "clinical"),
)  # fmt: skip
CURVE_COLUMNS = (
    "condition", "generator", "extractor", "task", "arm", "group", "time", "survival", "low", "high", "at_risk",
)  # fmt: skip
RISK_COLUMNS = (
    "condition", "extractor", "task", "model", "design", "arm", "generator", "part", "repeat", "fold", "patient",
    "time", "event", "risk", "above",
)  # fmt: skip
TaskFound = tuple[list[Row], list[pd.DataFrame], list[pd.DataFrame]]


def survival_rows(
    tables: Tables,
    runs: Iterable[Run],
    *,
    name: str,
    protocol: Protocol,
    survival: Survival,
    seed: int,
    draws: int,
    holdouts: int = 20,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows of B.TC for protocol ``name``, Kaplan-Meier curves of the out-of-fold risk groups, and the risks.

    Under ``nested_cv``: Harrell's and Uno's C of out-of-fold risks (standardised by their training fold, averaged over
    repeats), the log-rank p of groups split at the training median, and paired differences between arms. Under
    ``holdout10``: C-index of training and test parts over random 80/20 splits and the mean log-rank p of the test
    parts, as published.
    The curves' columns are :data:`CURVE_COLUMNS`. The risks' columns are :data:`RISK_COLUMNS`, a row for each patient
    in each part of each fold or split: ``risk`` is the linear predictor, out of fold in SD of its training part;
    ``above`` its distance from the training median (out of fold only), whose mean over repeats makes the risk group.
    """
    runs = list(runs)
    setting = SurvivalSetting(name, protocol, survival, seed, draws, holdouts)
    missing, by_run = missing_extractors(runs), featured_runs(runs)
    rows: list[Row] = []
    curves: list[pd.DataFrame] = []
    risks: list[pd.DataFrame] = []
    for condition in protocol.conditions:
        featured = {g: t for (c, g), t in by_run.items() if c == condition}
        for extractor in known_extractors(runs):
            for task in TASKS:
                keys = {
                    "item": ITEM, "protocol": name, "condition": condition, "extractor": extractor, "task": task,
                    "model": "cox", "note": selection_note(protocol, condition, on_fitted=True),
                }  # fmt: skip
                found, curve, risk = _task_rows(setting, tables, featured, keys, missing.get(extractor, ""))
                rows += found
                curves += curve
                risks += risk
    return result_frame(rows), _joined(curves, CURVE_COLUMNS), _joined(risks, RISK_COLUMNS)


def _joined(parts: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)[list(columns)] if parts else pd.DataFrame(columns=list(columns))


def _task_rows(
    setting: SurvivalSetting, tables: Tables, featured: dict[str, pd.DataFrame], keys: dict[str, Any], missing: str
) -> TaskFound:
    primary = setting.protocol.primary
    arms, source = ({}, "") if missing else covariates(
        tables, featured, keys["condition"], keys["extractor"], setting.protocol
    )  # fmt: skip
    reason = missing or ("" if arms else f"no synthetic images of generator {primary} for all patients without MRI")
    outcome = outcome_table(tables.patients)
    if not reason:
        asked = tables.endpoint_splits.loc[tables.endpoint_splits["task"] == keys["task"], "patient"]
        outcome = outcome.loc[sorted(set(asked) & set(outcome.index) & set(arms["synthetic", primary][0].table.index))]
        reason = few_deaths(outcome)
    if reason:
        # A key left empty means every value of it: the reason holds for all arms and generators.
        return [result_row(**{**keys, "note": ""}, metric="c_harrell", reason=reason)], [], []
    without = imaged_reasons(tables, keys, primary)
    sample = sets.sample_note(tables.patients, arms["synthetic", primary][0].table.index)
    keys = {**keys, "note": "; ".join(text for text in (sample, keys["note"]) if text)}
    if setting.protocol.evaluation == "holdout10":
        rows, risks = _holdout_task(setting, arms, outcome, source, keys)
        return without + rows, [], risks
    rows, curves, risks = _pooled_task(setting, tables, arms, outcome, source, keys)
    return without + rows, curves, risks


def imaged_reasons(tables: Tables, keys: dict[str, Any], primary: str) -> list[Row]:
    """Why the arms ``real`` and ``both`` have no number: rows with the deaths counted among the imaged patients."""
    outcome = outcome_table(tables.patients)
    imaged = outcome.loc[outcome.index.intersection(tables.real_features["patient"].unique())]
    n, deaths = len(imaged), int(imaged["event"].sum())
    why = "no death among the imaged patients" if deaths == 0 else "the endpoint folds hold no imaged patients"
    reason = f"{why} ({deaths} deaths among {n} with follow-up)"
    return [
        result_row(**keys, arm=arm, generator=generator, metric="c_harrell", n=n, events=deaths, reason=reason)
        for arm, generator in (("real", ""), ("both", primary))
    ]


def _pooled_task(
    setting: SurvivalSetting, tables: Tables, arms: dict[ArmKey, list[Block]], outcome: pd.DataFrame, source: str,
    keys: dict[str, Any],
) -> TaskFound:  # fmt: skip
    rows: list[Row] = []
    curves: list[pd.DataFrame] = []
    risks: list[pd.DataFrame] = []
    found: dict[ArmKey, Pooled] = {}
    keys = {**keys, "design": "out_of_fold"}
    seed = derive_seed(setting.seed, "survival interval", keys["task"])
    for (arm, generator), blocks in arms.items():
        arm_keys = {**keys, "arm": arm, "generator": generator}
        people = complete_cases(blocks, outcome)
        few = few_deaths(outcome.loc[people])
        if few:
            rows.append(result_row(**arm_keys, metric="c_harrell", n=len(people), reason=few))
            continue
        parts = sets.endpoint_partitions(tables.endpoint_splits, keys["task"], source, people)
        try:
            pooled = pooled_risk(blocks, parts, outcome, setting)
        except NotConverged as error:
            rows.append(result_row(**arm_keys, metric="c_harrell", n=len(people), reason=str(error)))
            continue
        found[arm, generator] = pooled
        rows += pooled_rows(pooled, arm_keys, horizon=setting.survival.horizon_days, draws=setting.draws, seed=seed)
        label = {k: arm_keys[k] for k in ("condition", "generator", "extractor", "task", "arm")}
        curves.append(km_table(pooled).assign(**label))
        risks.append(_risks(pooled.by_fold.assign(part="test"), outcome, arm_keys))
    for first, second in CONTRASTS:
        for a, b in ((a, b) for a in found for b in found if (a[0], b[0]) == (first, second)):
            if second == "shuffled" and a[1] != b[1]:
                continue
            pair = {**keys, "arm": f"{first} minus {second}", "generator": a[1]}
            rows.append(difference_row(found[a], found[b], pair, draws=setting.draws, seed=seed))
    return rows, curves, risks


def _risks(table: pd.DataFrame, outcome: pd.DataFrame, keys: dict[str, Any]) -> pd.DataFrame:
    """Risks of one arm with the outcome of their patients and the arm's keys (RISK_COLUMNS)."""
    known = outcome.loc[table["patient"]]
    named = {name: keys[name] for name in RISK_COLUMNS if name in keys}
    return table.assign(**named, time=known["time"].to_numpy(), event=known["event"].to_numpy())


def _holdout_task(
    setting: SurvivalSetting, arms: dict[ArmKey, list[Block]], outcome: pd.DataFrame, source: str, keys: dict[str, Any]
) -> tuple[list[Row], list[pd.DataFrame]]:
    rows: list[Row] = []
    risks: list[pd.DataFrame] = []
    seed = derive_seed(setting.seed, "survival tests", keys["task"])
    for (arm, generator), blocks in arms.items():
        people = list(complete_cases(blocks, outcome))
        arm_keys = {**keys, "arm": arm, "generator": generator, "design": "holdout20"}
        few = few_deaths(outcome.loc[people])
        if few:
            rows.append(result_row(**arm_keys, metric="c_harrell", n=len(people), reason=few))
            continue
        drawn: list[pd.DataFrame] = []
        used, failed = [], []
        for part in sets.holdout_partitions(people, source, share=HOLDOUT_SHARE, times=setting.holdouts, seed=seed):
            train_x, test_x = design_matrix(blocks, part.train, part.test, whole=setting.protocol.fit_scope == "all")
            train = outcome.loc[part.train]
            try:
                risk = cox_risk(
                    train_x, train["time"].to_numpy(), train["event"].to_numpy(), test_x,
                    penalizer=setting.survival.penalizer,
                )  # fmt: skip
            except NotConverged as error:
                failed.append(str(error))
                continue
            used.append(risk.covariates)
            for side, members, score in (("train", part.train, risk.train), ("test", part.test, risk.test)):
                columns = {"patient": members, "risk": score, "above": np.nan}
                drawn.append(pd.DataFrame(columns).assign(part=side, repeat=part.repeat, fold=part.fold))
        found = _risks(pd.concat(drawn, ignore_index=True), outcome, arm_keys) if drawn else pd.DataFrame()
        counts = {"n": len(people), "events": int(outcome.loc[people, "event"].sum())}
        rows += holdout_rows(found, failed, used, arm_keys, **counts)
        risks += [found] if len(found) else []
    return rows, risks
