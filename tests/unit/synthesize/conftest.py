"""A stored generator with two folds, and a table of new patients that suits it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radgen_lib.core.provenance import Card
from radgen_lib.generators.base import FitContext, TrainingData, build_generator
from radgen_lib.generators.store import FittedGenerator, save_generators
from radgen_lib.omics.conditions import ConditionScaler

GENES = ("CD6", "LTB", "CYBA")


def store(
    folder: Path, *, method: str = "cohort_zscore", folds: tuple[str, ...] = ("full", "r0f0"), ranges=True, log=True
) -> Path:
    """Train a ridge decoder per fold on a toy cohort and write weights and card."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.gamma(2.0, 40.0, size=(9, 3)), columns=list(GENES))
    patients = np.array([f"TCGA-AO-A{i:03d}" for i in range(9)])
    fitted = {}
    for number, fold in enumerate(folds):
        scaler = ConditionScaler.fit(table, method, log=log)
        images = (rng.random((9, 16, 16), dtype=np.float32) * 3 - 1).clip(-1, 2)
        generator = build_generator(
            "radgen_lib.generators.baselines:PCARidge", {"alpha": 0.1 + number}, image_size=16, n_conditions=3
        )
        generator.fit(TrainingData(images, scaler.transform(table.to_numpy()), patients), FitContext(seed=0))
        limits = np.stack([table.min(), table.max()]) if ranges else None
        fitted[fold] = FittedGenerator(generator, scaler, GENES, limits)
    card = Card("train_generator", config={}, seed=1, code="x")
    card.add(trained_on={key: {"patient": patients.tolist(), "image_index": list(range(9))} for key in folds})
    save_generators(folder / "weights.safetensors", folder / "card.json", fitted, card)
    return folder / "card.json"


@pytest.fixture
def train() -> Callable[..., Path]:
    """``train(folder, method=.., folds=.., ranges=.., log=..)`` stores a generator and returns its card."""
    return store


@pytest.fixture
def trained(tmp_path) -> Path:
    return store(tmp_path / "trained")


@pytest.fixture
def new_patients() -> pd.DataFrame:
    """Raw values of four patients, columns in another order than the generator's, one column too many."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame(rng.uniform(20, 90, size=(4, 3)), columns=["CYBA", "CD6", "LTB"])
    table.insert(0, "patient", ["P-1", "TCGA-AO-A002", "P/3 x", "P-4"])
    return table.assign(TP53=1.0)


@pytest.fixture
def omics(tmp_path, new_patients) -> Path:
    path = tmp_path / "omics.csv"
    new_patients.to_csv(path, index=False)
    return path
