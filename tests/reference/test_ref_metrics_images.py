"""Image errors and similarity against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import mean_squared_error, structural_similarity

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.image_quality import mse, ssim


def pairs(seed: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Noise, a smooth ramp with noise, a flat image and an image of zeros."""
    rng = make_rng(seed, "pairs")
    ramp = np.add.outer(np.linspace(0, 0.5, shape[0]), np.linspace(0, 0.5, shape[1]))
    a = np.stack([rng.random(shape), ramp, np.full(shape, 0.4), np.zeros(shape)])
    b = np.stack([rng.random(shape), ramp + 0.02 * rng.normal(size=shape), rng.random(shape), ramp])
    return a, b


@pytest.mark.parametrize("shape", [(11, 11), (32, 24), (128, 128)])
def test_ssim_equals_scikit_image(shape: tuple[int, int]) -> None:
    a, b = pairs(shape[0], shape)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [structural_similarity(x, y, **settings) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=0, atol=1e-10)


def test_errors_equal_scikit_image() -> None:
    a, b = pairs(1, (20, 30))
    np.testing.assert_allclose(mse(a, b), [mean_squared_error(x, y) for x, y in zip(a, b, strict=True)], rtol=1e-12)
