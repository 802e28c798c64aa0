"""Smallest and largest value of every tensor over the calibration images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_convert.precision.routes import FloatGraph
    from edge_convert.progress import Stage
    from edge_runtime.engine.port import Tensor

_ERRORS_ONLY: Final = 3
_LOWEST: Final = "/lowest"
_HIGHEST: Final = "/highest"


class Ranges:
    """Ranges by tensor. They only ever widen, so memory does not depend on how many images were seen."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._lowest = np.full(len(names), np.inf, dtype=np.float32)
        self._highest = np.full(len(names), -np.inf, dtype=np.float32)

    def widen(self, lowest: Tensor, highest: Tensor) -> None:
        """Take one image in; NaN spreads, so that it is seen.

        Args:
            lowest: one value per tensor.
            highest: one value per tensor.
        """
        np.minimum(self._lowest, lowest, out=self._lowest)
        np.maximum(self._highest, highest, out=self._highest)

    def finite(self) -> Mapping[str, tuple[float, float]]:
        """Tensors whose every value was a finite number."""
        usable = np.isfinite(self._lowest) & np.isfinite(self._highest)
        return {
            name: (float(self._lowest[index]), float(self._highest[index]))
            for index, name in enumerate(self._names)
            if usable[index]
        }


def measure_ranges(graph: FloatGraph, images: Iterator[Tensor], stage: Stage) -> Mapping[str, tuple[float, float]]:
    """Plain minimum and maximum of each float32 activation; tensors with NaN or infinity are left out.

    The reduction is a part of the graph: an image leaves two numbers per tensor behind and is let go before the next
    one is asked for.

    Args:
        graph: the float32 graph.
        images: prepared input tensors, good parts and planted defects; consumed one by one.
        stage: advances once per image.

    Raises:
        ConfigError: there is no image.
    """
    names = _activations(graph.model)
    session = _reducing_session(graph.model, names)
    ranges = Ranges(names)
    wanted = [name + end for end in (_LOWEST, _HIGHEST) for name in names]
    seen = 0
    for image in images:
        found = np.array(session.run(wanted, {graph.input_name: image}), dtype=np.float32)
        ranges.widen(*found.reshape(2, len(names)))
        stage.advance()
        seen += 1
    if not seen:
        raise ConfigError("no image to calibrate INT8 with", "Give images of good parts.")
    return ranges.finite()


def _activations(model: Any) -> tuple[str, ...]:
    inferred = onnx.shape_inference.infer_shapes(model)
    constants = {initializer.name for initializer in model.graph.initializer}
    floats = {
        info.name
        for info in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
        if info.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    given = [info.name for info in model.graph.input if info.name not in constants]
    made = [name for node in model.graph.node if node.op_type != "Constant" for name in node.output]
    return tuple(name for name in dict.fromkeys([*given, *made]) if name in floats)


def _reducing_session(model: Any, names: tuple[str, ...]) -> Any:
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    for name in names:
        for operation, end in (("ReduceMin", _LOWEST), ("ReduceMax", _HIGHEST)):
            watched.graph.node.append(helper.make_node(operation, [name], [name + end], name + end, keepdims=0))
            watched.graph.output.append(helper.make_tensor_value_info(name + end, TensorProto.FLOAT, []))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.enable_mem_pattern = False
    # What a fusion swallows has no range: the tensors are to be those of the graph that is quantized.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
