"""float16 inside, float32 at the edges: half the file, and the native numbers of graphics processors."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from edge_convert.precision.choice import Kept
from edge_convert.precision.edges import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_convert.precision.choice import Route
    from edge_convert.precision.routes import FloatGraph

_HIGHEST: Final = float(np.finfo(np.float16).max) / 8
"""A defect stranger than every calibration image may be eight times as strong and still is a number."""
_DELICATE: Final = frozenset(
    {
        *("Exp", "Log", "Pow", "Div", "Reciprocal", "Sqrt", "Softplus", "Softmax", "LogSoftmax", "CumSum"),
        *("ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd", "ReduceLogSumExp"),
        *("LpNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization"),
        *("BatchNormalization", "MeanVarianceNormalization", "GlobalLpPool"),
    }
)
"""Long sums lose digits, exponentials and squares leave the range, small divisors become zero."""


class HalfPrecision:
    """Converts to float16 all but what is delicate, what the caller forbids, and what leaves float16's range."""

    def __init__(self, graph: FloatGraph, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Prepare.

        Args:
            graph: the float32 graph.
            ranges: by tensor; where there is none the values were not finite.
        """
        self._model = onnx.shape_inference.infer_shapes(graph.model)
        floats = _floats(self._model)
        large = _large(self._model, floats, ranges)
        blocked = {
            node.name
            for node in self._model.graph.node
            if node.name in graph.keep_float
            or node.op_type in _DELICATE
            or not large.isdisjoint((*node.input, *node.output))
        }
        self._blocked = frozenset(blocked)
        self._nodes = tuple(
            node.name
            for node in self._model.graph.node
            if node.name not in blocked
            and node.op_type not in DEFAULT_OP_BLOCK_LIST
            and not floats.isdisjoint(node.output)
        )
        self.kept: Final = tuple(
            Kept(node.name, node.op_type, f"values beyond {_HIGHEST:.0f}, too near to the end of float16's range")
            for node in self._model.graph.node
            if node.name not in graph.keep_float
            and node.op_type not in _DELICATE
            and not large.isdisjoint((*node.input, *node.output))
        )
        """What stays in float32 for its values' sake."""

    @property
    def route(self) -> Route:
        """See the port."""
        return "plain"

    @property
    def nodes(self) -> tuple[str, ...]:
        """See the port."""
        return self._nodes

    def quantize(self, kept: frozenset[str]) -> bytes:
        """See the port: float16 here."""
        converted = convert_float_to_float16(
            copy.deepcopy(self._model),
            keep_io_types=True,
            op_block_list=DEFAULT_OP_BLOCK_LIST,
            node_block_list=sorted(self._blocked | kept),
        )
        ONNXModel(converted).topological_sort()
        _rejoin(converted)
        return bytes(converted.SerializeToString())

    def alone(self, nodes: frozenset[str]) -> bytes:
        """The graph with just these nodes in float16."""
        return self.quantize(frozenset(self._nodes) - nodes)


def _rejoin(model: Any) -> None:
    """Between two float32 operations the converter leads the value through float16, where it may overflow: not so."""
    makers = {name: node for node in model.graph.node for name in node.output}
    exact = {}
    for node in model.graph.node:
        narrowed = makers.get(node.input[0]) if _casts(node, TensorProto.FLOAT) else None
        if narrowed is not None and _casts(narrowed, TensorProto.FLOAT16):
            exact[node.output[0]] = narrowed.input[0]
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in exact:
                node.input[index] = exact[name]
    sweep(model)


def _casts(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(item.name == "to" and item.i == kind for item in node.attribute)


def _floats(model: Any) -> set[str]:
    infos = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT}


def _large(model: Any, floats: set[str], ranges: Mapping[str, tuple[float, float]]) -> set[str]:
    """Float tensors, weights among them, that hold values which float16 cannot or can just about hold."""
    weights = {item.name: item for item in model.graph.initializer}
    found = {name for name in floats - set(weights) if name not in ranges or max(map(abs, ranges[name])) > _HIGHEST}
    for name, item in weights.items():
        if item.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(item)
            if values.size and not float(np.abs(values).max()) <= _HIGHEST:
                found.add(name)
    return found
