"""What is known of a model's preprocessing, from whoever states it: a person, a file beside the model, or its graph."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, InputSpec, Layout, Resize

if TYPE_CHECKING:
    from collections.abc import Sequence

_RANK = 4
_CHANNELS = {1, 3}


@dataclass(frozen=True, slots=True)
class Stated:
    """Parts of an `InputSpec`; None where this source says nothing."""

    input_px: tuple[int, int] | None = None
    """Height and width of what enters the network, after a centre crop."""
    resized_px: tuple[int, int] | None = None
    """Height and width before the centre crop."""
    fit: Fit | None = None
    resize: Resize | None = None
    keep_fractions: bool | None = None
    colour: ColourOrder | None = None
    layout: Layout | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def over(self, other: Stated) -> Stated:
        """This, and where it says nothing the other."""
        said = {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) is not None}
        return replace(other, **said)


@dataclass(frozen=True, slots=True)
class GraphInput:
    """The graph's one input."""

    name: str
    dimensions: tuple[int | None, ...]
    """None where it is open."""
    dtype: str
    """NumPy's name."""


def complete(stated: Stated, graph: GraphInput) -> tuple[InputSpec, tuple[str, ...]]:
    """The whole specification, and what had to be assumed for it.

    Raises:
        ConfigError: the graph's input is no image, contradicts what is stated, or its size is stated nowhere.
    """
    layout, channels = _layout(stated, graph)
    height, width = _size(stated, graph, layout)
    colour = stated.colour or (ColourOrder.MONO if channels == 1 else ColourOrder.RGB)
    if (colour is ColourOrder.MONO) != (channels == 1):
        raise ConfigError(
            f"the graph's input {graph.name!r} has {channels} channel(s), which does not fit colour {colour.value}",
            "Give --colour mono for one channel, rgb or bgr for three.",
        )
    assumed = []
    if stated.resize is None:
        assumed.append("nothing states how images are resized: linear with antialiasing is assumed (--resize)")
    if graph.dtype != "uint8" and stated.scale is None and stated.mean is None:
        assumed.append("nothing states a normalisation: pixels in 0…1 are assumed (--scale, --mean, --std)")
    scale, mean, std = _normalisation(stated, channels)
    whole = graph.dtype == "uint8"
    spec = InputSpec(
        tensor=graph.name,
        height_px=height,
        width_px=width,
        resize=stated.resize or Resize.LINEAR_ANTIALIAS,
        colour=colour,
        layout=layout,
        dtype="uint8" if whole else "float32",
        scale=scale,
        mean=mean,
        std=std,
        fit=stated.fit or Fit.STRETCH,
        resized_px=None if stated.resized_px in {None, (height, width)} else stated.resized_px,
        keep_fractions=bool(stated.keep_fractions) and not whole,
    )
    return spec, tuple(assumed)


def image_shape(spec: InputSpec) -> tuple[int, int, int]:
    """The input without its batch."""
    channels = len(spec.mean)
    if spec.layout is Layout.NCHW:
        return channels, spec.height_px, spec.width_px
    return spec.height_px, spec.width_px, channels


def _normalisation(stated: Stated, channels: int) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    """Scale, mean and deviation."""
    scale = 1.0 if stated.scale is None else stated.scale
    mean, std = _per_channel(stated.mean, channels, 0.0), _per_channel(stated.std, channels, 1.0)
    if min(std) <= 0 or not math.isfinite(scale) or scale == 0:
        raise ConfigError(
            f"a scale of {scale:g} with a deviation of {', '.join(f'{value:g}' for value in std)} is no normalisation",
            "Correct --scale and --std: value = (pixel / 255 · scale − mean) / std, with std above 0.",
        )
    return scale, mean, std


def _per_channel(values: Sequence[float] | None, channels: int, default: float) -> tuple[float, ...]:
    if values is None:
        return (default,) * channels
    if len(values) == 1:
        return tuple(values) * channels
    if len(values) != channels:
        raise ConfigError(
            f"{len(values)} means or deviations are stated for {channels} channel(s)", "Give one number per channel."
        )
    return tuple(values)


def _layout(stated: Stated, graph: GraphInput) -> tuple[Layout, int]:
    """Layout and number of channels."""
    shape = graph.dimensions
    if len(shape) != _RANK or graph.dtype not in {"float32", "uint8", "float16", "float64"}:
        raise ConfigError(
            f"the graph's input {graph.name!r} is {graph.dtype} of shape {list(shape)}, not one image",
            "Export a graph with one image input: batch, channels, height, width.",
        )
    first, last = shape[1], shape[3]
    layout = stated.layout or (Layout.NHWC if first not in _CHANNELS and last in _CHANNELS else Layout.NCHW)
    channels = first if layout is Layout.NCHW else last
    if channels is None:
        return layout, 1 if stated.colour is ColourOrder.MONO else 3
    if channels not in _CHANNELS:
        raise ConfigError(
            f"the graph's input {graph.name!r} has the shape {list(shape)}: as {layout.value} that is {channels} "
            "channels",
            "Give --layout nchw or nhwc; images have 1 or 3 channels.",
        )
    return layout, channels


def _size(stated: Stated, graph: GraphInput, layout: Layout) -> tuple[int, int]:
    rows, columns = graph.dimensions[2:] if layout is Layout.NCHW else graph.dimensions[1:3]
    if stated.input_px is None and rows is not None and columns is not None:
        return rows, columns
    wanted = stated.input_px or stated.resized_px
    if wanted is None:
        raise ConfigError(
            f"the graph's input {graph.name!r} takes any size, and nothing states which one it was trained with",
            "Give --input-size HEIGHTxWIDTH.",
        )
    if rows not in {None, wanted[0]} or columns not in {None, wanted[1]}:
        raise ConfigError(
            f"the graph's input {graph.name!r} takes {rows}×{columns} (height × width), stated is "
            f"{wanted[0]}×{wanted[1]}",
            "Correct --input-size or the preprocessing file, or export the graph for that size.",
        )
    return wanted
