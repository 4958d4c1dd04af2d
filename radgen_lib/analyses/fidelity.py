"""Image fidelity of held-out patients' draws (table B.TA): pixels here, feature spaces in feature_distance."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.feature_distance import distance_rows, floor_rows
from radgen_lib.analyses.runs import (
    Run,
    design_of,
    featured_runs,
    known_extractors,
    missing_extractors,
    repeat_of,
    selection_note,
)
from radgen_lib.core.config.cpdm import Protocol
from radgen_lib.core.rows import result_frame, result_row

ITEM = "B.TA"
Row = dict[str, Any]
PUBLISHED_DRAWS = 3  # per patient; the best of more draws is smaller for that alone
DIVERGED = (-1.0, 2.0)  # pixels are meant to lie in [0, 1]
PIXEL_METRICS = ("pixelrow_frechet_best", "pixelrow_frechet_mean", "mse", "ssim")
BCA_METRICS = ("mse", "ssim")  # skewed by single patients: BCa limits


def fidelity_rows(
    images: np.ndarray,
    real_features: pd.DataFrame,
    runs: Iterable[Run],
    splits: pd.DataFrame,
    *,
    name: str,
    protocol: Protocol,
    seed: int,
    draws: int,
    known: Mapping[str, Collection[str]] | None = None,
) -> pd.DataFrame:
    """Rows of B.TA for protocol ``name``, per (condition, generator, design).

    images: uint8 [n, H, W], row = image_index; real_features: image_index, patient, features. Every draw of a test
    patient is compared to each of that patient's test images. Intervals resample patients ``draws`` times.
    known: condition -> patients who have it, where that is not everybody; the others' images are not asked for.
    """
    runs, known = list(runs), known or {}
    rows: list[Row] = []
    pairs = _all_pairs(images, runs, splits, clamp=protocol.clamp_images)
    for (condition, generator), table in pairs.items():
        for design in protocol.designs:
            part = table[table["design"] == design]
            keys = {"item": ITEM, "protocol": name, "condition": condition, "generator": generator, "design": design}
            if len(part):
                rows += pixel_rows(part, keys, protocol, draws=draws, seed=seed)
                rows.append(
                    diversity_row(images, part, runs, keys, clamp=protocol.clamp_images, draws=draws, seed=seed)
                )
    missing = missing_extractors(runs)
    featured = featured_runs(runs)
    for extractor in known_extractors(runs):
        if extractor in missing:
            rows += _missing_rows(name, sorted(pairs), extractor, missing[extractor])
            continue
        common = {"item": ITEM, "protocol": name, "extractor": extractor}
        rows += floor_rows(real_features, common, seed=seed)
        for (condition, generator), table in featured.items():
            keys = {**common, "condition": condition, "generator": generator}
            asked = splits if condition not in known else splits[splits["patient"].isin(known[condition])]
            for design in protocol.designs:
                rows += distance_rows(
                    real_features, table, asked, {**keys, "design": design}, headline=protocol.frechet_headline,
                    draws=draws, seed=seed,
                )  # fmt: skip
    return result_frame([_with_selection(row, protocol) for row in rows])


def _with_selection(row: Row, protocol: Protocol) -> Row:
    texts = (row["note"], selection_note(protocol, row["condition"]))
    return {**row, "note": "; ".join(text for text in texts if text)}


def _missing_rows(name: str, made: list[tuple[str, str]], extractor: str, reason: str) -> list[Row]:
    return [
        result_row(
            item=ITEM, protocol=name, condition=condition, generator=generator, extractor=extractor, metric="kid",
            reason=reason,
        )
        for condition, generator in made
    ]  # fmt: skip


def _all_pairs(
    images: np.ndarray, runs: list[Run], splits: pd.DataFrame, *, clamp: bool
) -> dict[tuple[str, str], pd.DataFrame]:
    """Pair tables by (condition, generator), chunks put together; ``chunk`` says which run a row's sample is in."""
    parts: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for chunk, run in enumerate(runs):
        table = pair_table(images, run, splits, clamp=clamp).assign(chunk=chunk)
        parts.setdefault((run.condition, run.generator), []).append(table)
    return {key: pd.concat(tables, ignore_index=True) for key, tables in parts.items()}


