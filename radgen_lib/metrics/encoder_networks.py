"""VGG16 and ResNet50 up to their last feature maps, with the parameter names of torchvision.

Written here because torchvision is not needed anywhere else and has no build beside the CPU build of torch. With
``head`` the classifier is there too, so that parameter counts and state dicts can be compared in full.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

VGG16_WIDTHS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
RESNET50_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
EXPANSION = 4


class VGG16(nn.Module):
    """Configuration D of Simonyan and Zisserman (2014): [n, 3, H, W] to [n, 512, H/32, W/32]."""

    def __init__(self, *, head: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width, times in VGG16_WIDTHS:
            for _ in range(times):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        if head:
            wide = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
            self.classifier = nn.Sequential(*wide, nn.Dropout(), nn.Linear(4096, 1000))

    def forward(self, x: Tensor) -> Tensor:
        """Maps after the last pooling."""
        return self.features(x)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (which carries the stride) and 1 x 1 convolutions beside a shortcut."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = width * EXPANSION
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[n, before, H, W] to [n, 4 width, H/stride, W/stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """He et al. (2015) with the stride in the 3 x 3 convolution: [n, 3, H, W] to [n, 2048, H/32, W/32]."""

    def __init__(self, *, head: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        before = 64
        for number, (width, times, stride) in enumerate(RESNET50_STAGES, start=1):
            blocks = [Bottleneck(before, width, stride)]
            before = width * EXPANSION
            blocks += [Bottleneck(before, width, 1) for _ in range(times - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        if head:
            self.fc = nn.Linear(before, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the last stage."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for number in range(1, len(RESNET50_STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return x
