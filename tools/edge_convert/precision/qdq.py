"""The onnxruntime route: static quantization in QDQ form, ranges measured once and used for every attempt."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from edge_convert.precision.edges import pull_back, reads_padding_as_zero, rewire
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_convert.precision.choice import Route
    from edge_convert.precision.routes import FloatGraph

_PER_CHANNEL_OPSET: Final = 13
_MATRIX_RANK: Final = 2
_GAINLESS: Final = frozenset({"LayerNormalization", "InstanceNormalization", "BatchNormalization", "TopK", "CumSum"})
"""No engine has an INT8 kernel for these, and the library stumbles over a normalisation whose bias has several axes."""
_TYPES: Final = (frozenset(QDQRegistry) | frozenset(QLinearOpsRegistry)) - _GAINLESS


class QdqQuantizer:
    """U8 activations and S8 per-channel weights: the one form that is fast in both runtimes."""

    def __init__(self, graph: FloatGraph, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Prepare.

        Args:
            graph: the float32 graph.
            ranges: by tensor; an operation with a tensor that has none stays in float32.
        """
        self._ranges = ranges
        self._model = onnx.shape_inference.infer_shapes(_modern(graph.model))
        add_infer_metadata(self._model)  # or the library writes it to a file and infers its shapes each time
        kinds = _kinds(self._model)
        constants = {item.name for item in self._model.graph.initializer} | {
            name for node in self._model.graph.node if node.op_type == "Constant" for name in node.output
        }
        unsafe = reads_padding_as_zero(self._model, {name: low for name, (low, _) in ranges.items()})
        able = tuple(
            node.name
            for node in self._model.graph.node
            if node.op_type in _TYPES
            and node.name not in graph.keep_float | unsafe
            and kinds.get(node.output[0]) == TensorProto.FLOAT
            and all(
                name in ranges
                for name in (*node.input, *node.output)
                if name not in constants and kinds.get(name) == TensorProto.FLOAT
            )
        )
        inner = pull_back(self._model, able)
        self._nodes = tuple(name for name in able if name in inner)

    @property
    def route(self) -> Route:
        """See the port."""
        return "ort-qdq"

    @property
    def nodes(self) -> tuple[str, ...]:
        """See the port."""
        return self._nodes

    def quantize(self, kept: frozenset[str]) -> bytes:
        """See the port.

        Raises:
            ConfigError: the library cannot quantize this graph.
        """
        return self._quantize(pull_back(self._model, [name for name in self._nodes if name not in kept]))

    def alone(self, nodes: frozenset[str]) -> bytes:
        """The graph with just these nodes in INT8, cheap ones at the border too: what they cost is to be seen."""
        return self._quantize(nodes)

    def _quantize(self, chosen: frozenset[str]) -> bytes:
        if not chosen:
            return bytes(self._model.SerializeToString())
        ranges = TensorsData(  # the library changes it
            CalibrationMethod.MinMax,
            {name: (np.float32(low), np.float32(high)) for name, (low, high) in self._ranges.items()},
        )
        try:
            model = self._run_library(chosen, ranges)
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigError(
                f"onnxruntime cannot quantize this graph: {error}", "Take --precision fp32, or let NNCF do it."
            ) from error
        rewire(model, chosen, self._model)
        return bytes(model.SerializeToString())

    def _run_library(self, chosen: frozenset[str], ranges: Any) -> Any:
        quantizer = QDQQuantizer(
            copy.deepcopy(self._model),  # the library moves the weights out of the model that it is given
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=sorted(chosen),
            nodes_to_exclude=[],
            op_types_to_quantize=sorted(_TYPES),
            extra_options={"TensorQuantOverrides": _whole_tensors(self._model)},
        )
        model = quantizer.quantize_model()
        quantizer.model.topological_sort()
        return model


def _whole_tensors(model: Any) -> dict[str, list[dict[str, Any]]]:
    """Stacks of matrices get one scale: the library would give each row its own, which onnxruntime then cannot run."""
    stacks = {item.name for item in model.graph.initializer if len(item.dims) > _MATRIX_RANK}
    read = {name for node in model.graph.node if node.op_type == "MatMul" for name in node.input}
    return {name: [{"quant_type": QuantType.QInt8}] for name in sorted(stacks & read)}


def _modern(model: Any) -> Any:
    """Per-channel weights came with opset 13."""
    stated = next(item.version for item in model.opset_import if item.domain in {"", "ai.onnx"})
    return model if stated >= _PER_CHANNEL_OPSET else onnx.version_converter.convert_version(model, _PER_CHANNEL_OPSET)


def _kinds(model: Any) -> dict[str, int]:
    infos = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {info.name: info.type.tensor_type.elem_type for info in infos}
