"""The published network with the few-step samplers of the EDM one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from radgen_lib.core.progress import Progress
from radgen_lib.generators.cpdm import PublishedDiffusion

if TYPE_CHECKING:
    import torch

    from radgen_lib.generators.diffusion import GaussianDiffusion
    from radgen_lib.generators.published_unet import PublishedUNet

HIGHEST = 80.0  # as Karras 2022; above it the estimate of the image is mostly the network's error


class KarrasPublished(PublishedDiffusion):
    """``sampling_steps`` (of ``sampler: ddim``) over Karras' noise levels: Heun with ``eta`` 0, else dpm_sde.

    With sigma^2 = (1 - kept) / kept the noised image over sqrt(kept) is image + sigma x noise, and image = noised -
    sigma x predicted noise (Karras 2022, arXiv 2206.00364, appendix C). Levels are moved to the nearest of the
    network's own steps. ``bound_estimate`` keeps each estimate in [0, 1], as for ddim; start noise is standard.
    """

    def _sample_batch(
        self,
        network: PublishedUNet,
        diffusion: GaussianDiffusion,
        conditions: torch.Tensor,
        seeds: Sequence[int],
        progress: Progress,
    ) -> np.ndarray:
        import torch

        from radgen_lib.generators.common import RowNoise
        from radgen_lib.generators.edm_sampler import ancestral, heun

        levels = np.sqrt((1 - diffusion.kept) / diffusion.kept)
        chosen = own_levels(levels, self.options.ddim_steps or diffusion.timesteps)
        bounds = (0.0, 1.0) if self.options.bound_estimate else (-np.inf, np.inf)

        def denoise(noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            time = torch.tensor([int(np.abs(levels - float(sigma)).argmin())], device=noisy.device)
            return (noisy - sigma * network(noisy / (1 + sigma**2).sqrt(), time, conditions)).clamp(*bounds)

        noise = RowNoise(seeds, (1, self.size, self.size), str(conditions.device))
        sigmas = torch.tensor([*levels[chosen], 0.0])
        stochastic = self.options.eta > 0
        x = ancestral(denoise, noise.draw, sigmas, order=2) if stochastic else heun(denoise, noise.draw(), sigmas)
        return x[:, 0].cpu().numpy()


def own_levels(levels: np.ndarray, steps: int) -> list[int]:
    """Indices of ``levels`` (rising) nearest to Karras' ``steps`` levels, falling; equal ones are merged."""
    from radgen_lib.generators.edm_sampler import karras_sigmas

    wanted = karras_sigmas(steps, sigma_min=float(levels[0]), sigma_max=min(float(levels[-1]), HIGHEST))[:-1]
    nearest = {int(np.abs(np.log(levels) - np.log(float(sigma))).argmin()) for sigma in wanted}
    return sorted(nearest, reverse=True)
