from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from precision_graphs import SIDE_PX, images

from edge_convert.importing.graph import folded
from edge_convert.precision.qdq import QdqQuantizer
from edge_convert.precision.ranges import measure_ranges
from edge_convert.precision.routes import FloatGraph
from edge_convert.precision.simplify import simplify
from edge_convert.progress import Silent
from edge_convert.shared_weights import share_equal_weights

CHANNELS = 24


def twice_seen(*, alike: bool = True) -> Any:
    """One convolution with batch normalisation, used at two scales (`alike`), or two with weights of their own."""
    draw = np.random.default_rng(3)
    nodes, weights = (
        [],
        [
            numpy_helper.from_array(draw.uniform(0.5, 1.5, CHANNELS).astype(np.float32), name)
            for name in ("gain", "offset", "mean", "variance")
        ],
    )
    nodes.append(helper.make_node("AveragePool", ["image"], ["half"], "halve", kernel_shape=[2, 2], strides=[2, 2]))
    for turn, seen in enumerate(("image", "half")):
        if turn == 0 or not alike:
            value = draw.normal(0, 0.2, (CHANNELS, 3, 5, 5)).astype(np.float32)
            weights.append(numpy_helper.from_array(value, f"w{turn}"))
        weight, norm = "w0" if alike else f"w{turn}", ["gain", "offset", "mean", "variance"]
        nodes += [
            helper.make_node("Conv", [seen, weight], [f"c{turn}"], f"conv{turn}", pads=[2] * 4),
            helper.make_node("BatchNormalization", [f"c{turn}", *norm], [f"n{turn}"], f"norm{turn}"),
            helper.make_node("ReduceMax", [f"n{turn}"], [f"s{turn}"], f"most{turn}", axes=[1, 2, 3], keepdims=0),
        ]
    nodes.append(helper.make_node("Add", ["s0", "s1"], ["score"], "sum"))
    graph = helper.make_graph(
        nodes,
        "two scales",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def scores(model: Any) -> list[float]:
    """Of the pictures, by onnxruntime."""
    runner = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [float(runner.run(["score"], {"image": image})[0][0]) for image in images(4)]


@pytest.mark.parametrize(("alike", "stored"), [(True, 1), (False, 2)])
def test_weights_seen_at_two_scales_are_stored_once(*, alike: bool, stored: int) -> None:
    """Folding batch normalisation into each use writes equal weights twice; different ones stay apart."""
    model = twice_seen(alike=alike)
    small = folded(model)
    assert sorted(node.op_type for node in small.graph.node).count("Conv") == 2
    assert sum(len(item.dims) == 4 for item in small.graph.initializer) == stored
    assert scores(small) == pytest.approx(scores(model), rel=1e-5)


def test_one_of_two_users_of_a_weight_may_stay_in_float32() -> None:
    """A weight in common does not tie its users together: one is quantized, the other gives float32's own result."""
    graph = simplify(FloatGraph(folded(twice_seen()), "image", ("score",)))
    with Silent().stage("calibrating", 8) as stage:
        quantizer = QdqQuantizer(graph, measure_ranges(graph, images(), stage))
    convolutions = [node.name for node in graph.model.graph.node if node.op_type == "Conv"]
    mixed = onnx.load_from_string(quantizer.quantize(frozenset(convolutions[:1])))
    makers = {name: node.op_type for node in mixed.graph.node for name in node.output}
    taken = {node.name: makers.get(node.input[1], "weight") for node in mixed.graph.node if node.op_type == "Conv"}
    assert taken == {convolutions[0]: "weight", convolutions[1]: "DequantizeLinear"}
    assert scores(mixed) == pytest.approx(scores(graph.model), rel=0.05)


def test_a_weight_that_is_an_output_or_is_used_by_a_branch_is_left() -> None:
    """Nothing that somebody outside or inside a branch reads by its name may go."""
    value = np.ones((64, 64), np.float32)
    branch = helper.make_graph(
        [helper.make_node("Identity", ["second"], ["chosen"])],
        "branch",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [64, 64])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("If", ["flag"], ["picked"], then_branch=branch, else_branch=branch),
            helper.make_node("Add", ["first", "third"], ["sum"]),
        ],
        "branches",
        [helper.make_tensor_value_info("flag", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 64]) for name in ("picked", "sum", "fourth")],
        [numpy_helper.from_array(value, name) for name in ("first", "second", "third", "fourth")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    share_equal_weights(model)
    assert [item.name for item in model.graph.initializer] == ["first", "second", "fourth"]
    onnx.checker.check_model(model, full_check=True)


def test_a_weight_that_goes_is_no_input_either() -> None:
    """Exports up to IR 3 list their weights as inputs: nobody may be asked for one that is stored elsewhere."""
    model = twice_seen()
    twin = numpy_helper.from_array(np.ones((3, 3, 16, 16), np.float32), "twin")
    model.graph.initializer.extend([twin, numpy_helper.from_array(numpy_helper.to_array(twin), "other_twin")])
    model.graph.node.append(helper.make_node("Add", ["twin", "other_twin"], ["unread"], "twins"))
    shapes = {item.name: item.dims for item in model.graph.initializer}
    model.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in shapes.items()
    )
    model.ir_version = 3
    share_equal_weights(model)
    runner = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [info.name for info in runner.get_inputs()] == ["image"]
    assert "other_twin" not in {info.name for info in model.graph.input}


@pytest.mark.parametrize("names", [("encoder", "decoder"), ("tied", "tied")], ids=["equal", "tied"])
def test_a_decoder_with_its_encoders_weights_keeps_its_own_copy(names: tuple[str, str]) -> None:
    """A transposed convolution has its scales along another axis: sharing the weight, INT8 was wrong by a quarter."""
    draw = np.random.default_rng(4)
    weight = draw.normal(0, 0.2, (CHANNELS, 3, 5, 5)) * draw.uniform(0.1, 3, (CHANNELS, 1, 1, 1))
    nodes = [
        helper.make_node("Conv", ["image", names[0]], ["code"], "encode", pads=[2] * 4),
        helper.make_node("ConvTranspose", ["code", names[1]], ["again"], "decode", pads=[2] * 4),
        helper.make_node("ReduceMax", ["again"], ["score"], "most", axes=[1, 2, 3], keepdims=0),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "tied",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
            [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])],
            [numpy_helper.from_array(weight.astype(np.float32), name) for name in sorted(set(names))],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    graph = simplify(FloatGraph(model, "image", ("score",)))
    assert len(graph.model.graph.initializer) == 2
    with Silent().stage("calibrating", 8) as stage:
        quantizer = QdqQuantizer(graph, measure_ranges(graph, images(), stage))
    assert set(quantizer.nodes) >= {"encode", "decode"}
    assert scores(onnx.load_from_string(quantizer.quantize(frozenset()))) == pytest.approx(scores(model), rel=0.05)
