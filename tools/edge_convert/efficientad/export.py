"""The trained networks as one ONNX graph: uint8 frame in, normalised map and score out."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge_convert.backbone import IMAGENET_MEAN, IMAGENET_STD
from edge_convert.efficientad.networks import BORDER_CELLS, PdnSize

if TYPE_CHECKING:
    from edge_convert.efficientad.model import EfficientAd, Quantiles

IMAGE: Final = "image"
ANOMALY_MAP: Final = "anomaly_map"
SCORE: Final = "score"

_Weights: TypeAlias = tuple[Any, ...]
"""Weights and biases of a convolution, float64."""

_IR_VERSION: Final = 8
_OPSET: Final = 17
_HEAD: Final = "input"
_TAIL: Final = "maps"
_PATCH_NETWORKS: Final = ("teacher", "student")
_SENSITIVE: Final = MappingProxyType(
    {PdnSize.XS: ("conv1",), PdnSize.S: ("conv1", "conv3"), PdnSize.M: ("conv1", "conv3")}
)


@dataclass(slots=True)
class _Graph:
    """Nodes and constants as they are made; every node has a name, every constant its node's."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], name: str, constants: dict[str, Any] | None = None, **how: Any) -> str:
        """Add a node whose further inputs are constants; returns its output."""
        names = []
        for suffix, values in (constants or {}).items():
            names.append(f"{name}.{suffix}")
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), names[-1]))
        self.nodes.append(helper.make_node(kind, [*inputs, *names], [f"{name}.out"], name, **how))
        return f"{name}.out"

    def resize(self, source: str, name: str, channels: int, size: tuple[int, ...]) -> str:
        """Bilinear to `size`, as PyTorch does it without aligned corners."""
        sizes = numpy_helper.from_array(np.array([1, channels, *size], np.int64), f"{name}.sizes")
        self.constants.append(sizes)
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        self.nodes.append(helper.make_node("Resize", [source, "", "", sizes.name], [f"{name}.out"], name, **how))
        return f"{name}.out"


def to_onnx(model: EfficientAd) -> Any:
    """Make the graph; float32, opset 17, checked.

    Input `image`, uint8 [1, H, W, 3] RGB; outputs `anomaly_map` [1, 1, H, W] and `score` [1], the map's largest value.
    The teacher's channel normalisation is folded into its last convolution. Layers that a student shares with its
    teacher run once, and the difference of their last convolutions is one convolution.

    Returns:
        `onnx.ModelProto`; `float_nodes` says which of its nodes must stay in float32.
    """
    graph = _Graph()
    image = _normalised_input(graph)
    local, by_student = _patch_networks(graph, model, image)
    both = _map_of(graph, local, f"{_TAIL}/local", model.student_quantiles, 0.5 if by_student else 1.0)
    if by_student:
        rebuilt = _network(graph, model.autoencoder, image, "autoencoder")
        logical = graph.add("Sub", [rebuilt, by_student], f"{_TAIL}/logical/difference")
        scaled = _map_of(graph, logical, f"{_TAIL}/logical", model.autoencoder_quantiles, 0.5)
        both = graph.add("Add", [both, scaled], f"{_TAIL}/mean")
    border = [0, 0, BORDER_CELLS, BORDER_CELLS] * 2
    padded = graph.add("Pad", [both], f"{_TAIL}/border", {"pads": np.array(border, np.int64)}, mode="edge")
    large = graph.resize(padded, f"{_TAIL}/pixels", 1, (model.height_px, model.width_px))
    graph.nodes.append(helper.make_node("Identity", [large], [ANOMALY_MAP], f"{_TAIL}/anomaly_map"))
    how = {"axes": [1, 2, 3], "keepdims": 0}
    graph.nodes.append(helper.make_node("ReduceMax", [ANOMALY_MAP], [SCORE], f"{_TAIL}/score", **how))
    return _finished(graph, model)


def float_nodes(model: Any, size: PdnSize) -> frozenset[str]:
    """Names of the nodes that a quantizer must leave in float32.

    Before the first convolution: pixel normalisation. Behind the last: differences, quantiles and map, where eight bits
    would be spent on the largest difference of all and leave none for those of good parts. And two convolutions of the
    patch networks, a sixth of PDN-S's work: the first, whose whitening filters amplify the rounding of pixels, and the
    third, whose rounding the last one amplifies where it suppresses what good parts have in common. XS, which is there
    for its speed, keeps the first alone.
    """
    sensitive = (f"{which}/{name}" for which in _PATCH_NETWORKS for name in _SENSITIVE[size])
    prefixes = (f"{_HEAD}/", f"{_TAIL}/", *sensitive)
    return frozenset(node.name for node in model.graph.node if node.name.startswith(prefixes))


