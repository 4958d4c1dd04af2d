"""Blocks of the published U-Net of system B (Chen et al.): weight-standardised convolutions and its attentions."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import skip_init

Attention = Literal["tokens", "closed_form"]


def standardised(weight: torch.Tensor) -> torch.Tensor:
    """Weights [out, in, k, k] with mean 0 and variance 1 per output channel (Qiao et al. 2019; variance + 1e-5)."""
    variance, mean = torch.var_mean(weight, dim=(1, 2, 3), correction=0, keepdim=True)
    return (weight - mean) * torch.rsqrt(variance + 1e-5)


class StandardisedConv(nn.Conv2d):
    """A 3 x 3 convolution whose weights are standardised at every use."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[b, channels, H, W] to [b, out, H, W]."""
        return functional.conv2d(x, standardised(self.weight), self.bias, padding=1)

    def fixed(self) -> nn.Module:
        """A plain convolution with the weights as they are used now: the same result without standardising again."""
        # without torch's random first weights, which would draw from the global state
        channels, device = (self.in_channels, self.out_channels), self.weight.device
        conv: nn.Module = skip_init(nn.Conv2d, *channels, 3, padding=1, device=device)  # type: ignore[no-untyped-call]
        weights = {**self.state_dict(), "weight": standardised(self.weight).detach()}
        conv.load_state_dict(weights)
        return conv


class TimeEmbedding(nn.Module):
    """Step number to a vector: sines and cosines of geometric frequencies, then linear, GELU, linear."""

    frequencies: torch.Tensor

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        half = width // 2
        frequencies = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        """[b] to [b, out]."""
        angles = time[:, None].float() * self.frequencies
        return self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))


class ResidualBlock(nn.Module):
    """Two times (convolution, GroupNorm of 4 groups, SiLU); the time scales and shifts after the first norm."""

    def __init__(self, channels: int, out: int, time: int) -> None:
        super().__init__()
        self.time = nn.Linear(time, 2 * out)
        self.first, self.first_norm = StandardisedConv(channels, out), nn.GroupNorm(4, out)
        self.second, self.second_norm = StandardisedConv(out, out), nn.GroupNorm(4, out)
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """``x`` [b, channels, H, W] and ``time`` [b or 1, time] to [b, out, H, W]."""
        scale, shift = self.time(functional.silu(time))[:, :, None, None].chunk(2, dim=1)
        hidden = self.first_norm(self.first(x))
        hidden = functional.silu(torch.addcmul(shift, hidden, scale + 1))
        hidden = functional.silu(self.second_norm(self.second(hidden)))
        return hidden + self.shortcut(x)


class LinearAttention(nn.Module):
    """Attention of cost linear in the pixels (Shen et al. 2021), residual, GroupNorm of one group before and after."""

    def __init__(self, channels: int, *, heads: int = 4, head_width: int = 32) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, 3 * heads * head_width, 1, bias=False)
        self.out = nn.Sequential(nn.Conv2d(heads * head_width, channels, 1), nn.GroupNorm(1, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[b, channels, H, W] to the same shape."""
        b, _, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, self.head_width, height * width)
        query, key, value = qkv.unbind(1)
        query = query.softmax(dim=2) * self.head_width**-0.5
        context = key.softmax(dim=3) @ value.transpose(2, 3)
        found = (context.transpose(2, 3) @ query).reshape(b, -1, height, width)
        return x + self.out(found)


class ConditionAttention(nn.Module):
    """The published cross-attention from pixels to the condition, residual.

    The condition vector [b, c] stands ``tokens`` times as identical tokens. Equal keys make every weight 1/tokens
    whatever the query, so the layer adds relu(out(value(condition))) to every pixel. ``mode`` "tokens" computes it as
    published; "closed_form" computes that bias at once. Both give the same image; query, key and norm then learn
    nothing (their gradient is zero up to rounding with "tokens", absent with "closed_form").
    """

    def __init__(
        self, channels: int, condition: int, *, heads: int, head_width: int, tokens: int, mode: Attention
    ) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads, self.tokens, self.mode = heads, tokens, mode
        self.norm = nn.BatchNorm2d(channels)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Linear(condition, inner, bias=False)
        self.value = nn.Linear(condition, inner, bias=False)
        self.out = nn.Conv2d(inner, channels, 1)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """``x`` [b, channels, H, W] and ``condition`` [b, c] to the shape of ``x``."""
        closed = self.mode == "closed_form"
        found = self.value(condition)[:, :, None, None] if closed else self._attend(x, condition)
        return x + functional.relu(self.out(found))

    def _attend(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        b, _, height, width = x.shape
        repeated = condition[:, None].expand(-1, self.tokens, -1)
        query = self.query(self.norm(x)).reshape(b, self.heads, -1, height * width).transpose(2, 3)
        key, value = (
            layer(repeated).reshape(b, self.tokens, self.heads, -1).transpose(1, 2) for layer in (self.key, self.value)
        )
        found = functional.scaled_dot_product_attention(query, key, value)
        return found.transpose(2, 3).reshape(b, -1, height, width)
