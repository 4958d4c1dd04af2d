"""Where labelled patients' synthetic images lie on their first two principal components (B.F2: scores and picture)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from radgen_lib.analyses.runs import extractor_columns

TASK, COMPONENTS = "subgroup", 2


class SubgroupPoints(NamedTuple):
    """points [n, 2], labels int [n] (1 or 0), explained [2]: share of the variance of each component."""

    points: np.ndarray
    labels: np.ndarray
    explained: np.ndarray


def subgroup_points(table: pd.DataFrame, patients: pd.DataFrame) -> SubgroupPoints:
    """Components of the radiomic features of labelled patients, from one fold's synthetic images (``full`` if there).

    table: fold, kind, patient and ``radiomics:...`` columns; patients: patient, subgroup (1, 0 or NaN). Features that
    are constant or not finite for somebody are left out; no point where fewer than three patients or two features stay.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    images = table[table["kind"] == "synthetic"]
    fold = "full" if (images["fold"] == "full").any() else images["fold"].iloc[0] if len(images) else ""
    labelled = images[images["fold"] == fold].merge(patients[["patient", TASK]].dropna(), on="patient")
    values = labelled[extractor_columns(labelled, "radiomics")].to_numpy(dtype=float)
    values = values[:, np.isfinite(values).all(axis=0) & (values.std(axis=0) > 0)] if len(values) else values
    if len(values) <= COMPONENTS or values.shape[1] < COMPONENTS:
        return SubgroupPoints(np.empty((0, COMPONENTS)), np.empty(0, dtype=int), np.empty(0))
    model = PCA(COMPONENTS, svd_solver="full")
    points = model.fit_transform(StandardScaler().fit_transform(values))
    return SubgroupPoints(points, labelled[TASK].to_numpy(dtype=int), model.explained_variance_ratio_)
