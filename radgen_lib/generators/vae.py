"""The published baseline: a variational autoencoder of the projections with the condition beside the image.

Layout of PROTOCOLS B.4: convolutions 32/64/128/256 (stride 2 after the first), the condition joined to the flattened
map, dense 128, a two-dimensional latent; the decoder starts at 1/8 of the side with 256 maps. What the source does
not say is an option or stated here: learning rate 1e-3, ReLU, sigmoid at the end, squared error summed over pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from radgen_lib.core.errors import ConfigError
from radgen_lib.core.seeds import derive_seed
from radgen_lib.generators.base import FitContext, Options, TrainingData
from radgen_lib.generators.common import NetworkGenerator, build_seeded, fixed_numerics, noise_like, resize
from radgen_lib.generators.loop import LoopOptions, train

if TYPE_CHECKING:
    from radgen_lib.generators.vae_network import VAENetwork

BATCH = 64


class VAEOptions(LoopOptions):
    """Options of :class:`PublishedVAE`."""

    epochs: Annotated[int, Field(ge=1, description="Passes over the training images")] = 70
    batch_size: Annotated[int, Field(ge=1, le=256, description="Images per step")] = 27
    learning_rate: Annotated[float, Field(gt=0, description="Adam's learning rate (not published)")] = 1e-3
    generation: Annotated[
        Literal["published_zero_image", "prior"],
        Field(
            description="published_zero_image: the encoder sees an image of zeros and the condition, the decoder only "
            "the latent; prior: latent from N(0, I), the decoder sees latent and condition"
        ),
    ] = "published_zero_image"
    latent: Annotated[int, Field(ge=1, le=512, description="Dimensions of the latent")] = 2
    kl_weight: Annotated[float, Field(ge=0, description="Weight of the divergence beside the summed squared error")] = (
        1.0
    )
    width: Annotated[float, Field(gt=0, le=4, description="Multiplies the number of feature maps")] = 1.0
    working_size: Annotated[
        int | None, Field(ge=8, multiple_of=8, description="Side the network works at; null: that of the images")
    ] = None


class PublishedVAE(NetworkGenerator["VAENetwork"]):
    """Variational autoencoder of the published study.

    As published, the image at generation is one of zeros, an input that training never showed, and the decoder sees
    only two numbers; ``generation: prior`` is the conditional autoencoder that was presumably meant.
    """

    Options: ClassVar[type[Options]] = VAEOptions
    options: VAEOptions

    def __init__(self, options: VAEOptions, *, image_size: int, n_conditions: int) -> None:
        super().__init__(options, image_size=image_size, n_conditions=n_conditions)
        self.size = options.working_size or image_size
        if self.size % 8:
            raise ConfigError(f"PublishedVAE: working_size = {self.size}: must be a multiple of 8")

    def build(self, seed: int) -> VAENetwork:
        """A network of these options with first weights by ``seed``."""
        from radgen_lib.generators.vae_network import VAENetwork

        return build_seeded(seed, lambda: VAENetwork(self.options, self.size, self.n_conditions))

    def fit(self, data: TrainingData, context: FitContext) -> None:
        """Train on images resized to the working size."""
        from radgen_lib.generators.vae_network import vae_loss

        network = self.build(derive_seed(context.seed, "network"))
        loss = partial(vae_loss, latent=self.options.latent, kl_weight=self.options.kl_weight)
        small = TrainingData(resize(data.images, self.size), data.conditions, data.patients)
        train(network, loss, small, self.options, context)
        self.network = network

    def sample(self, conditions: np.ndarray, seeds: Sequence[int], *, device: str = "cpu") -> np.ndarray:
        """Draw the latent of each row with its own seed and decode it."""
        import torch

        network = self.fitted_network().to(device).eval()
        images = [np.empty((0, self.image_size, self.image_size), dtype=np.float32)]
        with fixed_numerics(threads=torch.get_num_threads(), deterministic=True), torch.inference_mode():
            for start in range(0, len(conditions), BATCH):
                given = torch.from_numpy(np.array(conditions[start : start + BATCH], dtype=np.float32)).to(device)
                latent = noise_like(seeds[start : start + BATCH], (self.options.latent,)).to(device)
                if self.options.generation == "published_zero_image":
                    latent = network.latent(given.new_zeros(len(given), 1, self.size, self.size), given, latent)
                drawn = network.decode(latent, given)[:, 0].float().cpu().numpy()
                images.append(resize(drawn, self.image_size))
        return np.concatenate(images)
