"""Our factorisation beside others, in patients whom no fit saw: hidden values, clinical endpoints, planted factors.

Every method gets the genes, the scale and the training patients of our fit of the fold, and as many components as
ours starts with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.factors.endpoints import BINARY, Arm, endpoint_rows
from radgen_lib.analyses.factors.imputing import (
    Says,
    coverage_table,
    fold_scores,
    imputation_rows,
    of_peer,
    ours,
    training_mean,
)
from radgen_lib.analyses.factors.paired import endpoint_differences, imputation_differences
from radgen_lib.analyses.factors.recovery import read_planted, recovery_rows
from radgen_lib.core.config.factors import Factors
from radgen_lib.core.errors import DataError
from radgen_lib.core.rows import result_frame
from radgen_lib.core.seeds import derive_seed, make_rng
from radgen_lib.omics.btf.baselines import SINGLE, Baseline, fit_baseline
from radgen_lib.omics.btf.cohort_tensor import StoredTensor
from radgen_lib.omics.btf.fold_training import places
from radgen_lib.omics.btf.folds import FoldFit
from radgen_lib.omics.btf.gathering import WHOLE, component_names, conditions

ITEM, RIGOROUS, PUBLISHED = "F.CMP", "rigorous", "as_published"
CONTROL, TENSORBF = "training_mean", "tensorbf"
NO_LIKELIHOOD = "a mean alone has no likelihood"
TRANSDUCTIVE = "fitted once on everyone, test patients included"
UNSEEN = f"{TRANSDUCTIVE}: there is nobody it has not seen"


@dataclass(frozen=True)
class Study:
    """What is compared: the tensor, its splits, our fits, and the published factors.

    splits: fold, patient, role; factors: fold, patient, role, component, mean, sd; published: patient, component,
    value; patients: labels (``cohort.factor_labels``); models: folders that hold the fits, one a job.
    """

    tensor: StoredTensor
    splits: pd.DataFrame
    factors: pd.DataFrame
    published: pd.DataFrame
    patients: pd.DataFrame
    models: Sequence[Path]
    settings: Factors
    seed: int
    draws: int

    @property
    def own(self) -> str:
        """Name of our factorisation in the rows."""
        return f"btf_{self.settings.method}"

    @property
    def peers(self) -> list[str]:
        """Methods beside ours; one a single omic."""
        singles = [f"{SINGLE}{omic}" for omic in self.tensor.omics]
        return [name for peer in self.settings.peers for name in (singles if peer == "single" else [peer])]

    def fit(self, fold: str) -> FoldFit:
        """Our fit of a fold; raises DataError when no folder has it."""
        for folder in self.models:
            if (folder / f"{fold}.safetensors").is_file():
                return FoldFit.load(folder, fold)
        raise DataError(f"factors: no fit of fold {fold} among {len(self.models)} jobs. Run rule fit_factors first")

    def sides(self, fold: str) -> tuple[list[str], list[str]]:
        """Training and test patients of a fold."""
        rows = self.splits[self.splits["fold"] == fold]
        train, test = (rows.loc[rows["role"] == role, "patient"].tolist() for role in ("train", "test"))
        return train, test


@dataclass
class Peers:
    """What the folds gave for the comparison methods: features by model and fold, and why a model has none."""

    features: dict[str, dict[str, pd.DataFrame]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def arms(self, names: Sequence[str]) -> list[Arm]:
        """One arm a method; all folds are needed."""
        return [Arm(name, self.features.get(name, {}), reason=self.reasons.get(name, "")) for name in names]


def compare(study: Study, truth: Path | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Result rows of item F.CMP, and how often our predictive intervals hold (``imputing.COVERAGE_COLUMNS``).

    Folds ``cv...`` of the splits are used, in which each patient is tested once a repeat. ``truth`` is a phantom's
    truth folder. A method that cannot be fitted in a fold is rows with the reason. Raises DataError without such folds
    or without our fit of one.
    """
    folds = [str(fold) for fold in study.splits["fold"].unique() if str(fold).startswith("cv")]
    if not folds:
        raise DataError("factor splits: no folds for predictions (cv...). Make the splits again")
    peers, scores = Peers(), []
    for fold in folds:
        scores.append(_fold(study, fold, peers))
        logging.getLogger("radgen").info("comparison: fold %s done", fold)
    table = pd.concat(scores, ignore_index=True)
    arms = [_own_arm(study), _published_arm(study, folds), *peers.arms(study.peers)]
    splits = study.splits[study.splits["fold"].isin(folds)]
    models = {study.own: "", CONTROL: NO_LIKELIHOOD, TENSORBF: UNSEEN} | {
        name: _unsaid(name, peers) for name in study.peers
    }
    seed = derive_seed(study.seed, "imputation")
    rows = imputation_rows(
        table, models, study.tensor.omics, {"item": ITEM}, draws=study.draws, seed=seed, failed=peers.reasons
    )
    for row in rows:
        row["protocol"] = PUBLISHED if row["model"] == TENSORBF else RIGOROUS
    seeds = {"seed": derive_seed(study.seed, "endpoints"), "draws": study.draws}
    found, scored = endpoint_rows(arms, splits, study.patients, **seeds)
    others, tasks = [*study.peers, CONTROL], (*BINARY, "subtype", "survival")
    settings = {"draws": study.draws, "seed": seed}
    rows += found + imputation_differences(table, study.own, others, study.tensor.omics, peers.reasons, **settings)
    rows += endpoint_differences(scored, study.own, study.peers, tasks, peers.reasons, **seeds)
    if truth is not None:
        rows += _recovery(study, truth)
    shown = table[table["model"] == study.own]
    return result_frame(rows), coverage_table(shown, study.tensor.omics, draws=study.draws, seed=seed)


