"""Which images are drawn from a trained generator, and the drawing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pandas as pd

from radgen_lib.core.errors import DataError
from radgen_lib.core.progress import Progress
from radgen_lib.core.seeds import derive_seed, make_rng
from radgen_lib.generators.store import FittedGenerator
from radgen_lib.omics.conditions import of_fold

COLUMNS = ["fold", "kind", "patient", "condition_patient", "draw", "factor", "shift", "seed"]
SHIFTS = (-2.0, -1.0, 1.0, 2.0)  # training SD; the image at 0 is drawn once for all of a patient's factors
FIRST = "PC1"  # the factor that moves all variables of the condition together
BATCH = 256
LARGEST = 6e4  # float16 ends at 65504


@dataclass(frozen=True)
class SamplePlan:
    """How many images of which kind.

    draws: images per held-out patient; synthetic_folds: folds whose generators draw the patients without MRI;
    others: those patients, in order; primary: also draw shuffled conditions. shifted: per fold the factors that are
    shifted one at a time (a fold that is not there draws none); shifted_patients: how many held-out patients of a
    design are drawn so, None for all.
    """

    draws: int
    synthetic_folds: Sequence[str]
    others: Sequence[str]
    primary: bool
    seed: int
    shifted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    shifted_patients: int | None = None


def choose_others(patients: pd.DataFrame, limit: int | None, *, seed: int) -> list[str]:
    """Patients with the condition but without MRI; a seeded sample of ``limit`` when there are more.

    The sample keeps every patient with a subgroup label (the scarcest) up to half of it, and of the rest a share
    that is stratified by ER, so that each endpoint keeps both classes.
    """
    pool = patients[(patients["n_images"] == 0) & patients["has_genes15"]].sort_values("patient")
    if limit is None or len(pool) <= limit:
        return pool["patient"].tolist()
    rng = make_rng(seed, "others")
    order = pool.iloc[rng.permutation(len(pool))]
    scarce = order[order["subgroup"].notna()].head(limit // 2)
    rest = order.drop(scarce.index)
    negative = rest[rest["er"] == 0].head((limit - len(scarce)) // 3)
    filled = rest.drop(negative.index).head(limit - len(scarce) - len(negative))
    return sorted(pd.concat([scarce, negative, filled])["patient"])


def plan_rows(splits: pd.DataFrame, folds: Sequence[str], plan: SamplePlan) -> pd.DataFrame:
    """Table of the images to draw (columns of :data:`COLUMNS`), in a fixed order."""
    rows: list[dict[str, object]] = []
    for fold in folds:
        side = splits[(splits["fold"] == fold) & (splits["role"] == "test")]
        held_out = sorted(side["patient"].unique())
        rows += [_row(fold, "heldout", p, p, draw) for p in held_out for draw in range(plan.draws)]
        if fold in plan.shifted:
            chosen = shifted_patients(splits, str(side["design"].iloc[0]), plan) if len(side) else set()
            rows += _shifted(fold, [p for p in held_out if p in chosen], plan.shifted[fold])
        if fold in plan.synthetic_folds:
            rows += [_row(fold, "synthetic", p, p, 0) for p in plan.others]
            if plan.primary:
                rows += [_row(fold, "shuffled", p, q, 0) for p, q in exchanged(plan.others, plan.seed, fold)]
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    # A shifted condition starts from the same noise at every shift: what changes is the condition alone.
    names = ["fold", "kind", "patient", "draw"]
    table["seed"] = [derive_seed(plan.seed, *values) for values in table[names].itertuples(index=False)]
    return table


def factors_to_shift(names: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """:data:`FIRST`, then the first ``limit`` variables of a condition in the order of its columns (None: all)."""
    return (FIRST, *names[:limit])


def shifted_patients(splits: pd.DataFrame, design: str, plan: SamplePlan) -> set[str]:
    """Held-out patients of a design that are drawn with shifts.

    A limit takes the first in an order that depends on the seed and the patient's name alone: the same patients for
    every generator, condition and repeat, and a larger limit adds to them.
    """
    there = splits[(splits["design"] == design) & (splits["role"] == "test")]["patient"].unique()
    return set(sorted(there, key=lambda name: derive_seed(plan.seed, "shifted", name))[: plan.shifted_patients])


def _shifted(fold: str, patients: Sequence[str], factors: Sequence[str]) -> list[dict[str, object]]:
    """Per patient the image at the own condition (factor ""), then every factor at every other shift."""
    moved = [("", 0.0), *((factor, shift) for factor in factors for shift in SHIFTS)]
    return [_row(fold, "response", p, p, 0, factor, shift) for p in patients for factor, shift in moved]


def exchanged(patients: Sequence[str], seed: int, fold: str) -> list[tuple[str, str]]:
    """Pairs (patient, whose condition it gets) in the order of ``patients``: nobody keeps the own condition.

    One random cycle through all patients (Sattolo 1986, doi:10.1016/0020-0190(86)90073-6). A single patient has nobody
    to exchange with, so there is no pair.
    """
    rng = make_rng(seed, "shuffled", fold)
    given = list(patients)
    for last in range(len(given) - 1, 0, -1):
        other = int(rng.integers(last))
        given[last], given[other] = given[other], given[last]
    return list(zip(patients, given, strict=True)) if len(given) > 1 else []


def _row(
    fold: str, kind: str, patient: str, condition: str, draw: int, factor: str = "", shift: float = 0.0
) -> dict[str, object]:
    values = (fold, kind, patient, condition, draw, factor, shift)
    return dict(zip(COLUMNS, values, strict=False))


def directions(fitted: FittedGenerator, conditions: pd.DataFrame, trained_on: Sequence[str]) -> dict[str, np.ndarray]:
    """What one SD of each factor adds to a scaled condition: float32 [c] by name, :data:`FIRST` and every variable.

    Centre and SD are of the training patients, each once, in the space that the generator is given, after its scaler.
    For a variable all other entries are 0: the others keep the patient's own values as the network sees them. Under
    ``per_patient_minmax`` a shift of the raw value would rescale them all whenever it moves the patient's smallest or
    largest, so there too the scaled entry alone is moved, and may leave [0, 1]; a variable that this scaling makes
    constant has SD 0, and its shifts change nothing. :data:`FIRST` is the first principal direction, its sign such
    that the largest loading is positive.
    """
    raw = conditions.set_index("patient").loc[sorted(set(trained_on)), list(fitted.names)].to_numpy(dtype=float)
    centred = fitted.scaler.transform(raw).astype(np.float64)
    centred -= centred.mean(axis=0)
    freedom = np.sqrt(max(len(centred) - 1, 1))
    _, singular, vectors = np.linalg.svd(centred, full_matrices=False)
    first = vectors[0] * np.sign(vectors[0][np.abs(vectors[0]).argmax()])
    single = np.diag(np.sqrt((centred**2).sum(axis=0)) / freedom)
    steps = {FIRST: first * singular[0] / freedom, **dict(zip(fitted.names, single, strict=True))}
    return {name: step.astype(np.float32) for name, step in steps.items()}


def _storable(drawn: np.ndarray, fold: str) -> np.ndarray:
    """``drawn`` within what float16 holds; what had to be limited is logged, and what is no number stops the job."""
    lost = int(np.size(drawn) - np.isfinite(drawn).sum())
    if lost:
        raise DataError(f"fold {fold}: {lost} pixels are no numbers: training diverged. Lower learning_rate")
    beyond = int((np.abs(drawn) > LARGEST).sum())
    if beyond:
        logging.getLogger("radgen").warning("fold %s: %d pixels beyond %g are limited to it", fold, beyond, LARGEST)
    return np.clip(drawn, -LARGEST, LARGEST)


def _batches(places: Sequence[int], seeds: Sequence[int]) -> list[list[int]]:
    """``places`` in order, at most :data:`BATCH` at once; neighbours of one seed stay together if they fit in one.

    The same input gives an image that differs by rounding in another batch. What is compared within a patient, the
    shifts of a condition from one noise, must not differ by that.
    """
    made: list[list[int]] = [[]]
    for _, group in groupby(places, key=lambda place: seeds[place]):
        same = list(group)
        for start in range(0, len(same), BATCH):
            part = same[start : start + BATCH]
            if len(made[-1]) + len(part) > BATCH:
                made.append([])
            made[-1] += part
    return [part for part in made if part]


def draw_samples(
    fitted: Mapping[str, FittedGenerator],
    trained_on: Mapping[str, Sequence[str]],
    plan: pd.DataFrame,
    conditions: pd.DataFrame,
    *,
    device: str,
    what: str = "sampling",
) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw the images of ``plan``; returns float16 [n, H, W] and the plan with ``row`` in front.

    Rows of a fold with the same seed and the same scaled condition are drawn once and copied: a shift of a variable
    without spread in the training patients gives the bytes of the image at shift 0, without a trace of rounding.
    Patients without the condition drop out of the plan (they are rows of the selection table already). Raises
    DataError when a pixel is no number.
    """
    given = {str(fold): of_fold(conditions, str(fold)) for fold in plan["fold"].unique()}
    parts = [
        rows[rows["condition_patient"].isin(given[str(f)]["patient"])] for f, rows in plan.groupby("fold", sort=False)
    ]
    plan = pd.concat([plan.iloc[:0], *parts], ignore_index=True)
    size = next(iter(fitted.values())).generator.image_size
    images = np.empty((len(plan), size, size), dtype=np.float16)
    progress = Progress(what, len(plan))
    for fold, rows in plan.groupby("fold", sort=False):
        one, own = fitted[str(fold)], given[str(fold)]
        raw = own.set_index("patient").loc[rows["condition_patient"], list(one.names)].to_numpy(dtype=float)
        scaled = one.scaler.transform(raw)
        moved = np.flatnonzero(rows["shift"] != 0)
        if len(moved):
            steps = directions(one, own, trained_on[str(fold)])
            by = rows["shift"].to_numpy(np.float32)[moved, None]
            scaled[moved] += by * np.stack([steps[factor] for factor in rows["factor"].iloc[moved]])
        seeds = rows["seed"].tolist()
        keys = [(seed, *given_to) for seed, given_to in zip(seeds, scaled.tolist(), strict=True)]
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        for part in _batches(sorted(first.values()), seeds):
            drawn = one.generator.sample(scaled[part], [seeds[place] for place in part], device=device)
            images[rows.index[part]] = _storable(drawn, str(fold))
            progress.advance(len(drawn), f"fold {fold}")
        if copies := [place for place, key in enumerate(keys) if first[key] != place]:
            images[rows.index[copies]] = images[rows.index[[first[keys[place]] for place in copies]]]
            progress.advance(len(copies), f"fold {fold}")
    plan.insert(0, "row", np.arange(len(plan)))
    return images, plan
