from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from altered_engine import QUANTIZED, PacedEngine
from precision_graphs import division_graph, images, judge_on, overflowing_graph, plain_graph

from edge_convert.convert.source import SourceModel
from edge_convert.precision.bench import JUDGEMENTS, Bench
from edge_convert.precision.choice import Candidate, Judgement, choose_precision, engine_settings_for
from edge_convert.precision.chooser import choose
from edge_convert.precision.search import Budget
from edge_convert.progress import Silent
from edge_runtime import engine as engines
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError, EngineError
from edge_runtime.domain.model_bundle import ColourOrder, DetectorKind, InputSpec, Layout, Resize
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from edge_convert.precision.choice import PrecisionChoice
    from edge_convert.precision.routes import FloatGraph
    from edge_runtime.engine.port import Engine

ORT = EngineSettings(name="onnxruntime", threads=1)
OPENVINO = EngineSettings(name="openvino", threads=1)


def bench(
    graph: FloatGraph, settings: EngineSettings = ORT, limit: float = 0.05, *, int8_ms: int = 2, fp32_ms: int = 5
) -> Bench:
    """Eight pictures, the judge of the small graphs, a stated pace, no NNCF."""
    clock = SimulatedClock()
    engine: Engine = PacedEngine(engines.create(settings), clock, int8_ms=int8_ms, fp32_ms=fp32_ms)
    judge = judge_on(graph, engine, limit)
    return Bench(graph, images, judge, engine, clock, Silent(), routes=("ort-qdq",))


def run(made: Bench, wanted: str, *, even_if_slower: bool = False) -> PrecisionChoice:
    """Choose; bf16 is had on OpenVINO."""
    hint = OPENVINO.model_copy(update={"precision": "bf16"})
    return choose(made, wanted, lambda: engines.create(hint), even_if_slower=even_if_slower)


@pytest.mark.parametrize("settings", [ORT, OPENVINO], ids=["onnxruntime", "openvino"])
def test_int8_that_bears_it_is_taken_throughout(settings: EngineSettings) -> None:
    """Parity holds at once and INT8 is faster: taken, nothing kept, nothing refused."""
    choice = run(bench(plain_graph(), settings), "auto")
    assert (choice.candidate.precision, choice.candidate.route) == ("int8", "ort-qdq")
    assert choice.judgement.holds
    assert (choice.candidate.kept, choice.refused) == ((), ())
    assert choice.timings_ms == {"fp32": 5.0, "int8": 2.0}


@pytest.mark.parametrize("settings", [ORT, OPENVINO], ids=["onnxruntime", "openvino"])
def test_a_tail_that_cannot_bear_int8_is_repaired_by_keeping_just_that(settings: EngineSettings) -> None:
    """Of a network that divides by a wide spread only the spread's own product stays float32; the report says why."""
    made = bench(division_graph(), settings)
    throughout = made.judge(Candidate("int8", "ort-qdq", made.qdq.quantize(frozenset())))
    assert throughout.badness > 10
    choice = run(made, "auto")
    assert choice.judgement.holds
    assert choice.candidate.precision == "int8"
    assert [(kept.node, kept.op_type) for kept in choice.candidate.kept] == [("divisor", "Conv")]
    assert "SQNR" in choice.candidate.kept[0].why
    assert "1 operation in float32 parity holds" in choice.refused[0]
    assert choice.candidate.model.count(QUANTIZED) > 3


def test_nncf_is_the_other_route() -> None:
    """It rounds only what goes into a product, so the wide spread survives; both engines run its QDQ graph."""
    pytest.importorskip("nncf", reason="needs the extra `convert`")
    made = bench(division_graph())
    made.routes = ("nncf",)
    choice = run(made, "auto")
    assert (choice.candidate.precision, choice.candidate.route) == ("int8", "nncf")
    assert choice.judgement.holds
    assert QUANTIZED in choice.candidate.model
    assert judge_on(division_graph(), engines.create(OPENVINO))(choice.candidate).holds


