"""What every engine promises, checked on all with the same graph: y = 2x + 1, peak = max(y), and a uint8 twin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EngineError
from edge_runtime.engine import create
from edge_runtime.engine.sim import SimulatedEngine

if TYPE_CHECKING:
    from edge_runtime.engine.port import Engine, Graph


@dataclass(frozen=True)
class Rig:
    """An engine with the bytes of the test graphs in its own format."""

    engine: Engine
    affine: bytes
    bytes_in: bytes


def _onnx(dtype: int, *, cast: bool) -> bytes:
    source = "x32" if cast else "x"
    nodes = [helper.make_node("Cast", ["x"], ["x32"], to=TensorProto.FLOAT)] if cast else []
    nodes += [
        helper.make_node("Mul", [source, "two"], ["doubled"]),
        helper.make_node("Add", ["doubled", "one"], ["y"]),
        helper.make_node("ReduceMax", ["y"], ["peak"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "affine",
        [helper.make_tensor_value_info("x", dtype, ["rows", 4])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4]),
            helper.make_tensor_value_info("peak", TensorProto.FLOAT, []),
        ],
        [numpy_helper.from_array(np.float32(2), "two"), numpy_helper.from_array(np.float32(1), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def _json(dtype: str) -> bytes:
    return json.dumps(
        {
            "inputs": [{"name": "x", "shape": [None, 4], "dtype": dtype}],
            "steps": [
                {"output": "y", "operation": "affine", "input": "x", "factor": 2.0, "offset": 1.0},
                {"output": "peak", "operation": "max", "input": "y"},
            ],
            "outputs": [
                {"name": "y", "shape": [None, 4], "dtype": "float32"},
                {"name": "peak", "shape": [], "dtype": "float32"},
            ],
        }
    ).encode()


@pytest.fixture(params=["onnxruntime", "openvino", "sim"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each adapter and the twin."""
    if request.param == "sim":
        return Rig(SimulatedEngine(), _json("float32"), _json("uint8"))
    engine = create(EngineSettings(name=request.param, threads=2))
    return Rig(engine, _onnx(TensorProto.FLOAT, cast=False), _onnx(TensorProto.UINT8, cast=True))


@pytest.fixture
def graph(rig: Rig) -> Graph:
    """The float graph, loaded."""
    return rig.engine.load(rig.affine)


ROWS = np.array([[0.0, 1.0, -2.0, 0.5], [3.0, 8.0, -1.0, 0.25]], dtype=np.float32)


