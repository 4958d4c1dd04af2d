"""Splits of the patients of a tensor."""

from __future__ import annotations

import pandas as pd
import pytest

from radgen_lib.cohort.factor_splits import factor_splits
from radgen_lib.cohort.splits import image_splits
from radgen_lib.core.config.load import resolve
from radgen_lib.core.errors import ConfigError
from radgen_lib.core.plan import factor_folds

SITES = {"AO_AR": ["AO", "AR"], "E2": ["E2"]}


def cohort() -> tuple[list[str], pd.DataFrame, pd.DataFrame]:
    """40 patients of a tensor, of whom 12 have an image; one imaged patient has no omics."""
    codes = ["AO", "AR", "E2", "BH"]
    names = [f"TCGA-{codes[i % 4]}-{i:04d}" for i in range(40)]
    subtype = ["LumA" if i % 2 else "Basal" for i in range(40)]
    patients = pd.DataFrame({"patient": names, "subtype": subtype, "er": [float(i % 2) for i in range(40)]})
    patients.loc[:3, "subtype"] = ""
    imaged = [*names[:12], "TCGA-BH-9999"]
    series = pd.DataFrame({"image_index": range(len(imaged)), "series_uid": "", "patient": imaged})
    everyone = pd.DataFrame({"patient": [*names, "TCGA-BH-9999"], "er": 1.0, "site": "x"})
    splits = image_splits(
        everyone, series, folds=3, repeats=2, seed=1, designs=["grouped", "site", "full"], sites=SITES
    )
    return names, patients, splits


def drawn(**changes: object) -> pd.DataFrame:
    """Splits of :func:`cohort` with 4 folds, drawn twice."""
    names, patients, splits = cohort()
    options = {"folds": 4, "repeats": 2, "seed": 5, "sites": SITES, **changes}
    return factor_splits(names, patients, splits, **options)  # type: ignore[arg-type]


def test_every_fold_names_every_patient_once() -> None:
    table = drawn()
    names = cohort()[0]
    for _, rows in table.groupby("fold"):
        assert sorted(rows["patient"]) == sorted(names)


def test_no_test_patient_of_a_generator_trains_its_factors() -> None:
    names, _, splits = cohort()
    table = drawn()
    for fold, rows in splits.groupby("fold"):
        tested = set(rows.loc[rows["role"] == "test", "patient"]) & set(names)
        trained = set(table.loc[(table["fold"] == fold) & (table["role"] == "train"), "patient"])
        assert not tested & trained
        assert fold == "full" or tested


def test_a_site_is_held_out_whole() -> None:
    table = drawn()
    rows = table[table["fold"] == "site-AO_AR"].set_index("patient")["role"]
    for patient, role in rows.items():
        assert (role == "test") == (str(patient)[5:7] in ("AO", "AR"))


def test_prediction_folds_part_the_patients_evenly_and_by_subtype() -> None:
    table, patients = drawn(), cohort()[1].set_index("patient")["subtype"]
    for repeat in range(2):
        tests = [
            set(table.loc[(table["fold"] == f"cv{repeat}-{f}") & (table["role"] == "test"), "patient"])
            for f in range(4)
        ]
        assert sum(map(len, tests)) == len(set.union(*tests)) == 40
        for test in tests:
            assert len(test) == 10
            assert 4 <= (patients[sorted(test)] == "LumA").sum() <= 5
    assert not table[table["fold"] == "cv0-0"].equals(table[table["fold"] == "cv1-0"])


def test_order_of_patients_does_not_matter_and_the_seed_does() -> None:
    names, patients, splits = cohort()
    options = {"folds": 4, "repeats": 1, "sites": SITES}
    one = factor_splits(names, patients, splits, seed=5, **options)  # type: ignore[arg-type]
    two = factor_splits(names[::-1], patients.iloc[::-1], splits, seed=5, **options)  # type: ignore[arg-type]
    other = factor_splits(names, patients, splits, seed=6, **options)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)


def test_folds_of_the_plan_are_those_of_the_file() -> None:
    config = resolve({"preset": "paper", "cohorts": {"tcga_brca_released": {"splits": {"folds": 3, "repeats": 2}}}})
    planned = factor_folds(config, "tcga_brca_released")
    table = drawn(folds=config.factors.folds, repeats=config.factors.repeats)
    assert set(planned) == set(table["fold"])


def test_more_folds_than_patients_are_refused() -> None:
    with pytest.raises(ConfigError, match="the tensor has 40 patients only"):
        drawn(folds=41)
