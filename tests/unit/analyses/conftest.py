"""A small made-up cohort with planted signal and planted nulls; numbers mean nothing outside these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses.arms import Tables
from radgen_lib.analyses.runs import Run
from radgen_lib.core.config.cpdm import AS_PUBLISHED, RIGOROUS, Prediction, Protocol, Survival

SIDE = 16
FEATURES = [f"radiomics:f{i}" for i in range(5)]
STATUS = pd.DataFrame(
    {
        "extractor": ["radiomics", "vgg16"],
        "status": ["ok", "weights not present"],
        "reason": ["", "file vgg16.safetensors"],
    }
)


@dataclass
class World:
    """The cohort, its images and the runs of its generators."""

    tables: Tables
    images: np.ndarray
    runs: list[Run]
    latent: pd.Series

    @property
    def series(self) -> pd.DataFrame:
        found = self.tables.real_features[["image_index", "patient"]]
        return found.assign(series=[f"1.2.{index}" for index in found["image_index"]])


def _features(latent: np.ndarray, signal: float, rng: np.random.Generator) -> pd.DataFrame:
    values = rng.normal(size=(len(latent), len(FEATURES)))
    values[:, 0] += signal * latent
    return pd.DataFrame(values, columns=FEATURES)


def _patients(rng: np.random.Generator, imaged: int, others: int) -> tuple[pd.DataFrame, pd.Series]:
    n = imaged + others
    names = [f"TCGA-{'AO' if i % 3 else 'E2'}-{i:04d}" for i in range(n)]
    latent = rng.normal(size=n)
    days = np.ceil(rng.exponential(2000 * np.exp(-1.2 * latent))) + 1
    censor = rng.uniform(300, 4000, size=n)
    table = pd.DataFrame(
        {
            "patient": names,
            "er": (latent + 0.3 * rng.normal(size=n) > 0).astype(float),
            "mut_TP53": (rng.random(n) < 0.4).astype(float),
            "subgroup": np.where(np.arange(n) < imaged, np.nan, (latent > 0).astype(float)),
            "os_days": np.minimum(days, censor),
            "os_event": (days <= censor).astype(float),
            "age": rng.uniform(30, 80, size=n),
            "stage": rng.choice(["STAGE I", "STAGE IIA", "STAGE IIIC", "STAGE IV", "STAGE X"], size=n),
            "subtype": rng.choice(["BRCA_LumA", "BRCA_LumB", "BRCA_Basal", ""], size=n, p=[0.5, 0.2, 0.2, 0.1]),
            "n_images": (np.arange(n) < imaged).astype(int),
            "has_genes15": True,
        }
    )
    return table, pd.Series(latent, index=names)


def _splits(series: pd.DataFrame, folds: int, repeats: int) -> pd.DataFrame:
    def part(design: str, fold: str, inside: pd.Series) -> pd.DataFrame:
        return series.assign(design=design, fold=fold, role=np.where(inside, "test", "train"))

    people = series["patient"].unique()
    parts = [
        part("full", "full", series["image_index"] < 0),
        part("published_split", "split", series["image_index"] < 4),
    ]
    for repeat in range(repeats):
        number = {p: (i + (repeat * i) // folds) % folds for i, p in enumerate(people)}
        for fold in range(folds):
            parts.append(part("grouped", f"r{repeat}f{fold}", series["patient"].map(number) == fold))
    for site in ("AO", "E2"):
        parts.append(part("site", f"site-{site}", series["patient"].str[5:7] == site))
    return pd.concat(parts, ignore_index=True)


def _endpoints(patients: list[str], folds: int, repeats: int, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for task in ("er", "mut_TP53", "subgroup", "survival", "survival_subgroup"):
        for repeat in range(repeats):
            parts.append(
                pd.DataFrame({"patient": patients, "fold": rng.permutation(len(patients)) % folds}).assign(
                    task=task, repeat=repeat
                )
            )
    return pd.concat(parts, ignore_index=True)


def _index(
    splits: pd.DataFrame, others: list[str], rng: np.random.Generator, draws: int, shuffle: bool
) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for fold, part in splits.groupby("fold", sort=True):
        for patient in part.loc[part["role"] == "test", "patient"].unique():
            rows += [{"fold": fold, "kind": "heldout", "patient": patient, "draw": d} for d in range(draws)]
        if str(fold).startswith("site"):
            continue
        rows += [{"fold": fold, "kind": "synthetic", "patient": p, "draw": 0} for p in others]
        if shuffle:
            swapped = rng.permutation(others)
            rows += [
                {"fold": fold, "kind": "shuffled", "patient": p, "draw": 0, "condition_patient": q}
                for p, q in zip(others, swapped, strict=True)
            ]
    table = pd.DataFrame(rows)
    if "condition_patient" not in table:
        table["condition_patient"] = table["patient"]
    table["condition_patient"] = table["condition_patient"].fillna(table["patient"])
    return table.assign(row=np.arange(len(table)), seed=0)


def _picture(latent: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Images whose brightness gradient follows the latent."""
    ramp = np.linspace(0.2, 0.8, SIDE)
    tilt = np.linspace(-0.5, 0.5, SIDE)
    base = ramp[None, :, None] + 0.1 * latent[:, None, None] * tilt[None, None, :]
    return np.clip(base + noise * rng.normal(size=(len(latent), SIDE, SIDE)), 0, 1)


