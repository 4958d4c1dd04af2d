"""Folds over patients without MRI."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.cohort.endpoints import endpoint_labels, endpoint_splits
from radgen_lib.core.errors import ConfigError


def made(size: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"patient": [f"TCGA-A1-{i:04d}" for i in range(size)]})
    table["n_images"] = (rng.random(size) < 0.2).astype(int)
    table["has_genes15"] = rng.random(size) < 0.9
    for name in ("er", "subgroup"):
        table[name] = rng.choice([0.0, 1.0, np.nan], size=size)
    table["os_days"] = np.where(rng.random(size) < 0.8, rng.exponential(900, size) + 1, np.nan)
    table["os_event"] = np.where(table["os_days"].notna(), rng.integers(0, 2, size), np.nan)
    return table


@settings(deadline=None, max_examples=30)
@given(st.integers(60, 120), st.integers(2, 5), st.integers(1, 3), st.integers(0, 99))
def test_every_labelled_patient_is_tested_once_a_repeat(size: int, folds: int, repeats: int, seed: int) -> None:
    patients = made(size, seed)
    tasks = ["er", "survival", "survival_subgroup"]
    splits = endpoint_splits(patients, tasks=tasks, folds=folds, repeats=repeats, seed=seed)
    shuffled = patients.sample(frac=1, random_state=seed)
    again = endpoint_splits(shuffled, tasks=tasks, folds=folds, repeats=repeats, seed=seed)
    pd.testing.assert_frame_equal(splits, again)
    for task in tasks:
        labels = endpoint_labels(patients[patients["n_images"] == 0], task)
        for repeat in range(repeats):
            part = splits[(splits["task"] == task) & (splits["repeat"] == repeat)]
            assert sorted(part["patient"]) == labels.index.tolist()
            positives = part.groupby("fold")["patient"].agg(lambda p, labels=labels: labels.loc[p].sum())
            sizes = part["fold"].value_counts()
            assert positives.max() - positives.min() <= 1
            assert sizes.max() - sizes.min() <= 1


def test_only_patients_without_mri_and_with_genes() -> None:
    patients = made(100, 1)
    tested = set(endpoint_splits(patients, tasks=["er"], folds=2, repeats=1, seed=0)["patient"])
    table = patients.set_index("patient")
    assert (table.loc[sorted(tested), "n_images"] == 0).all()
    assert table.loc[sorted(tested), "has_genes15"].all()
    outside = set(table.index[(table["n_images"] > 0) & table["er"].notna()])
    assert outside and not outside & tested


def test_survival_subgroup_is_the_part_of_survival_with_a_subgroup() -> None:
    patients = made(80, 2)
    every, part = endpoint_labels(patients, "survival"), endpoint_labels(patients, "survival_subgroup")
    assert 0 < len(part) < len(every)
    pd.testing.assert_series_equal(part, every.loc[part.index])


def test_repeats_differ() -> None:
    splits = endpoint_splits(made(80, 3), tasks=["er"], folds=3, repeats=2, seed=0)
    first, second = (set(splits[(splits["repeat"] == r) & (splits["fold"] == 0)]["patient"]) for r in (0, 1))
    assert first != second


def test_too_few_patients_give_no_rows_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="radgen"):
        splits = endpoint_splits(made(5, 0), tasks=["subgroup"], folds=5, repeats=1, seed=0)
    assert list(splits.columns) == ["task", "repeat", "fold", "patient"]
    assert len(splits) == 0
    assert "too few for 5 folds" in caplog.text


@pytest.mark.parametrize("task", ["unheard_of", "patient", "has_genes15"])
def test_unknown_task(task: str) -> None:
    with pytest.raises(ConfigError, match=task):
        endpoint_labels(made(10, 0), task)
