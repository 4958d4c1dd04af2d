"""The well-made diffusion model and its untrained twin, at toy size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from radgen_lib.core.errors import ConfigError
from radgen_lib.generators.base import ROUNDING, FitContext, TrainingData, build_generator
from radgen_lib.generators.edm import EDMOptions
from radgen_lib.generators.edm_network import ConditionTokens, PreconditionedUNet, edm_loss, guided

TINY = {
    "channels": [8, 16], "num_head_channels": 8, "res_blocks": 1, "token_width": 8, "epochs": 2, "batch_size": 6,
    "sampling_steps": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(make, toy):
    generator = make("edm:EDMDiffusion", **TINY, learning_rate=3e-3)
    generator.fit(toy, FitContext(seed=11))
    return generator


@pytest.fixture(scope="module")
def untrained(make, toy):
    generator = make("edm:UntrainedDiffusion", **TINY)
    generator.fit(toy, FitContext(seed=11))
    return generator


@pytest.mark.parametrize("kind", ["trained", "untrained"])
def test_a_row_depends_on_its_condition_and_seed_alone(kind, request, toy):
    generator = request.getfixturevalue(kind)
    together = generator.sample(toy.conditions[:5], [3, 1, 4, 1, 5])
    assert together.shape == (5, 16, 16) and together.dtype == np.float32
    for i, seed in enumerate([3, 1, 4, 1, 5]):
        alone = generator.sample(toy.conditions[i : i + 1], [seed])[0]
        np.testing.assert_allclose(alone, together[i], rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(generator.sample(toy.conditions[:5], [3, 1, 4, 1, 5]), together)
    assert np.abs(together[1] - generator.sample(toy.conditions[1:2], [2])[0]).max() > 0.01
    assert generator.sample(toy.conditions[:0], []).shape == (0, 16, 16)


def test_the_samplers_start_alike_and_each_goes_its_own_way(trained, make, toy):
    """The same seeds: equal after one step (there is no second noise), different after more, again row by row."""
    drawn = {}
    for sampler in ("heun", "ancestral", "dpm_sde"):
        for steps in (1, 4):
            generator = make("edm:EDMDiffusion", **{**TINY, "sampler": sampler, "sampling_steps": steps})
            generator.load_state(trained.state())
            drawn[sampler, steps] = generator.sample(toy.conditions[:3], [5, 6, 7])
            alone = generator.sample(toy.conditions[2:3], [7])
            np.testing.assert_allclose(alone[0], drawn[sampler, steps][2], rtol=0, atol=ROUNDING)
    for one, other in (("heun", "ancestral"), ("heun", "dpm_sde"), ("ancestral", "dpm_sde")):
        np.testing.assert_allclose(drawn[one, 1], drawn[other, 1], atol=1e-4)
        assert np.abs(drawn[one, 4] - drawn[other, 4]).max() > 0.01


def test_state_gives_the_same_images_back(trained, make, toy):
    again = make("edm:EDMDiffusion", **TINY)
    again.load_state(trained.state())
    np.testing.assert_array_equal(again.sample(toy.conditions[:2], [1, 2]), trained.sample(toy.conditions[:2], [1, 2]))
    state = trained.state()
    del state["network.tokens.null"]
    with pytest.raises(ValueError, match=r"network\.tokens\.null"):
        make("edm:EDMDiffusion", **TINY).load_state(state)


def test_the_same_seed_trains_the_same_bytes(trained, make, toy):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = make("edm:EDMDiffusion", **TINY, learning_rate=3e-3)
    again.fit(toy, FitContext(seed=11))
    assert torch.equal(before, torch.get_rng_state()), "global random state was touched"
    for name, value in trained.state().items():
        np.testing.assert_array_equal(again.state()[name], value, err_msg=name)


def test_scale_and_centre_come_from_the_training_images(trained, toy):
    state = trained.state()
    images = 2 * toy.images.astype(np.float64) - 1
    centre = images.mean(axis=0)
    np.testing.assert_allclose(state["network.centre"][0], centre, atol=1e-6)
    assert state["network.sigma_data"] == pytest.approx(np.sqrt(((images - centre) ** 2).mean()), rel=1e-5)


def test_training_lowers_the_loss_and_the_images_follow_the_condition(make):
    """A bright left or right half, told by the sign of one condition."""
    sign = np.tile([-1.0, 1.0], 6).astype(np.float32)
    images = np.full((12, 16, 16), 0.1, dtype=np.float32)
    for image, s in zip(images, sign, strict=True):
        image[:, slice(8, None) if s > 0 else slice(0, 8)] = 0.9
    conditions = np.stack([sign, 0 * sign, 0 * sign], axis=1)
    data = TrainingData(images, conditions, np.array([f"p{i}" for i in range(12)]))
    rows: list[dict[str, float]] = []
    options = {**TINY, "epochs": 100, "learning_rate": 8e-3, "sampling_steps": 8, "working_size": 8}
    generator = make("edm:EDMDiffusion", **options)
    generator.fit(data, FitContext(seed=2, record=rows.append))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    drawn = generator.sample(conditions, range(12))
    lean = drawn[:, :, 8:].mean(axis=(1, 2)) - drawn[:, :, :8].mean(axis=(1, 2))
    assert (np.sign(lean) == sign).mean() > 0.8


def test_loss_of_an_unskilled_network_is_one(make):
    """With data of SD sigma_data, D = skip x noisy has expected weighted error 1 at every noise level (eq. 8)."""
    generator = make("edm:EDMDiffusion", **TINY)
    network = generator.build(0)  # MONAI starts with a zero last layer: F = 0
    rng = np.random.default_rng(0)
    images = torch.from_numpy((rng.normal(size=(64, 1, 16, 16)) * 0.25 + 0.5).astype(np.float32))
    network.sigma_data.fill_(0.5)
    with torch.no_grad():
        loss = edm_loss(
            network, images, torch.zeros(64, 3), torch.Generator().manual_seed(1), options=generator.options
        )
    assert float(loss) == pytest.approx(1, abs=0.03)


class Spy(torch.nn.Module):
    """Remembers what the loss asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.centre, self.sigma_data = torch.zeros(1, 4, 4), torch.tensor(0.5)

    def forward(self, noisy, sigma, conditions, dropped):
        self.sigma, self.dropped = sigma, dropped
        return noisy