class TestEngineContract:
    def test_names_itself_with_all_that_a_figure_depends_on(self, rig: Rig) -> None:
        """The description names the engine, its precision and its threads."""
        assert rig.engine.name in {"onnxruntime", "openvino", "sim"}
        assert rig.engine.name in rig.engine.description
        assert "f32" in rig.engine.description
        assert "thread" in rig.engine.description

    def test_describes_inputs_and_outputs_in_graph_order(self, graph: Graph) -> None:
        """Names, open dimensions and dtypes are those of the graph."""
        assert [(info.name, info.shape, info.dtype) for info in graph.inputs] == [("x", (None, 4), "float32")]
        assert [(info.name, info.shape, info.dtype) for info in graph.outputs] == [
            ("y", (None, 4), "float32"),
            ("peak", (), "float32"),
        ]

    def test_computes_what_the_graph_says(self, graph: Graph) -> None:
        """All outputs, by name."""
        results = graph.run({"x": ROWS}, ["peak", "y"])
        assert set(results) == {"peak", "y"}
        np.testing.assert_array_equal(results["y"], ROWS * 2 + 1)
        assert float(results["peak"]) == 17.0

    def test_gives_only_what_was_asked_for(self, graph: Graph) -> None:
        """An output that nobody wants is not returned."""
        assert set(graph.run({"x": ROWS}, ["peak"])) == {"peak"}

    def test_takes_bytes_as_bytes(self, rig: Rig) -> None:
        """A uint8 input goes into the graph as it is."""
        pixels = np.array([[0, 1, 127, 255]], dtype=np.uint8)
        y = rig.engine.load(rig.bytes_in).run({"x": pixels}, ["y"])["y"]
        np.testing.assert_array_equal(y, [[1.0, 3.0, 255.0, 511.0]])

    def test_results_belong_to_the_caller(self, graph: Graph) -> None:
        """A later run changes no earlier result, and scribbling over a result changes no later run."""
        first = graph.run({"x": ROWS}, ["y"])["y"]
        kept = first.copy()
        second = graph.run({"x": ROWS + 1}, ["y"])["y"]
        np.testing.assert_array_equal(first, kept)
        second[...] = 99.0
        np.testing.assert_array_equal(graph.run({"x": ROWS}, ["y"])["y"], kept)

    def test_leaves_the_feed_alone(self, graph: Graph) -> None:
        """The input is neither changed nor needed after the run, and may be read-only."""
        feed = ROWS.copy()
        feed.flags.writeable = False
        result = graph.run({"x": feed}, ["y"])["y"]
        np.testing.assert_array_equal(feed, ROWS)
        assert not np.shares_memory(result, feed)

    def test_takes_strided_feeds(self, graph: Graph) -> None:
        """A view that is not contiguous gives what its copy gives."""
        wide = np.arange(16, dtype=np.float32).reshape(2, 8)
        np.testing.assert_array_equal(graph.run({"x": wide[:, ::2]}, ["y"])["y"], wide[:, ::2] * 2 + 1)

    def test_is_deterministic(self, graph: Graph) -> None:
        """The same feed gives the same bits."""
        feed = np.random.default_rng(4).normal(size=(500, 4)).astype(np.float32)
        assert len({graph.run({"x": feed}, ["y"])["y"].tobytes() for _ in range(5)}) == 1

    def test_passes_nan_and_infinity_through(self, graph: Graph) -> None:
        """What is not a number stays visible: the decision must see it."""
        feed = np.array([[np.nan, np.inf, -np.inf, 0.0]], dtype=np.float32)
        np.testing.assert_array_equal(graph.run({"x": feed}, ["y"])["y"], [[np.nan, np.inf, -np.inf, 1.0]])

    @pytest.mark.parametrize(
        ("feeds", "wanted", "named"),
        [
            ({}, ["y"], "'x'"),
            ({"z": ROWS}, ["y"], "'z'"),
            ({"x": ROWS, "z": ROWS}, ["y"], "'z'"),
            ({"x": ROWS}, ["heat"], "'heat'"),
            ({"x": ROWS.astype(np.float64)}, ["y"], "float64"),
            ({"x": ROWS[:, :3]}, ["y"], "2×3"),
            ({"x": ROWS[0]}, ["y"], "4"),
        ],
        ids=["no input", "other input", "extra input", "no such output", "dtype", "width", "rank"],
    )
    def test_refuses_what_the_graph_does_not_take(
        self, graph: Graph, feeds: dict[str, np.ndarray], wanted: list[str], named: str
    ) -> None:
        """A wrong feed or output is an EngineError that names it, and the graph still works afterwards."""
        with pytest.raises(EngineError) as caught:
            graph.run(feeds, wanted)
        assert named in caught.value.what
        assert caught.value.action
        np.testing.assert_array_equal(graph.run({"x": ROWS}, ["y"])["y"], ROWS * 2 + 1)

    @pytest.mark.parametrize("junk", [b"", b"junk", b"\x08\x07" * 50])
    def test_refuses_a_damaged_model(self, rig: Rig, junk: bytes) -> None:
        """What is no graph is an EngineError that says what to do, and the engine still loads sound ones."""
        with pytest.raises(EngineError) as caught:
            rig.engine.load(junk)
        assert caught.value.action
        assert rig.engine.load(rig.affine).outputs

    def test_refuses_a_cut_model(self, rig: Rig) -> None:
        """A model that lost its second half does not load."""
        with pytest.raises(EngineError):
            rig.engine.load(rig.affine[: len(rig.affine) // 2])

    def test_graphs_do_not_share_state(self, rig: Rig) -> None:
        """Two graphs of one engine run in turn without touching each other's results."""
        one, other = rig.engine.load(rig.affine), rig.engine.load(rig.affine)
        first = one.run({"x": ROWS}, ["y"])["y"]
        other.run({"x": ROWS * 5}, ["y"])
        np.testing.assert_array_equal(first, ROWS * 2 + 1)
