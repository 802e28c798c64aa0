"""A float graph as quantizers want it: constants folded, batch normalisation and padding inside the convolutions."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx
import onnxruntime

from edge_convert.shared_weights import part_unlike_uses, share_equal_weights

if TYPE_CHECKING:
    from edge_convert.precision.routes import FloatGraph

_ERRORS_ONLY: Final = 3
_ONNX: Final = "ai.onnx"
"""Stated as this, or as nothing."""


def simplify(graph: FloatGraph) -> FloatGraph:
    """The same function in fewer nodes, by onnxruntime's basic optimizations, which stay within ONNX.

    An INT8 convolution beside a float batch normalisation or a padding of its own is slower than float32. A node that
    must stay in float32 does so under the name it had; where one would vanish into a new node, the graph is given back
    as it was.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "simple.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        onnxruntime.InferenceSession(graph.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        model = onnx.load(target)
    share_equal_weights(model)
    part_unlike_uses(model)
    used = {node.domain or _ONNX for node in model.graph.node}
    stated = [item for item in model.opset_import if (item.domain or _ONNX) in used]
    del model.opset_import[:]
    model.opset_import.extend(stated)
    before = {node.name for node in graph.model.graph.node}
    after = {node.name for node in model.graph.node}
    if after - before:
        return graph
    return replace(graph, model=model, keep_float=graph.keep_float & after)
