"""Training of generators fold by fold: nothing but the fold's training images is looked at."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.core.digest import code_digest, value_digest
from radgen_lib.core.errors import DataError
from radgen_lib.core.provenance import package_versions
from radgen_lib.core.seeds import derive_seed
from radgen_lib.core.trainings import split_of
from radgen_lib.generators.base import FitContext, TrainingData, accepted_options, build_generator
from radgen_lib.generators.resume import KeptFold
from radgen_lib.generators.store import FittedGenerator
from radgen_lib.omics.conditions import Method, Preparation, of_fold


@dataclass(frozen=True)
class Recipe:
    """What is trained: the class, its options, the condition, its scaling, and whether expression is logged first."""

    class_path: str
    options: Mapping[str, Any]
    condition: str
    scaling: Method
    log: bool
    image_size: int = 128

    def accepted(self) -> dict[str, Any]:
        """The options that the class takes; ``batch_size`` and ``start_noise`` of the protocol drop out elsewhere."""
        return accepted_options(self.class_path, self.options)


def fold_images(splits: pd.DataFrame, fold: str, role: str) -> np.ndarray:
    """Image indexes of one side of a fold, in order; raises DataError for a fold that the split file lacks.

    A further training of the single split has the images of that split.
    """
    rows = splits[splits["fold"] == split_of(fold)]
    if rows.empty:
        there = ", ".join(sorted(splits["fold"].unique())[:9])
        raise DataError(
            f"splits: this cohort has no fold {fold!r} (there are {there}): too few images, no patient of the site, or "
            "none of the published test series. Leave its design out of cpdm.protocols.NAME.designs, or its site out "
            "of cohorts.NAME.splits.sites"
        )
    return np.sort(rows.loc[rows["role"] == role, "image_index"].to_numpy())


def training_images(splits: pd.DataFrame, fold: str, series: pd.DataFrame, conditions: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``series`` (image_index, patient) that train a fold: images whose patient has the condition."""
    chosen = series[series["image_index"].isin(fold_images(splits, fold, "train"))]
    return chosen[chosen["patient"].isin(conditions["patient"])].sort_values("image_index")


def train_fold(
    recipe: Recipe, images: np.ndarray, rows: pd.DataFrame, conditions: pd.DataFrame, context: FitContext
) -> FittedGenerator:
    """Fit one generator.

    Args:
        recipe: what to train.
        images: uint8 [all images, H, W]; only the rows named in ``rows`` are read.
        rows: image_index and patient of the training images.
        conditions: patient and raw condition columns, one row a patient.
        context: seed, device, resume folder and where training figures go.
    """
    names = tuple(column for column in conditions.columns if column != "patient")
    table = conditions.set_index("patient")
    patients = rows["patient"].to_numpy().astype(str)
    scaler = Preparation(recipe.condition, recipe.scaling, recipe.log).fit(table[list(names)], patients)
    raw = table.loc[patients, list(names)].to_numpy(dtype=float)
    data = TrainingData(
        images=np.asarray(images[rows["image_index"].to_numpy()], dtype=np.float32) / np.float32(255),
        conditions=scaler.transform(raw),
        patients=patients,
    )
    generator = build_generator(
        recipe.class_path, recipe.accepted(), image_size=recipe.image_size, n_conditions=len(names)
    )
    generator.fit(data, context)
    return FittedGenerator(generator, scaler, names, np.stack([raw.min(axis=0), raw.max(axis=0)]))


def train_folds(
    recipe: Recipe,
    folds: list[str],
    *,
    images: np.ndarray,
    series: pd.DataFrame,
    splits: pd.DataFrame,
    conditions: pd.DataFrame,
    context: FitContext,
    on_fold: Callable[[str, pd.DataFrame], None] = lambda fold, rows: None,
) -> tuple[dict[str, FittedGenerator], pd.DataFrame]:
    """Fit one generator per fold; returns them with the training figures (fold, step, ...).

    ``on_fold`` is told the training rows of every fold (for the card). Each fold has its own seed, derived from
    ``context.seed`` and the fold's name, and its own resume folder, keyed by the recipe and the training rows. A
    fitted fold is kept there at once, and a job that was killed in a later fold takes it from there instead of
    fitting again; :func:`radgen_lib.generators.resume.remove_kept` removes it once the outputs are written.
    """
    fitted: dict[str, FittedGenerator] = {}
    figures: list[dict[str, Any]] = []
    for fold in folds:
        given = of_fold(conditions, fold)
        rows = training_images(splits, fold, series, given)
        if rows.empty:
            raise DataError(
                f"fold {fold}: no training image has the condition {recipe.condition}. Check the split file"
            )
        on_fold(fold, rows)
        logging.getLogger("radgen").info(
            "fold %s: %d images of %d patients", fold, len(rows), rows["patient"].nunique()
        )
        told = _for_fold(context, recipe, fold, (rows, given))
        digest = _identity(recipe, images, rows, given, told) if told.resume else ""
        fitted[fold] = KeptFold(told.resume, fold, digest).take_or_fit(
            partial(_note, figures, fold), partial(_fit, recipe, images, rows, given, told)
        )
    return fitted, pd.DataFrame(figures, columns=_columns(figures))


def _fit(
    recipe: Recipe,
    images: np.ndarray,
    rows: pd.DataFrame,
    given: pd.DataFrame,
    context: FitContext,
    record: Callable[[dict[str, float]], None],
) -> FittedGenerator:
    return train_fold(recipe, images, rows, given, replace(context, record=record))


def _identity(recipe: Recipe, images: np.ndarray, rows: pd.DataFrame, given: pd.DataFrame, context: FitContext) -> str:
    """Digest of what decides a fitted fold's bytes beside the key of its folder.

    A fold may outlive a change of images, code or packages, and numbers depend on device and threads too.
    """
    module = recipe.class_path.partition(":")[0]
    facts = [
        recipe.image_size, list(map(str, given.columns)), rows["patient"].astype(str).tolist(), context.device,
        context.threads, context.deterministic, package_versions(), code_digest(module, __name__),
    ]  # fmt: skip
    pixels = np.ascontiguousarray(images[rows["image_index"].to_numpy()])
    return hashlib.sha256(f"{value_digest(facts)}{pixels.shape}{pixels.dtype}".encode() + pixels.tobytes()).hexdigest()


def _note(figures: list[dict[str, Any]], fold: str, row: dict[str, float]) -> None:
    figures.append({"fold": fold, **row})


def _columns(figures: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in figures for key in row)) or ["fold", "step", "loss"]


def _for_fold(
    context: FitContext,
    recipe: Recipe,
    fold: str,
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> FitContext:
    rows, given = tables
    values = pd.util.hash_pandas_object(given[given["patient"].isin(rows["patient"])], index=False).tolist()
    seed = derive_seed(context.seed, recipe.class_path, recipe.condition, fold)
    images = rows["image_index"].tolist()
    key = value_digest([recipe.class_path, recipe.accepted(), recipe.scaling, recipe.log, images, values, seed])
    place = f"{fold}-{key}"
    resume, board = context.resume, context.tensorboard
    return replace(
        context,
        seed=seed,
        resume=resume / place if resume else None,
        tensorboard=board / place if board else None,
    )
