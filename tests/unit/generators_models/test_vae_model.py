"""The published autoencoder: layout, loss against torch's own divergence, generation from an image of zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radgen_lib.core.errors import ConfigError
from radgen_lib.generators.base import ROUNDING, FitContext, build_generator
from radgen_lib.generators.vae import VAEOptions
from radgen_lib.generators.vae_network import VAENetwork, vae_loss

SMALL = {"width": 0.125, "epochs": 2, "batch_size": 6}
MODES = ["published_zero_image", "prior"]


@pytest.fixture(scope="module", params=MODES)
def trained(request, make, toy):
    generator = make("vae:PublishedVAE", **SMALL, generation=request.param)
    generator.fit(toy, FitContext(seed=4))
    return generator


def test_layout_is_the_published_one():
    network = VAENetwork(VAEOptions(), 128, 15)
    shapes = []
    x = torch.zeros(1, 1, 128, 128)
    for layer in network.encoder:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 128, 128), (64, 64, 64), (128, 32, 32), (256, 16, 16)]
    assert (network.hidden.in_features, network.hidden.out_features) == (256 * 16 * 16 + 15, 128)
    assert (network.to_latent.out_features, network.expand.in_features) == (4, 2)
    assert network.decode(torch.zeros(1, 2), torch.zeros(1, 15)).shape == (1, 1, 128, 128)


def test_defaults_are_the_published_ones():
    options = VAEOptions()
    assert (options.epochs, options.batch_size, options.latent) == (70, 27, 2)
    assert options.generation == "published_zero_image"


def test_loss_is_squared_error_plus_divergence():
    network = VAENetwork(VAEOptions(width=0.125), 16, 3)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((5, 1, 16, 16), dtype=np.float32))
    conditions = torch.from_numpy(rng.normal(size=(5, 3)).astype(np.float32))
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        found = vae_loss(network, images, conditions, torch.Generator().manual_seed(9), latent=2, kl_weight=0.7)
        rebuilt, mean, log_variance = network(images, conditions, noise)
        posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
        divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1)).sum(dim=1)
        expected = ((rebuilt - images) ** 2).sum(dim=(1, 2, 3)) + 0.7 * divergence
    assert float(found) == pytest.approx(float(expected.mean()), rel=1e-5)


def test_published_generation_encodes_an_image_of_zeros(make, toy):
    generator = make("vae:PublishedVAE", **SMALL)
    generator.fit(toy, FitContext(seed=4))
    network = generator.network
    given = torch.from_numpy(toy.conditions[:1])
    noise = torch.randn(2, generator=torch.Generator().manual_seed(21))[None]
    with torch.no_grad():
        mean, log_variance = network.encode(torch.zeros(1, 1, 16, 16), given)
        expected = network.decode(mean + noise * (log_variance / 2).exp(), given)[0, 0].numpy()
    np.testing.assert_allclose(generator.sample(toy.conditions[:1], [21])[0], expected, atol=1e-6)


def test_only_prior_mode_shows_the_condition_to_the_decoder():
    for mode, differs in zip(MODES, (False, True), strict=True):
        network = VAENetwork(VAEOptions(width=0.125, generation=mode), 16, 3)
        latent = torch.ones(1, 2)
        with torch.no_grad():
            a, b = network.decode(latent, torch.zeros(1, 3)), network.decode(latent, torch.ones(1, 3))
        assert torch.equal(a, b) is not differs


def test_a_row_depends_on_its_condition_and_seed_alone(trained, toy):
    together = trained.sample(toy.conditions[:4], [1, 2, 3, 4])
    assert together.shape == (4, 16, 16) and together.min() >= 0 and together.max() <= 1
    alone = [trained.sample(toy.conditions[i : i + 1], [i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(np.array(alone), together, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(trained.sample(toy.conditions[:4], [1, 2, 3, 4]), together)
    assert np.abs(trained.sample(toy.conditions[:1], [9])[0] - together[0]).max() > 1e-4


def test_state_and_training_repeat(trained, make, toy):
    again = make("vae:PublishedVAE", **SMALL, generation=trained.options.generation)
    again.fit(toy, FitContext(seed=4))
    for name, value in trained.state().items():
        np.testing.assert_array_equal(again.state()[name], value, err_msg=name)
    loaded = make("vae:PublishedVAE", **SMALL, generation=trained.options.generation)
    loaded.load_state(trained.state())
    np.testing.assert_array_equal(loaded.sample(toy.conditions[:2], [0, 1]), trained.sample(toy.conditions[:2], [0, 1]))


def test_training_lowers_the_loss(make, toy):
    rows: list[dict[str, float]] = []
    generator = make("vae:PublishedVAE", **{**SMALL, "epochs": 30, "learning_rate": 3e-3})
    generator.fit(toy, FitContext(seed=0, record=rows.append))
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert (
        np.abs(generator.sample(toy.conditions, range(len(toy.images))).mean(axis=0) - toy.images.mean(axis=0)).mean()
        < 0.15
    )


def test_the_modes_do_not_take_each_others_weights(trained, make):
    other = MODES[1 - MODES.index(trained.options.generation)]
    with pytest.raises(ValueError, match=r"network\.expand\.weight"):
        make("vae:PublishedVAE", **SMALL, generation=other).load_state(trained.state())


def test_working_size_and_its_limits(make, toy):
    generator = make("vae:PublishedVAE", **SMALL, working_size=8)
    generator.fit(toy, FitContext(seed=0))
    assert generator.sample(toy.conditions[:2], [0, 1]).shape == (2, 16, 16)
    with pytest.raises(ConfigError, match="multiple of 8"):
        make("vae:PublishedVAE", working_size=12)
    with pytest.raises(ConfigError, match="multiple of 8"):
        build_generator("radgen_lib.generators.vae:PublishedVAE", {}, image_size=20, n_conditions=3)
    with pytest.raises(RuntimeError, match="not fitted"):
        make("vae:PublishedVAE").sample(toy.conditions[:1], [0])
