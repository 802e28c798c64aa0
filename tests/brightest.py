"""A model that needs no training: its score is the brightest pixel of 8 × 8, 0…1."""

from __future__ import annotations

from onnx import TensorProto, helper

from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize

SPEC = InputSpec("x", 8, 8, Resize.AREA, ColourOrder.MONO, Layout.NCHW, "float32", mean=(0.0,), std=(1.0,))


def brightest() -> bytes:
    """The graph: `x` → `score`."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["score"], keepdims=0)],
        "brightest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())
