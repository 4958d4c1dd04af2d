"""A network and data small enough to train in milliseconds, with everything that can break a resume in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from radgen_lib.generators.base import FitContext, TrainingData
from radgen_lib.generators.common import build_seeded
from radgen_lib.generators.loop import LoopOptions, train


class TinyNetwork(torch.nn.Module):
    """Convolution, batch statistics (a buffer), dropout (global randomness) and a condition."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.condition = torch.nn.Linear(3, 4)
        self.dropout = torch.nn.Dropout(0.1)
        self.last = torch.nn.Conv2d(4, 1, 1)

    def forward(self, images: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.first(images)) + self.condition(conditions)[:, :, None, None]
        return self.last(self.dropout(hidden.relu()))


def denoising(
    network: torch.nn.Module, images: torch.Tensor, conditions: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=generator)
    return (network(images + noise, conditions) - images).square().mean()


@pytest.fixture
def pairs() -> TrainingData:
    rng = np.random.default_rng(0)
    images, conditions = rng.random((10, 8, 8), dtype=np.float32), rng.random((10, 3), dtype=np.float32)
    return TrainingData(images, conditions, np.array([f"TCGA-AO-{i:04d}" for i in range(10)]))


@pytest.fixture
def fit(pairs: TrainingData) -> Callable[..., torch.nn.Module]:
    """``fit(epochs=.., ..)``: train a fresh tiny network; ``context`` entries and ``loss`` by keyword."""

    def run(*, loss=denoising, context=None, data=pairs, network=None, **options) -> torch.nn.Module:
        chosen = LoopOptions(**{"epochs": 4, "batch_size": 4, "learning_rate": 1e-2, **options})
        network = network or build_seeded(5, TinyNetwork)
        return train(network, loss, data, chosen, FitContext(**{"seed": 3, **(context or {})}))

    return run
