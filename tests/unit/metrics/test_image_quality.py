"""Errors and similarity of image pairs: hand-computed values, identities that always hold, refusal of 8-bit images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.core.seeds import make_rng
from radgen_lib.metrics.image_quality import mse, ssim

ALL = [mse, ssim]


def pair(seed: int, n: int = 3, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = make_rng(seed, "images")
    return rng.random((n, size, size)), rng.random((n, size, size))


def test_errors_by_hand() -> None:
    a = np.zeros((2, 2, 2))
    b = np.array([[[0.1, 0.1], [0.1, 0.1]], [[0.4, 0.0], [0.0, 0.0]]])
    np.testing.assert_allclose(mse(a, b), [0.01, 0.04])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 20))
def test_squared_error_is_at_least_the_square_of_the_absolute_error(seed: int, size: int) -> None:
    """On random 8-bit images, as every published table must satisfy."""
    rng = make_rng(seed, "bytes")
    a, b = rng.integers(256, size=(2, 4, size, size)).astype(np.uint8) / 255.0
    assert (mse(a, b) >= np.abs(a - b).mean(axis=(1, 2)) ** 2 - 1e-15).all()


def test_wrapped_bytes_are_refused_because_they_break_the_identity() -> None:
    """200 and 100 differ by 100; in 8 bits the square wraps to 16, and the mean square falls below the squared mean."""
    a, b = (np.full((1, 12, 12), v, dtype=np.uint8) for v in (200, 100))
    wrapped = (a - b) ** 2
    assert wrapped[0, 0, 0] == 16 and wrapped.mean() < np.abs(a.astype(float) - b).mean() ** 2
    for metric in ALL:
        with pytest.raises(ValueError, match="divide 8-bit images by 255"):
            metric(a, b)
        with pytest.raises(ValueError, match="divide 8-bit images by 255"):
            metric(a / 255.0, b)


@pytest.mark.parametrize("metric", ALL)
def test_each_pair_stands_alone_and_order_does_not_matter(metric: Callable) -> None:
    a, b = pair(0)
    together = metric(a, b)
    assert together.shape == (3,) and together.dtype == np.float64
    np.testing.assert_array_equal(together, [metric(a[i : i + 1], b[i : i + 1])[0] for i in range(3)])
    np.testing.assert_allclose(metric(b, a), together, rtol=1e-12)


def test_equal_images() -> None:
    a, _ = pair(1)
    assert (mse(a, a) == 0).all()
    np.testing.assert_allclose(ssim(a, a), 1.0, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000), st.floats(0.01, 0.5))
def test_similarity_is_bounded_and_falls_with_noise(seed: int, noise: float) -> None:
    a, b = pair(seed, n=2)
    assert (np.abs(ssim(a, b)) <= 1).all()
    assert (ssim(a, a + noise * (b - 0.5)) < 1).all()
    assert (ssim(a, a + 0.3 * noise * (b - 0.5)) > ssim(a, a + noise * (b - 0.5))).all()


def test_similarity_of_flat_images_is_the_luminance_term() -> None:
    a, b = np.full((1, 12, 12), 0.2), np.full((1, 12, 12), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(a, b)[0] == pytest.approx(expected, rel=1e-9)


def test_range_is_fixed_not_taken_from_the_images() -> None:
    """Halving the contrast of both images changes the similarity, as it must with constants for the range 0 to 1."""
    a, b = pair(2)
    a, b = 0.1 * a, 0.1 * b
    assert (ssim(a / 4, b / 4) > ssim(a, b) + 0.02).all()


def test_half_precision_images_are_computed_in_double() -> None:
    a, b = pair(3)
    small_a, small_b = a.astype(np.float16), b.astype(np.float16)
    for metric in ALL:
        expected = metric(small_a.astype(np.float64), small_b.astype(np.float64))
        np.testing.assert_array_equal(metric(small_a, small_b), expected)


@pytest.mark.parametrize("metric", ALL)
def test_shapes_must_agree(metric: Callable) -> None:
    a, b = pair(4)
    for left, right in ((a, b[:2]), (a[0], b[0]), (a, b[:, :15])):
        with pytest.raises(ValueError, match=r"need two arrays of the same \[n, H, W\]"):
            metric(left, right)


def test_images_smaller_than_the_window_are_refused() -> None:
    a, b = pair(5, size=10)
    with pytest.raises(ValueError, match="needs 11 x 11"):
        ssim(a, b)
