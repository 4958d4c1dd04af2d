"""Clinical endpoints from factors, out of fold: L1 logistic regression and penalised Cox on the same patients.

Everything is fitted in the training patients of a fold: the factors themselves (but for the published ones, which
were fitted on everyone), the standardisation, the penalty. Scores of a fold are brought to the SD of its training
part before they are pooled, and averaged over repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling, scoring
from radgen_lib.analyses.classifiers import MINIMUM_PER_CLASS, Fit, score_scale
from radgen_lib.analyses.columns import VaryingColumns
from radgen_lib.analyses.cox_risk import Block, NotConverged, cox_risk, design_matrix
from radgen_lib.analyses.scoring import Row
from radgen_lib.analyses.survival_design import few_deaths, outcome_table
from radgen_lib.cohort.factor_labels import FROM, origin_note
from radgen_lib.core.rows import result_row
from radgen_lib.core.seeds import derive_seed, make_rng
from radgen_lib.metrics.concordance import c_index_interval
from radgen_lib.metrics.intervals import weighted_auroc
from radgen_lib.metrics.survival import harrell_c

BINARY = ("mut_TP53", "mut_PIK3CA", "mut_CDH1", "er")
Part = tuple[str, pd.DataFrame, list[str], list[str]]
FEWEST = 5  # patients of a class; fewer say nothing about ranks
PENALTIES = tuple(float(c) for c in np.logspace(-2, 1, 6))
INNER_FOLDS, PENALIZER = 3, 0.1


@dataclass(frozen=True)
class Arm:
    """Factors of one method: fold -> table with a row for each patient, train and test (NaN: not projected).

    ``reason`` says why there are none, ``note`` goes into every row.
    """

    model: str
    features: Mapping[str, pd.DataFrame]
    protocol: str = "rigorous"
    note: str = ""
    reason: str = ""


def endpoint_rows(
    arms: Sequence[Arm], splits: pd.DataFrame, patients: pd.DataFrame, *, seed: int, draws: int
) -> tuple[list[Row], dict[tuple[str, str], list[scoring.OutOfFold] | pd.DataFrame]]:
    """Rows of item F.CMP: AUROC of mutations, ER and subtype (macro, one against the rest), and C of survival.

    splits: fold (``cv<repeat>-<fold>``), patient, role; patients: labels (``cohort.factor_labels``). A task or arm that
    cannot be had is a row with a reason. Notes have the range over repeats of the folds. The second result has by
    (model, task) the pooled scores, one a label, or of survival time, event and risk by patient; only where there are.
    """
    scored: dict[tuple[str, str], list[scoring.OutOfFold] | pd.DataFrame] = {}
    known = patients[patients["patient"].isin(splits["patient"])].set_index("patient")
    rows = []
    for task in BINARY:
        labels = {task: known[task].dropna().astype(int)}
        note = origin_note(known.loc[labels[task].index].get(task + FROM))
        rows += [_auroc_row(arm, task, labels, splits, note, seed, draws, scored) for arm in arms]
    labels, note = _one_against_rest(known["subtype"].fillna(""), splits)
    rows += [_auroc_row(arm, "subtype", labels, splits, note, seed, draws, scored) for arm in arms]
    outcome = outcome_table(known.reset_index())
    return rows + [_survival_row(arm, outcome, splits, seed, draws, scored) for arm in arms], scored


def _one_against_rest(subtype: pd.Series, splits: pd.DataFrame) -> tuple[dict[str, pd.Series], str]:
    """Labels of each subtype with enough patients in all and in every training part; and which were left out."""
    subtype = subtype[subtype != ""]
    train = splits[splits["role"] == "train"]
    counts = pd.crosstab(train["patient"].map(subtype), train["fold"])
    names = sorted(subtype.unique())
    fewest = counts.reindex(names, fill_value=0).min(axis=1)
    enough = [name for name in names if (subtype == name).sum() >= FEWEST and fewest[name] >= MINIMUM_PER_CLASS]
    few = [name for name in names if name not in enough]
    note = f"macro over {', '.join(enough)}" + (f"; too few patients: {', '.join(few)}" if few else "")
    return ({name: (subtype == name).astype(int) for name in enough} if len(enough) > 1 else {}), note


def _auroc_row(
    arm: Arm, task: str, labels: Mapping[str, pd.Series], splits: pd.DataFrame, note: str, seed: int, draws: int,
    scored: dict[tuple[str, str], list[scoring.OutOfFold] | pd.DataFrame],
) -> Row:  # fmt: skip
    """AUROC of one arm, or its mean over several labels of the same patients; what it rests on goes into ``scored``."""
    note = "; ".join(text for text in (arm.note, note) if text)
    keys: Row = {"item": "F.CMP", "protocol": arm.protocol, "model": arm.model, "task": task, "metric": "auroc"}
    found = []
    reason = arm.reason or ("" if labels else "fewer than two subtypes with enough patients")
    for name, label in labels.items():
        scores = reason or out_of_fold_scores(arm, label, splits, derive_seed(seed, "logistic", task, name))
        if isinstance(scores, str):
            reason = scores
            break
        found.append(scoring.out_of_fold(scores, threshold_from="train", draws=draws, seed=seed))
    if reason:
        return result_row(**keys, note=note, reason=reason)
    scored[arm.model, task] = found
    first, one = found[0], np.ones((1, len(found[0].y)))
    spread = scoring.repeats_note(np.mean([each.by_repeat for each in found], axis=0))
    note = "; ".join(text for text in (note, spread) if text)
    value = np.mean([weighted_auroc(each.y, each.score, one)[0] for each in found])
    band = resampling.banded(value, np.mean([each.draws for each in found], axis=0), len(first.y))
    return result_row(**keys, **band, events=int(first.y.sum()) if task in BINARY else None, note=note)


def out_of_fold_scores(arm: Arm, label: pd.Series, splits: pd.DataFrame, seed: int) -> pd.DataFrame | str:
    """Scores of each fold's test patients, columns as :func:`scoring.out_of_fold` takes them; or why there are none.

    label: 0 or 1 by patient.
    """
    parts, tables = _parts(arm, label.index, splits), []
    tested = label.loc[sorted({who for *_, test in parts for who in test})]
    if min(tested.sum(), len(tested) - tested.sum()) < FEWEST:
        return f"{tested.sum()} of {len(tested)} patients are positive, {FEWEST} of each class are needed"
    for fold, table, train, test in parts:
        if not table.shape[1]:
            return f"fold {fold}: the fit kept no component"
        if not test:
            continue
        sides = [(table.loc[who].to_numpy(), label.loc[who].to_numpy(), np.array(who)) for who in (train, test)]
        fit = Fit(repeat_of(fold), fold, *sides[0], *sides[1])
        if fit.shortage():
            return fit.shortage()
        training, score = l1_scores(fit.train_x, fit.train_y, fit.test_x, derive_seed(seed, fold))
        centre, scale = score_scale(training)
        columns = {"patient": test, "y": fit.test_y, "score": score, "centre": centre, "scale": scale}
        tables.append(pd.DataFrame(columns).assign(repeat=fit.repeat, threshold=np.nan))
    return pd.concat(tables, ignore_index=True)


def _parts(arm: Arm, known: pd.Index, splits: pd.DataFrame) -> list[Part]:
    """Each fold with its factors and its training and test patients who have factors and an outcome."""
    parts = []
    for fold, rows in splits.groupby("fold", sort=False):
        table = arm.features[str(fold)].dropna()
        usable = rows[rows["patient"].isin(known.intersection(table.index))]
        train, test = (usable.loc[usable["role"] == role, "patient"].tolist() for role in ("train", "test"))
        parts.append((str(fold), table, train, test))
    return parts


def repeat_of(fold: str) -> int:
    """The repeat of fold ``cv<repeat>-<fold>``."""
    return int(fold.removeprefix("cv").split("-")[0])


def l1_scores(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear scores of training and test rows by logistic regression, its L1 penalty chosen in inner folds (AUROC)."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    smallest = int(np.bincount(train_y, minlength=2).min())
    inner = StratifiedKFold(min(INNER_FOLDS, smallest), shuffle=True, random_state=seed)
    model = LogisticRegressionCV(
        Cs=PENALTIES, l1_ratios=(1.0,), solver="liblinear", cv=inner, scoring=_auroc, max_iter=5000, random_state=seed,
        use_legacy_attributes=False,
    )  # fmt: skip
    fitted = make_pipeline(VaryingColumns(), StandardScaler(), model).fit(train_x, train_y)
    return fitted.decision_function(train_x), fitted.decision_function(test_x)


def _auroc(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Scorer of the inner folds: the same number as scikit-learn's ``roc_auc``, some times faster."""
    return float(weighted_auroc(y, model.decision_function(x), np.ones((1, len(y))))[0])