def build_world(*, seed: int = 0, imaged: int = 16, others: int = 120, signal: float = 2.0, repeats: int = 1) -> World:
    """Cohort whose label ``er`` and survival follow a latent; ``mut_TP53`` follows nothing."""
    rng = np.random.default_rng(seed)
    patients, latent = _patients(rng, imaged, others)
    owners = [p for i, p in enumerate(patients["patient"][:imaged]) for _ in range(1 + i % 3)]
    series = pd.DataFrame({"image_index": range(len(owners)), "patient": owners})
    here = latent[owners].to_numpy()
    real = pd.concat([series, _features(here, signal, rng)], axis=1)
    condition = pd.DataFrame(rng.normal(size=(imaged + others, 3)), columns=["G1", "G2", "G3"])
    condition["G1"] += signal * latent.to_numpy()
    condition = np.exp2(condition + 6)  # linear expression
    condition.insert(0, "patient", patients["patient"])
    outside = list(patients["patient"][imaged:])
    splits = _splits(series, folds=2, repeats=repeats)
    runs = []
    for generator in ("edm", "mean", "untrained", "noise"):
        index = _index(splits, outside, rng, draws=2, shuffle=generator == "edm")
        told = latent[index["condition_patient"]].to_numpy()
        known = told if generator == "edm" else np.zeros(len(index))
        features = _features(known, signal, rng)
        if generator == "mean":
            features[:] = 1.0
        samples = _picture(known, rng, 0.02 if generator in ("edm", "mean") else 0.3).astype(np.float16)
        runs.append(Run("genes15", generator, samples, index, features.assign(row=index["row"]), STATUS))
    images = np.round(255 * _picture(here, rng, 0.02)).astype(np.uint8)
    endpoints = _endpoints(outside, folds=3, repeats=repeats, rng=rng)
    return World(Tables(patients, real, {"genes15": condition}, splits, endpoints), images, runs, latent)


@pytest.fixture(scope="session")
def world() -> World:
    return build_world()


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    return build_world


@pytest.fixture
def rigorous() -> Protocol:
    return RIGOROUS.model_copy(update={"conditions": ["genes15"], "generators": ["edm", "mean", "untrained", "noise"]})


@pytest.fixture
def published() -> Protocol:
    return AS_PUBLISHED.model_copy(update={"conditions": ["genes15"], "primary": "edm", "generators": ["edm"]})


@pytest.fixture
def asked() -> Prediction:
    return Prediction(
        tasks=["er", "mut_TP53", "subgroup"], classifiers=["logistic"], primary_tasks=[], primary_classifiers=[],
        holdout_seeds=6, inner_folds=3, bootstrap=300,
    )  # fmt: skip


@pytest.fixture
def cox() -> Survival:
    return Survival(search_settings=8, search_permutations=3)


@pytest.fixture
def pick() -> Iterator[Callable[..., pd.Series]]:
    """The one row of a result table with the given keys."""

    def one(rows: pd.DataFrame, **keys: str) -> pd.Series:
        found = rows[np.logical_and.reduce([rows[k] == v for k, v in keys.items()])]
        assert len(found) == 1, f"{len(found)} rows with {keys}:\n{found}"
        return found.iloc[0]

    yield one