def _normalised_input(graph: _Graph) -> str:
    mean, std = np.asarray(IMAGENET_MEAN), np.asarray(IMAGENET_STD)
    planes = graph.add("Transpose", [IMAGE], f"{_HEAD}/planes", perm=[0, 3, 1, 2])
    values = graph.add("Cast", [planes], f"{_HEAD}/float", to=TensorProto.FLOAT)
    scale = (1 / (255 * std)).astype(np.float32).reshape(1, 3, 1, 1)
    scaled = graph.add("Mul", [values], f"{_HEAD}/scale", {"by": scale})
    return graph.add("Add", [scaled], f"{_HEAD}/shift", {"by": (-mean / std).astype(np.float32).reshape(1, 3, 1, 1)})


def _plain(layer: Any) -> _Weights:
    return tuple(values.detach().double().cpu().numpy() for values in (layer.weight, layer.bias))


def _normalised_teacher(model: EfficientAd) -> _Weights:
    """Of the teacher's last convolution, with the normalisation of its channels."""
    mean, std = (values.double().cpu().numpy().ravel() for values in (model.mean, model.std))
    weight, bias = _plain(list(model.teacher.children())[-1])
    return weight / std.reshape(-1, 1, 1, 1), (bias - mean) / std


def _difference_weights(model: EfficientAd) -> _Weights:
    """Of one last convolution: teacher − student in the first half of the channels, the student's own in the second."""
    found = []
    for whose, own in zip(_normalised_teacher(model), _plain(list(model.student.children())[-1]), strict=True):
        found.append(np.concatenate([whose - own[: model.channels], own[model.channels :]]))
    return found[0], found[1]


def _patch_networks(graph: _Graph, model: EfficientAd, image: str) -> tuple[str, str]:
    """Teacher − student, and what the student says of the autoencoder; empty where there is none."""
    if shares_layers(model):
        return _halves(graph, _network(graph, model.student, image, "student", _difference_weights(model)), model)
    target = _network(graph, model.teacher, image, "teacher", _normalised_teacher(model))
    told, rebuilt = _halves(graph, _network(graph, model.student, image, "student"), model)
    return graph.add("Sub", [target, told], f"{_TAIL}/local/difference"), rebuilt


def _halves(graph: _Graph, found: str, model: EfficientAd) -> tuple[str, str]:
    """Of the student's channels; the second is empty without an autoencoder."""
    if model.autoencoder is None:
        return found, ""
    halves = ["student/first", "student/second"]
    sizes = np.array([model.channels, model.channels], np.int64)
    graph.constants.append(numpy_helper.from_array(sizes, "student/halves"))
    graph.nodes.append(helper.make_node("Split", [found, "student/halves"], halves, "student/split", axis=1))
    return halves[0], halves[1]


def shares_layers(model: EfficientAd) -> bool:
    """Whether teacher and student differ in nothing but their last convolution."""
    own, teachers = (list(network.children())[:-1] for network in (model.student, model.teacher))
    return all(
        torch.equal(one, other)
        for first, second in zip(own, teachers, strict=True)
        for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def _network(graph: _Graph, network: Any, source: str, prefix: str, last: _Weights | None = None) -> str:
    """The layers of a sequence one after another; with `last` as weights and biases of the last convolution."""
    layers = list(network.named_children())
    channels = 0
    for number, (name, layer) in enumerate(layers, start=1):
        node = f"{prefix}/{name}"
        match layer:
            case nn.Conv2d():
                weight, bias = _plain(layer) if last is None or number < len(layers) else last
                values = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
                how = {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": [*layer.padding] * 2}
                channels = layer.out_channels
                source = graph.add("Conv", [source], node, values, **how)
            case nn.ReLU():
                source = graph.add("Relu", [source], node)
            case nn.AvgPool2d():
                source = graph.add("AveragePool", [source], node, kernel_shape=[2, 2], strides=[2, 2])
            case nn.Upsample():
                source = graph.resize(source, node, channels, layer.size)
            case nn.Dropout():
                pass
            case _:
                raise AssertionError(layer)
    return source


def _map_of(graph: _Graph, difference: str, name: str, quantiles: Quantiles, share: float) -> str:
    """A share of a map, normalised by its quantiles, on the cells: that commutes with the resize to pixels."""
    square = graph.add("Mul", [difference, difference], f"{name}/square")
    mean = graph.add("ReduceMean", [square], f"{name}/channels", axes=[1], keepdims=1)
    lower, scale = np.float32(quantiles.lower), np.float32(share * quantiles.scale)
    above = graph.add("Sub", [mean], f"{name}/above", {"lower_quantile": np.array([lower])})
    return graph.add("Mul", [above], f"{name}/scaled", {"by": np.array([scale])})


def _finished(graph: _Graph, model: EfficientAd) -> Any:
    height_px, width_px = model.height_px, model.width_px
    inputs = [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [1, height_px, width_px, 3])]
    outputs = [
        helper.make_tensor_value_info(ANOMALY_MAP, TensorProto.FLOAT, [1, 1, height_px, width_px]),
        helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, [1]),
    ]
    built = helper.make_graph(graph.nodes, "efficientad", inputs, outputs, graph.constants)
    proto = helper.make_model(
        built, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="edge-convert", ir_version=_IR_VERSION
    )
    proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    onnx.checker.check_model(proto, full_check=True)
    return proto
