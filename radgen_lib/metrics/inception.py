"""Inception v3 up to its last feature maps, with the parameter names of torchvision (Szegedy et al. 2015).

Every mixed block is a table of branches; a branch is a chain of convolutions, each followed by batch normalisation and
a ReLU. The names of the chains are those of the weight file, so nothing has to be translated.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

Kernel = tuple[int, int]
Step = tuple[str, int, Kernel, int]  # name, channels out, kernel, stride; stride 1 keeps the size, 2 pads nothing
Branches = tuple[tuple[Step, ...], ...]

ONE, THREE, FIVE, WIDE, TALL = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, before: int, after: int, kernel: Kernel, *, stride: int = 1, padding: Kernel = (0, 0)) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """[n, before, H, W] to [n, after, H', W']."""
        return torch.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, joined over channels; steps that end in a and b stand side by side within a branch.

    ``pool`` channels of a projected mean pool come last, or with 0 the maximum pool of a block that halves the size.
    """

    def __init__(self, before: int, branches: Branches, pool: int) -> None:
        super().__init__()
        self._chains = [[name for name, *_ in chain] for chain in branches]
        self._projected = pool > 0
        for chain in branches:
            width = before
            for name, after, kernel, stride in chain:
                same = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2) if stride == 1 else (0, 0)
                self.add_module(name, Convolution(width, after, kernel, stride=stride, padding=same))
                width = width if name.endswith("a") else after
        if pool:
            self.branch_pool = Convolution(before, pool, ONE)

    def _chain(self, x: Tensor, names: list[str]) -> list[Tensor]:
        for name in names:
            if name.endswith("a"):
                return [self.get_submodule(name)(x), self.get_submodule(f"{name[:-1]}b")(x)]
            x = self.get_submodule(name)(x)
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches."""
        found = [part for names in self._chains for part in self._chain(x, names)]
        pooled = self.branch_pool(avg_pool2d(x, 3, 1, 1)) if self._projected else max_pool2d(x, 3, 2)
        return torch.cat([*found, pooled], dim=1)


def _doubled(first: int, then: int, *, stride: int = 1) -> tuple[Step, ...]:
    name = "branch3x3dbl"
    return ((f"{name}_1", first, ONE, 1), (f"{name}_2", then, THREE, 1), (f"{name}_3", then, THREE, stride))


def _block_a(before: int, pool: int) -> Mixed:
    five = (("branch5x5_1", 48, ONE, 1), ("branch5x5_2", 64, FIVE, 1))
    return Mixed(before, ((("branch1x1", 64, ONE, 1),), five, _doubled(64, 96)), pool)


def _block_b() -> Mixed:
    return Mixed(288, ((("branch3x3", 384, THREE, 2),), _doubled(64, 96, stride=2)), 0)


def _block_c(width: int) -> Mixed:
    seven: tuple[Step, ...] = (
        ("branch7x7_1", width, ONE, 1), ("branch7x7_2", width, WIDE, 1), ("branch7x7_3", 192, TALL, 1),
    )  # fmt: skip
    doubled: tuple[Step, ...] = (
        ("branch7x7dbl_1", width, ONE, 1), ("branch7x7dbl_2", width, TALL, 1), ("branch7x7dbl_3", width, WIDE, 1),
        ("branch7x7dbl_4", width, TALL, 1), ("branch7x7dbl_5", 192, WIDE, 1),
    )  # fmt: skip
    return Mixed(768, ((("branch1x1", 192, ONE, 1),), seven, doubled), 192)


def _block_d() -> Mixed:
    three = (("branch3x3_1", 192, ONE, 1), ("branch3x3_2", 320, THREE, 2))
    seven: tuple[Step, ...] = (
        ("branch7x7x3_1", 192, ONE, 1), ("branch7x7x3_2", 192, WIDE, 1), ("branch7x7x3_3", 192, TALL, 1),
        ("branch7x7x3_4", 192, THREE, 2),
    )  # fmt: skip
    return Mixed(768, (three, seven), 0)


def _block_e(before: int) -> Mixed:
    three: tuple[Step, ...] = (
        ("branch3x3_1", 384, ONE, 1), ("branch3x3_2a", 384, (1, 3), 1), ("branch3x3_2b", 384, (3, 1), 1),
    )  # fmt: skip
    doubled: tuple[Step, ...] = (
        ("branch3x3dbl_1", 448, ONE, 1), ("branch3x3dbl_2", 384, THREE, 1),
        ("branch3x3dbl_3a", 384, (1, 3), 1), ("branch3x3dbl_3b", 384, (3, 1), 1),
    )  # fmt: skip
    return Mixed(before, ((("branch1x1", 320, ONE, 1),), three, doubled), 192)


def _auxiliary() -> nn.Module:
    """The second classifier of training: in weight files, never used here."""
    found = nn.Module()
    found.conv0 = Convolution(768, 128, ONE)
    found.conv1 = Convolution(128, 768, FIVE)
    found.fc = nn.Linear(768, 1000)
    return found


class InceptionV3(nn.Module):
    """[n, 3, 299, 299] in [-1, 1] to [n, 2048, 8, 8]; other sizes from 75 pixels on give smaller maps."""

    def __init__(self, *, head: bool = False) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, THREE, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, THREE)
        self.Conv2d_2b_3x3 = Convolution(32, 64, THREE, padding=(1, 1))
        self.Conv2d_3b_1x1 = Convolution(64, 80, ONE)
        self.Conv2d_4a_3x3 = Convolution(80, 192, THREE)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _block_a(192, 32), _block_a(256, 64), _block_a(288, 64)
        self.Mixed_6a = _block_b()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_block_c(w) for w in (128, 160, 160, 192))
        self.Mixed_7a = _block_d()
        self.Mixed_7b, self.Mixed_7c = _block_e(1280), _block_e(2048)
        if head:
            self.AuxLogits = _auxiliary()
            self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Maps after the last mixed block (their mean is the ``pool3`` of Frechet inception distances)."""
        stem: tuple[Callable[[Tensor], Tensor], ...] = (self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3)
        for layer in stem:
            x = layer(x)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(x, 3, 2)))
        x = max_pool2d(x, 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x
