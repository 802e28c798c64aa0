"""The trained network as one ONNX graph, written layer by layer.

The networks are chains of a few kinds of layers, so the graph needs no tracing exporter: it has one node per operation,
normalisation folded into the convolution before it, and the same bytes for the same weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge_convert.autoencoder.pictures import INPUT
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import torch

    from edge_convert.autoencoder.networks import Reconstructor
    from edge_convert.autoencoder.plan import TrainPlan

OUTPUT: Final = "reconstruction"

_OPSET: Final = 17
_IR_VERSION: Final = 8


class _Graph:
    """Nodes and weights as they are added; each node takes what the one before it gives."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.last = INPUT

    def add(self, operation: str, weights: Sequence[tuple[str, npt.NDArray[Any]]] = (), **attributes: Any) -> None:
        name = f"{operation.lower()}_{len(self.nodes)}"
        names = [f"{name}.{role}" if role else "" for role, _ in weights]
        self.weights += [numpy_helper.from_array(values, f"{name}.{role}") for role, values in weights if role]
        self.nodes.append(helper.make_node(operation, [self.last, *names], [f"{name}.out"], name=name, **attributes))
        self.last = f"{name}.out"


def to_onnx(network: Reconstructor, plan: TrainPlan) -> Any:
    """Input `image`, output `reconstruction`, both float32 [1, C, H, W] in 0…1.

    Args:
        network: trained, in inference mode, on the CPU; of a variational one the mean of the latent goes on.
        plan: its sizes.

    Returns:
        A checked `onnx.ModelProto`.
    """
    graph = _Graph()
    chain = list(_layers((network.encoder, network.mean, network.decoder)))
    place = 0
    while place < len(chain):
        following = chain[place + 1] if place + 1 < len(chain) else None
        place += _add_layer(graph, chain[place], following)
    graph.nodes[-1].output[0] = OUTPUT
    shape = [1, plan.channels, plan.height_px, plan.width_px]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            plan.model.value,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="edge-convert",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _layers(modules: Sequence[nn.Module]) -> Iterator[nn.Module]:
    for module in modules:
        if isinstance(module, nn.Sequential):
            yield from _layers(list(module))
        else:
            yield module


def _add_layer(graph: _Graph, layer: nn.Module, following: nn.Module | None) -> int:
    """Add one layer; the number of layers that were used up."""
    match layer:
        case nn.Conv2d():
            normed = isinstance(following, nn.BatchNorm2d)
            _add_convolution(graph, layer, following if normed else None)
            return 2 if normed else 1
        case nn.ReLU():
            graph.add("Relu")
        case nn.Sigmoid():
            graph.add("Sigmoid")
        case nn.Upsample():
            factor = float(layer.scale_factor)
            scales = np.array([1, 1, factor, factor], dtype=np.float32)
            modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            graph.add("Resize", [("", scales), ("scales", scales)], **modes)
        case nn.AvgPool2d():
            side = [int(layer.kernel_size)] * 2
            graph.add("AveragePool", kernel_shape=side, strides=side)
        case nn.Flatten():
            graph.add("Flatten", axis=1)
        case nn.Unflatten():
            graph.add("Reshape", [("shape", np.array([1, *layer.unflattened_size], dtype=np.int64))])
        case nn.Linear():
            graph.add("Gemm", [("weight", _array(layer.weight)), ("bias", _array(layer.bias))], transB=1)
        case _:
            raise ConfigError(f"a layer of kind {type(layer).__name__} cannot be exported", "Report this.")
    return 1


def _add_convolution(graph: _Graph, layer: nn.Conv2d, norm: nn.BatchNorm2d | None) -> None:
    weight = _array(layer.weight).astype(np.float64)
    bias = np.zeros(len(weight)) if layer.bias is None else _array(layer.bias).astype(np.float64)
    if norm is not None:
        factor = _array(norm.weight) / np.sqrt(_array(norm.running_var).astype(np.float64) + norm.eps)
        weight = weight * factor[:, np.newaxis, np.newaxis, np.newaxis]
        bias = _array(norm.bias) + (bias - _array(norm.running_mean)) * factor
    attributes = {
        "kernel_shape": list(layer.kernel_size),
        "strides": list(layer.stride),
        "dilations": list(layer.dilation),
        "pads": [*layer.padding, *layer.padding],
    }
    graph.add("Conv", [("weight", weight.astype(np.float32)), ("bias", bias.astype(np.float32))], **attributes)


def _array(values: torch.Tensor) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = values.detach().cpu().contiguous().numpy()
    return found
