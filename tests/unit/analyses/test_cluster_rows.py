"""Rows of B.F2: a silhouette that tells planted subgroups from labels at random, and the reason where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from radgen_lib.analyses.clusters import cluster_rows, silhouette
from radgen_lib.analyses.runs import Run

N = 40


def _world(gap: float) -> tuple[pd.DataFrame, Any]:
    """Patients of two subgroups and one chunk of a generator's images, ``gap`` SD apart in two of three features."""
    rng = np.random.default_rng(2)
    names = [f"P{i:02d}" for i in range(N)]
    subgroup = (np.arange(N) % 2).astype(float)
    patients = pd.DataFrame({"patient": names, "subgroup": subgroup, "n_images": 0, "has_genes15": True})
    index = pd.DataFrame({"row": range(N), "fold": "full", "kind": "synthetic", "patient": names, "draw": 0})
    values = rng.normal(size=(N, 3)) + gap * subgroup[:, None] * [1, 1, 0]
    features = pd.DataFrame(values, columns=[f"radiomics:f{i}" for i in range(3)]).assign(row=range(N))
    return patients, Run("genes15", "edm", np.zeros((N, 4, 4)), index, features, pd.DataFrame())


def _rows(gap: float, primary: str = "edm") -> dict[str, Any]:
    patients, run = _world(gap)
    found = cluster_rows(patients, [run], name="rigorous", primary=primary, permutations=99, draws=50, seed=1)
    return found.set_index("metric").to_dict("index")


def test_planted_clusters_are_found_and_random_labels_are_none() -> None:
    planted, random = _rows(8.0), _rows(0.0)
    assert planted["cluster_silhouette"]["value"] > 0.5 and planted["cluster_p"]["value"] == 0.01
    assert planted["cluster_silhouette"]["n"] == N and planted["cluster_silhouette"]["events"] == N // 2
    assert random["cluster_silhouette"]["value"] < 0.1 and random["cluster_p"]["value"] > 0.05


def test_without_images_of_the_primary_generator_there_is_a_reason() -> None:
    row = _rows(8.0, primary="cpdm")["cluster_silhouette"]
    assert np.isnan(row["value"]) and row["reason"] == "no synthetic images of cpdm from genes15"


def test_silhouette_equals_scikit_learns() -> None:
    from sklearn.metrics import silhouette_samples

    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(15, 2)), np.arange(15) % 2
    distance = np.linalg.norm(points[:, None] - points[None, :], axis=-1)
    np.testing.assert_allclose(silhouette(distance, labels), silhouette_samples(points, labels))
