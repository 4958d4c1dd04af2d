"""A small cohort with known truth: factors that shape images and features, in folds by patient and site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from radgen_lib.audit.runs import AuditRun

FACTORS = ("g1", "g2")
FEATURES = [f"radiomics:firstorder_F{i}" for i in range(8)]


@dataclass(frozen=True)
class Cohort:
    """Tables of the planted cohort; ``means`` maps a patient to its expected feature vector."""

    patients: pd.DataFrame
    conditions: pd.DataFrame
    splits: pd.DataFrame
    real_features: pd.DataFrame
    means: dict[str, np.ndarray]


def make_cohort(seed: int = 1, *, patients: int = 24, folds: int = 3, repeats: int = 1, signal: float = 3.0) -> Cohort:
    """Features = loading x factors + noise; one or two images a patient; folds by patient."""
    rng = np.random.default_rng(seed)
    names = [f"TCGA-{'E2' if i % 3 else 'AO'}-A{i:03d}" for i in range(patients)]
    factors = rng.normal(size=(patients, len(FACTORS)))
    loading = np.random.default_rng(7).normal(size=(len(FACTORS), len(FEATURES)))
    means = signal * factors @ loading
    owner = np.repeat(np.arange(patients), 1 + np.arange(patients) % 2)
    values = means[owner] + rng.normal(size=(len(owner), len(FEATURES)))
    real = pd.DataFrame(values, columns=FEATURES)
    real.insert(0, "patient", [names[i] for i in owner])
    real.insert(0, "image_index", np.arange(len(owner)))
    parts = []
    for repeat in range(repeats):
        fold_of = rng.permutation(patients) % folds
        for fold in range(folds):
            role = np.where(fold_of[owner] == fold, "test", "train")
            table = real[["image_index", "patient"]].assign(design="grouped", fold=f"r{repeat}f{fold}", role=role)
            parts.append(table)
    return Cohort(
        pd.DataFrame({"patient": names, "site": [name[5:7] for name in names]}),
        pd.DataFrame({"patient": names, **{f: factors[:, i] for i, f in enumerate(FACTORS)}}),
        pd.concat(parts, ignore_index=True),
        real,
        {name: means[i] for i, name in enumerate(names)},
    )


def draw_run(
    cohort: Cohort, feature: Callable[[str, np.random.Generator], np.ndarray], *, draws: int = 4, seed: int = 3,
    generator: str = "planted", response: bool = False,
) -> AuditRun:  # fmt: skip
    """Held-out draws with features ``feature(condition patient, rng)``; pixels repeat the features as stripes."""
    rng = np.random.default_rng(seed)
    test = cohort.splits[cohort.splits["role"] == "test"][["fold", "patient"]].drop_duplicates()
    rows, values = [], []
    for fold, patient in test.itertuples(index=False):
        base = {"fold": fold, "patient": patient, "condition_patient": patient}
        for draw in range(draws):
            rows.append({**base, "kind": "heldout", "draw": draw, "factor": "", "shift": 0.0})
            values.append(feature(patient, rng))
        for shift in (0.0, -2.0, -1.0, 1.0, 2.0) if response else ():
            rows.append({**base, "kind": "response", "draw": 0, "factor": "PC1" if shift else "", "shift": shift})
            values.append(shift * np.arange(1, len(FEATURES) + 1) + 0.1 * rng.normal(size=len(FEATURES)))
    table = np.asarray(values)
    images = np.repeat(np.repeat(table[:, :, None], 32 // table.shape[1], axis=1), 32, axis=2)
    index = pd.DataFrame(rows).assign(row=np.arange(len(rows)))
    return AuditRun("factors17", generator, index, images, pd.DataFrame(table, columns=FEATURES))


@pytest.fixture
def cohort() -> Cohort:
    """The planted cohort."""
    return make_cohort()


@pytest.fixture
def build_cohort() -> Callable[..., Cohort]:
    """Builder of planted cohorts."""
    return make_cohort


@pytest.fixture
def build_run() -> Callable[..., AuditRun]:
    """Builder of generator runs over a planted cohort."""
    return draw_run
