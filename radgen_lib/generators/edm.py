"""The well-made diffusion model: Karras et al. 2022 (arXiv 2206.00364) around MONAI's diffusion U-Net.

Against the published model it has one token per omics feature, which enters by cross-attention at low resolution and
beside the noise level in every block (B-W03), classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598),
averaged weights, standard start noise (B-W04) and a deterministic sampler of a few steps (or stochastic ones). Images
live in [-1, 1] minus the training mean image, so that the network starts from the best constant answer. Training noise
is higher than that of the paper (log sigma -1.2, 1.2): large smooth images and their condition show only where noise is
strong (Hoogeboom et al. 2023, arXiv 2301.11093). Augmentation is left out on purpose: the chest wall has a side, and a
shift that the network is not told of comes back in the samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from radgen_lib.core.errors import ConfigError
from radgen_lib.core.seeds import derive_seed
from radgen_lib.generators.base import FitContext, Options, TrainingData
from radgen_lib.generators.common import NetworkGenerator, RowNoise, build_seeded, fixed_numerics, resize
from radgen_lib.generators.loop import LoopOptions, train

if TYPE_CHECKING:
    import torch

    from radgen_lib.generators.edm_network import PreconditionedUNet
    from radgen_lib.generators.edm_sampler import Noise

ATTENTION_SIDE = 32
EMA_SHARE = 10.0
CARRY = 3.0  # untrained control: one SD of a feature moves its token this much, so that pixels vary by condition
BATCH = 16


class EDMOptions(LoopOptions):
    """Options of :class:`EDMDiffusion`."""

    epochs: Annotated[int, Field(ge=1, description="Passes over the training images")] = 1100
    learning_rate: Annotated[float, Field(gt=0, description="Adam's learning rate")] = 2e-4
    ema: Annotated[
        float | None, Field(gt=0, lt=1, description="Decay of averaged weights; shortened in a run of few steps")
    ] = 0.999
    clip_norm: Annotated[float | None, Field(gt=0, description="Largest norm of the gradient; null: no limit")] = 1.0
    working_size: Annotated[
        int | None, Field(ge=8, le=512, description="Side the network works at; null: that of the images")
    ] = None
    channels: Annotated[tuple[int, ...], Field(min_length=2, max_length=6, description="Feature maps by level")] = (
        64, 128, 256, 256,
    )  # fmt: skip
    attention_levels: Annotated[
        tuple[bool, ...] | None,
        Field(description=f"Levels with attention; null: sides up to {ATTENTION_SIDE}, not the first"),
    ] = None
    num_head_channels: Annotated[
        int, Field(ge=4, le=256, description="Feature maps per attention head; fewer where a level has fewer")
    ] = 32
    res_blocks: Annotated[int, Field(ge=1, le=4, description="Residual blocks per level")] = 2
    token_width: Annotated[int, Field(ge=4, le=1024, description="Length of the embedding of an omics feature")] = 64
    condition_dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of training rows whose condition is replaced by the null token")
    ] = 0.1
    guidance: Annotated[float, Field(ge=0, le=20, description="1: the condition as learnt; above: exaggerated")] = 1.5
    guidance_from: Annotated[
        float, Field(ge=0, description="Lowest noise level with guidance; below, the null condition is not computed")
    ] = 0.1
    sampler: Annotated[
        Literal["heun", "ancestral", "dpm_sde"],
        Field(description="heun: deterministic; ancestral: noise anew at every step; dpm_sde: that, of second order"),
    ] = "dpm_sde"
    sampling_steps: Annotated[
        int, Field(ge=1, le=2000, description="Steps: about 20 of heun, 50 of dpm_sde, hundreds of ancestral")
    ] = 50
    sigma_min: Annotated[float, Field(gt=0, description="Lowest noise level of sampling")] = 0.002
    sigma_max: Annotated[float, Field(gt=0, description="Highest noise level of sampling")] = 80.0
    noise_mean: Annotated[float, Field(description="Mean of log sigma in training")] = 0.0
    noise_std: Annotated[float, Field(gt=0, description="SD of log sigma in training")] = 1.6

    @model_validator(mode="after")
    def _levels_agree(self) -> EDMOptions:
        if self.attention_levels is not None and len(self.attention_levels) != len(self.channels):
            raise ValueError(f"attention_levels: {len(self.attention_levels)} given for {len(self.channels)} channels")
        odd = [c for c in self.channels if c % 4]
        if odd:
            raise ValueError(f"channels: {odd} are no multiples of 4 (normalisation in groups)")
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min: {self.sigma_min} is not below sigma_max {self.sigma_max}")
        return self

    def levels(self, size: int) -> tuple[bool, ...]:
        """Which levels have attention when the first works at ``size`` pixels per side."""
        if self.attention_levels is not None:
            return self.attention_levels
        return tuple(level > 0 and size >> level <= ATTENTION_SIDE for level in range(len(self.channels)))


class EDMDiffusion(NetworkGenerator["PreconditionedUNet"]):
    """Diffusion from omics with EDM preconditioning, guidance and a few-step sampler.

    The scale of the data (``sigma_data``) and the centre come from the training images alone and are stored with the
    weights. Sampling starts from standard noise of each row's own seed; batches agree to ``base.ROUNDING``.
    """

    Options: ClassVar[type[Options]] = EDMOptions
    options: EDMOptions

    def __init__(self, options: Any, *, image_size: int, n_conditions: int) -> None:
        super().__init__(options, image_size=image_size, n_conditions=n_conditions)
        self.size = options.working_size or image_size
        halvings = 2 ** (len(options.channels) - 1)
        if self.size % halvings:
            raise ConfigError(
                f"{type(self).__name__}: working_size = {self.size}: must be a multiple of {halvings} "
                f"for {len(options.channels)} levels of channels"
            )

    def build(self, seed: int) -> PreconditionedUNet:
        """A network of these options with first weights by ``seed``."""
        from radgen_lib.generators.edm_network import PreconditionedUNet

        return build_seeded(seed, lambda: PreconditionedUNet(self.options, self.size, self.n_conditions))

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Train on images resized to the working size."""
        import torch

        from radgen_lib.generators.edm_network import edm_loss

        small = TrainingData(resize(data.images, self.size), data.conditions, data.patients)
        network = self.build(derive_seed(context.seed, "network"))
        scaled = 2 * torch.from_numpy(small.images) - 1
        network.centre.copy_(scaled.mean(dim=0, keepdim=True))
        network.sigma_data.copy_((scaled - network.centre).square().mean().sqrt().clamp_min(1e-3))
        options = self._with_short_average(len(small.images))
        train(network, partial(edm_loss, options=options), small, options, context)
        self.network = network

    def _with_short_average(self, images: int) -> EDMOptions:
        """Options whose average looks back over at most a tenth of the run, or its start would stay in the weights."""
        steps = self.options.epochs * math.ceil(images / self.options.batch_size / self.options.accumulate)
        if self.options.ema is None:
            return self.options
        return self.options.model_copy(update={"ema": min(self.options.ema, max(1 - EMA_SHARE / steps, 0.01))})

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Draw one image per row with the chosen sampler."""
        import torch

        network = self.fitted_network().to(device).eval()
        images = [np.empty((0, self.image_size, self.image_size), dtype=np.float32)]
        with fixed_numerics(threads=torch.get_num_threads(), deterministic=True), torch.inference_mode():
            for start in range(0, len(conditions), BATCH):
                given = torch.from_numpy(np.array(conditions[start : start + BATCH], dtype=np.float32)).to(device)
                noise = RowNoise(seeds[start : start + BATCH], (1, self.size, self.size), device)
                drawn = (self.draw(network, given, noise.draw) + network.centre + 1) / 2
                images.append(resize(drawn[:, 0].float().cpu().numpy(), self.image_size))
        return np.concatenate(images)

    def draw(self, network: PreconditionedUNet, conditions: torch.Tensor, noise: Noise) -> torch.Tensor:
        """Centred images in [-1, 1] units, [b, 1, size, size]; ``noise()`` gives standard noise of that shape."""
        from radgen_lib.generators.edm_network import guided
        from radgen_lib.generators.edm_sampler import ancestral, heun, karras_sigmas

        chosen = self.options
        sigmas = karras_sigmas(chosen.sampling_steps, sigma_min=chosen.sigma_min, sigma_max=chosen.sigma_max)

        def denoise(noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            # What tells one condition from another is settled while noise is strong (Kynkaanniemi et al. 2024,
            # arXiv 2404.07724): guiding the last steps too would only double their cost.
            return guided(network, conditions, chosen.guidance if sigma >= chosen.guidance_from else 1.0, noisy, sigma)

        if chosen.sampler == "heun":
            return heun(denoise, noise(), sigmas)
        return ancestral(denoise, noise, sigmas, order=2 if chosen.sampler == "dpm_sde" else 1)


class UntrainedDiffusion(EDMDiffusion):
    """The same network with random weights: what a decoder carries of the omics without having seen an image.

    The level that downstream models reach on its images is the level that is no evidence (PROTOCOLS 8.6, test 5).
    ``fit`` looks at no image: it fixes the weights by the seed and standardises the condition on training patients,
    so that every feature drives the network alike. MONAI starts some layers at zero, which would hide the condition;
    those get random weights too.
    """

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Fix random weights and the scale of the condition; nothing is trained."""
        import torch

        from radgen_lib.generators.edm_network import fill_zero_layers

        network = self.build(derive_seed(context.seed, "network"))
        fill_zero_layers(network.unet, torch.Generator().manual_seed(derive_seed(context.seed, "zero-layers")))
        first = np.unique(data.patients, return_index=True)[1]
        conditions = data.conditions[first].astype(np.float64)
        spread = conditions.std(axis=0)
        network.tokens.mean.copy_(torch.from_numpy(conditions.mean(axis=0)))
        network.tokens.scale.copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0) / CARRY))
        self.network = network.eval()
