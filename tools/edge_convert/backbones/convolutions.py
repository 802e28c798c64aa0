"""Building a backbone's graph from a state dict, batch norms folded into the convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

INPUT: Final = "input"
_OPSET: Final = 17
_IR_VERSION: Final = 8
_EPSILON: Final = 1e-5
"""PyTorch's batch norm."""


class GraphBuilder:
    """Nodes and weights, added one convolution at a time."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._channels: dict[str, int] = {INPUT: 3}

    def conv(
        self,
        source: str,
        name: str,
        norm: str | None,
        *,
        stride: int = 1,
        pads: Sequence[int] | None = None,
        auto_pad: str | None = None,
    ) -> str:
        """A convolution with its batch norm (`norm` names it; where it is absent the file is folded already).

        Raises:
            ConfigError: a weight is missing, or does not fit what it is to follow.
        """
        weight, bias = self._folded(name, norm)
        groups = self._channels[source] // weight.shape[1]
        if weight.ndim != 4 or groups * weight.shape[1] != self._channels[source]:  # noqa: PLR2004  (O×I×H×W)
            raise ConfigError(
                f"{name}.weight has the shape {weight.shape} behind {self._channels[source]} channels",
                "The file holds another network than was said.",
            )
        self._weights += [
            numpy_helper.from_array(weight, f"{name}.weight"),
            numpy_helper.from_array(bias, f"{name}.bias"),
        ]
        attributes: dict[str, Any] = {"strides": [stride] * 2, "group": groups}
        if auto_pad is not None:
            attributes["auto_pad"] = auto_pad
        else:
            attributes["pads"] = list(pads or [weight.shape[2] // 2] * 4)
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        return self.node("Conv", inputs, name, channels=weight.shape[0], **attributes)

    def node(
        self, kind: str, inputs: Sequence[str], name: str, *, channels: int | None = None, **attributes: Any
    ) -> str:
        """Any other node; keeps the number of channels unless another is stated."""
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        self._channels[name] = self._channels[inputs[0]] if channels is None else channels
        return name

    def constant(self, name: str, value: Array) -> str:
        """A constant input of a node."""
        self._weights.append(numpy_helper.from_array(value, name))
        return name

    def has(self, name: str) -> bool:
        """The file holds such a tensor."""
        return name in self._tensors

    def channels(self, name: str) -> int:
        """Channels of a value."""
        return self._channels[name]

    def finish(self, outputs: Mapping[str, str], metadata: Mapping[str, str]) -> bytes:
        """The model: `outputs` gives each feature map its public name."""
        nodes = [*self._nodes]
        for public, inner in outputs.items():
            nodes.append(helper.make_node("Identity", [inner], [public], f"out_{public}"))
        graph = helper.make_graph(
            nodes,
            "backbone",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [
                helper.make_tensor_value_info(
                    public, TensorProto.FLOAT, ["n", self._channels[inner], f"{public}_h", f"{public}_w"]
                )
                for public, inner in outputs.items()
            ],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="edge-convert")
        model.ir_version = _IR_VERSION
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _folded(self, name: str, norm: str | None) -> tuple[Array, Array]:
        weight = self._tensor(f"{name}.weight").astype(np.float64)
        bias = np.zeros(weight.shape[0])
        if self.has(f"{name}.bias"):
            bias = self._tensor(f"{name}.bias").astype(np.float64)
        if norm is not None and self.has(f"{norm}.running_var"):
            scale = self._tensor(f"{norm}.weight") / np.sqrt(
                self._tensor(f"{norm}.running_var").astype(np.float64) + _EPSILON
            )
            bias = self._tensor(f"{norm}.bias") + (bias - self._tensor(f"{norm}.running_mean")) * scale
            weight = weight * scale.reshape(-1, 1, 1, 1)
        return weight.astype(np.float32), bias.astype(np.float32)

    def _tensor(self, name: str) -> Array:
        found = self._tensors.get(name)
        if found is None:
            raise ConfigError(
                f"the file has no {name}; it has {', '.join(sorted(self._tensors)[:4])}, …",
                "Name the network that the file holds, or export the backbone as ONNX.",
            )
        return found
