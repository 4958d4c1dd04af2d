"""Errors and similarity of image pairs (PROTOCOLS 8.3): one number a pair, float64, images in [0, 1]."""

from __future__ import annotations

import numpy as np

SIGMA, TRUNCATE, RADIUS = 1.5, 3.5, 5  # an 11 x 11 Gaussian window
C1, C2 = 0.01**2, 0.03**2


def _pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Integers are never subtracted as they are: 8-bit values wrap (the fault behind the numbers of system D).
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 3 or a.shape != b.shape:
        raise ValueError(f"images {a.shape} and {b.shape}: need two arrays of the same [n, H, W]")
    if np.issubdtype(a.dtype, np.integer) or np.issubdtype(b.dtype, np.integer):
        raise ValueError(f"images of {a.dtype} and {b.dtype}: need floats in [0, 1]; divide 8-bit images by 255")
    return a.astype(np.float64), b.astype(np.float64)


def mse(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared error of each pair of a, b [n, H, W]: [n]. Raises ValueError for integers or unequal shapes."""
    a, b = _pairs(a, b)
    return np.mean((a - b) ** 2, axis=(1, 2))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity of each pair of a, b [n, H, W]: [n] (Wang 2004).

    Gaussian window of 11 pixels with sigma 1.5, K = 0.01 and 0.03, data range 1, population moments, mean over the
    pixels whose window lies inside the image: the numbers of ``skimage.metrics.structural_similarity`` with
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1``, all pairs at once.
    """
    from scipy.ndimage import gaussian_filter

    a, b = _pairs(a, b)
    if min(a.shape[1:]) < 2 * RADIUS + 1:
        raise ValueError(f"images of {a.shape[1]} x {a.shape[2]} pixels: SSIM needs 11 x 11")

    def local_mean(x: np.ndarray) -> np.ndarray:
        blurred = gaussian_filter(x, SIGMA, truncate=TRUNCATE, axes=(1, 2))
        return blurred[:, RADIUS:-RADIUS, RADIUS:-RADIUS]

    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a, var_b = local_mean(a * a) - mean_a**2, local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    return (top / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))).mean(axis=(1, 2))
