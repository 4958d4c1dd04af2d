"""Distances between real and generated images in a feature space, with floor and interval (table B.TA)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses import resampling
from radgen_lib.analyses.runs import design_of, extractor_columns, finite_columns, repeat_of
from radgen_lib.core.rows import result_row
from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics import scaling
from radgen_lib.metrics.coverage import manifold_members, neighbours
from radgen_lib.metrics.intervals import FEWEST_PATIENTS
from radgen_lib.metrics.scaling import RealScale

Row = dict[str, Any]
Sets = list[tuple[np.ndarray, np.ndarray]]
HALVINGS = 20
RANK_NOTE = "rank-deficient"


def matched_sets(
    real_features: pd.DataFrame, table: pd.DataFrame, splits: pd.DataFrame, design: str, extractor: str
) -> tuple[Sets, np.ndarray, int]:
    """Real and generated features of a design's test images, z-scored by the real training images of their fold.

    Beyond 5 SD values are cut, on both sides alike (:mod:`radgen_lib.metrics.scaling`).

    Returns one (real [n, d], generated [n, d]) per repeat, rows in order of image_index, the patient of each row, and
    the number of columns left out (not finite, or constant over a fold's training images). The j-th test image of a
    patient meets draw j (modulo the draws), so that both sides hold each patient equally often.
    """
    held = table[(table["kind"] == "heldout") & table["fold"].map(lambda f: design_of(str(f)) == design)]
    found = held["fold"].unique()
    part = splits[(splits["design"] == design) & splits["fold"].isin(found)]
    columns = extractor_columns(real_features, extractor)
    names, _ = finite_columns(columns, real_features, held)
    real = real_features.set_index("image_index")[names].astype(float)
    folds: dict[int, list[pd.DataFrame]] = {}
    varying = np.ones(len(names), dtype=bool)
    for fold, rows in part.groupby("fold", sort=True):
        train = real.loc[np.sort(rows.loc[rows["role"] == "train", "image_index"].unique())]
        tests = rows.loc[rows["role"] == "test", ["image_index", "patient"]].sort_values("image_index")
        scale = RealScale.fit(train.to_numpy())
        varying &= scale.varying
        pairs = _meet(tests, held[held["fold"] == fold])
        sides = (real.loc[pairs["image_index"]], pairs[names])
        scored = pd.DataFrame(np.hstack([scale.apply(values.to_numpy(dtype=float)) for values in sides]))
        both = scored.assign(image=pairs["image_index"].to_numpy(), patient=pairs["patient"].to_numpy())
        folds.setdefault(repeat_of(str(fold)), []).append(both)
    repeats, patients = [], np.empty(0, dtype=str)
    for _, parts in sorted(folds.items()):
        joined = pd.concat(parts).sort_values("image", kind="stable")
        found_real, found_made = np.hsplit(joined.drop(columns=["image", "patient"]).to_numpy(dtype=float), 2)
        repeats.append((found_real[:, varying], found_made[:, varying]))
        patients = joined["patient"].to_numpy(dtype=str)
    return repeats, patients, len(columns) - int(varying.sum())


def _meet(tests: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Give each test image one draw of its patient; ValueError where a test patient has no draw."""
    ordered = held.sort_values(["patient", "draw"])
    ordered = ordered.assign(position=ordered.groupby("patient").cumcount())
    number = ordered.groupby("patient").size()
    lost = sorted(set(tests["patient"]) - set(number.index))
    if lost:
        raise ValueError(f"test patients without a held-out draw: {', '.join(lost)}")
    turn = tests.groupby("patient").cumcount() % tests["patient"].map(number)
    return tests.assign(position=turn).merge(ordered, on=["patient", "position"], validate="many_to_one")


def frechet_draws(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Frechet distance of every draw, rows drawn together: [draws].

    Works on n x n Gram matrices: tr((Σa Σb)^½) is the nuclear norm of the weighted, centred cross Gram matrix over
    n − 1, which also holds where the covariances are singular.
    """
    size = weights.sum(axis=1)
    share = weights / size[:, None]
    grams = a @ a.T, b @ b.T, a @ b.T
    mean_aa, mean_bb, mean_ab = (((share @ g) * share).sum(axis=1) for g in grams)
    trace = sum(share @ np.diag(g) - m for g, m in ((grams[0], mean_aa), (grams[1], mean_bb))) * size / (size - 1)
    nuclear = np.empty(len(weights))
    for i, (w, s) in enumerate(zip(np.sqrt(weights), share, strict=True)):
        cross = grams[2] - (s @ grams[2])[None, :] - (grams[2] @ s)[:, None] + mean_ab[i]
        drawn = w > 0
        cross = cross[np.ix_(drawn, drawn)] * w[drawn, None] * w[None, drawn]
        nuclear[i] = np.linalg.svd(cross, compute_uv=False).sum()
    return mean_aa + mean_bb - 2 * mean_ab + trace - 2 * nuclear / (size - 1)


def _kid_band(sets: Sets, patients: np.ndarray, *, draws: int, seed: int) -> dict[str, Any]:
    """KID averaged over repeats; with several repeats the limits are averaged too, which is a little too wide."""
    from radgen_lib.metrics.kid import kid_interval

    found = [kid_interval(a, b, patients, patients, draws=draws, rng=make_rng(seed, "kid bootstrap")) for a, b in sets]
    value, low, high = (float(np.mean([getattr(f, k) for f in found])) for k in ("value", "low", "high"))
    over = f", mean over {len(found)} repeats" if len(found) > 1 else ""
    return {"value": value, "low": low, "high": high, "n": found[0].n, "interval": found[0].method + over}


def _jackknife_band(value: float, sets: Sets, row_patient: np.ndarray) -> dict[str, Any]:
    """Normal limits of the Frechet distance from leaving out one patient at a time.

    A bootstrap repeats patients, which lowers the rank of the covariances and lifts every draw above the estimate.
    """
    n = int(row_patient.max()) + 1
    if n < FEWEST_PATIENTS:
        method = f"none: {n} patients, an interval needs {FEWEST_PATIENTS}"
        return {"value": value, "low": np.nan, "high": np.nan, "n": n, "interval": method}
    without = (row_patient[None, :] != np.arange(n)[:, None]).astype(float)
    left_out = np.mean([frechet_draws(a, b, without) for a, b in sets], axis=0)
    half = 1.96 * np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    method = "patient jackknife, normal limits, 95 %"
    return {"value": value, "low": max(value - half, 0.0), "high": value + half, "n": n, "interval": method}


def distance_rows(
    real_features: pd.DataFrame, table: pd.DataFrame, splits: pd.DataFrame, keys: dict[str, Any], *, headline: str,
    draws: int, seed: int,
) -> list[Row]:  # fmt: skip
    """KID (headline), Frechet distance and the manifold scores of one generator in one design and space.

    Repeats are averaged; intervals resample patients (real and generated together), that of the Frechet distance
    leaves them out one by one. No row where the design has no held-out draws.
    """
    from radgen_lib.metrics.frechet import frechet_distance

    sets, patients, dropped = matched_sets(real_features, table, splits, keys["design"], keys["extractor"])
    if not sets:
        return []
    people, row_patient = np.unique(patients, return_inverse=True)
    n, d = len(people), sets[0][0].shape[1]
    left_out = f", {dropped} unusable left out" if dropped else ""
    note = f"{len(patients)} test images, {d} features{left_out}, {scaling.NOTE}"
    if d == 0 or n < 2:
        return [result_row(**keys, metric="kid", n=n, reason=f"cannot be compared: {note}")]
    weights = resampling.patient_weights(n, draws, seed)[:, row_patient]
    kid = _kid_band(sets, patients, draws=draws, seed=seed)
    first = "headline; " if headline == "kid" and keys["extractor"] == "radiomics" else ""
    missing = {} if np.isfinite(kid["value"]) else {"reason": kid["interval"]}
    rows = [result_row(**keys, **kid, **missing, metric="kid", note=first + note)]
    frechet = [frechet_distance(a, b, allow_singular=True) for a, b in sets]
    singular = f"; {RANK_NOTE}" if any(f.singular for f in frechet) else ""
    band = _jackknife_band(float(np.mean([f.value for f in frechet])), sets, row_patient)
    rows.append(result_row(**keys, **band, metric=_frechet_name(keys["extractor"]), note=note + singular))
    return rows + _manifold_rows(sets, weights, n, {**keys, "note": note})


def distance_values(
    real_features: pd.DataFrame, table: pd.DataFrame, splits: pd.DataFrame, design: str, extractor: str
) -> dict[str, float]:
    """KID and Frechet distance of :func:`distance_rows` without their intervals; empty where there is none."""
    from radgen_lib.metrics.frechet import frechet_distance

    sets, patients, _ = matched_sets(real_features, table, splits, design, extractor)
    if not sets or sets[0][0].shape[1] == 0 or len(np.unique(patients)) < 2:
        return {}
    kid = _kid_band(sets, patients, draws=1, seed=0)["value"]
    frechet = [frechet_distance(a, b, allow_singular=True).value for a, b in sets]
    return {"kid": kid, _frechet_name(extractor): float(np.mean(frechet))}


def _frechet_name(extractor: str) -> str:
    return "frd" if extractor == "radiomics" else "fid"


def _manifold_rows(sets: Sets, weights: np.ndarray, n: int, keys: dict[str, Any]) -> list[Row]:
    """Precision, recall, density and coverage, averaged over repeats; weights: [draws, rows] of ``n`` patients."""
    members = [manifold_members(a, b) for a, b in sets]
    images = len(sets[0][0])
    few = f"{images} test images: balls of {neighbours(images)} neighbours need {neighbours(images) + 1}"
    rows = []
    for metric in members[0]:
        inside = np.mean([m[metric] for m in members], axis=0)
        if not np.isfinite(inside).all():
            rows.append(result_row(**keys, metric=metric, n=n, reason=few))
            continue
        band = resampling.banded(inside.mean(), weights @ inside / weights.sum(axis=1), n)
        rows.append(result_row(**keys, **band, metric=metric))
    return rows


def floor_rows(real_features: pd.DataFrame, keys: dict[str, Any], *, seed: int) -> list[Row]:
    """KID and Frechet distance between random halves of the real patients: what a perfect generator would score.

    The space is that of the generators' rows, except that all real images set the scale: halves have no training part.

    Halves hold half the patients each, so the floor of a distance that leans upward at small n stands a little high.
    """
    from radgen_lib.metrics.frechet import frechet_distance, real_floor
    from radgen_lib.metrics.kid import kid_floor

    names, _ = finite_columns(extractor_columns(real_features, keys["extractor"]), real_features)
    values = real_features[names].to_numpy(dtype=float)
    scale = RealScale.fit(values)
    keep = scale.varying
    z = scale.apply(values)[:, keep]
    patients = real_features["patient"].to_numpy(dtype=str)
    name = _frechet_name(keys["extractor"])
    singular = f"{RANK_NOTE}; " if len(z) // 2 <= z.shape[1] else ""

    def frechet(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(a, b, allow_singular=True).value

    rows = []
    for metric, extra in (("kid", ""), (name, singular)):
        row: Row = {**keys, "arm": "floor", "generator": "real", "metric": metric}
        note = f"{extra}real against real, halves by patient, {scaling.FLOOR_NOTE}"
        if not keep.any():
            rows.append(result_row(**row, reason="no feature varies over the real images"))
            continue
        rng = make_rng(seed, "floor", metric)
        found = (
            kid_floor(z, patients, halvings=HALVINGS, rng=rng)
            if metric == "kid"
            else real_floor(z, patients, frechet, halvings=HALVINGS, rng=rng)
        )
        limits: Row = {"low": found.low, "high": found.high, "n": found.n, "interval": found.method}
        missing: Row = {} if np.isfinite(found.value) else {"reason": found.method}
        rows.append(result_row(**row, **limits, **missing, value=found.value, note=note))
    return rows
