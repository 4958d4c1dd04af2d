"""Do the published subgroups form clusters in image features (B.F2)? Silhouette with interval and permutation test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.arms import sample_note
from radgen_lib.analyses.resampling import banded, patient_weights
from radgen_lib.analyses.runs import Run, featured_runs
from radgen_lib.analyses.subgroup_points import TASK, subgroup_points
from radgen_lib.core.rows import result_frame, result_row
from radgen_lib.core.seeds import make_rng

ITEM, FEWEST = "B.F2", 5


def cluster_rows(
    patients: pd.DataFrame, runs: Iterable[Run], *, name: str, primary: str, permutations: int, draws: int, seed: int
) -> pd.DataFrame:
    """Silhouette of the two subgroups on the first two principal components of the primary generator's images.

    The components describe the very patients that are scored (a picture, not a prediction), so the test against
    permuted labels, not the level, says whether there are clusters. patients: patient, subgroup (1, 0 or NaN).
    """
    rows = []
    for (condition, generator), table in featured_runs(list(runs)).items():
        if generator != primary or condition != "genes15":
            continue
        keys: dict[str, Any] = {
            "item": ITEM, "protocol": name, "condition": condition, "generator": generator, "arm": "synthetic",
            "extractor": "radiomics", "task": TASK, "model": "pca",
        }  # fmt: skip
        points, labels, _ = subgroup_points(table, patients)
        keys["note"] = sample_note(patients, table.loc[table["kind"] == "synthetic", "patient"])
        if min((labels == 0).sum(), (labels == 1).sum()) < FEWEST:
            reason = f"fewer than {FEWEST} patients with synthetic images in a subgroup"
            rows.append(result_row(**keys, metric="cluster_silhouette", n=len(labels), reason=reason))
            continue
        rows += _scored(points, labels, keys, permutations, draws, seed)
    if not rows:
        reason = f"no synthetic images of {primary} from genes15"
        rows.append(result_row(item=ITEM, protocol=name, task=TASK, metric="cluster_silhouette", reason=reason))
    return result_frame(rows)


def silhouette(distance: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Silhouette of each point for two groups (Rousseeuw 1987), from distances [n, n]; equals scikit-learn's."""
    member = np.stack([labels == 0, labels == 1]).astype(float)
    sums, sizes = distance @ member.T, member.sum(axis=1)
    own = labels.astype(int)
    index = np.arange(len(own))
    a = sums[index, own] / np.maximum(sizes[own] - 1, 1)
    b = sums[index, 1 - own] / sizes[1 - own]
    top = np.maximum(a, b)
    return np.where(top > 0, (b - a) / np.where(top > 0, top, 1), 0.0)


def _scored(
    points: np.ndarray, labels: np.ndarray, keys: dict[str, Any], permutations: int, draws: int, seed: int
) -> list[dict[str, object]]:
    distance = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
    scores = silhouette(distance, labels)
    rng = make_rng(seed, ITEM, keys["protocol"], keys["generator"])
    weights = patient_weights(len(scores), draws, seed, ITEM, keys["protocol"], keys["generator"])
    found = banded(scores.mean(), weights @ scores / weights.sum(axis=1), len(scores))
    null = np.array([silhouette(distance, rng.permutation(labels)).mean() for _ in range(permutations)])
    p = (1 + (null >= scores.mean()).sum()) / (1 + permutations)
    events = int((labels == 1).sum())
    fitted = "components were fitted on the patients they show"
    common = {**keys, "note": "; ".join(text for text in (fitted, keys["note"]) if text)}
    return [
        result_row(**common, **found, metric="cluster_silhouette", events=events),
        result_row(
            **common, metric="cluster_p", value=float(p), n=len(labels), events=events,
            interval=f"none: p of {permutations} permutations of the labels",
        ),
    ]  # fmt: skip
