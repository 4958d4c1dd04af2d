"""Preconditioning and sampler against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radgen_lib.generators.edm_sampler import ancestral, heun, karras_sigmas, loss_weight, preconditioning

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


def normals(count: int, seed: int = 0):
    """A source of standard normal float64 [count]."""
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("order", "steps"), [(None, 40), (1, 600), (2, 60)])
def test_samplers_give_back_the_distribution_of_gaussian_data(order, steps):
    """Heun (None) and the stochastic ones: mean and SD are those of the data, and the draws are normal."""
    count, mean, spread = 40_000, 0.3, 0.5
    sigmas = karras_sigmas(steps, sigma_min=0.002, sigma_max=80.0)
    source, denoise = normals(count), gaussian_denoiser(mean, spread)
    found = ancestral(denoise, source, sigmas, order=order) if order else heun(denoise, source(), sigmas)
    assert float(found.mean()) == pytest.approx(mean, abs=4 * spread / np.sqrt(count))
    assert float(found.std()) == pytest.approx(spread, rel=0.03)
    assert float(((found - found.mean()) ** 4).mean() / found.var() ** 2) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("steps", [3, 12, 60])
def test_ancestral_moments_follow_the_recursion_of_gaussian_data(steps):
    """Every step is linear and adds known noise, so mean and variance have a recursion of their own (numpy)."""
    count, mean, spread = 60_000, 0.3, 0.5
    levels = karras_sigmas(steps, sigma_min=0.01, sigma_max=20.0)
    at, variance = 0.0, float(levels[0]) ** 2
    for now, after in zip(levels[:-1].tolist(), levels[1:].tolist(), strict=True):
        slope = spread**2 / (spread**2 + now**2)  # of the estimate in x
        keeps = after**2 / now**2
        factor = slope + keeps * (1 - slope)
        at = factor * at + (1 - keeps) * (1 - slope) * mean
        variance = factor**2 * variance + after**2 * (now**2 - after**2) / now**2
    found = ancestral(gaussian_denoiser(mean, spread), normals(count, 1), levels)
    assert float(found.mean()) == pytest.approx(at, abs=5 * np.sqrt(variance / count))
    assert float(found.var()) == pytest.approx(variance, rel=5 * np.sqrt(2 / count))


def variance_of_second_order(steps: int, spread: float) -> float:
    """Variance of what ``order=2`` draws for data N(0, spread^2), by the weight of every noise in it.

    Written from the integral of the reverse SDE in lambda = -log sigma (its estimate a straight line through the last
    two), not from the sampler's own form: x' = exp(-2h) x + integral of 2 exp(-2(h - u)) estimate du + noise.
    """
    levels = karras_sigmas(steps, sigma_min=0.002, sigma_max=80.0).numpy()
    weights = np.zeros(steps + 1)
    weights[0] = levels[0]
    before = None
    for i in range(steps):
        estimate = weights * spread**2 / (spread**2 + levels[i] ** 2)
        if levels[i + 1] == 0:
            return float((estimate**2).sum())
        h = np.log(levels[i] / levels[i + 1])
        taken = -np.expm1(-2 * h)  # integral of the weight over the step
        rise = 0.0 if before is None else (estimate - before[0]) / before[1] * h / 2  # slope at mid-step
        weights = np.exp(-2 * h) * weights + taken * (estimate + rise)
        weights[i + 1] += levels[i + 1] * np.sqrt(taken)
        before = estimate, h
    raise AssertionError


@pytest.mark.parametrize("steps", [3, 12, 36])
def test_second_order_variance_is_that_of_the_integral(steps):
    count, spread = 60_000, 0.3
    sigmas = karras_sigmas(steps, sigma_min=0.002, sigma_max=80.0)
    found = ancestral(gaussian_denoiser(0.0, spread), normals(count, 2), sigmas, order=2)
    expected = variance_of_second_order(steps, spread)
    assert float(found.var()) == pytest.approx(expected, rel=5 * np.sqrt(2 / count))


@pytest.mark.parametrize("spread", [0.1, 0.3, 1.0])
def test_second_order_needs_few_steps(spread):
    """Fifty steps are within 3 % of the SD; twice the steps leave less than a third of the error."""
    errors = [np.sqrt(variance_of_second_order(steps, spread)) / spread - 1 for steps in (25, 50)]
    assert abs(errors[1]) < 0.03 and errors[0] > 3 * errors[1]


@settings(max_examples=20, deadline=None)
@given(order=st.sampled_from([1, 2]), steps=st.integers(2, 12), high=st.floats(1.0, 80.0), image=st.floats(-1.0, 1.0))
def test_ancestral_holds_every_noise_level_when_the_image_is_known(order, steps, high, image):
    """With one possible image the posterior is exact: what is left is noise of SD sigma, whatever the steps.

    The start has no image in it, so that a share (sigma / first sigma)^2 of the image is missing at each level.
    """
    count, seen = 4000, {}

    def denoise(x, sigma):
        seen[float(sigma)] = x
        return torch.full_like(x, image)

    levels = karras_sigmas(steps, sigma_min=0.05, sigma_max=high)
    end = ancestral(denoise, normals(count, steps), levels, order=order)
    assert torch.equal(end, torch.full_like(end, image))
    for sigma, x in seen.items():
        assert float((x - image).std()) == pytest.approx(sigma, rel=6 / np.sqrt(2 * count))
        assert float((x - image).mean()) == pytest.approx(-image * (sigma / high) ** 2, abs=6 * sigma / np.sqrt(count))


def test_ancestral_calls_network_and_noise_once_a_step():
    asked, drawn = [], []

    def denoise(x, sigma):
        asked.append(float(sigma))
        return x * 0

    def noise():
        drawn.append(1)
        return torch.ones(1, 1, 2, 2)

    end = ancestral(denoise, noise, karras_sigmas(5, sigma_min=0.1, sigma_max=10.0))
    assert len(asked) == len(drawn) == 5 and asked == sorted(asked, reverse=True)
    assert end.dtype == torch.float32 and float(end.abs().max()) == 0
