"""What leakage alone adds: the same model under every split unit and fit scope (B rows of S.LEAK)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.classifiers import MINIMUM_PER_CLASS, build, score_scale
from radgen_lib.analyses.runs import extractor_columns, finite_columns, repeat_of
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import derive_seed, make_rng
from radgen_lib.metrics.intervals import weighted_auroc
from radgen_lib.omics.conditions import Preparation

ITEM = "S.LEAK"
UNITS = ("image", "patient", "site")
SCOPES = ("all", "train")
HONEST = ("patient", "train")
TASKS = ("er", "mut_TP53")
NO_FOLDS = "the splits of this cohort have no such folds"
Row = dict[str, Any]
Folds = list[list[np.ndarray]]


@dataclass(frozen=True)
class Measured:
    """One number per patient, sorted by patient: the label (or zeros), and the mean score or error of the images."""

    patients: np.ndarray
    y: np.ndarray
    value: np.ndarray
    images: int


def leakage_rows(
    images: np.ndarray,
    real_features: pd.DataFrame,
    patients: pd.DataFrame,
    condition: pd.DataFrame,
    splits: pd.DataFrame,
    *,
    prepared: Preparation,
    seed: int,
    draws: int,
) -> pd.DataFrame:
    """Rows of S.LEAK: split unit {image, patient, site} x fit scope {all, train}, real images only.

    Metrics: ``auroc`` of a logistic model on radiomic features per image (ER, TP53), and ``mse`` of the baseline that
    copies the training image whose patient's condition is nearest; ``*_delta`` is the difference to (patient, train)
    on the same images. Models see images; scores and errors are averaged within a patient before they are judged, and
    intervals resample patients. images: uint8 [n, H, W]; condition: patient and raw values, scaled as ``prepared``
    says: as for generators.
    """
    folds = {unit: unit_folds(real_features, splits, unit, seed) for unit in UNITS}
    rows: list[Row] = []
    for task in TASKS:
        found = {
            (unit, scope): logistic_scores(real_features, patients, task, folds[unit], scope)
            for unit, scope in product(UNITS, SCOPES)
        }
        keys = {"item": ITEM, "task": task, "extractor": "radiomics", "model": "logistic", "arm": "real"}
        rows += _compared(found, keys, "auroc", draws=draws, seed=seed)
    copied = {
        (unit, scope): copy_errors(images, real_features, condition, folds[unit], scope, prepared)
        for unit, scope in product(UNITS, SCOPES)
    }
    keys = {"item": ITEM, "task": "image", "condition": prepared.condition, "model": "nearest_patient_copy"}
    keys["arm"] = "nearest_copy"  # not the arm `copy` of B.TD, which is another image of the same patient
    rows += _compared(copied, keys, "mse", draws=draws, seed=seed)
    return result_frame(rows)


def unit_folds(real_features: pd.DataFrame, splits: pd.DataFrame, unit: str, seed: int) -> Folds:
    """Test image indices of each fold of each repeat; image folds are as many as the grouped ones, drawn at random."""
    design = "site" if unit == "site" else "grouped"
    tests = splits[(splits["design"] == design) & (splits["role"] == "test")]
    repeats: dict[int, list[np.ndarray]] = {}
    for fold, part in tests.groupby("fold", sort=True):
        repeats.setdefault(repeat_of(str(fold)), []).append(np.sort(part["image_index"].unique()))
    if unit != "image":
        return [folds for _, folds in sorted(repeats.items())]
    images = np.sort(real_features["image_index"].to_numpy())
    return [
        [np.sort(f) for f in np.array_split(make_rng(seed, "image folds", r).permutation(images), len(folds))]
        for r, folds in sorted(repeats.items())
    ]


def _train_test(table: pd.DataFrame, test: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    inside = table["image_index"].isin(test)
    return table[~inside], table[inside]


def logistic_scores(
    real_features: pd.DataFrame, patients: pd.DataFrame, task: str, folds: Folds, scope: str
) -> Measured | str:
    """Out-of-fold score of every labelled patient, in SD of the training part: mean over repeats, then over images.

    Text when a training part lacks a class.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from radgen_lib.analyses.columns import VaryingColumns

    names, _ = finite_columns(extractor_columns(real_features, "radiomics"), real_features)
    table = real_features.merge(patients[["patient", task]].dropna(), on="patient").sort_values("image_index")
    found = []
    if not folds:
        return NO_FOLDS
    for fold in (f for repeat in folds for f in repeat):
        train, test = _train_test(table, fold)
        y = train[task].to_numpy(dtype=int)
        if min(y.sum(), len(y) - y.sum()) < MINIMUM_PER_CLASS:
            return f"a training part holds {int(y.sum())} positive of {len(y)} images"
        if test.empty:
            continue
        prepare = Pipeline([("varying", VaryingColumns()), ("scale", StandardScaler())])
        prepare.fit((table if scope == "all" else train)[names].to_numpy())
        model = build("logistic", derive_seed(0, "leakage")).fit(prepare.transform(train[names].to_numpy()), y)
        seen, score = (model.predict_proba(prepare.transform(p[names].to_numpy()))[:, 1] for p in (train, test))
        centre, scale = score_scale(seen)  # folds differ in prevalence: pooled raw scores lean below one half
        score = (score - centre) / scale
        found.append(test[["image_index", "patient", task]].assign(score=score))
    if not found:
        return "no labelled image is in a test part"
    return _by_patient(pd.concat(found).rename(columns={task: "y", "score": "value"}))