def pair_table(images: np.ndarray, run: Run, splits: pd.DataFrame, *, clamp: bool) -> pd.DataFrame:
    """One row per (fold, test image, draw of its patient): image_index, patient, draw, row, metrics, design, repeat.

    ``outside`` is the share of the draw's pixels far outside [0, 1].
    """
    from radgen_lib.analyses.features import unit_images
    from radgen_lib.metrics.frechet import pixelrow_frechet
    from radgen_lib.metrics.image_quality import mse, ssim

    held = run.index.loc[run.index["kind"] == "heldout", ["fold", "patient", "draw", "row"]]
    tests = splits.loc[splits["role"] == "test", ["fold", "image_index", "patient"]]
    pairs = held.merge(tests, on=["fold", "patient"]).sort_values(["fold", "image_index", "draw"], ignore_index=True)
    values: dict[str, list[np.ndarray]] = {"pixelrow": [], "mse": [], "ssim": [], "outside": []}
    for _, part in pairs.groupby("fold", sort=True):
        real = unit_images(images[part["image_index"].to_numpy()], clamp=clamp)
        made = unit_images(np.asarray(run.samples[part["row"].to_numpy()]), clamp=clamp)
        values["pixelrow"].append(np.array([pixelrow_frechet(a, b) for a, b in zip(real, made, strict=True)]))
        values["mse"].append(mse(real, made))
        values["ssim"].append(ssim(real, made))
        values["outside"].append(((made < DIVERGED[0]) | (made > DIVERGED[1])).mean(axis=(1, 2)))
    folds = pairs["fold"].map(str)
    measured = {key: np.concatenate(found) if found else np.empty(0) for key, found in values.items()}
    return pairs.assign(design=folds.map(design_of), repeat=folds.map(repeat_of), **measured)


def pixel_rows(pairs: pd.DataFrame, keys: dict[str, Any], protocol: Protocol, *, draws: int, seed: int) -> list[Row]:
    """Pixel-row Frechet (best and mean of the first 3 draws, as published), MSE and SSIM of one generator and design.

    MSE and SSIM average all draws. Draws are reduced per test image, repeats averaged per image; then images are
    averaged (``split_unit: image``) or first averaged within their patient. Intervals resample patients in both cases.
    """
    reduced, numerator, denominator = _by_patient(pairs, protocol)
    by_image_mean = protocol.split_unit == "image"
    people = len(denominator)
    weights = resampling.patient_weights(people, draws, seed)
    drawn = (weights @ numerator) / (weights @ denominator)[:, None]
    lone = people < 2
    left_out = None if lone else (numerator.sum(axis=0) - numerator) / (denominator.sum() - denominator)[:, None]
    note = (
        f"mean over {len(reduced)} test images" if by_image_mean else f"{len(reduced)} test images, mean over patients"
    )
    diverged = diverged_note(pairs)
    k = reduced["k"].mean()
    rows: list[Row] = []
    for column, metric in enumerate(PIXEL_METRICS):
        value = numerator[:, column].sum() / denominator.sum()
        without = None if left_out is None or metric not in BCA_METRICS else left_out[:, column]
        band = resampling.banded(value, drawn[:, column], people, left_out=without)
        headline = metric.endswith("best") and protocol.frechet_headline == "pixelrow_best_of_draws"
        drawn_note = f"first {min(k, PUBLISHED_DRAWS):.0f} draws" if metric.startswith("pixelrow") else f"{k:.0f} draws"
        parts = ("headline" if headline else "", f"{note}, {drawn_note} each", diverged)
        rows.append(result_row(**keys, **band, metric=metric, note="; ".join(part for part in parts if part)))
    return rows


