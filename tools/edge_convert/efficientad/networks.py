"""The three networks of EfficientAD as plain sequences of layers, with the paper's shapes (appendix A.1)."""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch import nn

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STRIDE: Final = 4
"""Input pixels from one cell of a PDN's output to the next."""
RECEPTIVE_FIELD_PX: Final = 33
"""Side of the square that a cell of a PDN sees: cell i sees the pixels 4·i … 4·i + 32."""
BORDER_CELLS: Final = 4
"""Cells that a PDN without padding lacks at each side: its cell i lies over cell i + 4 of the image's stride-4 grid."""

_LATENT: Final = 64
_NARROW: Final = 32
_BOTTLENECK_STRIDE: Final = 32
_LARGEST_KERNEL: Final = 8
_DROPOUT: Final = 0.2
_QUIET: Final = 0.1


class PdnSize(StrEnum):
    """Which patch description network."""

    XS = "xs"
    """Not the paper's: for processors on which S is too slow."""
    S = "s"
    M = "m"


class PatchLayer(NamedTuple):
    """A convolution of a patch description network."""

    kernel: int
    width: int
    """Channels; 0: as many as the network's outputs."""
    pooled: bool = False
    """Followed by means over 2×2 cells."""
    stride: int = 1


def pooled_twice(first: int, second: int, third: int) -> tuple[PatchLayer, ...]:
    """PDN-S's form with other widths."""
    return PatchLayer(4, first, pooled=True), PatchLayer(4, second, pooled=True), PatchLayer(3, third), PatchLayer(4, 0)


LAYERS: Final[Mapping[PdnSize, tuple[PatchLayer, ...]]] = MappingProxyType(
    {
        PdnSize.XS: pooled_twice(64, 128, 128),
        PdnSize.S: pooled_twice(128, 256, 256),
        PdnSize.M: (
            PatchLayer(4, 256, pooled=True),
            PatchLayer(4, 512, pooled=True),
            PatchLayer(1, 512),
            PatchLayer(3, 512),
            PatchLayer(4, 0),
            PatchLayer(1, 0),
        ),
    }
)
"""S and M are the paper's. Every entry has stride 4 and a field of 33 pixels."""


INPUT_PX: Final[Mapping[PdnSize, int]] = MappingProxyType({PdnSize.XS: 192, PdnSize.S: 256, PdnSize.M: 256})
"""Side of the picture, unless another is asked for."""
MOST_CHANNELS: Final[Mapping[PdnSize, int]] = MappingProxyType({PdnSize.XS: 64, PdnSize.S: 384, PdnSize.M: 384})
"""Of a teacher; 384 is the paper's number. A backbone with more is averaged down."""


def cells(side_px: int) -> int:
    """Cells of a PDN's output along a side of `side_px` pixels, a multiple of four."""
    return side_px // STRIDE - 2 * BORDER_CELLS


def check_input(height_px: int, width_px: int) -> None:
    """Refuse an input that the autoencoder cannot halve five times.

    Raises:
        ConfigError: names what is allowed.
    """
    for side in (height_px, width_px):
        if side % _BOTTLENECK_STRIDE or not 2 * _BOTTLENECK_STRIDE <= side <= 1024:  # noqa: PLR2004
            raise ConfigError(
                f"an input of {height_px}×{width_px} pixels does not fit EfficientAD",
                "Choose multiples of 32 from 64 to 1024; the paper's is 256.",
            )


def make_pdn(size: PdnSize, outputs: int) -> Any:
    """A patch description network without padding: N×3×H×W → N×outputs×(H/4 − 8)×(W/4 − 8), stride 4, 33 px field.

    Padding would let a cell know how far the border is; the paper switches it off after distillation, here it is never
    on (the outermost four cells are left out of the distillation instead).
    """
    return make_patch_network(LAYERS[size], outputs)


def make_patch_network(layers: Sequence[PatchLayer], outputs: int) -> Any:
    """`layers` one after another, with rectifiers between them; the last one's width is `outputs`."""
    parts: OrderedDict[str, Any] = OrderedDict()
    channels = 3
    for number, layer in enumerate(layers, start=1):
        width = layer.width or outputs
        parts[f"conv{number}"] = nn.Conv2d(channels, width, layer.kernel, layer.stride)
        if number < len(layers):
            parts[f"relu{number}"] = nn.ReLU()
        if layer.pooled:
            parts[f"pool{number}"] = nn.AvgPool2d(2, 2)
        channels = width
    return _started(nn.Sequential(parts))


def make_autoencoder(outputs: int, height_px: int, width_px: int) -> Any:
    """An autoencoder that predicts the teacher's features: N×3×H×W → N×outputs×(H/4 − 8)×(W/4 − 8).

    At 256×256 pixels the bottleneck is 64 numbers for the whole image, as in the paper.

    Raises:
        ConfigError: sides that are not multiples of 32.
    """
    check_input(height_px, width_px)
    sides = (height_px, width_px)
    bottleneck = tuple(min(_LARGEST_KERNEL, side // _BOTTLENECK_STRIDE) for side in sides)
    parts: OrderedDict[str, Any] = OrderedDict()
    channels = (3, _NARROW, _NARROW, _LATENT, _LATENT, _LATENT)
    for number in range(1, 6):
        parts[f"enc{number}"] = nn.Conv2d(channels[number - 1], channels[number], 4, 2, 1)
        parts[f"enc_relu{number}"] = nn.ReLU()
    parts["enc6"] = nn.Conv2d(_LATENT, _LATENT, bottleneck)
    for number, grid in enumerate(_decoder_grids(sides), start=1):
        parts[f"up{number}"] = nn.Upsample(size=grid, mode="bilinear", align_corners=False)
        parts[f"dec{number}"] = nn.Conv2d(_LATENT, _LATENT, 4, 1, 2)
        parts[f"dec_relu{number}"] = nn.ReLU()
        parts[f"dropout{number}"] = nn.Dropout(_DROPOUT)
    grid = (cells(height_px), cells(width_px))
    parts["up7"] = nn.Upsample(size=grid, mode="bilinear", align_corners=False)
    parts["dec7"] = nn.Conv2d(_LATENT, _LATENT, 3, 1, 1)
    parts["dec_relu7"] = nn.ReLU()
    parts["dec8"] = nn.Conv2d(_LATENT, outputs, 3, 1, 1)
    return _started(nn.Sequential(parts))


def start_on(network: Any, images: Any) -> None:
    """Shift and scale each convolution so that its outputs on these images have mean 0 and variance 1 per channel.

    Without normalising layers a network otherwise spends its first hundreds of steps on finding the range of its
    signal, which a short training does not have. The last convolution starts at a tenth, near to saying nothing.
    """
    with torch.inference_mode():
        signal = images
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                found = layer(signal)
                std = found.std((0, 2, 3)).clamp(min=1e-6)
                layer.bias.sub_(found.mean((0, 2, 3))).div_(std)
                layer.weight.div_(std.view(-1, 1, 1, 1))
            signal = layer(signal)
        layer.weight.mul_(_QUIET)
        layer.bias.zero_()


def _decoder_grids(sides: tuple[int, ...]) -> list[tuple[int, ...]]:
    """3, 8, 15, 32, 63, 127 for 256 pixels; in proportion otherwise."""
    shrinks = ((64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1))
    return [tuple(max(1, side // shrink - less) for side in sides) for shrink, less in shrinks]


def _started(network: Any) -> Any:
    """Weights that keep the signal's variance through the rectifiers: short trainings need not first find it."""
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return network
