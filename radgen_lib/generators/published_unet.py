"""The published noise-predicting U-Net of system B (Chen et al.), rebuilt layer by layer from its description."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from radgen_lib.generators.published_blocks import (
    Attention,
    ConditionAttention,
    LinearAttention,
    ResidualBlock,
    StandardisedConv,
    TimeEmbedding,
)

PUBLISHED_TOKENS = 128 * 128


class _Stage(nn.Module):
    """Two residual blocks, linear attention, then a change of resolution."""

    def __init__(self, channels: int, out: int, skip: int, time: int, width: int, change: nn.Module) -> None:
        super().__init__()
        self.first, self.second = ResidualBlock(channels + skip, out, time), ResidualBlock(out + skip, out, time)
        self.attention = LinearAttention(out, head_width=width // 4)
        self.change = change


class DownStage(_Stage):
    """A stage that leaves two skips: after its first block and after its attention."""

    def __init__(self, channels: int, time: int, width: int, change: nn.Module) -> None:
        super().__init__(channels, channels, 0, time, width, change)

    def forward(self, x: torch.Tensor, time: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        """Output of the stage; its skips are added to the end of ``skips``."""
        skips.append(self.first(x, time))
        skips.append(self.attention(self.second(skips[-1], time)))
        return self.change(skips[-1])


class UpStage(_Stage):
    """A stage whose two blocks each get a skip beside their input."""

    def __init__(self, channels: int, skip: int, time: int, width: int, change: nn.Module) -> None:
        super().__init__(channels, channels, skip, time, width, change)

    def forward(self, x: torch.Tensor, time: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        """Output of the stage; its skips are taken from the end of ``skips``."""
        x = self.first(torch.cat([x, skips.pop()], dim=1), time)
        x = self.second(torch.cat([x, skips.pop()], dim=1), time)
        return self.change(self.attention(x))


class PublishedUNet(nn.Module):
    """Noise [b, 1, H, W] in a noised image [b, 1, H, W] at step ``time`` [b or 1], given a condition [b, c].

    ``width`` 128 and ``multipliers`` (1, 2, 4) are the published network. Attention heads scale with ``width``
    (linear: 4 of width/4; condition: 8 of width/2), which gives the published 32 and 64. H and W must be divisible by
    2 ** (len(multipliers) - 1), ``width`` by 8.
    """

    def __init__(
        self,
        n_conditions: int,
        *,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 4),
        attention: Attention = "closed_form",
        tokens: int = PUBLISHED_TOKENS,
    ) -> None:
        super().__init__()
        time = 4 * width
        sizes = [width, *(width * factor for factor in multipliers)]
        pairs = list(pairwise(sizes))
        last = len(pairs) - 1
        self.stem = nn.Conv2d(1, width, 1)
        self.time = TimeEmbedding(width, time)
        self.down = nn.ModuleList(
            DownStage(small, time, width, _shrink(small, large) if i < last else _conv(small, large))
            for i, (small, large) in enumerate(pairs)
        )
        middle = sizes[-1]
        self.middle_in = ResidualBlock(middle, middle, time)
        self.condition = ConditionAttention(
            middle, n_conditions, heads=8, head_width=width // 2, tokens=tokens, mode=attention
        )
        self.middle_out = ResidualBlock(middle, middle, time)
        self.ups = nn.ModuleList(
            UpStage(large, small, time, width, _grow(large, small) if i < last else _conv(large, small))
            for i, (small, large) in enumerate(reversed(pairs))
        )
        self.head = ResidualBlock(2 * width, width, time)
        self.noise = nn.Conv2d(width, 1, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """See the class; the condition enters once, between the two middle blocks."""
        embedded = self.time(time)
        x = stem = self.stem(x)
        skips: list[torch.Tensor] = []
        for stage in self.down:
            x = stage(x, embedded, skips)
        x = self.middle_in(x, embedded)
        x = self.middle_out(self.condition(x, condition), embedded)
        for stage in self.ups:
            x = stage(x, embedded, skips)
        return self.noise(self.head(torch.cat([x, stem], dim=1), embedded))

    def for_sampling(self) -> PublishedUNet:
        """A copy in evaluation mode whose weights are standardised once and not at every step; same result."""
        fixed = copy.deepcopy(self).requires_grad_(False).eval()
        for block in fixed.modules():
            if isinstance(block, ResidualBlock):
                for name in ("first", "second"):
                    layer = getattr(block, name)
                    if isinstance(layer, StandardisedConv):
                        setattr(block, name, layer.fixed().requires_grad_(False))
        return fixed


def _conv(channels: int, out: int) -> nn.Module:
    return nn.Conv2d(channels, out, 3, padding=1)


def _shrink(channels: int, out: int) -> nn.Module:
    """Half the resolution: each 2 x 2 square of pixels becomes four channels, mixed by a 1 x 1 convolution."""
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, out, 1))


def _grow(channels: int, out: int) -> nn.Module:
    """Twice the resolution by repeating pixels, then a 3 x 3 convolution."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), _conv(channels, out))


def parameter_count(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in module.parameters())
