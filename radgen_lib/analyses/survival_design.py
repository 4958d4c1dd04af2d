"""Who enters the survival analyses, with which covariates, and their out-of-fold risks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.analyses import arms as sets
from radgen_lib.analyses.arms import Partition, Tables
from radgen_lib.analyses.cox_risk import (
    Block,
    NotConverged,
    clinical_table,
    component_choice,
    cox_risk,
    design_matrix,
)
from radgen_lib.analyses.survival_scores import Pooled
from radgen_lib.core.config.cpdm import Protocol, Survival

TASKS = ("survival", "survival_subgroup")
MINIMUM_DEATHS = 5
ArmKey = tuple[str, str]


@dataclass(frozen=True)
class SurvivalSetting:
    """What all survival rows of one run share; ``holdouts``: random 80/20 splits under ``evaluation: holdout10``."""

    name: str
    protocol: Protocol
    survival: Survival
    seed: int
    draws: int
    holdouts: int = 20


def outcome_table(patients: pd.DataFrame) -> pd.DataFrame:
    """time (days, positive) and event (0/1) by patient, for patients that have both."""
    known = patients[patients["os_days"].gt(0) & patients["os_event"].notna()].set_index("patient")
    return pd.DataFrame({"time": known["os_days"].astype(float), "event": known["os_event"].astype(int)})


def few_deaths(outcome: pd.DataFrame) -> str:
    """Why these patients cannot be analysed, or ``""``: fewer than MINIMUM_DEATHS deaths say nothing about ranks."""
    deaths = int(outcome["event"].sum())
    return "" if deaths >= MINIMUM_DEATHS else f"{len(outcome)} patients, {deaths} deaths"


def covariates(
    tables: Tables, featured: dict[str, pd.DataFrame], condition: str, extractor: str, protocol: Protocol
) -> tuple[dict[ArmKey, list[Block]], str]:
    """Covariate blocks of every arm by (arm, generator), and the fold that made the images; empty when none did."""
    if protocol.primary not in featured or condition not in tables.conditions:
        return {}, ""
    material = sets.gather(tables, featured, condition, extractor, protocol)
    source = sets.source_fold(material, protocol.primary)
    if source is None:
        return {}, ""
    choice = component_choice(protocol.survival_components)
    arms: dict[ArmKey, list[Block]] = {}
    for (generator, kind, fold), table in material.samples.items():
        if (kind, fold) == ("synthetic", source):
            arms[generator if generator in sets.CONTROLS else "synthetic", generator] = [Block(table, choice)]
    shuffled = material.samples.get((protocol.primary, "shuffled", source))
    if shuffled is not None:
        arms["shuffled", protocol.primary] = [Block(shuffled, choice)]
    arms["condition", ""] = [Block(material.given[source], choice)]
    clinical = Block(clinical_table(tables.patients))
    arms["clinical", ""] = [clinical]
    arms["clinical+synthetic", protocol.primary] = [clinical, *arms["synthetic", protocol.primary]]
    return arms, source


def complete_cases(blocks: list[Block], outcome: pd.DataFrame) -> pd.Index:
    """Patients with an outcome and all covariates."""
    people = outcome.index
    for block in blocks:
        people = people.intersection(block.table.dropna().index)
    return people.sort_values()


def pooled_risk(blocks: list[Block], parts: list[Partition], outcome: pd.DataFrame, setting: SurvivalSetting) -> Pooled:
    """Out-of-fold risk of every patient, in SD of its training fold, averaged over repeats; NotConverged as cox_risk.

    Test outcomes are never read. ``above`` is the mean distance from the training median, so that the risk groups
    are split at the training median also after averaging.
    """
    if not parts:
        raise NotConverged("no folds for this endpoint in the splits")
    tables, used = [], []
    for part in parts:
        train = outcome.loc[part.train]
        if train["event"].sum() < 2:
            raise NotConverged(f"fold {part.fold}: {train['event'].sum()} deaths in training")
        train_x, test_x = design_matrix(blocks, part.train, part.test, whole=setting.protocol.fit_scope == "all")
        time, event = train["time"].to_numpy(), train["event"].to_numpy()
        risk = cox_risk(train_x, time, event, test_x, penalizer=setting.survival.penalizer)
        centre, scale = risk.train.mean(), risk.train.std() or 1.0
        above = (risk.test - np.median(risk.train)) / scale
        columns = {"patient": part.test, "risk": (risk.test - centre) / scale, "above": above}
        tables.append(pd.DataFrame(columns).assign(repeat=part.repeat, fold=part.fold))
        used.append(risk.covariates)
    by_fold = pd.concat(tables, ignore_index=True)
    mean = by_fold.groupby("patient", sort=True)[["risk", "above"]].mean()
    known = outcome.loc[mean.index]
    return Pooled(
        mean.index.to_numpy(dtype=str), known["time"].to_numpy(), known["event"].to_numpy(), mean["risk"].to_numpy(),
        (mean["above"] > 0).to_numpy(), float(np.mean(used)), len({p.repeat for p in parts}), by_fold,
    )  # fmt: skip