def test_noise_levels_and_condition_dropout_of_training():
    spy, options = Spy(), EDMOptions(condition_dropout=0.1)
    images, generator = torch.rand(8000, 1, 4, 4), torch.Generator().manual_seed(3)
    first = edm_loss(spy, images, torch.zeros(8000, 3), generator, options=options)
    assert float(spy.dropped.float().mean()) == pytest.approx(0.1, abs=0.015)
    assert float(spy.sigma.log().mean()) == pytest.approx(0.0, abs=0.06)
    assert float(spy.sigma.log().std()) == pytest.approx(1.6, abs=0.06)
    again = edm_loss(spy, images, torch.zeros(8000, 3), torch.Generator().manual_seed(3), options=options)
    assert torch.equal(first, again)


def test_each_feature_has_its_own_token():
    tokens = ConditionTokens(3, 5)
    values = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, -3.0]])
    found = tokens(values, torch.tensor([False, False]))
    torch.testing.assert_close(found[0, 1], 2 * tokens.weight[1] + tokens.bias[1])
    assert torch.equal(found[0, :2], found[1, :2]) and not torch.equal(found[0, 2], found[1, 2])
    dropped = tokens(values, torch.tensor([True, False]))
    assert torch.equal(dropped[0], tokens.null.expand(3, 5)) and torch.equal(dropped[1], found[1])


