"""Distances of the memorisation audit: synthetic to training, real to training of other patients, and the gallery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from radgen_lib.audit.runs import AuditRun, Fold
from radgen_lib.audit.spaces import block_mean

PERCENTILE = 1.0
PAIRS = 10


@dataclass(frozen=True)
class FoldNearest:
    """One fold. Keys of the dicts: "rmse" and "correlation" (1 - Pearson r).

    samples: positions in the run [k]; synthetic: distances to each training image [k, t]; synthetic_patients: whose
    condition [k]; train: image indexes [t]; reference: distance of each real image to the nearest training image of
    another patient [m], with reference_patients; held_out: the reference images are held-out ones (else: training
    images); copy_limit: 1st percentile of distances between real images of different patients; between: distances of
    all real images of the fold to the samples [all, k], "rmse" only, with real_images [all]; gallery [patients,
    queries]: mean rmse of each real patient to the samples of each held-out condition, gallery_true: row of the true
    patient, queries: names. gallery is None without held-out conditions.
    """

    name: str
    samples: np.ndarray
    synthetic: dict[str, np.ndarray]
    synthetic_patients: np.ndarray
    train: np.ndarray
    reference: dict[str, np.ndarray]
    reference_patients: np.ndarray
    held_out: bool
    copy_limit: dict[str, float]
    between: np.ndarray
    real_images: np.ndarray
    gallery: np.ndarray | None
    gallery_true: np.ndarray
    queries: np.ndarray


def image_distances(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """``rmse`` and ``correlation`` (1 - r) between rows of ``a`` [m, d] and ``b`` [k, d], each [m, k].

    A constant image has no correlation: its distance is set to 1, that of an unrelated image.
    """
    from scipy.spatial.distance import cdist

    return {"rmse": cdist(a, b) / np.sqrt(a.shape[1]), "correlation": np.maximum(1.0 - _unit(a) @ _unit(b).T, 0.0)}


def _unit(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12)
    return unit


def fold_nearest(run: AuditRun, fold: Fold, real: np.ndarray, owners: np.ndarray) -> FoldNearest | None:
    """Measure one fold; ``real`` [all images, H, W] in [0, 1] with ``owners``. None when the fold has no samples.

    Held-out conditions are used where the fold holds patients out, else images of patients without MRI.
    """
    rows = run.rows("heldout", fold.name)
    held_out = len(rows) > 0 and len(fold.test) > 0
    rows = rows if held_out else run.rows("synthetic", fold.name)
    if not len(rows) or not len(fold.train):
        return None
    conditions = run.index["condition_patient"].to_numpy(dtype=str)[rows]
    used = np.sort(np.concatenate([fold.train, fold.test]))
    pixels = block_mean(real[used])
    drawn = block_mean(run.samples[rows])
    in_train = np.isin(used, fold.train)
    to_samples = image_distances(pixels, drawn)
    among = image_distances(pixels, pixels)
    other = owners[used][:, None] != owners[used][None, :]
    pairs = other & np.triu(np.ones_like(other), 1)
    looked_at = ~in_train if held_out else in_train
    nearest = {
        key: np.where(other & in_train[None, :], table, np.inf).min(axis=1)[looked_at] for key, table in among.items()
    }
    gallery, true, queries = (
        _gallery(to_samples["rmse"], owners[used], conditions) if held_out else (None, _NONE, _NONE)
    )
    return FoldNearest(
        fold.name, rows, {key: table[in_train].T for key, table in to_samples.items()}, conditions, used[in_train],
        nearest, owners[used][looked_at], held_out,
        {key: float(np.percentile(table[pairs], PERCENTILE)) for key, table in among.items()},
        to_samples["rmse"], used, gallery, true, queries,
    )  # fmt: skip


_NONE = np.empty(0, dtype=int)


def _gallery(
    distance: np.ndarray, owners: np.ndarray, conditions: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    names = np.unique(owners)
    queries = np.intersect1d(np.unique(conditions), names)
    if not len(queries):
        return None, _NONE, queries
    rows = np.stack([distance[owners == name].mean(axis=0) for name in names])
    table = np.stack([rows[:, conditions == name].mean(axis=1) for name in queries], axis=1)
    return table, np.searchsorted(names, queries), queries


def top_pairs(run: AuditRun, folds: list[FoldNearest], owners: np.ndarray) -> pd.DataFrame:
    """The closest pairs of synthetic and training images over all folds, nearest first, one pair per sample."""
    parts = []
    for fold in folds:
        best = fold.synthetic["rmse"].argmin(axis=1)
        at = np.arange(len(best))
        columns = [
            c for c in ("chunk", "row", "fold", "kind", "patient", "condition_patient", "draw") if c in run.index
        ]
        image = fold.train[best]
        values = {
            "training_image": image,
            "training_patient": owners[image],
            "rmse": fold.synthetic["rmse"][at, best],
            "correlation": 1.0 - fold.synthetic["correlation"][at, best],
        }
        parts.append(run.index.iloc[fold.samples][columns].reset_index(drop=True).assign(**values))
    return pd.concat(parts, ignore_index=True).sort_values("rmse", kind="stable").head(PAIRS).reset_index(drop=True)
