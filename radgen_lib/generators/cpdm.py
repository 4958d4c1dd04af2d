"""System B as published (Chen et al.): a diffusion model of sagittal projections conditioned on omics.

The network is :mod:`radgen_lib.generators.published_unet`. Torch is imported where it is used, so that options can be
checked without it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from radgen_lib.core.errors import RadgenError
from radgen_lib.core.progress import Progress
from radgen_lib.core.seeds import derive_seed
from radgen_lib.generators.base import FitContext, Generator, Options, State, TrainingData
from radgen_lib.generators.common import RowNoise, build_seeded, load_module, resize, to_state
from radgen_lib.generators.loop import LoopOptions, train

if TYPE_CHECKING:
    import torch

    from radgen_lib.generators.diffusion import GaussianDiffusion
    from radgen_lib.generators.published_unet import PublishedUNet

LOG = logging.getLogger("radgen")


class PublishedDiffusionOptions(LoopOptions):
    """Options of the published model; the defaults are the published values, ``epochs`` has none (published: 1100)."""

    width: int = Field(default=128, ge=8, multiple_of=8, description="Channels of the first stage")
    multipliers: tuple[int, ...] = Field(default=(1, 2, 4), min_length=1, description="Of `width`, per stage")
    timesteps: int = Field(default=1500, ge=2, description="Steps of the diffusion")
    schedule: Literal["linear", "cosine"] = Field(default="linear", description="linear: variance 0.0001 to 0.02")
    loss: Literal["l1", "l2", "smooth_l1", "l1_l2"] = Field(default="l2", description="On the noise; l1_l2: the sum")
    start_noise: Literal["random_linear", "standard"] = Field(
        default="random_linear", description="Sampling starts from noise times 1 + random map of the condition"
    )
    working_size: int | None = Field(
        default=None, ge=8, description="Pixels per side of the network; images are resized; null: the image's size"
    )
    sampler: Literal["ancestral", "ddim"] = Field(default="ancestral", description="All steps, or few by DDIM")
    sampling_steps: int | None = Field(default=None, ge=1, description="Steps of ddim; null: 50")
    eta: float = Field(default=0.0, ge=0, le=1, description="Noise of ddim; 0: none after the start")
    bound_estimate: bool = Field(
        default=True, description="ddim keeps its estimate of the image in [0, 1]; ancestral sampling never does"
    )
    sample_batch: int = Field(default=16, ge=1, description="Images sampled at once; does not change them")
    attention: Literal["closed_form", "tokens"] = Field(
        default="closed_form", description="tokens: the published 16,384 equal tokens, same images, slower"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> PublishedDiffusionOptions:
        factor = 2 ** (len(self.multipliers) - 1)
        if self.working_size is not None and self.working_size % factor:
            raise ValueError(f"working_size {self.working_size}: must be divisible by {factor} for these multipliers")
        if self.sampling_steps is not None and self.sampler != "ddim":
            raise ValueError("sampling_steps: only sampler ddim takes fewer steps; set sampler: ddim or leave it out")
        if self.sampling_steps is not None and self.sampling_steps > self.timesteps:
            raise ValueError(f"sampling_steps {self.sampling_steps}: at most timesteps = {self.timesteps}")
        return self

    @property
    def ddim_steps(self) -> int | None:
        """Number of DDIM steps; None for the ancestral sampler."""
        return None if self.sampler == "ancestral" else min(self.sampling_steps or 50, self.timesteps)


class PublishedDiffusion(Generator):
    """The published conditional diffusion model; see :class:`PublishedDiffusionOptions` for its switches.

    Images are used in [0, 1] as they are, and samples are not clamped. The published start noise is multiplied by
    1 + a linear map of the condition that is never trained and drawn anew at every call; here the map is drawn from
    the row's seed, so that an image can be made again.
    """

    Options: ClassVar[type[Options]] = PublishedDiffusionOptions
    options: PublishedDiffusionOptions

    def __init__(self, options: PublishedDiffusionOptions, *, image_size: int, n_conditions: int) -> None:
        super().__init__(options, image_size=image_size, n_conditions=n_conditions)
        self.size = options.working_size or image_size
        factor = 2 ** (len(options.multipliers) - 1)
        if self.size % factor:
            raise ValueError(f"image size {self.size}: must be divisible by {factor} for these multipliers")
        self._network: PublishedUNet | None = None

    def _new_network(self, seed: int) -> PublishedUNet:
        from radgen_lib.generators.published_unet import PublishedUNet

        chosen = self.options
        return build_seeded(
            seed,
            lambda: PublishedUNet(
                self.n_conditions, width=chosen.width, multipliers=chosen.multipliers, attention=chosen.attention
            ),
        )

    def _diffusion(self) -> GaussianDiffusion:
        from radgen_lib.generators.diffusion import GaussianDiffusion

        return GaussianDiffusion(self.options.timesteps, self.options.schedule)

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Train on the pairs; can be stopped and resumed, see :func:`radgen_lib.generators.loop.train`."""
        diffusion, kind = self._diffusion(), self.options.loss
        if diffusion.signal_at_start() > 0.1:
            LOG.warning(
                "cpdm: after %d %s steps %.0f %% of the image is left, but sampling starts from noise alone. Keep "
                "timesteps at 1500 and set sampler: ddim with few sampling_steps for speed, or schedule: cosine",
                self.options.timesteps,
                self.options.schedule,
                100 * diffusion.signal_at_start(),
            )

        def noise_loss(
            network: torch.nn.Module, images: torch.Tensor, conditions: torch.Tensor, generator: torch.Generator
        ) -> torch.Tensor:
            return diffusion.loss(lambda x, time: network(x, time, conditions), images, generator, kind)

        network = self._new_network(derive_seed(context.seed, "network"))
        pairs = TrainingData(resize(data.images, self.size), data.conditions, data.patients)
        train(network, noise_loss, pairs, self.options, context)
        self._network = network

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """See :meth:`Generator.sample`; logs its progress. RadgenError before ``fit`` or ``load_state``."""
        import torch

        if self._network is None:
            raise RadgenError("cpdm: sample() needs trained weights; call fit() or load_state() first")
        if conditions.shape != (len(seeds), self.n_conditions):
            raise ValueError(f"conditions {conditions.shape}: need ({len(seeds)}, {self.n_conditions})")
        diffusion, steps = self._diffusion(), self.options.ddim_steps
        batch = self.options.sample_batch
        starts = range(0, len(seeds), batch)
        progress = Progress("cpdm sampling steps", len(starts) * (steps or diffusion.timesteps))
        made = [np.empty((0, self.size, self.size), dtype=np.float32)]
        with torch.inference_mode():
            network = self._network.for_sampling().to(device)
            for first in starts:
                rows = torch.tensor(conditions[first : first + batch].copy(), dtype=torch.float32, device=device)
                made.append(self._sample_batch(network, diffusion, rows, seeds[first : first + batch], progress))
        return resize(np.concatenate(made), self.image_size)

    def _sample_batch(
        self,
        network: PublishedUNet,
        diffusion: GaussianDiffusion,
        conditions: torch.Tensor,
        seeds: Sequence[int],
        progress: Progress,
    ) -> np.ndarray:
        import torch

        noise = RowNoise(seeds, (1, self.size, self.size), str(conditions.device))
        start = noise.draw()
        if self.options.start_noise == "random_linear":
            maps = [random_map(row, seed, self.size) for row, seed in zip(conditions.cpu(), seeds, strict=True)]
            start = start * (1 + torch.stack(maps).to(start.device))
        images = diffusion.sample(
            lambda x, time: network(x, time, conditions),
            start,
            noise.draw,
            steps=self.options.ddim_steps,
            eta=self.options.eta,
            bounds=(0.0, 1.0) if self.options.bound_estimate else None,
            progress=progress,
        )
        return images[:, 0].cpu().numpy()

    def state(self) -> State:
        """Weights of the network."""
        if self._network is None:
            raise RadgenError("cpdm: there are no weights before fit() or load_state()")
        return to_state(self._network)

    def load_state(self, state: State) -> None:
        """See :meth:`Generator.load_state`."""
        network = self._new_network(0)
        load_module(network, state)
        self._network = network.eval()


def random_map(condition: torch.Tensor, seed: int, size: int) -> torch.Tensor:
    """Image [1, size, size] from an untrained linear layer of the condition [c], drawn from ``seed``.

    Weights and bias are uniform within 1/sqrt(c), which is how torch starts a linear layer.
    """
    import torch

    count = len(condition)
    generator = torch.Generator().manual_seed(derive_seed(seed, "start noise"))
    layer = torch.rand((size * size, count + 1), generator=generator) * 2 - 1
    weight, bias = layer[:, :-1], layer[:, -1]
    return ((weight @ condition + bias) / count**0.5).reshape(1, size, size)
