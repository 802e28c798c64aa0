"""INT8 whose float32 operations the engine computes in bf16: the clock and the judge decide, as ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from altered_engine import PacedEngine
from precision_graphs import division_graph, images, judge_on, plain_graph

from edge_convert.precision.bench import Bench
from edge_convert.precision.chooser import choose
from edge_convert.precision.edges import has_float_products
from edge_convert.progress import Silent
from edge_runtime import engine as engines
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EngineError
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from edge_convert.precision.choice import Candidate, Judgement, PrecisionChoice
    from edge_convert.precision.routes import FloatGraph
    from edge_runtime.engine.port import Engine, Graph

ORT = EngineSettings(name="onnxruntime", threads=1)


class Masked(PacedEngine):
    """OpenVINO on a processor that says it has bf16 while its instructions are masked: it cannot compile."""

    def load(self, model: bytes) -> Graph:
        """See the port."""
        raise EngineError("could not create a primitive", "take float32")


def run(
    graph: FloatGraph, hinted_ms: int | None, *, bears_bf16: bool = True, compiles: bool = True, slowed: bool = False
) -> tuple[PrecisionChoice, list[str]]:
    """Choose where INT8 takes 4 ms; the engine with bf16 takes so long, or is not there. Also: who was judged."""
    clock = SimulatedClock()
    engine = PacedEngine(engines.create(ORT), clock, int8_ms=4, fp32_ms=9)
    exact, seen = judge_on(graph, engine), []

    def judge(candidate: Candidate) -> Judgement:
        seen.append(candidate.name)
        found = exact(candidate)
        return found if bears_bf16 or candidate.floats == "f32" else replace(found, holds=False, text="too coarse")

    def hinted() -> Engine:
        if hinted_ms is None:
            raise EngineError("no bf16 here", "take float32")
        if slowed:
            engine.slow_down()
        kind = PacedEngine if compiles else Masked
        return kind(engines.create(ORT), clock, int8_ms=hinted_ms)

    bench = Bench(graph, images, judge, engine, clock, Silent(), routes=("ort-qdq",))
    return choose(bench, "auto", hinted, even_if_slower=False), seen


def test_what_int8_leaves_goes_to_bf16_where_that_is_faster_and_holds() -> None:
    """The same graph under another setting of the engine, judged as such, with all three times."""
    choice, seen = run(division_graph(), hinted_ms=3)
    assert choice.candidate.name == "int8+bf16"
    assert (choice.candidate.precision, choice.candidate.floats) == ("int8", "bf16")
    assert seen[-1] == "int8+bf16"
    assert choice.timings_ms == {"fp32": 9.0, "int8": 4.0, "int8+bf16": 3.0}
    assert [kept.node for kept in choice.candidate.kept] == ["divisor"]


def test_the_times_that_are_reported_can_be_compared() -> None:
    """While bf16 was timed the machine had become half as fast: 6 ms beside 8 are 3 beside the 4 of before."""
    choice, _ = run(division_graph(), hinted_ms=6, slowed=True)
    assert choice.timings_ms == {"fp32": 9.0, "int8": 4.0, "int8+bf16": 3.0}


@pytest.mark.parametrize("hinted_ms", [4, 5, None], ids=["as fast", "slower", "not there"])
def test_bf16_that_is_no_faster_is_not_even_judged(hinted_ms: int | None) -> None:
    """INT8 with float32 stays, without a remark: nothing was lost."""
    choice, seen = run(division_graph(), hinted_ms)
    assert choice.candidate.name == "int8"
    assert "int8+bf16" not in seen
    assert not any("bf16" in text for text in choice.refused)


def test_bf16_that_does_not_hold_is_refused_with_the_reason() -> None:
    """INT8 with float32, which does, stays."""
    choice, _ = run(division_graph(), hinted_ms=3, bears_bf16=False)
    assert choice.candidate.name == "int8"
    assert choice.judgement.holds
    assert "bf16 in place of float32" in choice.refused[-1]
    assert "too coarse" in choice.refused[-1]


def test_a_graph_that_is_int8_throughout_has_nothing_for_bf16() -> None:
    """No product reads float32: the other engine is not asked."""
    choice, seen = run(plain_graph(), hinted_ms=1)
    assert not has_float_products(choice.candidate.model)
    assert choice.candidate.name == "int8"
    assert "int8+bf16" not in seen


def test_bf16_that_is_only_said_to_be_there_costs_no_conversion() -> None:
    """The engine takes the setting and then cannot compile: INT8 with float32 stays."""
    choice, seen = run(division_graph(), hinted_ms=1, compiles=False)
    assert choice.candidate.name == "int8"
    assert choice.judgement.holds
    assert "int8+bf16" not in seen
