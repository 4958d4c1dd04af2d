"""The published U-Net: sizes of every part, its blocks by hand, the degenerate attention in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from radgen_lib.generators.common import build_seeded
from radgen_lib.generators.published_blocks import (
    ConditionAttention,
    LinearAttention,
    ResidualBlock,
    StandardisedConv,
    TimeEmbedding,
    standardised,
)
from radgen_lib.generators.published_unet import PublishedUNet, _shrink, parameter_count


def small(mode: str = "closed_form", seed: int = 0) -> PublishedUNet:
    return build_seeded(seed, lambda: PublishedUNet(3, width=8, attention=mode))


def inputs(batch: int = 2, size: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(batch, 1, size, size, generator=generator),
        torch.arange(batch) * 3 + 1,
        torch.rand(batch, 3, generator=generator),
    )


@pytest.mark.parametrize("conditions", [15, 17])
def test_parameter_count_is_the_published_one(conditions):
    with torch.device("meta"):
        count = parameter_count(PublishedUNet(conditions))
    assert count == pytest.approx(38.8e6, rel=0.01)


def test_shape_of_every_part_at_the_published_size():
    shapes = {}
    with torch.device("meta"):
        network = PublishedUNet(15)
        for name, part in network.named_modules():
            part.register_forward_hook(lambda _, __, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:])))
        network(torch.zeros(2, 1, 128, 128), torch.zeros(2), torch.zeros(2, 15))
    expected = {
        "stem": (128, 128, 128), "time": (512,),
        "down.0.second": (128, 128, 128), "down.0.attention": (128, 128, 128), "down.0": (128, 64, 64),
        "down.1.second": (128, 64, 64), "down.1": (256, 32, 32),
        "down.2.second": (256, 32, 32), "down.2": (512, 32, 32),
        "middle_in": (512, 32, 32), "condition": (512, 32, 32), "middle_out": (512, 32, 32),
        "ups.0.first": (512, 32, 32), "ups.0": (256, 64, 64),
        "ups.1.first": (256, 64, 64), "ups.1": (128, 128, 128),
        "ups.2.first": (128, 128, 128), "ups.2": (128, 128, 128),
        "head": (128, 128, 128), "noise": (1, 128, 128), "": (1, 128, 128),
    }  # fmt: skip
    assert {name: shapes[name] for name in expected} == expected
    widths = {
        "down.0.change.1": (512, 128), "ups.0.first.first": (768, 512), "ups.0.second.first": (768, 512),
        "ups.1.first.first": (384, 256), "ups.2.first.first": (256, 128), "head.first": (256, 128),
        "down.0.attention.qkv": (128, 3 * 4 * 32), "condition.query": (512, 8 * 64),
    }  # fmt: skip
    parts = dict(network.named_modules())
    assert {name: (parts[name].in_channels, parts[name].out_channels) for name in widths} == widths


def test_width_and_stages_are_free():
    network = PublishedUNet(2, width=16, multipliers=(1, 2))
    assert network(torch.zeros(1, 1, 8, 8), torch.zeros(1), torch.zeros(1, 2)).shape == (1, 1, 8, 8)


def test_tokens_and_closed_form_give_the_same_noise_and_gradients():
    tokens, closed = small("tokens"), small("closed_form")
    grads = []
    for network in (tokens, closed):
        out = network(*inputs())
        out.square().mean().backward()
        grads.append(
            (out, network.condition.value.weight.grad, network.stem.weight.grad, network.condition.out.bias.grad)
        )
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    assert tokens.condition.query.weight.grad.abs().max() < 1e-6  # nothing to learn: the weights are uniform
    assert closed.condition.query.weight.grad is None


def test_condition_attention_adds_one_bias_per_channel_that_is_not_negative():
    layer = build_seeded(1, lambda: ConditionAttention(8, 3, heads=2, head_width=4, tokens=50, mode="tokens"))
    x, condition = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(1)), torch.rand(2, 3)
    added = layer(x, condition) - x
    assert added.min() >= -1e-6
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added), rtol=0, atol=1e-6)
    assert not torch.allclose(added[0], added[1])


def test_condition_changes_the_output():
    network = small()
    x, time, condition = inputs(1)
    assert (network(x, time, condition) - network(x, time, condition + 1)).abs().max() > 1e-4


def test_standardised_weights():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)) * 7 + 2
    made = standardised(weight).numpy()
    flat = weight.numpy().reshape(4, -1)
    expected = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(made.reshape(4, -1), expected, rtol=1e-5, atol=1e-6)


def test_standardised_convolution_ignores_scale_and_shift_of_its_weights():
    conv, x = build_seeded(0, lambda: StandardisedConv(2, 3)), inputs(1)[0].repeat(1, 2, 1, 1)
    before = conv(x).detach()
    with torch.no_grad():
        conv.weight.mul_(5).add_(1)
    torch.testing.assert_close(conv(x).detach(), before, rtol=1e-3, atol=1e-4)


def test_sampling_copy_gives_the_same_noise_and_leaves_the_network():
    network = small().eval()
    with torch.no_grad():
        torch.testing.assert_close(network.for_sampling()(*inputs()), network(*inputs()), rtol=0, atol=1e-6)
    assert isinstance(network.head.first, StandardisedConv)
    assert network.stem.weight.requires_grad


def test_one_time_for_all_rows_equals_one_per_row():
    network = small().eval()
    x, _, condition = inputs()
    with torch.no_grad():
        torch.testing.assert_close(
            network(x, torch.tensor([5]), condition), network(x, torch.tensor([5, 5]), condition), rtol=0, atol=1e-6
        )


def test_time_embedding_starts_from_sines_and_cosines():
    layer = TimeEmbedding(8, 16)
    layer.layers = torch.nn.Identity()
    found = layer(torch.tensor([7]))[0].numpy()
    angles = [7 * math.exp(-math.log(10000) * i / 3) for i in range(4)]
    np.testing.assert_allclose(found, [*map(math.sin, angles), *map(math.cos, angles)], rtol=1e-5)


def test_space_to_depth_takes_each_square_of_four_pixels():
    x = torch.arange(2 * 4 * 4, dtype=torch.float32).reshape(1, 2, 4, 4)
    folded = _shrink(2, 3)[0](x)
    corners = [x[:, c, i::2, j::2] for c in range(2) for i in range(2) for j in range(2)]
    assert torch.equal(folded, torch.stack(corners, dim=1))


def test_residual_block_by_its_formula():
    block = build_seeded(0, lambda: ResidualBlock(4, 8, 6))
    x, time = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(2)), torch.rand(2, 6)
    scale, shift = block.time(functional.silu(time)).reshape(2, 2, 8, 1, 1).unbind(1)
    hidden = functional.silu(block.first_norm(block.first(x)) * (scale + 1) + shift)
    hidden = functional.silu(block.second_norm(block.second(hidden)))
    torch.testing.assert_close(block(x, time), hidden + block.shortcut(x))
    assert block.first_norm.num_groups == 4


def test_linear_attention_by_loops():
    layer = build_seeded(0, lambda: LinearAttention(4, heads=2, head_width=3))
    x = torch.randn(1, 4, 2, 3, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        qkv = layer.qkv(layer.norm(x))[0].reshape(3, 2, 3, 6).numpy().astype(np.float64)
        made = np.zeros((2, 3, 6))
        for head in range(2):
            query, key, value = qkv[:, head]
            query = np.exp(query) / np.exp(query).sum(0) / math.sqrt(3)  # over the channels of a head
            key = np.exp(key) / np.exp(key).sum(1, keepdims=True)  # over the pixels
            for pixel in range(6):
                made[head, :, pixel] = sum(value[:, j] * (key[:, j] @ query[:, pixel]) for j in range(6))
        expected = x + layer.out(torch.from_numpy(made).float().reshape(1, 6, 2, 3))
        torch.testing.assert_close(layer(x), expected)
