"""Preconditioning and sampler against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.generators.edm_sampler import heun, karras_sigmas, loss_weight, preconditioning

LEVELS = st.floats(0.002, 80.0)
SPREADS = st.floats(0.05, 2.0)


@settings(max_examples=60, deadline=None)
@given(sigma=LEVELS, spread=SPREADS)
def test_preconditioning_has_the_properties_it_is_derived_from(sigma, spread):
    """Unit variance into the network, unit variance of its target, unit weight of its error (appendix B.6)."""
    level = torch.tensor(sigma, dtype=torch.float64)
    factors = preconditioning(level, spread)
    variance_in = float(factors.into**2 * (spread**2 + level**2))
    target = float(((1 - factors.skip) ** 2 * spread**2 + factors.skip**2 * level**2) / factors.out**2)
    assert variance_in == pytest.approx(1)
    assert target == pytest.approx(1)
    assert float(loss_weight(level, spread) * factors.out**2) == pytest.approx(1)
    assert float(factors.noise) == pytest.approx(np.log(sigma) / 4)


def test_without_noise_the_image_passes_through():
    factors = preconditioning(torch.tensor(1e-6, dtype=torch.float64), 0.5)
    assert float(factors.skip) == pytest.approx(1, abs=1e-9)
    assert float(factors.out) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 18])
def test_noise_levels_follow_the_formula(steps):
    levels = karras_sigmas(steps, sigma_min=0.002, sigma_max=80.0, rho=7.0).numpy()
    assert len(levels) == steps + 1 and levels[-1] == 0 and levels[0] == pytest.approx(80)
    for i in range(steps):
        share = i / (steps - 1) if steps > 1 else 0
        assert levels[i] == pytest.approx((80 ** (1 / 7) + share * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7)
    assert (np.diff(levels) < 0).all()


def gaussian_denoiser(mean: float, spread: float):
    """The best denoiser of data N(mean, spread^2); its flow is known in closed form."""
    return lambda x, sigma: (spread**2 * x + sigma**2 * mean) / (spread**2 + sigma**2)


def gaussian_error(steps: int, *, mean: float = 0.3, spread: float = 0.5) -> float:
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)
    sigmas = karras_sigmas(steps, sigma_min=0.002, sigma_max=80.0)
    found = heun(gaussian_denoiser(mean, spread), noise, sigmas)
    exact = mean + (80.0 * noise - mean) * spread / np.sqrt(spread**2 + 80.0**2)
    return float((found - exact).abs().max())


def test_heun_follows_the_flow_of_gaussian_data():
    assert gaussian_error(18) < 0.1
    assert gaussian_error(200) < 1e-3


def test_heun_is_of_second_order():
    """Twice the steps, a quarter of the error (Euler would halve it)."""
    assert gaussian_error(64) / gaussian_error(128) > 3.2


def test_heun_calls_the_network_twice_a_step_but_once_at_the_end():
    asked: list[float] = []

    def denoise(x, sigma):
        asked.append(float(sigma))
        return x * 0

    end = heun(denoise, torch.ones(1, 1, 2, 2), karras_sigmas(5, sigma_min=0.1, sigma_max=10.0))
    assert len(asked) == 9 and min(asked) == pytest.approx(0.1)
    assert float(end.abs().max()) == pytest.approx(0, abs=1e-6)
