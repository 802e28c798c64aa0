"""Small random networks whose last operations do not survive 8 bits, and what a conversion needs to try them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from edge_convert.precision.choice import Candidate, Judgement
from edge_convert.precision.routes import FloatGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from edge_runtime.engine.port import Engine

    Floats = npt.NDArray[np.float32]

SIDE_PX = 32
CHANNELS = 12
WIDE = 400.0
"""How much stronger the tail's first divisor channel is than the others: one 8-bit scale cannot serve both."""


class _Writer:
    """Nodes and weights in the order they are asked for."""

    def __init__(self) -> None:
        self.nodes: list[object] = []
        self.weights: list[object] = []
        self._draw = np.random.default_rng(11)

    def conv(self, name: str, source: str, channels: int, *, kernel: int = 3, gains: Floats | float = 1.0) -> str:
        """A convolution of `channels` to CHANNELS with a bias."""
        size = (CHANNELS, channels, kernel, kernel)
        weights = self._draw.normal(0, (2 / (channels * kernel * kernel)) ** 0.5, size).astype(np.float32)
        weights *= np.broadcast_to(np.asarray(gains, np.float32), (CHANNELS,)).reshape(-1, 1, 1, 1)
        self.constant(f"{name}/weight", weights)
        self.constant(f"{name}/bias", np.zeros(CHANNELS, np.float32))
        return self.node("Conv", name, source, f"{name}/weight", f"{name}/bias", pads=[kernel // 2] * 4)

    def node(self, kind: str, name: str, *inputs: str, **settings: object) -> str:
        """Any node with one output of its own name."""
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}:0"], name, **settings))
        return f"{name}:0"

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """A float32 constant, or another dtype as it is."""
        array = np.asarray(value)
        self.weights.append(
            numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name)
        )
        return name

    def body(self, source: str, layers: int) -> str:
        """Convolutions with ReLU, which bear 8 bits well."""
        channels = 3
        for index in range(layers):
            source = self.node("Relu", f"relu{index}", self.conv(f"conv{index}", source, channels))
            channels = CHANNELS
        return source

    def finish(self, heat: str, input_name: str = "image") -> FloatGraph:
        """Map and score as outputs."""
        self.nodes.append(helper.make_node("Identity", [heat], ["anomaly_map"], "to_map"))
        self.nodes.append(helper.make_node("ReduceMax", ["anomaly_map"], ["score"], "to_score", keepdims=0))
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
            [
                helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, [1, 1, SIDE_PX, SIDE_PX]),
                helper.make_tensor_value_info("score", TensorProto.FLOAT, []),
            ],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        checker.check_model(model, full_check=True)
        return FloatGraph(model, input_name, ("anomaly_map", "score"))


def plain_graph(layers: int = 4) -> FloatGraph:
    """Nothing delicate: INT8 keeps its scores."""
    write = _Writer()
    features = write.body("image", layers)
    return write.finish(write.node("ReduceMean", "heat", features, axes=[1], keepdims=1))


def division_graph() -> FloatGraph:
    """Features divided by a spread that one channel dominates, then an exponential.

    Only `divisor` cannot bear 8 bits: its weak channels round to zero there, and the quotients explode.
    """
    write = _Writer()
    features = write.body("image", 3)
    gains = np.ones(CHANNELS, np.float32)
    gains[0] = WIDE
    spread = write.node("Abs", "spread", write.conv("divisor", features, CHANNELS, kernel=1, gains=gains))
    floor = write.constant("floor", np.float32(0.5))
    divided = write.node("Div", "divide", features, write.node("Add", "above_zero", spread, floor))
    mean = write.node("ReduceMean", "mean", divided, axes=[1], keepdims=1)
    one, faded = write.constant("one", np.float32(1)), write.node("Exp", "fade", write.node("Neg", "minus", mean))
    return write.finish(write.node("Sub", "heat", one, faded))


def overflowing_graph() -> FloatGraph:
    """Values in the middle go beyond what float16 can hold, and come back."""
    write = _Writer()
    features = write.body("image", 2)
    strong = write.node("Mul", "strong", features, write.constant("strength", np.float32(1e6)))
    weak = write.node("Mul", "weak", strong, write.constant("weakness", np.float32(1e-6)))
    return write.finish(write.node("ReduceMean", "heat", weak, axes=[1], keepdims=1))


def images(count: int = 8) -> Iterator[Floats]:
    """Smooth random pictures in 0…1; every second one has a bright mark."""
    for index in range(count):
        draw = np.random.default_rng(index)
        picture = draw.uniform(0.3, 0.5, (1, 3, SIDE_PX, SIDE_PX)).astype(np.float32)
        if index % 2:
            x, y = draw.integers(4, SIDE_PX - 8, 2)
            picture[:, :, y : y + 5, x : x + 5] = 1.0
        yield picture


def judge_on(graph: FloatGraph, engine: Engine, limit: float = 0.05) -> Callable[[Candidate], Judgement]:
    """Judge by how far the map of an image is from float32's, as a share of its largest value."""
    outputs = list(graph.outputs)
    exact = engine.load(graph.model.SerializeToString())
    wanted = [exact.run({graph.input_name: image}, outputs) for image in images()]

    def judge(candidate: Candidate) -> Judgement:
        loaded = engine.load(candidate.model)
        worst = 0.0
        for image, reference in zip(images(), wanted, strict=True):
            found = loaded.run({graph.input_name: image}, outputs)
            apart = max(float(np.abs(found[name] - reference[name]).max()) for name in outputs)
            worst = max(worst, apart / float(np.abs(reference["anomaly_map"]).max()))
        return Judgement(worst <= limit, worst / limit, f"the map moves by {worst:.3f} of its largest value")

    return judge
