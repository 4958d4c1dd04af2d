"""A toy cohort: eight patients with one to three images whose blob moves with the condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from radgen_lib.generators.base import FitContext, Generator, TrainingData, build_generator

SIDE, CONDITIONS = 16, 3
PATIENTS = tuple(f"TCGA-AO-A{i:03d}" for i in range(8))


def blobs(conditions: np.ndarray) -> np.ndarray:
    """Images [n, 16, 16]: a blob whose place is given by the first two conditions."""
    grid = np.linspace(-1, 1, SIDE)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    places = [(x - 0.3 * c[0]) ** 2 + (y - 0.3 * c[1]) ** 2 for c in conditions]
    return np.exp(-np.array(places) / 0.2).astype(np.float32)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side; networks of this size only lose time to threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy() -> TrainingData:
    rng = np.random.default_rng(5)
    counts = [1, 1, 2, 3, 1, 2, 1, 1]
    by_patient = rng.normal(size=(len(PATIENTS), CONDITIONS)).astype(np.float32)
    conditions = np.repeat(by_patient, counts, axis=0)
    images = blobs(conditions) * rng.uniform(0.6, 1.0, size=(len(conditions), 1, 1)).astype(np.float32)
    return TrainingData(images, conditions, np.repeat(np.array(PATIENTS), counts))


@pytest.fixture(scope="session")
def make() -> Callable[..., Generator]:
    """``make("baselines:MeanImage", option=...)`` builds a generator of toy size."""

    def build(path: str, **options: Any) -> Generator:
        return build_generator(f"radgen_lib.generators.{path}", options, image_size=SIDE, n_conditions=CONDITIONS)

    return build


@pytest.fixture
def context() -> FitContext:
    return FitContext(seed=11)
