"""Sequence and noise: the spoiled gradient echo against closed forms, relaxation with contrast, Rice's noise, grids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rice

from radgen_lib.sources.phantom.coil import sensitivity
from radgen_lib.sources.phantom.grid import blend, coarsen, inside, make_grid, refine, unit_slope
from radgen_lib.sources.phantom.signal import RELAXIVITY, rician, spoiled_echo, with_contrast
from radgen_lib.sources.phantom.tissue import TISSUES

AXES = ("x", "z", "y")


def echo(t1: float, flip: float, tr: float = 6.0, te: float = 0.0) -> float:
    return float(spoiled_echo(np.array(t1), np.array(40.0), tr_ms=tr, te_ms=te, flip_deg=flip))


@given(t1=st.floats(100, 3000), tr=st.floats(2, 50))
@settings(max_examples=40, deadline=None)
def test_the_ernst_angle_gives_the_largest_signal(t1: float, tr: float) -> None:
    best = float(np.rad2deg(np.arccos(np.exp(-tr / t1))))
    angles = np.linspace(0.2, 90, 100)
    most = echo(t1, best, tr)
    assert most >= max(echo(t1, angle, tr) for angle in angles) - 1e-12
    e1 = np.exp(-tr / t1)
    # At the maximum sin a (1 - E1) / (1 - E1 cos a) becomes sqrt((1 - E1) / (1 + E1)).
    assert most == pytest.approx(np.sqrt((1 - e1) / (1 + e1)), rel=1e-9)


def test_limits_of_the_signal_equation() -> None:
    assert echo(1000, 90) == pytest.approx(1 - np.exp(-6 / 1000))
    assert echo(1000, 30, tr=1e6) == pytest.approx(np.sin(np.pi / 6))
    assert echo(1000, 0) == 0
    ratio = echo(1000, 10, te=4.0) / echo(1000, 10)
    assert ratio == pytest.approx(np.exp(-4 / 40))


def test_steady_state_equals_pulse_by_pulse_simulation() -> None:
    t1, tr, flip = 700.0, 5.0, np.deg2rad(12)
    along = 1.0
    for _ in range(4000):
        transverse = along * np.sin(flip)
        along = 1 - (1 - along * np.cos(flip)) * np.exp(-tr / t1)
    assert transverse == pytest.approx(echo(t1, 12, tr), rel=1e-6)


@pytest.mark.parametrize("field", [1.5, 3.0])
def test_contrast_adds_relaxation_rates(field: float) -> None:
    t1, t2 = with_contrast(1000, 50, np.array([0.0, 1.0, 2.0]), field)
    np.testing.assert_allclose(1000 / t1 - 1, RELAXIVITY[field][0] * np.array([0, 1, 2]), atol=1e-9)
    np.testing.assert_allclose(1000 / t2 - 20, RELAXIVITY[field][1] * np.array([0, 1, 2]), atol=1e-9)


def test_odd_field_strengths_take_the_nearest_relaxivity() -> None:
    assert with_contrast(1000, 50, np.array(1.0), 2.9) == with_contrast(1000, 50, np.array(1.0), 3.0)


def test_fat_is_brightest_and_short_t1_means_more_signal() -> None:
    sequence = {"tr_ms": 6.4, "te_ms": 3.1, "flip_deg": 10.0}
    signals = {name: float(t.signal(np.zeros(1), 60, 1.5, sequence)[0]) for name, t in TISSUES.items()}
    assert max(signals, key=lambda name: signals[name]) == "fat"
    assert signals["lung"] < 0.2 * signals["muscle"]
    assert 1.5 < signals["fat"] / signals["gland"] < 4


def test_rician_noise_of_no_signal_is_rayleigh() -> None:
    noise = rician(np.zeros((40, 100, 100), np.float32), 3.0, np.random.default_rng(1))
    assert noise.mean() == pytest.approx(3 * np.sqrt(np.pi / 2), rel=5e-3)
    assert noise.std() == pytest.approx(3 * np.sqrt(2 - np.pi / 2), rel=5e-3)
    assert noise.min() >= 0


@pytest.mark.parametrize("level", [1.0, 4.0, 30.0])
def test_rician_noise_has_the_moments_of_rices_distribution(level: float) -> None:
    noise = rician(np.full((400_000,), level, np.float32), 2.0, np.random.default_rng(2))
    expected = rice(level / 2, scale=2)
    assert noise.mean() == pytest.approx(expected.mean(), rel=5e-3)
    assert noise.std() == pytest.approx(expected.std(), rel=1e-2)


def test_coarsen_undoes_refine_for_positions() -> None:
    lines = (np.array([10.0, 4.0, -2.0]), np.arange(5.0) * 3, np.arange(4.0) * 2)
    grid = make_grid(AXES, lines)
    fine = refine(grid, (2, 3, 1))
    assert fine.shape == (6, 15, 4)
    assert fine.steps == pytest.approx((3.0, 1.0, 2.0))
    for place, axis in (("x", 0), ("z", 1), ("y", 2)):
        values = np.broadcast_to(getattr(fine, place), fine.shape).astype(np.float32)
        back = np.moveaxis(coarsen(values, (2, 3, 1)), axis, 0)[:, 0, 0]
        np.testing.assert_allclose(back, grid.line(axis), atol=1e-5)


def test_a_tilted_plane_becomes_a_distance_and_the_voxel_has_an_extent_across_it() -> None:
    line = np.arange(40.0)
    grid = make_grid(AXES, (line, line, line))
    plane = (0.6 * grid.x + 0.8 * grid.y - 25.0) * 3 + 0 * grid.z
    depth, extent = unit_slope(plane.astype(np.float32), grid)
    # The slope is floored by 0.2 in quadrature, hence not quite 3.
    np.testing.assert_allclose(depth, plane / np.sqrt(9.04), atol=1e-4)
    np.testing.assert_allclose(extent, 3 * 1.4 / np.sqrt(9.04), atol=1e-4)
    assert inside(np.array([-5.0, 0.0, 0.25, 5.0]), 1.0) == pytest.approx([0, 0.5, 0.75, 1])


def test_blend_is_the_maximum_away_from_the_seam_and_above_it_there() -> None:
    first, second = np.array([10.0, 0.0, -3.0]), np.array([0.0, 0.0, 9.0])
    assert blend(first, second, 4.0) == pytest.approx([10.0, 1.0, 9.0])


def test_sensitivity_falls_from_the_coil_into_the_body() -> None:
    line = np.linspace(-100, 100, 21)
    grid = make_grid(AXES, (line[8:13], line, line))
    found = sensitivity(grid, [(0.0, -80.0, 0.0)], 100.0, np.random.default_rng(0))
    profile = found[2, 10]
    assert found.shape == grid.shape
    assert profile[2] == profile.max() or profile[1] == profile.max() or profile[3] == profile.max()
    assert profile[-1] < 0.45 * profile[2]
    assert found.min() > 0
