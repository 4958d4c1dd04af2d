"""The network of :mod:`radgen_lib.generators.edm`: omics tokens, preconditioned U-Net, loss and guidance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from radgen_lib.generators.common import draw_normal
from radgen_lib.generators.edm_sampler import loss_weight, preconditioning

if TYPE_CHECKING:
    from radgen_lib.generators.edm import EDMOptions

STEP_SCALE = 100.0


class ConditionTokens(nn.Module):
    """One token per omics feature: value x weight + bias, each feature with its own; or the null token for all."""

    mean: Tensor
    scale: Tensor

    def __init__(self, n_conditions: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_conditions, width))
        self.bias = nn.Parameter(torch.randn(n_conditions, width))
        self.null = nn.Parameter(torch.randn(1, width))
        self.register_buffer("mean", torch.zeros(n_conditions))
        self.register_buffer("scale", torch.ones(n_conditions))

    def forward(self, conditions: Tensor, dropped: Tensor) -> Tensor:
        """Tokens [b, c, width]; rows where ``dropped`` [b] is true get the null token."""
        values = (conditions - self.mean) / self.scale
        return torch.where(dropped[:, None, None], self.null, values[:, :, None] * self.weight + self.bias)


class PreconditionedUNet(nn.Module):
    """D(x; sigma, condition) of eq. 7; x is the image in [-1, 1] minus ``centre`` plus noise of SD sigma."""

    centre: Tensor
    sigma_data: Tensor

    def __init__(self, options: EDMOptions, size: int, n_conditions: int) -> None:
        from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

        super().__init__()
        self.tokens = ConditionTokens(n_conditions, options.token_width)
        self.unet = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            num_res_blocks=options.res_blocks,
            channels=options.channels,
            attention_levels=options.levels(size),
            norm_num_groups=math.gcd(32, *options.channels),
            num_head_channels=[math.gcd(options.num_head_channels, c) for c in options.channels],
            with_conditioning=True,
            cross_attention_dim=options.token_width,
            num_class_embeds=1,
        )
        # MONAI adds a class embedding to that of the noise level; a linear map of the tokens in its place reaches every
        # residual block, at all resolutions, and is learnt far sooner than cross-attention alone.
        into_blocks: Any = nn.Linear(n_conditions * options.token_width, 4 * options.channels[0])
        self.unet.class_embedding = into_blocks
        self.register_buffer("centre", torch.zeros(1, size, size))
        self.register_buffer("sigma_data", torch.tensor(0.5))

    def forward(self, noisy: Tensor, sigma: Tensor, conditions: Tensor, dropped: Tensor) -> Tensor:
        """Denoised [b, 1, h, w] from ``noisy`` of that shape, ``sigma`` [b], ``conditions`` [b, c], ``dropped`` [b]."""
        factors = preconditioning(sigma, self.sigma_data)
        skip, out, into = (f[:, None, None, None] for f in factors[:3])
        # MONAI's embedding is made for integer steps up to 1000; log(sigma)/4 spans 2.6 and is stretched to that order.
        steps = STEP_SCALE * factors.noise
        tokens = self.tokens(conditions, dropped)
        return skip * noisy + out * self.unet(into * noisy, steps, context=tokens, class_labels=tokens.flatten(1))


def edm_loss(
    network: nn.Module, images: Tensor, conditions: Tensor, generator: torch.Generator, *, options: EDMOptions
) -> Tensor:
    """Weighted squared error of eq. 8 for images [b, 1, h, w] in [0, 1], mean over pixels and rows."""
    centre, sigma_data = cast(Tensor, network.centre), cast(Tensor, network.sigma_data)
    clean = 2 * images - 1 - centre
    normal = draw_normal(images.new_empty(len(images)), generator)
    sigma = torch.exp(options.noise_mean + options.noise_std * normal)
    uniform = torch.rand(len(images), generator=generator, device=generator.device).to(images.device)
    noisy = clean + sigma[:, None, None, None] * draw_normal(clean, generator)
    denoised = network(noisy, sigma, conditions, uniform < options.condition_dropout)
    weight = loss_weight(sigma, sigma_data)[:, None, None, None]
    return (weight * (denoised - clean) ** 2).mean()


def guided(network: nn.Module, conditions: Tensor, guidance: float, noisy: Tensor, sigma: Tensor) -> Tensor:
    """Classifier-free guidance: D(null) + guidance x (D(condition) - D(null)), both in one batch."""
    n = len(noisy)
    kept = torch.zeros(n, dtype=torch.bool, device=noisy.device)
    if guidance == 1:
        return network(noisy, sigma.expand(n), conditions, kept)
    both = network(noisy.repeat(2, 1, 1, 1), sigma.expand(2 * n), conditions.repeat(2, 1), torch.cat([kept, ~kept]))
    with_condition, without = both.chunk(2)
    return without + guidance * (with_condition - without)


def fill_zero_layers(module: nn.Module, generator: torch.Generator) -> None:
    """Give every weight matrix that is all zero random values that keep the variance of its input."""
    with torch.no_grad():
        for weight in module.parameters():
            if weight.ndim > 1 and not weight.any():
                weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(weight[0].numel()))
