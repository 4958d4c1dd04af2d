"""Reference values of the published pixel-row Frechet distance (table B.TD): what copies, means and noise score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.fidelity import PUBLISHED_DRAWS, diverged_note, pair_table
from radgen_lib.analyses.runs import Run
from radgen_lib.cohort.published import PUBLISHED_TEST
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import make_rng

ITEM = "B.TD"
NOT_RELEASED = "needs the released projections, of which {patient} is image {index}; this cohort has other images"
NOISE_DRAWS = 20
Row = dict[str, Any]


def reference_rows(
    images: np.ndarray,
    series: pd.DataFrame,
    runs: Iterable[Run],
    splits: pd.DataFrame,
    *,
    name: str,
    clamp: bool,
    seed: int,
    test_images: Mapping[int, tuple[str, str]] = PUBLISHED_TEST,
) -> pd.DataFrame:
    """Rows of B.TD, ``task`` = the patient of the test image, ``arm`` = the reference.

    Arms: copy (best training image of the same patient), same_patient (their median), other_patient (best training
    image of anybody else), mean_image (mean training image), noise (uniform), model (a generator's draws).

    images: uint8 [n, H, W]; series: image_index, series, patient, one row a usable image. References are images outside
    ``test_images`` (the published single split: index -> patient and series). Where the image of that index is missing
    or is not named by that series, as in every cohort but the released one (elsewhere names are those of volumes), a
    row says so. Generators appear in every design in which the test image was held out.
    """
    rows: list[Row] = []
    owner = series.set_index("image_index")["patient"]
    named = dict(zip(series["image_index"], zip(series["patient"], series["series"], strict=True), strict=True))
    there = tuple(index for index, test in test_images.items() if named.get(index) == test)
    for index, (patient, _) in test_images.items():
        if index in there:
            rows += _one_image(images, owner, index, there, name=name, seed=seed)
        else:
            absent: Row = {"item": ITEM, "protocol": name, "task": patient, "metric": "pixelrow_frechet"}
            rows.append(result_row(**absent, reason=NOT_RELEASED.format(patient=patient, index=index)))
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for run in runs if there else ():
        table = pair_table(images, run, splits[splits["image_index"].isin(there)], clamp=clamp)
        parts.setdefault((run.condition, run.generator), []).append(table)
    for (condition, generator), tables in parts.items():
        keys = {"item": ITEM, "protocol": name, "condition": condition, "generator": generator, "arm": "model"}
        pairs = pd.concat(tables, ignore_index=True)
        for (design, index), part in pairs.groupby(["design", "image_index"], sort=True):
            rows += _generator_rows(part, {**keys, "design": str(design), "task": str(owner[index])}, f"image {index}")
    return result_frame(rows)


def _one_image(
    images: np.ndarray, owner: pd.Series, index: int, tests: tuple[int, ...], *, name: str, seed: int
) -> list[Row]:
    """Copies, mean image and noise for one test image."""
    from radgen_lib.analyses.features import unit_images
    from radgen_lib.metrics.frechet import pixelrow_frechet

    real = unit_images(images, clamp=True)
    training = [i for i in sorted(owner.index) if i not in tests]  # images that could not be used have no owner
    copies = {i: pixelrow_frechet(real[index], real[i]) for i in training}
    same = np.array([v for i, v in copies.items() if owner[i] == owner[index]])
    other = np.array([v for i, v in copies.items() if owner[i] != owner[index]])
    noise = make_rng(seed, "reference noise", index).random((NOISE_DRAWS, *real.shape[1:]), dtype=np.float32)
    noises = np.array([pixelrow_frechet(real[index], n) for n in noise])
    single = {"interval": "none: one image"}
    references: list[tuple[str, float, dict[str, Any], str]] = [
        ("copy", same.min() if same.size else np.nan, single, f"best of {same.size}"),
        ("same_patient", np.median(same) if same.size else np.nan, single, f"median of {same.size}"),
        ("other_patient", other.min() if other.size else np.nan, single, f"best of {other.size}"),
        ("mean_image", pixelrow_frechet(real[index], real[training].mean(axis=0)), single, f"mean of {len(training)}"),
        ("noise", noises.mean(), resampling.spread(noises, "noise images"), f"mean of {NOISE_DRAWS}"),
    ]
    keys = {"item": ITEM, "protocol": name, "task": str(owner[index]), "metric": "pixelrow_frechet"}
    rows = []
    for arm, value, band, note in references:
        row: Row = {**keys, "arm": arm, "n": 1, "note": f"image {index}; {note}"}
        there = np.isfinite(value)
        rows.append(
            result_row(**row, **band, value=float(value))
            if there
            else result_row(**row, reason="no such training image")
        )
    return rows


def _generator_rows(part: pd.DataFrame, keys: dict[str, Any], image: str) -> list[Row]:
    """Best and mean of the first 3 draws for one test image in one design.

    Draws are reduced within each fold that held the image out, and folds (one a repeat) are averaged, as in B.TA: a
    minimum over all repeats would fall with their number alone. low and high of the mean are the spread over draws.
    """
    used = part[part["draw"] < PUBLISHED_DRAWS]
    by_fold = used.groupby(["repeat", "fold"])["pixelrow"]
    over = f", mean over {by_fold.ngroups} repeats" if by_fold.ngroups > 1 else ""
    notes = (f"{image}; first {by_fold.size().max()} draws{over}", diverged_note(part))
    note = "; ".join(text for text in notes if text)
    one: Row = {"interval": "none: one image"}
    all_draws = resampling.spread(used["pixelrow"].to_numpy(), "draws")
    best, mean = float(by_fold.min().mean()), float(by_fold.mean().mean())
    return [
        result_row(**keys, **one, metric="pixelrow_frechet_best", value=best, n=1, note=note),
        result_row(**keys, **all_draws, metric="pixelrow_frechet_mean", value=mean, n=1, note=note),
    ]
