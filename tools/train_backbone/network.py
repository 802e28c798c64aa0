"""The backbone: ResNet-18's first three stages, narrower, and the heads it is trained with."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

STEM_WIDTH: Final = 32
WIDTHS: Final = (32, 96, 192)
"""Channels of layer1, layer2 and layer3 (strides 4, 8 and 16)."""
INPUT_MEAN: Final = (0.5, 0.5, 0.5)
INPUT_STD: Final = (0.25, 0.25, 0.25)
"""For RGB in 0 to 1."""
STATISTICS: Final = 9
"""Values per cell that the statistics head predicts: mean and spread of RGB, three of edge direction."""

FLAT_FILTERS: Final = 6
"""Filters of the first convolution that may answer to flat colour at the start."""
CLASS_STEP: Final = 2
"""Only every other row and column of layer2 is asked for its class: many classes on many cells are slow."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Make a block that divides the resolution by `stride`."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Return non-negative features."""
        inner = torch.relu(self.bn1(self.conv1(features)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def _start_with_edges(stem: nn.Conv2d) -> None:
    """Make all but FLAT_FILTERS of the first filters blind to flat colour, and smooth.

    Under free colours the brightness of a region varies far more than its texture, and a stem
    that answers to it hides the texture: without this start the class losses do not fall.
    """
    with torch.no_grad():
        weight = stem.weight
        smooth = nn.functional.avg_pool2d(weight, 3, 1, 1)
        edges = (smooth - smooth.mean((2, 3), keepdim=True))[FLAT_FILTERS:]
        weight[FLAT_FILTERS:] = edges * (weight[FLAT_FILTERS:].std() / edges.std())


class Backbone(nn.Module):
    """Maps N x 3 x H x W, normalised with INPUT_MEAN and INPUT_STD, to three feature maps."""

    def __init__(self) -> None:
        """Make a backbone with random weights."""
        super().__init__()
        self.stem_conv = nn.Conv2d(3, STEM_WIDTH, 7, 2, 3, bias=False)
        self.stem_bn: nn.Module = nn.BatchNorm2d(STEM_WIDTH)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(STEM_WIDTH, WIDTHS[0], 1)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], 2)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        _start_with_edges(self.stem_conv)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return layer1, layer2 and layer3."""
        stem = self.pool(torch.relu(self.stem_bn(self.stem_conv(image))))
        first = self.layer1(stem)
        second = self.layer2(first)
        return first, second, self.layer3(second)


class PretextModel(nn.Module):
    """The backbone with its training heads, all of them 1x1 convolutions on cells."""

    def __init__(self, classes: int, families: int, mark_kinds: int) -> None:
        """Make heads for texture classes and families, kinds of marks and local statistics."""
        super().__init__()
        self.backbone = Backbone()
        self.class2 = nn.Conv2d(WIDTHS[1], classes, 1)
        self.class3 = nn.Conv2d(WIDTHS[2], classes, 1)
        self.family2 = nn.Conv2d(WIDTHS[1], families, 1)
        self.family3 = nn.Conv2d(WIDTHS[2], families, 1)
        self.marks2 = nn.Conv2d(WIDTHS[1], mark_kinds, 1)
        self.marks3 = nn.Conv2d(WIDTHS[2], mark_kinds, 1)
        self.statistics2 = nn.Conv2d(WIDTHS[1], STATISTICS, 1)
        self.statistics3 = nn.Conv2d(WIDTHS[2], STATISTICS, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the raw output of every head by its name."""
        _, second, third = self.backbone(image)
        outputs = {name: getattr(self, name)(second).float() for name in ("family2", "marks2", "statistics2")}
        outputs["class2"] = self.class2(second[..., ::CLASS_STEP, ::CLASS_STEP]).float()
        outputs |= {name: getattr(self, name)(third).float() for name in ("class3", "family3", "marks3", "statistics3")}
        return outputs
