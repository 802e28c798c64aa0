"""The networks whose checkpoints are understood: torchvision's ResNets, and MobileNetV2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_convert.backbones.convolutions import INPUT, GraphBuilder
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

IMAGENET: Final = {"input_mean": "0.485, 0.456, 0.406", "input_std": "0.229, 0.224, 0.225"}
"""RGB in 0…1, as torchvision trains."""
SYMMETRIC: Final = {"input_mean": "0.5, 0.5, 0.5", "input_std": "0.5, 0.5, 0.5"}
"""RGB / 127.5 − 1, as TensorFlow's MobileNets are trained."""

_STAGES: Final = (1, 2, 3, 4)
_MOBILENET: Final = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repeats, stride: Sandler et al. 2018, arXiv 1801.04381, table 2."""


def build(tensors: Mapping[str, Array], origin: Mapping[str, str], *, tf_padding: bool) -> bytes:
    """Recognise the network by its tensors and build its ONNX graph with one output per resolution.

    Args:
        tensors: name → weight.
        origin: metadata for the file: where the weights come from.
        tf_padding: MobileNetV2 only: TensorFlow's "same" padding instead of PyTorch's symmetric one.

    Raises:
        ConfigError: no network that is known, or incomplete.
    """
    tensors = {re.sub(r"^(module\.|backbone\.)+", "", name): value for name, value in tensors.items()}
    if "conv1.weight" in tensors and "layer1.0.conv1.weight" in tensors:
        return _resnet(tensors, origin)
    convolutions = [name for name, value in tensors.items() if value.ndim == 4]  # noqa: PLR2004  (O×I×H×W)
    if len(convolutions) >= 1 + 2 + 3 * 16:
        return _mobilenet(tensors, origin, tf_padding=tf_padding)
    raise ConfigError(
        f"no network is known that has {', '.join(sorted(tensors)[:4])}, …",
        "Known are torchvision's ResNets and MobileNetV2; export another one as ONNX with its feature maps as outputs.",
    )


def _resnet(tensors: Mapping[str, Array], origin: Mapping[str, str]) -> bytes:
    """Torchvision's resnet.py: BasicBlock or Bottleneck, the stride on the first 3×3 convolution of a stage."""
    graph = GraphBuilder(tensors)
    stem = graph.node("Relu", [graph.conv(INPUT, "conv1", "bn1", stride=2)], "stem")
    value = graph.node("MaxPool", [stem], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    outputs: dict[str, str] = {}
    for stage in _STAGES:
        block = 0
        while graph.has(f"layer{stage}.{block}.conv1.weight"):
            value = _residual(graph, value, f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1)
            block += 1
        if block:
            outputs[f"layer{stage}"] = value
    return graph.finish(outputs, {**IMAGENET, **origin})


def _residual(graph: GraphBuilder, source: str, name: str, stride: int) -> str:
    bottleneck = graph.has(f"{name}.conv3.weight")
    strides = (1, stride, 1) if bottleneck else (stride, 1)
    value = source
    for number, step in enumerate(strides, start=1):
        value = graph.conv(value, f"{name}.conv{number}", f"{name}.bn{number}", stride=step)
        if number < len(strides):
            value = graph.node("Relu", [value], f"{name}.relu{number}")
    shortcut = source
    if graph.has(f"{name}.downsample.0.weight"):
        shortcut = graph.conv(source, f"{name}.downsample.0", f"{name}.downsample.1", stride=stride)
    return graph.node("Relu", [graph.node("Add", [value, shortcut], f"{name}.add")], f"{name}.out")


def _mobilenet(tensors: Mapping[str, Array], origin: Mapping[str, str], *, tf_padding: bool) -> bytes:
    """Its convolutions stand in the file in the order in which they run; a batch norm follows its convolution."""
    names = [name.removesuffix(".weight") for name, value in tensors.items() if value.ndim == 4]  # noqa: PLR2004
    graph = GraphBuilder(tensors)
    graph.constant("zero", np.zeros((), dtype=np.float32))
    graph.constant("six", np.full((), 6, dtype=np.float32))
    order = iter(names)

    def conv(source: str, *, stride: int = 1, active: bool = True) -> str:
        name = next(order, None)
        if name is None:
            raise ConfigError("the MobileNetV2 in the file is incomplete", "Use the whole checkpoint.")
        padding = "SAME_UPPER" if tf_padding else None
        found = graph.conv(source, name, _norm_after(name), stride=stride, auto_pad=padding)
        return graph.node("Clip", [found, "zero", "six"], f"{name}.relu6") if active else found

    value = conv(INPUT, stride=2)
    finest: dict[int, str] = {}
    reached = 2
    for expansion, _, repeats, first in _MOBILENET:
        for repeat in range(repeats):
            stride = first if repeat == 0 else 1
            inner = conv(value) if expansion > 1 else value
            reached *= stride
            inner = conv(conv(inner, stride=stride), active=False)
            same = stride == 1 and graph.channels(inner) == graph.channels(value)
            value = graph.node("Add", [inner, value], f"{inner}.add") if same else inner
            finest[reached] = value
    outputs = {f"stride{reached}": value for reached, value in finest.items() if reached >= 4}  # noqa: PLR2004
    return graph.finish(outputs, {**(SYMMETRIC if tf_padding else IMAGENET), **origin})


def _norm_after(name: str) -> str | None:
    """Torchvision numbers a batch norm one behind its convolution: features.1.conv.0.0 → …0.1, conv.1 → conv.2."""
    found = re.fullmatch(r"(.*\.)(\d+)", name)
    return None if found is None else f"{found[1]}{int(found[2]) + 1}"
