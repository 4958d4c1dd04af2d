"""Frechet and kernel distances against scipy's matrix root and scikit-learn's kernel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.frechet import frechet_distance, pixelrow_frechet
from radgen_lib.metrics.kid import kid


def by_matrix_root(a: np.ndarray, b: np.ndarray) -> float:
    """The textbook formula."""
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = sqrtm(cov_a @ cov_b)
    gap = a.mean(axis=0) - b.mean(axis=0)
    return float(gap @ gap + np.trace(cov_a + cov_b - 2 * np.real(root)))


@pytest.mark.parametrize(("n", "m", "d"), [(12, 9, 3), (80, 41, 40), (200, 300, 24), (500, 60, 50)])
def test_frechet_equals_the_matrix_root(n: int, m: int, d: int) -> None:
    rng = make_rng(n, "root")
    a, b = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), rng.normal(size=(m, d)) + 0.3
    assert frechet_distance(a, b).value == pytest.approx(by_matrix_root(a, b), rel=1e-8)


def test_frechet_is_accurate_where_features_differ_by_orders_of_magnitude() -> None:
    """Diagonal covariances have a closed form; the scales span eight orders."""
    rng = make_rng(1, "scales")
    raw = np.linalg.qr(rng.normal(size=(64, 8)) - rng.normal(size=8))[0]
    centred = raw - raw.mean(axis=0)
    white = np.linalg.qr(centred)[0] * np.sqrt(63)  # centred columns with unit covariance
    scale_a, scale_b = 10.0 ** np.arange(-4, 4), 2 * 10.0 ** np.arange(-4, 4)
    expected = ((scale_a - scale_b) ** 2).sum()
    assert frechet_distance(white * scale_a, white * scale_b).value == pytest.approx(expected, rel=1e-9)


def test_pixelrow_equals_the_matrix_root_where_that_is_stable() -> None:
    """More rows than columns: full rank, so that the matrix root can be trusted."""
    a, b = make_rng(2, "rows").random((2, 64, 20))
    assert pixelrow_frechet(a, b) == pytest.approx(by_matrix_root(a, b), rel=1e-8)


def test_kid_equals_scikit_learns_kernel() -> None:
    rng = make_rng(3, "kid")
    a, b = rng.normal(size=(30, 12)), rng.normal(size=(22, 12)) + 0.2
    aa, bb, ab = (polynomial_kernel(x, y, degree=3, gamma=1 / 12, coef0=1) for x, y in ((a, a), (b, b), (a, b)))
    expected = (aa.sum() - np.trace(aa)) / (30 * 29) + (bb.sum() - np.trace(bb)) / (22 * 21) - 2 * ab.mean()
    assert kid(a, b) == pytest.approx(expected, rel=1e-10)