def _unsaid(name: str, peers: Peers) -> str:
    alone = f"it knows {name.removeprefix(SINGLE)} alone" if name.startswith(SINGLE) else ""
    return peers.reasons.get(name, alone)


def _fold(study: Study, fold: str, peers: Peers) -> pd.DataFrame:
    """Fit the other methods in one fold, keep their features, and score hidden values of its test patients."""
    fit = study.fit(fold)
    sides = study.sides(fold)
    train, test = (scaled_values(study.tensor, fit, names) for names in sides)
    fitted = _fit_peers(study, fold, train, peers)
    for name, model in fitted.items():
        features = np.concatenate([model.project(train), model.project(test)])
        peers.features.setdefault(name, {})[fold] = pd.DataFrame(features, index=[*sides[0], *sides[1]])
    says: dict[str, Says] = {study.own: partial(ours, fit.model.draws_), CONTROL: training_mean}
    says |= {name: partial(of_peer, model) for name, model in fitted.items()}
    measured = ~np.isnan(train).all(axis=0)
    return fold_scores(
        says, test, sides[1], study.tensor.omics, unit=units(train), usable=measured & ~fit.scaler.flat_,
        share=study.settings.hidden_share, rng=make_rng(study.seed, "hidden entries", fold),
    )  # fmt: skip


def scaled_values(tensor: StoredTensor, fit: FoldFit, names: Sequence[str]) -> np.ndarray:
    """Scaled float64 values [n, genes of the fit, omics] of some patients of the tensor."""
    return np.asarray(fit.scaled(tensor, places(tensor.patients, names, "patient")), dtype=float)


def units(train: np.ndarray) -> np.ndarray:
    """SD of each omic [L] over patients and genes; 1 where nothing varies."""
    found = np.array([np.nanstd(part) if np.isfinite(part).any() else 0.0 for part in np.moveaxis(train, 2, 0)])
    return np.where(found > 0, found, 1.0)


def _fit_peers(study: Study, fold: str, train: np.ndarray, peers: Peers) -> dict[str, Baseline]:
    """The methods that can be fitted; the others leave their reason in ``peers``."""
    fitted = {}
    known = train[~np.isnan(train).all(axis=(1, 2))]
    for name in study.peers:
        seed = derive_seed(study.seed, "comparison", fold)
        try:
            fitted[name] = fit_baseline(name, known, study.settings.components, seed, omics=study.tensor.omics)
        except (ValueError, RuntimeError) as error:
            peers.reasons[name] = f"fold {fold}: {error}"
            logging.getLogger("radgen").warning("comparison: %s, fold %s: %s", name, fold, error)
    return fitted


def _own_arm(study: Study) -> Arm:
    """Our factors of every fold: posterior means of training patients, projections of the others."""
    wide = conditions(study.factors)
    features: dict[str, pd.DataFrame] = {}
    for fold in study.splits["fold"].unique():
        rows = wide[wide["fold"] == fold].set_index("patient").drop(columns="fold")
        features[str(fold)] = rows.dropna(axis=1, how="all")
        if rows.empty:
            names = study.splits.loc[study.splits["fold"] == fold, "patient"]
            features[str(fold)] = pd.DataFrame(index=pd.Index(names))
    return Arm(study.own, features)


def _published_arm(study: Study, folds: Sequence[str]) -> Arm:
    wide = study.published.pivot_table(index="patient", columns="component", values="value")
    features: Mapping[str, pd.DataFrame] = dict.fromkeys([*folds, WHOLE], wide)
    reason = "" if wide.shape[1] else "the published fit has no component"
    return Arm(TENSORBF, features, PUBLISHED, TRANSDUCTIVE, reason)


def _recovery(study: Study, truth: Path) -> list[dict[str, Any]]:
    """Planted against found factors, of fits on everyone."""
    fit = study.fit(WHOLE)
    names = study.sides(WHOLE)[0]
    train, peers = scaled_values(study.tensor, fit, names), Peers()
    for name, model in _fit_peers(study, WHOLE, train, peers).items():
        columns = component_names(study.settings.components)
        peers.features[name] = {WHOLE: pd.DataFrame(model.project(train), index=names, columns=columns)}
    arms = {arm.model: arm for arm in (_own_arm(study), _published_arm(study, []), *peers.arms(study.peers))}
    count = study.settings.components
    given = {TENSORBF: study.settings.published.components} | dict.fromkeys(study.peers, count)
    settings = {"seed": derive_seed(study.seed, "recovery"), "draws": study.draws}
    return recovery_rows(arms, read_planted(truth), offered={study.own: count}, given=given, **settings)
