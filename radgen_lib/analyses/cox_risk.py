"""Penalised Cox risk scores of test patients, everything fitted on training patients (lifelines)."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.core.errors import RadgenError

# Covariates [n, p] of all patients, fitted on those marked (bool [n]).
Design = Callable[[np.ndarray], np.ndarray]
_STAGES = {"I": 1.0, "II": 2.0, "III": 3.0, "IV": 4.0}


class NotConverged(RadgenError):
    """A Cox model has no solution on a training set."""


@dataclass(frozen=True)
class Block:
    """Covariates of one kind by patient; ``components`` None keeps the columns, else PCA (int, or 0.95 of variance)."""

    table: pd.DataFrame
    components: float | int | None = None


@dataclass(frozen=True)
class Risk:
    """Linear predictors of the training and the test patients, and how many covariates were used."""

    train: np.ndarray
    test: np.ndarray
    covariates: int


def component_choice(components: int | None) -> float | int:
    """The protocol's number of components; None means 95 % of the variance, as published."""
    return 0.95 if components is None else components


def clinical_table(patients: pd.DataFrame) -> pd.DataFrame:
    """Age, stage (I to IV as 1 to 4) and subtype (indicator columns, most frequent left out), by patient.

    Patients lacking any of the three are left out.
    """
    table = patients.set_index("patient")[["age", "stage", "subtype"]]
    stage = table["stage"].fillna("").map(_stage_number)
    whole = table["age"].notna() & stage.notna() & table["subtype"].fillna("").ne("")
    kept = table[whole]
    reference = kept["subtype"].value_counts().sort_index(kind="stable").idxmax() if len(kept) else ""
    indicators = {
        f"subtype_{name}": (kept["subtype"] == name).astype(float)
        for name in sorted(kept["subtype"].unique())
        if name != reference
    }
    return pd.DataFrame({"age": kept["age"].astype(float), "stage": stage[whole], **indicators})


def _stage_number(text: str) -> float:
    found = re.search(r"\b(IV|I{1,3})(?:[ABC]\d?)?\s*$", text.upper())
    return _STAGES[found.group(1)] if found else np.nan


def design_matrix(
    blocks: list[Block], train: list[str], test: list[str], *, whole: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Standardised covariates of training and test patients: [n, p] each; ``whole`` fits on both (as published)."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from radgen_lib.analyses.columns import VaryingColumns

    sides: list[tuple[np.ndarray, np.ndarray]] = []
    for block in blocks:
        fitted_on = block.table.loc[[*train, *test] if whole else train].to_numpy(dtype=float)
        pipeline = Pipeline([("varying", VaryingColumns()), ("scale", StandardScaler())]).fit(fitted_on)
        scaled = pipeline.transform(fitted_on)
        if not scaled.any():
            continue
        if block.components is not None:
            asked = block.components if isinstance(block.components, float) else min(block.components, *scaled.shape)
            pipeline.steps.append(("pca", PCA(n_components=asked, svd_solver="full").fit(scaled)))
        sides.append(tuple(pipeline.transform(block.table.loc[p].to_numpy(dtype=float)) for p in (train, test)))
    if not sides:
        return np.zeros((len(train), 0)), np.zeros((len(test), 0))
    return np.hstack([a for a, _ in sides]), np.hstack([b for _, b in sides])


def fold_design(blocks: list[Block], people: list[str]) -> Design:
    """Covariates of ``people``, selected, scaled and reduced on the marked ones alone."""
    names = np.array(people)

    def design(train: np.ndarray) -> np.ndarray:
        inside, outside = design_matrix(blocks, list(names[train]), list(names[~train]), whole=False)
        x = np.empty((len(names), inside.shape[1]))
        x[train], x[~train] = inside, outside
        return x

    return design


def cox_risk(train_x: np.ndarray, time: np.ndarray, event: np.ndarray, test_x: np.ndarray, *, penalizer: float) -> Risk:
    """Fit lifelines' ridge-penalised Cox model and score both sides; no covariates give equal risks.

    Raises NotConverged with lifelines' reason; its warnings go to the log.
    """
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    if train_x.shape[1] == 0:
        return Risk(np.zeros(len(train_x)), np.zeros(len(test_x)), 0)
    names = [f"x{i}" for i in range(train_x.shape[1])]
    table = pd.DataFrame(train_x, columns=names).assign(time=time, event=event)
    model = CoxPHFitter(penalizer=penalizer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(table, duration_col="time", event_col="event")
        except (ConvergenceError, np.linalg.LinAlgError, ValueError) as error:
            raise NotConverged(f"Cox model did not converge: {str(error).splitlines()[0]}") from error
    for text in sorted({str(w.message).strip().splitlines()[0] for w in caught}):
        logging.getLogger("radgen").info("Cox model on %d patients: %s", len(table), text)
    beta = model.params_.to_numpy()
    if not np.isfinite(beta).all():
        raise NotConverged("Cox model did not converge: coefficients are not finite")
    return Risk(train_x @ beta, test_x @ beta, len(names))
