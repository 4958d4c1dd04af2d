"""The points of B.F2: whose, of which fold, on which features; one function for the scores and the picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from radgen_lib.analyses.subgroup_points import subgroup_points

N = 12
PATIENTS = pd.DataFrame({"patient": [f"P{i:02d}" for i in range(N)], "subgroup": [1.0, 0.0, np.nan] * 4})


@pytest.fixture
def table() -> pd.DataFrame:
    """Synthetic images of two folds and one held-out image, four usable features."""
    rng = np.random.default_rng(3)
    rows = [(fold, "synthetic", p) for fold in ("r0f0", "full") for p in PATIENTS["patient"]]
    frame = pd.DataFrame([*rows, ("full", "heldout", "P00")], columns=["fold", "kind", "patient"])
    values = rng.normal(size=(len(frame), 4)) * [1.0, 10.0, 100.0, 0.1]
    return frame.join(pd.DataFrame(values, columns=[f"radiomics:f{i}" for i in range(4)]))


def test_labelled_patients_of_the_full_fold_in_units_of_each_features_spread(table: pd.DataFrame) -> None:
    found = subgroup_points(table, PATIENTS)
    assert found.labels.tolist() == [1, 0] * 4 and found.labels.dtype.kind == "i"
    part = table[(table["fold"] == "full") & (table["kind"] == "synthetic")].set_index("patient")
    x = part.loc[PATIENTS.dropna()["patient"]].filter(like="radiomics:").to_numpy()
    model = PCA(2).fit((x - x.mean(axis=0)) / x.std(axis=0))
    np.testing.assert_allclose(found.explained, model.explained_variance_ratio_)
    np.testing.assert_allclose(found.points.var(axis=0, ddof=1), model.explained_variance_)


def test_without_a_full_fold_the_first_one(table: pd.DataFrame) -> None:
    first = subgroup_points(table[table["fold"] != "full"], PATIENTS)
    assert len(first.points) == 8 and not np.allclose(first.points, subgroup_points(table, PATIENTS).points)


def test_features_that_say_nothing_or_lack_a_value_are_left_out(table: pd.DataFrame) -> None:
    more = table.assign(**{"radiomics:flat": 7.0, "radiomics:hole": np.arange(len(table), dtype=float), "vgg16:x": 1.0})
    more.loc[more["patient"] == "P00", "radiomics:hole"] = np.nan
    np.testing.assert_array_equal(subgroup_points(more, PATIENTS).points, subgroup_points(table, PATIENTS).points)


def test_too_little_gives_no_point(table: pd.DataFrame) -> None:
    for part, patients in (
        (table[:0], PATIENTS),
        (table, PATIENTS[:2]),
        (table.drop(columns=[f"radiomics:f{i}" for i in (1, 2, 3)]), PATIENTS),
    ):
        found = subgroup_points(part, patients)
        assert found.points.shape == (0, 2) and len(found.labels) == len(found.explained) == 0
