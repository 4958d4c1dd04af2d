"""The common scale of set distances: fitted on real images, limited, blind to one exploding column."""

from __future__ import annotations

import numpy as np
import pytest

from radgen_lib.metrics.frechet import frechet_distance
from radgen_lib.metrics.kid import kid
from radgen_lib.metrics.scaling import LIMIT, RealScale


def _real(seed: int = 0, n: int = 40, d: int = 8) -> np.ndarray:
    return 3 + 2 * np.random.default_rng(seed).normal(size=(n, d))


def test_real_images_get_mean_zero_and_unit_spread() -> None:
    real = _real()
    z = RealScale.fit(real).apply(real)
    assert z.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-12)
    assert z.std(axis=0, ddof=1) == pytest.approx(np.ones(8))


def test_values_far_outside_are_cut_on_both_sides() -> None:
    scale = RealScale.fit(_real())
    far = np.vstack([np.full(8, 1e9), np.full(8, -1e9)])
    assert scale.apply(far).tolist() == [[LIMIT] * 8, [-LIMIT] * 8]


def test_constant_columns_are_named_and_harmless() -> None:
    real = _real()
    real[:, 2] = 1e6 + 1e-9 * np.arange(len(real))
    real[:, 4] = 0.0
    scale = RealScale.fit(real)
    assert np.flatnonzero(~scale.varying).tolist() == [2, 4]
    assert np.isfinite(scale.apply(real)).all()


def test_one_exploding_column_no_longer_decides() -> None:
    """A set wrong everywhere is farther than a set wrong in one column, however wrong that column is."""
    real = _real()
    one_column, everywhere = _real(1), _real(2) + 6
    one_column[:, 0] *= 1e4
    scale = RealScale.fit(real)
    raw_scale, raw_centre = real.std(axis=0, ddof=1), real.mean(axis=0)
    for distance in (kid, lambda a, b: frechet_distance(a, b).value):
        near, far = (distance(scale.apply(real), scale.apply(x)) for x in (one_column, everywhere))
        assert near < far
        z = [(x - raw_centre) / raw_scale for x in (real, one_column, everywhere)]
        assert distance(z[0], z[1]) > 1e3 * distance(z[0], z[2])


@pytest.mark.parametrize("bad", [np.ones((1, 3)), np.full((4, 3), np.nan), np.ones(4)])
def test_what_cannot_be_scaled_is_an_error(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two rows or more"):
        RealScale.fit(bad)