def _by_patient(found: pd.DataFrame) -> Measured:
    """Mean over the repeats of each image, then over the images of each patient.

    Patients with many images would otherwise carry the metric. found: image_index, patient, y, value.
    """
    images = found.groupby(["patient", "image_index"], sort=True)[["y", "value"]].mean()
    mean = images.groupby(level="patient", sort=True).mean()
    return Measured(
        mean.index.to_numpy(dtype=str), mean["y"].to_numpy(dtype=int), mean["value"].to_numpy(), len(images)
    )


def copy_errors(
    images: np.ndarray,
    real_features: pd.DataFrame,
    condition: pd.DataFrame,
    folds: Folds,
    scope: str,
    prepared: Preparation,
) -> Measured | str:
    """Squared error per pixel of copying the training image with the nearest condition, averaged within a patient.

    This is the generator ``nearest``: conditions as ``prepared`` makes them, fitted on the training images' patients
    (``scope: train``) or on all patients of the table (``all``); of a patient's several images the first is copied.
    """
    from radgen_lib.analyses.features import unit_images

    values = condition.set_index("patient").astype(float)
    table = real_features.loc[real_features["patient"].isin(values.index), ["image_index", "patient"]]
    table = table.sort_values("image_index")
    real = unit_images(images, clamp=True)
    found = []
    if not folds:
        return NO_FOLDS
    for fold in (f for repeat in folds for f in repeat):
        train, test = _train_test(table, fold)
        if train.empty:
            return "a training part holds no image of a patient with the condition"
        if test.empty:
            continue
        fitted_on = values.index if scope == "all" else train["patient"].unique()
        if len(fitted_on) < 2:
            return "a training part holds one patient with the condition"
        given = prepared.given(values, fitted_on).astype(float)
        train = train.sort_values(["patient", "image_index"])  # a tie goes to the patient whose name sorts first
        a, b = given.loc[test["patient"]].to_numpy(), given.loc[train["patient"]].to_numpy()
        nearest = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)
        copied = train["image_index"].to_numpy()[nearest]
        error = ((real[test["image_index"].to_numpy()] - real[copied]) ** 2).mean(axis=(1, 2))
        found.append(test.assign(y=0, value=error))
    if not found:
        return "no image of a patient with the condition is in a test part"
    return _by_patient(pd.concat(found))


def _compared(
    found: dict[tuple[str, str], Measured | str], keys: dict[str, Any], metric: str, *, draws: int, seed: int
) -> list[Row]:
    """Value of each cell, and its difference to the honest cell over the same resampled patients."""
    rows: list[Row] = []
    honest = found[HONEST]
    for (unit, scope), cell in found.items():
        cell_keys = {**keys, "design": f"split by {unit}, fitted on {scope}"}
        if isinstance(cell, str):
            rows.append(result_row(**cell_keys, metric=metric, reason=cell))
            continue
        drawn = _draws(cell, metric, draws, seed)
        rows.append(_row(drawn, cell, cell_keys, metric))
        if (unit, scope) == HONEST:
            continue
        if isinstance(honest, str) or not _same_images(honest, cell):
            reason = honest if isinstance(honest, str) else "other images than split by patient, fitted on train"
            rows.append(result_row(**cell_keys, metric=f"{metric}_delta", reason=reason))
            continue
        delta = drawn - _draws(honest, metric, draws, seed)
        rows.append(_row(delta, cell, cell_keys, f"{metric}_delta"))
    return rows


def _same_images(a: Measured, b: Measured) -> bool:
    return a.images == b.images and np.array_equal(a.patients, b.patients)


def _draws(cell: Measured, metric: str, draws: int, seed: int) -> np.ndarray:
    """Metric of all patients (first entry) and of each resample of them: [1 + draws]."""
    people = len(cell.patients)
    weights = np.vstack([np.ones(people), resampling.patient_weights(people, draws, seed)])
    if metric == "auroc":
        return weighted_auroc(cell.y, cell.value, weights)
    return weights @ cell.value / weights.sum(axis=1)


def _row(drawn: np.ndarray, cell: Measured, keys: dict[str, Any], metric: str) -> Row:
    people = len(cell.patients)
    note = f"{cell.images} images of {people} patients, averaged within each"
    events = int(cell.y.sum()) if "auroc" in metric else None
    if not np.isfinite(drawn[0]):
        return result_row(**keys, metric=metric, n=people, events=events, reason="one class only", note=note)
    band = resampling.banded(drawn[0], drawn[1:], people, paired=metric.endswith("_delta"))
    return result_row(**keys, **band, metric=metric, events=events, note=note)