def test_guidance_extrapolates_from_the_null_condition(untrained, toy):
    network = untrained.network
    noisy, sigma = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor(0.7)
    given = torch.from_numpy(toy.conditions[:2])
    with torch.no_grad():
        at = {g: guided(network, given, g, noisy, sigma) for g in (0.0, 1.0, 2.5)}
        blind = guided(network, -given, 0.0, noisy, sigma)
    torch.testing.assert_close(at[2.5], at[0.0] + 2.5 * (at[1.0] - at[0.0]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(at[0.0], blind, atol=1e-5, rtol=1e-5)
    assert float((at[1.0] - at[0.0]).abs().max()) > 0.01


def test_guidance_stops_where_noise_is_low(make, toy):
    """Rows computed per call: twice the batch above ``guidance_from``, once below."""
    rows: dict[float, int] = {}
    generator = make("edm:UntrainedDiffusion", **{**TINY, "sampling_steps": 6, "guidance_from": 0.5})
    generator.fit(toy, FitContext(seed=0))
    generator.network.register_forward_pre_hook(
        lambda module, inputs: rows.update({float(inputs[1][0]): len(inputs[0])})
    )
    generator.sample(toy.conditions[:2], [0, 1])
    assert len(rows) == 6 and min(rows) < 0.5 < max(rows)
    assert all(count == (4 if sigma >= 0.5 else 2) for sigma, count in rows.items())


def test_untrained_images_carry_the_condition(untrained, make, toy):
    """Same noise, other condition: at least a tenth of the pixel variance; every single feature moves the image."""
    conditions = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    by_condition = untrained.sample(conditions, [7] * 8).var(axis=0).mean()
    by_noise = untrained.sample(conditions[:1].repeat(8, axis=0), range(8)).var(axis=0).mean()
    assert by_condition / (by_condition + by_noise) > 0.1
    base = untrained.sample(conditions[:1], [7])
    for feature in range(3):
        moved = conditions[:1].copy()
        moved[0, feature] += 1
        assert np.abs(untrained.sample(moved, [7]) - base).mean() > 0.005
    plain = make("edm:EDMDiffusion", **TINY)
    plain.network = plain.build(0)
    fresh = plain.sample(conditions[:2], [7, 7])
    np.testing.assert_allclose(fresh[0], fresh[1], atol=1e-6)  # as MONAI builds it, no condition would show


def test_untrained_never_looks_at_an_image(untrained, make, toy):
    other = replace(toy, images=np.zeros_like(toy.images))
    again = make("edm:UntrainedDiffusion", **TINY)
    rows: list[dict[str, float]] = []
    again.fit(other, FitContext(seed=11, record=rows.append))
    assert rows == []
    for name, value in untrained.state().items():
        np.testing.assert_array_equal(again.state()[name], value, err_msg=name)
    another = make("edm:UntrainedDiffusion", **TINY)
    another.fit(toy, FitContext(seed=12))
    assert np.abs(another.sample(toy.conditions[:1], [1]) - again.sample(toy.conditions[:1], [1])).max() > 0.05


def test_untrained_weighs_narrow_and_constant_conditions_sensibly(make, toy):
    """Per-patient min-max leaves some inputs nearly constant: they count by patient SD, a constant one not at all."""
    squeezed = toy.conditions * np.array([0.02, 1.0, 0.0], dtype=np.float32)
    generator = make("edm:UntrainedDiffusion", **TINY)
    generator.fit(replace(toy, conditions=squeezed), FitContext(seed=0))
    first = np.unique(toy.patients, return_index=True)[1]
    spread = squeezed[first].std(axis=0)
    scale = generator.state()["network.tokens.scale"]
    np.testing.assert_allclose(scale[:2] * 3, spread[:2], rtol=1e-4)
    assert scale[2] > 0.1 and np.isfinite(generator.sample(squeezed[:2], [0, 1])).all()


def test_the_network_may_work_at_a_smaller_size(make, toy):
    generator = make("edm:UntrainedDiffusion", **TINY, working_size=8)
    generator.fit(toy, FitContext(seed=0))
    assert generator.state()["network.centre"].shape == (1, 8, 8)
    assert generator.sample(toy.conditions[:2], [0, 1]).shape == (2, 16, 16)


def test_averaging_is_shorter_in_a_short_run(make):
    def decay(epochs: int) -> float | None:
        return make("edm:EDMDiffusion", **{**TINY, "epochs": epochs})._with_short_average(12).ema

    assert decay(100) == pytest.approx(1 - 10 / 200)
    assert decay(100_000) == 0.999
    assert decay(1) == pytest.approx(0.01)
    off = make("edm:EDMDiffusion", **TINY, ema=None)
    assert off._with_short_average(12).ema is None


def test_narrow_levels_get_narrow_heads():
    network = PreconditionedUNet(EDMOptions(channels=(8, 24), token_width=4), 16, 3)
    assert network.unet.num_head_channels == [8, 8]


def test_attention_stands_at_low_resolution_only():
    assert EDMOptions().levels(128) == (False, False, True, True)
    assert EDMOptions(channels=(32, 64)).levels(32) == (False, True)
    assert EDMOptions(channels=(32, 64), attention_levels=(True, True)).levels(128) == (True, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"working_size": 17}, "multiple of 2"),
        ({"attention_levels": [True]}, "1 given for 2 channels"),
        ({"channels": [10, 16]}, "multiples of 4"),
        ({"sigma_min": 90.0}, "not below sigma_max"),
        ({"guidence": 2}, "Allowed keys"),
        ({"condition_dropout": 1.0}, "less than 1"),
        ({"sampler": "ddim"}, "'heun', 'ancestral' or 'dpm_sde'"),
        ({"sampling_steps": 2001}, "less than or equal to 2000"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        build_generator("radgen_lib.generators.edm:EDMDiffusion", {**TINY, **options}, image_size=16, n_conditions=3)


def test_sampling_before_fitting_says_so(make, toy):
    with pytest.raises(RuntimeError, match="not fitted"):
        make("edm:EDMDiffusion", **TINY).sample(toy.conditions[:1], [0])