def test_nncf_keeps_what_it_is_told_to() -> None:
    """A node of the search's choice, and whatever the first route would not quantize, reads no rounded weights."""
    pytest.importorskip("nncf", reason="needs the extra `convert`")
    made = bench(plain_graph(layers=3))
    quantized = onnx.load_from_string(made.nncf.quantize(frozenset({"conv1"})))
    makers = {name: node.op_type for node in quantized.graph.node for name in node.output}
    read = {node.name: makers.get(node.input[1]) for node in quantized.graph.node if node.op_type == "Conv"}
    assert read == {"conv0": "DequantizeLinear", "conv1": None, "conv2": "DequantizeLinear"}


@pytest.mark.parametrize(("int8_ms", "fp32_ms"), [(9, 5), (5, 5), (49, 50)], ids=["slower", "equal", "hardly faster"])
def test_int8_that_is_not_faster_is_refused(int8_ms: int, fp32_ms: int) -> None:
    """float32 stays, with the reason in words that are the same on every run; asked for, INT8 is an error."""
    choice = run(bench(plain_graph(), int8_ms=int8_ms, fp32_ms=fp32_ms), "auto")
    assert choice.candidate.precision == "fp32"
    assert choice.judgement.holds
    assert choice.refused == ("INT8 (ort-qdq) is not faster than float32 on this machine and engine",)
    with pytest.raises(ConfigError, match="not faster than float32") as caught:
        run(bench(plain_graph(), int8_ms=int8_ms, fp32_ms=fp32_ms), "int8")
    assert "--even-if-slower" in caught.value.action


def test_a_slower_int8_can_be_insisted_on() -> None:
    """For a device that is not this machine."""
    choice = run(bench(plain_graph(), int8_ms=9), "int8", even_if_slower=True)
    assert choice.candidate.precision == "int8"
    assert choice.timings_ms == {"fp32": 5.0, "int8": 9.0}


def test_int8_that_cannot_be_repaired_falls_back_or_comes_back_with_its_judgement() -> None:
    """`auto` goes back to float32 and says what departs; `int8` gives the least bad one, for the caller to decide."""
    choice = run(bench(plain_graph(), limit=1e-5), "auto")
    assert choice.candidate.precision == "fp32"
    assert "does not keep parity" in choice.refused[-1]
    insisted = run(bench(plain_graph(), limit=1e-5), "int8")
    assert insisted.candidate.precision == "int8"
    assert not insisted.judgement.holds


def test_the_judge_is_asked_at_most_so_often() -> None:
    """A judge whom nothing pleases but float32 is asked no more often than the budget says."""
    made = bench(plain_graph(layers=12))
    asked = []

    def judge(candidate: Candidate) -> Judgement:
        asked.append(candidate.precision)
        return Judgement(candidate.precision == "fp32", 9.0, "never")

    made.judge = judge
    assert run(made, "auto").candidate.precision == "fp32"
    assert 3 < len(asked) <= JUDGEMENTS
    hurried = bench(plain_graph(layers=12))
    hurried.judge, hurried.routes, hurried.budget = judge, ("ort-qdq", "ort-qdq"), Budget(4)
    assert run(hurried, "auto").refused[-1] == (
        "INT8 (ort-qdq) was not tried: the other route's search took all judgements"
    )


def test_int8_is_not_tried_where_float32_departs_already() -> None:
    """What is wrong then is not the precision."""
    made = bench(plain_graph())
    made.judge = lambda _candidate: Judgement(holds=False, badness=3.0, text="the colours are swapped")
    choice = run(made, "auto")
    assert choice.candidate.precision == "fp32"
    assert not choice.judgement.holds
    assert "the colours are swapped" in choice.refused[0]


def test_forbidden_nodes_stay_float() -> None:
    """What the source keeps in float32 is neither quantized nor searched."""
    graph = plain_graph()
    forbidden = frozenset({"conv0", "conv1"})
    made = bench(type(graph)(graph.model, graph.input_name, graph.outputs, forbidden))
    assert forbidden.isdisjoint(made.qdq.nodes)
    quantized = onnx.load_from_string(run(made, "auto").candidate.model)
    makers = {name: node for node in quantized.graph.node for name in node.output}
    first = next(node for node in quantized.graph.node if node.name == "conv0")
    assert first.input[0] == "image"
    assert first.input[1] not in makers


