"""Features of a stack of images: identical ones are measured once, and each row is that of its image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from radgen_lib.analyses import features
from radgen_lib.analyses.features import feature_tables, unit_images


def measured(images: np.ndarray, **changes: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    given: dict[str, Any] = {
        "binning": "count32", "clamp": True, "encoders": [], "weights": None, "preprocessing": "per_network",
    }  # fmt: skip
    return feature_tables(images, **{**given, **changes})


@pytest.fixture
def stack() -> np.ndarray:
    """float16 [6, 16, 16]: images b, a, b, c, a, a with values outside [0, 1]."""
    a, b, c = np.random.default_rng(1).normal(0.5, 0.5, size=(3, 16, 16)).astype(np.float16)
    return np.stack([b, a, b, c, a, a])


def test_every_row_is_that_of_its_image(stack: np.ndarray) -> None:
    table, status = measured(stack)
    one_by_one = pd.concat([measured(stack[i : i + 1])[0] for i in range(len(stack))], ignore_index=True)
    pd.testing.assert_frame_equal(table, one_by_one)
    assert status["status"].tolist() == ["ok"] and table.nunique().max() == 3


def test_identical_images_are_measured_once(stack: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def counted(images: np.ndarray, **_: Any) -> pd.DataFrame:
        sizes.append(len(images))
        return pd.DataFrame({"radiomics:mean": images.mean(axis=(1, 2))})

    monkeypatch.setattr(features, "radiomic_features", counted)
    table, _ = measured(stack, clamp=False)
    assert sizes == [3]
    np.testing.assert_allclose(table["radiomics:mean"], stack.astype(np.float32).mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("clamp", [True, False])
def test_units(stack: np.ndarray, clamp: bool) -> None:
    before = stack.copy()
    values = unit_images(stack, clamp=clamp)
    assert values.dtype == np.float32 and (stack == before).all()
    assert ((values >= 0) & (values <= 1)).all() == clamp
    whole = unit_images(np.array([[[0, 255]]], dtype=np.uint8), clamp=clamp)
    assert whole.tolist() == [[[0.0, 1.0]]]