def _by_patient(pairs: pd.DataFrame, protocol: Protocol) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Metrics by test image, and the numerator [patients, metrics] and denominator [patients] of their mean."""
    by_image = published_draws(pairs).groupby(["repeat", "fold", "patient", "image_index"])
    reduced = by_image.agg(
        pixelrow_frechet_best=("pixelrow", "min"), pixelrow_frechet_mean=("pixelrow", "mean"), mse=("mse", "mean"),
        ssim=("ssim", "mean"), k=("draw", "size"),
    ).groupby(["patient", "image_index"]).mean()  # fmt: skip
    patients = reduced.groupby("patient")
    sums, counts = patients[list(PIXEL_METRICS)].sum().to_numpy(), patients.size().to_numpy(dtype=float)
    if protocol.split_unit == "image":
        return reduced, sums, counts
    return reduced, sums / counts[:, None], np.ones_like(counts)


def pixel_means(pairs: pd.DataFrame, protocol: Protocol) -> dict[str, float]:
    """The values of :func:`pixel_rows` without their intervals, by metric."""
    _, numerator, denominator = _by_patient(pairs, protocol)
    return dict(zip(PIXEL_METRICS, (numerator.sum(axis=0) / denominator.sum()).tolist(), strict=True))


def published_draws(pairs: pd.DataFrame) -> pd.DataFrame:
    """``pairs`` with the pixel-row distance of later draws than the published 3 blanked (NaN)."""
    return pairs.assign(pixelrow=pairs["pixelrow"].where(pairs["draw"] < PUBLISHED_DRAWS))


def diverged_note(pairs: pd.DataFrame) -> str:
    """What to say where sampling ran away, or ``""``."""
    low, high = DIVERGED
    return f"most pixels lie outside [{low:g}, {high:g}]: sampling diverged" if pairs["outside"].mean() > 0.5 else ""


def diversity_row(
    images: np.ndarray,
    pairs: pd.DataFrame,
    runs: list[Run],
    keys: dict[str, Any],
    *,
    clamp: bool,
    draws: int,
    seed: int,
) -> Row:
    """Between-patient SD of the draws over that of the real images (1: as diverse; 0: one image for everybody).

    One image per patient on each side: the first test image and the first draw. The SD is the root mean square over
    pixels. Repeats are averaged; the interval resamples patients.
    """
    from radgen_lib.analyses.features import unit_images

    first = pairs.sort_values(["image_index", "draw"]).drop_duplicates(["repeat", "patient"])
    first = first.sort_values(["repeat", "patient"])
    patients = first["patient"].unique()
    if len(patients) < 2:
        return result_row(**keys, metric="diversity_ratio", n=len(patients), reason="fewer than two test patients")
    weights = np.vstack([np.ones(len(patients)), resampling.patient_weights(len(patients), draws, seed)])
    ratios = []
    for _, part in first.groupby("repeat", sort=True):
        position = np.searchsorted(patients, part["patient"].to_numpy())
        real = unit_images(images[part["image_index"].to_numpy()], clamp=clamp)
        made = np.stack([runs[c].samples[r] for c, r in zip(part["chunk"], part["row"], strict=True)])
        drawn = weights[:, position]
        between = _between_sd(real, drawn)
        empty = np.full_like(between, np.nan)
        ratios.append(
            np.divide(_between_sd(unit_images(made, clamp=clamp), drawn), between, out=empty, where=between > 0)
        )
    ratio = np.mean(ratios, axis=0)
    band = resampling.banded(ratio[0], ratio[1:], len(patients))
    return result_row(**keys, **band, metric="diversity_ratio", note="between-patient SD, synthetic over real")


def _between_sd(images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Root of the mean pixel variance over drawn images: [draws]; by way of the Gram matrix, not of the pixels."""
    flat = images.reshape(len(images), -1).astype(float)
    flat = flat - flat.mean(axis=0)
    gram = flat @ flat.T / flat.shape[1]
    size = weights.sum(axis=1)
    square = weights @ np.diag(gram) / size - ((weights @ gram) * weights).sum(axis=1) / size**2
    return np.sqrt(np.maximum(square, 0.0) * size / np.maximum(size - 1, 1))
