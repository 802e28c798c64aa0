from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from precision_graphs import SIDE_PX, images, plain_graph

from edge_convert.precision.nncf_route import NncfQuantizer
from edge_convert.precision.qdq import QdqQuantizer
from edge_convert.precision.ranges import measure_ranges
from edge_convert.precision.routes import FloatGraph
from edge_convert.precision.simplify import simplify
from edge_convert.progress import Silent
from edge_runtime import engine as engines
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

BOTH = [EngineSettings(name="onnxruntime", threads=1), EngineSettings(name="openvino", threads=1)]


def pooled_graph() -> FloatGraph:
    """A residual sum that may be negative, read by a product and by a float average pool that counts its padding.

    So end the stages of MobileNetV2 where PatchCore averages them.
    """
    draw = np.random.default_rng(5)
    weights = [draw.normal(0, 0.4, shape).astype(np.float32) for shape in ((8, 3, 3, 3), (8, 8, 3, 3), (8, 8, 3, 3))]
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a"], "first", pads=[1] * 4),
        helper.make_node("Conv", ["a", "w1"], ["b"], "second", pads=[1] * 4),
        helper.make_node("Add", ["a", "b"], ["sum"], "residual"),
        helper.make_node(
            "AveragePool", ["sum"], ["pool"], "pool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1
        ),
        helper.make_node("Conv", ["sum", "w2"], ["c"], "third", pads=[1] * 4),
        helper.make_node("Sub", ["pool", "c"], ["anomaly_map"], "join"),
    ]
    graph = helper.make_graph(
        nodes,
        "pooled",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, [1, 8, SIDE_PX, SIDE_PX])],
        [numpy_helper.from_array(value, f"w{index}") for index, value in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return FloatGraph(model, "image", ("anomaly_map",), frozenset({"pool", "join"}))


def stacked_graph() -> FloatGraph:
    """One matrix per channel, as PaDiM has one per place: a product with a constant of three axes."""
    matrices = np.random.default_rng(6).normal(0, 0.3, (3, SIDE_PX, SIDE_PX)).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["image", "gain"], ["scaled"], "scale"),
        helper.make_node("MatMul", ["scaled", "matrices"], ["product"], "product"),
        helper.make_node("Relu", ["product"], ["anomaly_map"], "relu"),
    ]
    shape = [1, 3, SIDE_PX, SIDE_PX]
    graph = helper.make_graph(
        nodes,
        "stacked",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(matrices, "matrices"), numpy_helper.from_array(np.float32(2), "gain")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return FloatGraph(model, "image", ("anomaly_map",), frozenset({"scale"}))


def quantizer_of(graph: FloatGraph) -> QdqQuantizer:
    """With the ranges of eight pictures."""
    with Silent().stage("", 1) as stage:
        return QdqQuantizer(graph, measure_ranges(graph, images(), stage))


def run(model: bytes, settings: EngineSettings, image: Floats) -> Floats:
    """The map."""
    return engines.create(settings).load(model).run({"image": image}, ["anomaly_map"])["anomaly_map"]


@pytest.mark.parametrize("settings", BOTH, ids=["onnxruntime", "openvino"])
def test_a_pool_that_counts_its_padding_reads_no_rounded_negative_values(settings: EngineSettings) -> None:
    """Both engines agree with float32 along the border: OpenVINO pads such a tensor with its lowest value, not zero."""
    graph = pooled_graph()
    image = next(images())
    exact = run(graph.model.SerializeToString(), settings, image)
    found = run(quantizer_of(graph).quantize(frozenset()), settings, image)
    border = np.abs(found - exact)
    border[:, :, 1:-1, 1:-1] = 0
    assert border.max() < 0.06 * np.ptp(exact)


def test_float_operations_read_float_results() -> None:
    """What the float pool reads is the sum itself; only the quantized product reads its rounding."""
    quantized = onnx.load_from_string(quantizer_of(pooled_graph()).quantize(frozenset()))
    makers = {name: node for node in quantized.graph.node for name in node.output}
    by_name = {node.name: node for node in quantized.graph.node}
    assert makers[by_name["pool"].input[0]].name == "residual"
    assert makers[by_name["third"].input[0]].op_type == "DequantizeLinear"


def test_what_leads_to_no_product_stays_float() -> None:
    """The last activation is read by float arithmetic alone: it gains nothing from INT8 and is not offered to it."""
    assert quantizer_of(plain_graph(layers=3)).nodes == ("conv0", "relu0", "conv1", "relu1", "conv2")


def test_batch_normalisation_goes_into_the_convolution() -> None:
    """The simplified graph computes the same with fewer nodes, and what must stay float keeps its name."""
    graph = plain_graph(layers=1)
    nodes = list(graph.model.graph.node)
    normalise = helper.make_node("BatchNormalization", ["conv0:0", "g", "b", "m", "v"], ["n"], "normalise")
    nodes[1].input[0] = "n"
    del graph.model.graph.node[:]
    graph.model.graph.node.extend([nodes[0], normalise, *nodes[1:]])
    draw = np.random.default_rng(2)
    for name in "gbmv":
        graph.model.graph.initializer.append(numpy_helper.from_array(draw.uniform(1, 2, 12).astype(np.float32), name))
    simple = simplify(FloatGraph(graph.model, graph.input_name, graph.outputs, frozenset({"heat"})))
    assert "BatchNormalization" not in {node.op_type for node in simple.model.graph.node}
    assert simple.keep_float == {"heat"}
    assert {item.domain for item in simple.model.opset_import} == {""}
    image = next(images())
    wanted = run(graph.model.SerializeToString(), BOTH[0], image)
    np.testing.assert_allclose(run(simple.model.SerializeToString(), BOTH[0], image), wanted, rtol=1e-4, atol=1e-5)


class Watched:
    """A stream of pictures that knows how many of them are alive at once."""

    def __init__(self) -> None:
        self.most = 0
        self._alive: weakref.WeakSet[Floats] = weakref.WeakSet()

    def images(self, count: int) -> Iterator[Floats]:
        """So many, each a new array."""

        class Picture(np.ndarray[tuple[int, ...], np.dtype[np.float32]]):
            """An array that can be watched and hashed by identity."""

            __hash__ = object.__hash__

        for image in images(count):
            picture = image.view(Picture)
            self._alive.add(picture)
            self.most = max(self.most, len(list(self._alive.data)))
            yield picture


def test_calibration_keeps_no_image() -> None:
    """However many images calibrate, no more than three are alive at a time, and two numbers per tensor remain."""
    graph = plain_graph()
    watched = Watched()
    with Silent().stage("", 1) as stage:
        few = measure_ranges(graph, watched.images(2), stage)
        many = measure_ranges(graph, watched.images(60), stage)
    assert 1 <= watched.most <= 3
    assert few.keys() == many.keys()
    assert all(low <= few[name][0] and few[name][1] <= high for name, (low, high) in many.items())


def test_nncf_keeps_no_image() -> None:
    """The other route streams too."""
    pytest.importorskip("nncf", reason="needs the extra `convert`")
    watched = Watched()
    graph = plain_graph(layers=2)
    NncfQuantizer(graph, lambda: watched.images(40), 40, ("conv0", "relu0", "conv1")).quantize(frozenset())
    assert 1 <= watched.most <= 3


def test_what_is_not_finite_is_not_quantized() -> None:
    """A tensor with infinity has no range, and the operations at it stay float32."""
    graph = plain_graph(layers=3)
    weights = graph.model.graph.initializer[2]
    broken = numpy_helper.to_array(weights).copy()
    broken[0, 0, 0, 0] = np.inf
    weights.CopyFrom(numpy_helper.from_array(broken, weights.name))
    assert "conv1" not in quantizer_of(graph).nodes


def test_a_normalisation_whose_bias_has_several_axes_stays_float() -> None:
    """As flows have them: the quantizer's library stumbles over one, so none is given to it."""
    graph = plain_graph(layers=3)
    nodes = list(graph.model.graph.node)
    layer = helper.make_node("LayerNormalization", ["relu0:0", "gain", "shift"], ["normal"], "normalise", axis=1)
    nodes[2].input[0] = "normal"
    del graph.model.graph.node[:]
    graph.model.graph.node.extend([*nodes[:2], layer, *nodes[2:]])
    shape = (12, SIDE_PX, SIDE_PX)
    for name in ("gain", "shift"):
        graph.model.graph.initializer.append(numpy_helper.from_array(np.full(shape, 0.5, np.float32), name))
    quantizer = quantizer_of(graph)
    assert "normalise" not in quantizer.nodes
    assert np.isfinite(run(quantizer.quantize(frozenset()), BOTH[0], next(images()))).all()


def test_no_image_is_an_error() -> None:
    """An empty pass calibrates nothing."""
    with Silent().stage("", 1) as stage, pytest.raises(ConfigError, match="no image"):
        measure_ranges(plain_graph(), iter(()), stage)


@pytest.mark.parametrize("settings", BOTH, ids=lambda settings: settings.name)
def test_a_stack_of_matrices_in_int8_runs_on_both_engines(settings: EngineSettings) -> None:
    """Every engine computes the product in 8 bits, near to float32."""
    graph = stacked_graph()
    quantizer = quantizer_of(graph)
    assert "product" in quantizer.nodes
    engine = engines.create(settings)
    plain, whole = (
        engine.load(content) for content in (graph.model.SerializeToString(), quantizer.quantize(frozenset()))
    )
    for image in images(2):
        exact, found = (one.run({"image": image}, ["anomaly_map"])["anomaly_map"] for one in (plain, whole))
        assert np.abs(found - exact).max() < 0.05 * exact.max()
