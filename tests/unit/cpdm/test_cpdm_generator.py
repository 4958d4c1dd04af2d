"""The published generator: options, training, sampling row by row, state, resume."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from radgen_lib.core.config.cpdm import GENERATORS
from radgen_lib.core.errors import ConfigError, RadgenError, StopRequested
from radgen_lib.generators.base import ROUNDING, FitContext, TrainingData, build_generator
from radgen_lib.generators.cpdm import PublishedDiffusion, random_map
from radgen_lib.generators.diffusion import GaussianDiffusion

CLASS = "radgen_lib.generators.cpdm:PublishedDiffusion"
TINY = {"width": 8, "multipliers": (1, 2), "timesteps": 12, "epochs": 2, "batch_size": 3}


def make(**options) -> PublishedDiffusion:
    return build_generator(CLASS, {**TINY, **options}, image_size=16, n_conditions=3)


@pytest.fixture(scope="module")
def pairs() -> TrainingData:
    rng = np.random.default_rng(0)
    return TrainingData(
        rng.random((5, 16, 16), dtype=np.float32), rng.random((5, 3), dtype=np.float32), np.array(list("abcde"))
    )


@pytest.fixture(scope="module")
def fitted(pairs) -> PublishedDiffusion:
    generator = make()
    generator.fit(pairs, FitContext(seed=1))
    return generator


def like(fitted: PublishedDiffusion, **options) -> PublishedDiffusion:
    """The same weights under other options."""
    other = make(**options)
    other.load_state(fitted.state())
    return other


CONDITIONS = np.random.default_rng(1).random((5, 3)).astype(np.float32)


def test_default_block_of_the_config_is_accepted():
    block = GENERATORS["cpdm"]
    options = build_generator(
        block.class_path, {**block.options, "batch_size": 6}, image_size=128, n_conditions=15
    ).options
    assert (options.width, options.timesteps, options.loss, options.sampler) == (128, 1500, "l2", "ancestral")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 12}, "width = 12"),
        ({"working_size": 15}, "divisible by 2"),
        ({"sampling_steps": 5}, "sampler: ddim"),
        ({"sampler": "ddim", "sampling_steps": 13}, "at most timesteps = 12"),
        ({"start_noise": "none"}, "random_linear"),
        ({"widht": 8}, "Allowed keys"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_image_size_must_fit_the_stages():
    with pytest.raises(ValueError, match="image size 15"):
        build_generator(CLASS, TINY, image_size=15, n_conditions=3)


def test_same_seed_same_weights(pairs, fitted):
    again = make()
    again.fit(pairs, FitContext(seed=1))
    for name, value in fitted.state().items():
        np.testing.assert_array_equal(again.state()[name], value)
    other = make()
    other.fit(pairs, FitContext(seed=2))
    assert not np.array_equal(other.state()["stem.weight"], fitted.state()["stem.weight"])


@pytest.mark.parametrize("loss", ["l1", "l2", "smooth_l1", "l1_l2"])
def test_training_learns_under_every_loss(pairs, loss):
    rows = []
    generator = make(loss=loss, epochs=12, learning_rate=5e-3, multipliers=(1,))
    generator.fit(replace(pairs, images=pairs.images[:, ::2, ::2]), FitContext(seed=1, record=rows.append))
    assert np.mean([row["loss"] for row in rows[-3:]]) < 0.8 * rows[0]["loss"]


@pytest.mark.parametrize("options", [{}, {"sampler": "ddim", "sampling_steps": 4, "eta": 0.5}, {"working_size": 8}])
def test_a_row_depends_on_its_condition_and_seed_alone(fitted, options):
    seeds = [11, 12, 13, 14, 15]
    together = like(fitted, sample_batch=5, **options).sample(CONDITIONS, seeds)
    assert together.shape == (5, 16, 16)
    assert together.dtype == np.float32
    pairs_of_two = like(fitted, sample_batch=2, **options)
    np.testing.assert_allclose(
        pairs_of_two.sample(CONDITIONS[::-1], seeds[::-1])[::-1], together, rtol=0, atol=ROUNDING
    )
    alone = pairs_of_two.sample(CONDITIONS[3:4], seeds[3:4])
    np.testing.assert_allclose(alone[0], together[3], rtol=0, atol=ROUNDING)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_sampling_is_repeatable_and_leaves_global_randomness(fitted):
    before = torch.get_rng_state()
    one = fitted.sample(CONDITIONS[:2], [1, 2])
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(one, fitted.sample(CONDITIONS[:2], [1, 2]))
    assert not np.array_equal(one, fitted.sample(CONDITIONS[:2], [1, 3]))


def test_sampling_is_the_ancestral_sampler_on_the_network(fitted):
    """By hand, without batching, frozen weights and shared time."""
    from radgen_lib.generators.common import RowNoise

    generator = like(fitted, start_noise="standard")
    process, noise = GaussianDiffusion(12), RowNoise([7], (1, 16, 16))
    condition = torch.from_numpy(CONDITIONS[:1])
    with torch.no_grad():
        x = noise.draw()
        for t in reversed(range(12)):
            predicted = generator._network(x, torch.tensor([t]), condition)
            x = process.ancestral_step(x, predicted, t, noise.draw() if t else x)
    np.testing.assert_allclose(generator.sample(CONDITIONS[:1], [7])[0], x[0, 0].numpy(), rtol=0, atol=1e-4)


def test_tokens_give_the_same_images(fitted):
    seeds = [3, 4]
    published = like(fitted, attention="tokens").sample(CONDITIONS[:2], seeds)
    np.testing.assert_allclose(published, fitted.sample(CONDITIONS[:2], seeds), rtol=0, atol=1e-4)


def test_start_noise_switch_changes_images_as_described(fitted, monkeypatch):
    standard = like(fitted, start_noise="standard").sample(CONDITIONS[:1], [5])
    published = fitted.sample(CONDITIONS[:1], [5])
    assert np.abs(standard - published).max() > 1e-3
    monkeypatch.setattr("radgen_lib.generators.cpdm.random_map", lambda row, seed, size: torch.zeros(1, size, size))
    np.testing.assert_array_equal(fitted.sample(CONDITIONS[:1], [5]), standard)


def test_random_map_is_an_untrained_linear_layer():
    condition = torch.tensor([0.2, 0.7, 0.1, 0.9])
    made = random_map(condition, 3, 32)
    assert torch.equal(made, random_map(condition, 3, 32))
    assert not torch.equal(made, random_map(condition, 4, 32))
    layer = torch.nn.Linear(4, 50_000)
    torch.manual_seed(0)
    layer.reset_parameters()
    peer = layer(condition)
    many = torch.cat([random_map(condition, seed, 64).reshape(-1) for seed in range(12)])
    assert many.mean().item() == pytest.approx(0, abs=0.01)
    assert many.std().item() == pytest.approx(peer.std().item(), rel=0.02)
    assert many.abs().max() <= (1 + condition.sum()) / 2
    zero = random_map(torch.zeros(4), 3, 32)
    torch.testing.assert_close(
        random_map(condition, 3, 32) - zero, (random_map(2 * condition, 3, 32) - zero) / 2, rtol=1e-4, atol=1e-6
    )


def test_state_goes_round_and_refuses_another_network(fitted):
    np.testing.assert_array_equal(like(fitted).sample(CONDITIONS, range(5)), fitted.sample(CONDITIONS, range(5)))
    with pytest.raises(ValueError, match=r"array .* (has shape|is missing|is not part)"):
        make(width=16).load_state(fitted.state())


def test_use_before_training_says_so():
    with pytest.raises(RadgenError, match=r"call fit\(\) or load_state\(\) first"):
        make().sample(CONDITIONS, range(5))
    with pytest.raises(RadgenError, match="no weights"):
        make().state()


def test_conditions_of_another_length_are_refused(fitted):
    with pytest.raises(ValueError, match=r"need \(5, 3\)"):
        fitted.sample(CONDITIONS[:, :2], range(5))


def test_no_rows_give_no_images(fitted):
    assert fitted.sample(CONDITIONS[:0], []).shape == (0, 16, 16)


def test_schedule_that_stops_short_of_noise_is_said(pairs, caplog):
    make().fit(pairs, FitContext(seed=1))
    assert "after 12 linear steps" in caplog.text
    assert "sampler: ddim" in caplog.text


def test_sampling_logs_its_progress(fitted, caplog):
    caplog.set_level(logging.INFO, logger="radgen")
    fitted.sample(CONDITIONS, range(5))
    assert "cpdm sampling steps: 12/12" in caplog.text


def test_stopped_fit_goes_on_to_the_same_weights(pairs, fitted, tmp_path):
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StopRequested, match="state is saved"):
        make().fit(pairs, FitContext(seed=1, resume=tmp_path / "state", record=stop))
    again = make()
    again.fit(pairs, FitContext(seed=1, resume=tmp_path / "state"))
    for name, value in fitted.state().items():
        np.testing.assert_array_equal(again.state()[name], value)