def test_equal_inputs_give_equal_choices() -> None:
    """The whole choice, its reasons and bytes, is the same twice."""
    one, other = (run(bench(division_graph()), "auto") for _ in range(2))
    assert one == other


def test_float16_keeps_what_would_overflow_in_float32() -> None:
    """Values beyond float16's range stay numbers: the operations that make and read them are blocked, and named."""
    graph = overflowing_graph()
    made = bench(graph)
    choice = run(made, "fp16")
    assert choice.judgement.holds
    assert {kept.node for kept in choice.candidate.kept} == {"strong", "weak"}
    assert len(choice.candidate.model) < len(made.plain) * 0.8
    for settings in (ORT, OPENVINO):
        loaded = engines.create(settings).load(choice.candidate.model)
        assert [info.dtype for info in (*loaded.inputs, *loaded.outputs)] == ["float32"] * 3
        for image in images():
            found = loaded.run({"image": image * 3}, ["anomaly_map"])["anomaly_map"]
            assert np.isfinite(found).all()


def test_float16_leaves_exponentials_and_divisions_alone() -> None:
    """The tail that INT8 cannot bear is not even tried in float16."""
    choice = run(bench(division_graph()), "fp16")
    assert choice.judgement.holds
    halved = onnx.load_from_string(choice.candidate.model)
    kinds = {info.name: info.type.tensor_type.elem_type for info in halved.graph.value_info}
    delicate = [node for node in halved.graph.node if node.op_type in {"Exp", "Div", "ReduceMean"}]
    assert delicate
    assert all(kinds.get(name, onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT for n in delicate for name in n.input)


def source_of(graph: FloatGraph) -> SourceModel:
    """The graph as a route to a bundle hands it over."""
    spec = InputSpec("image", 32, 32, Resize.AREA, ColourOrder.RGB, Layout.NCHW, "float32")
    return SourceModel(
        graph.model, DetectorKind.GENERIC, spec, {name: name for name in graph.outputs}, "2026-01-01T00:00:00Z"
    )


def test_bf16_is_refused_on_onnxruntime() -> None:
    """It has none on a processor: said, with what has."""
    with pytest.raises(ConfigError, match="bf16 cannot be had") as caught:
        choose_precision(
            source_of(plain_graph()),
            images,
            lambda _candidate: Judgement(holds=True, badness=0.0, text=""),
            ORT,
            SimulatedClock(),
            Silent(),
            "bf16",
        )
    assert "openvino" in caught.value.action.lower()


def test_bf16_is_the_float32_graph_under_another_setting() -> None:
    """Where the processor has it: the same bytes, judged and timed on an engine that computes in bf16."""
    hint = OPENVINO.model_copy(update={"precision": "bf16"})
    try:
        engine = engines.create(hint)
    except EngineError:
        pytest.skip("this processor does not compute in bf16")
    graph = plain_graph()
    judge = judge_on(graph, engine)
    seen = []

    def remember(candidate: Candidate) -> Judgement:
        seen.append(engine_settings_for(candidate, OPENVINO).precision)
        return judge(candidate)

    choice = choose_precision(source_of(graph), images, remember, OPENVINO, SimulatedClock(), Silent(), "bf16")
    assert (choice.candidate.precision, choice.candidate.route) == ("bf16", "hint")
    assert choice.candidate.model == graph.model.SerializeToString()
    assert seen == ["bf16"]
    assert set(choice.timings_ms) == {"fp32", "bf16"}


def test_an_unknown_precision_is_named() -> None:
    """With the ones there are."""
    with pytest.raises(ConfigError, match="'int4'") as caught:
        run(bench(plain_graph()), "int4")
    assert "fp16" in caught.value.action
