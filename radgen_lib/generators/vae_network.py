"""The network of :mod:`radgen_lib.generators.vae` and its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from radgen_lib.generators.common import draw_normal

if TYPE_CHECKING:
    from radgen_lib.generators.vae import VAEOptions

MAPS = (32, 64, 128, 256)


class VAENetwork(nn.Module):
    """Encoder and decoder; see the module for the layout."""

    def __init__(self, options: VAEOptions, size: int, n_conditions: int) -> None:
        super().__init__()
        maps = [max(1, round(m * options.width)) for m in MAPS]
        side = size // 8
        into_decoder = n_conditions if options.generation == "prior" else 0
        layers: list[nn.Module] = []
        for before, after, stride in zip((1, *maps), maps, (1, 2, 2, 2), strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        self.hidden = nn.Linear(maps[-1] * side * side + n_conditions, 128)
        self.to_latent = nn.Linear(128, 2 * options.latent)
        self.expand = nn.Linear(options.latent + into_decoder, maps[-1] * side * side)
        layers = [nn.Unflatten(1, (maps[-1], side, side)), nn.ReLU()]
        for before, after in zip(maps[:0:-1], maps[-2::-1], strict=True):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(maps[0], 1, 3, padding=1), nn.Sigmoid())
        self.condition_decoder = into_decoder > 0

    def encode(self, images: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent, each [b, latent]."""
        joined = torch.cat([self.encoder(images).flatten(1), conditions], dim=1)
        mean, log_variance = self.to_latent(torch.relu(self.hidden(joined))).chunk(2, dim=1)
        return mean, log_variance

    def latent(self, images: Tensor, conditions: Tensor, noise: Tensor) -> Tensor:
        """Drawn latent [b, latent]: mean + SD x ``noise``."""
        mean, log_variance = self.encode(images, conditions)
        return mean + noise * torch.exp(log_variance / 2)

    def decode(self, latent: Tensor, conditions: Tensor) -> Tensor:
        """Images [b, 1, size, size] in (0, 1)."""
        return self.decoder(self.expand(torch.cat([latent, conditions], dim=1) if self.condition_decoder else latent))

    def forward(self, images: Tensor, conditions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log-variance, with the latent mean + SD x ``noise``."""
        mean, log_variance = self.encode(images, conditions)
        return self.decode(mean + noise * torch.exp(log_variance / 2), conditions), mean, log_variance


def vae_loss(
    network: nn.Module, images: Tensor, conditions: Tensor, generator: torch.Generator, *, latent: int, kl_weight: float
) -> Tensor:
    """Squared error summed over pixels plus the divergence from N(0, I), mean over images (negative ELBO)."""
    noise = draw_normal(conditions.new_empty(len(images), latent), generator)
    rebuilt, mean, log_variance = network(images, conditions, noise)
    error = ((rebuilt - images) ** 2).flatten(1).sum(dim=1)
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return (error + kl_weight * divergence).mean()