def _survival_row(
    arm: Arm, outcome: pd.DataFrame, splits: pd.DataFrame, seed: int, draws: int,
    scored: dict[tuple[str, str], list[scoring.OutOfFold] | pd.DataFrame],
) -> Row:  # fmt: skip
    keys: Row = {
        "item": "F.CMP",
        "protocol": arm.protocol,
        "model": arm.model,
        "task": "survival",
        "metric": "harrell_c",
    }
    risks = arm.reason or few_deaths(outcome) or out_of_fold_risk(arm, outcome, splits)
    if isinstance(risks, str):
        return result_row(**keys, note=arm.note, reason=risks)
    risk = risks.groupby("patient", sort=True)["risk"].mean()
    known = outcome.loc[risk.index]
    time, event = known["time"].to_numpy(), known["event"].to_numpy()
    rng = make_rng(seed, "survival", len(risk))
    found = c_index_interval(time, event, risk.to_numpy(), risk.index.to_numpy(dtype=str), draws=draws, rng=rng)
    reason = "" if np.isfinite(found.value) else "no two patients whose order is known"
    scored[arm.model, "survival"] = known[["time", "event"]].assign(risk=risk)
    each = [(outcome.loc[part["patient"]], part["risk"].to_numpy()) for _, part in risks.groupby("repeat")]
    spread = scoring.repeats_note(
        np.array([harrell_c(one["time"].to_numpy(), one["event"].to_numpy(), value) for one, value in each])
    )
    note = "; ".join(text for text in (arm.note, spread) if text)
    band: Row = {"value": found.value, "low": found.low, "high": found.high, "n": found.n, "interval": found.method}
    return result_row(**keys, **band, events=int(event.sum()), note=note, reason=reason)


def out_of_fold_risk(arm: Arm, outcome: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame | str:
    """Risk of each test patient and repeat (repeat, patient, risk) in SD of the training part; or why there is none.

    From lifelines' ridge-penalised Cox model.

    outcome: time and event by patient; those of test patients are not read.
    """
    risks = []
    for fold, table, train, test in _parts(arm, outcome.index, splits):
        if not table.shape[1]:
            return f"fold {fold}: the fit kept no component"
        deaths = int(outcome.loc[train, "event"].sum())
        if deaths < 2 or not test:
            return f"fold {fold}: {deaths} deaths in training, {len(test)} test patients"
        train_x, test_x = design_matrix([Block(table)], train, test, whole=False)
        time, event = (outcome.loc[train, name].to_numpy() for name in ("time", "event"))
        try:
            risk = cox_risk(train_x, time, event, test_x, penalizer=PENALIZER)
        except NotConverged as error:
            return f"fold {fold}: {error}"
        scaled = (risk.test - risk.train.mean()) / (risk.train.std() or 1.0)
        risks.append(pd.DataFrame({"repeat": repeat_of(fold), "patient": test, "risk": scaled}))
    return pd.concat(risks, ignore_index=True)
