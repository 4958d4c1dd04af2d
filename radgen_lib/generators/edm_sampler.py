"""Noise levels, preconditioning and the deterministic sampler of Karras et al. 2022 (arXiv 2206.00364).

Beside them the stochastic sampler that few steps are measured against, and its own few-step form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[], Tensor]


class Preconditioning(NamedTuple):
    """The four factors of eq. 7, each shaped like sigma: D(x; s) = skip x + out F(into x; noise)."""

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor


def preconditioning(sigma: Tensor, sigma_data: Tensor | float) -> Preconditioning:
    """Factors of eq. 7 (table 1, column EDM) for noise levels ``sigma`` > 0 and data of SD ``sigma_data``."""
    total = sigma**2 + sigma_data**2
    return Preconditioning(
        skip=sigma_data**2 / total, out=sigma * sigma_data / total.sqrt(), into=1 / total.sqrt(), noise=sigma.log() / 4
    )


def loss_weight(sigma: Tensor, sigma_data: Tensor | float) -> Tensor:
    """Weight of the squared error of D in eq. 8: one over the squared output factor."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def karras_sigmas(steps: int, *, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Noise levels of eq. 5, float64 [steps + 1], from ``sigma_max`` down to ``sigma_min`` and then 0."""
    ramp = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def heun(denoise: Denoiser, noise: Tensor, sigmas: Tensor) -> Tensor:
    """Second-order deterministic sampler (algorithm 1 without churn).

    Args:
        denoise: D(x, sigma) with x [n, ...] and sigma a float32 scalar tensor on the device of x.
        noise: standard normal [n, ...]; the start is ``sigmas[0]`` times it.
        sigmas: falling levels that end in 0; 2 x (len - 1) - 1 calls of ``denoise``.

    Returns:
        Samples at noise level 0, shaped like ``noise``.
    """
    levels = sigmas.to(device=noise.device, dtype=noise.dtype)
    x = noise * levels[0]
    for now, after in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        slope = (x - denoise(x, levels.new_tensor(now))) / now
        step = x + (after - now) * slope
        if after > 0:
            end = (step - denoise(step, levels.new_tensor(after))) / after
            step = x + (after - now) * (slope + end) / 2
        x = step
    return x


def ancestral(denoise: Denoiser, noise: Noise, sigmas: Tensor, *, order: Literal[1, 2] = 1) -> Tensor:
    """Stochastic sampler: each level is drawn from its posterior given the level above and an estimate of the image.

    With ``order`` 1 the estimate is that of the network: Ho 2020, algorithm 2, where noise is added to the image
    instead of replacing it (Song 2021, arXiv 2011.13456, eq. 47); it takes hundreds of steps. With ``order`` 2 the
    estimate is extrapolated from this step and the one before, along -log sigma: SDE-DPM-Solver++(2M) of Lu 2022
    (arXiv 2211.01095), which has the same limit and is near it within some fifty steps.

    Args:
        denoise: as for :func:`heun`.
        noise: gives the next standard normal [n, ...]; called once per step.
        sigmas: falling levels that end in 0; len - 1 calls of ``denoise``.
        order: 1 or 2.

    Returns:
        Samples at noise level 0, shaped like ``noise()``.
    """
    x = noise()
    levels = sigmas.to(device=x.device, dtype=x.dtype)
    x = x * levels[0]
    earlier: tuple[Tensor, float] | None = None
    for now, after in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        image = denoise(x, levels.new_tensor(now))
        if after == 0:
            return image
        mean, kept, width = image, (after / now) ** 2, math.log(now / after)
        if earlier is not None and order == 2:
            mean = image + (image - earlier[0]) * (width / (2 * earlier[1]))
        x = mean + kept * (x - mean) + after * (1 - kept) ** 0.5 * noise()
        earlier = image, width
    return x
