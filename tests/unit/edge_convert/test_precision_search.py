from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precision_graphs import division_graph, images, plain_graph

from edge_convert.precision.choice import Judgement
from edge_convert.precision.qdq import QdqQuantizer
from edge_convert.precision.ranges import measure_ranges
from edge_convert.precision.search import Attempt, Budget, restore_and_give_back
from edge_convert.precision.sensitivity import Span, rank_operations
from edge_convert.progress import Silent
from edge_runtime import engine as engines
from edge_runtime.config.engine import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_convert.precision.routes import FloatGraph

FAILED = Judgement(holds=False, badness=5.0, text="")


def spans(count: int) -> list[Span]:
    """Costliest first."""
    return [Span((f"n{index}",), 1.0 / (index + 1), "score") for index in range(count)]


class NeedsAll:
    """Holds as soon as all of a set are in float32; counts how often it is asked."""

    def __init__(self, needed: set[str]) -> None:
        self.needed = needed
        self.asked = 0

    def __call__(self, kept: tuple[Span, ...]) -> Judgement:
        """The judge."""
        self.asked += 1
        missing = self.needed - {name for span in kept for name in span.nodes}
        return Judgement(not missing, 0.5 + len(missing), f"{len(missing)} missing")


@given(st.integers(2, 60), st.data())
def test_what_is_needed_is_kept_and_nothing_else(count: int, data: st.DataObject) -> None:
    """With judgements to spare the search ends at exactly the operations that parity needs, wherever they rank."""
    reachable = count - max(1, -(-count // 4))
    needed = data.draw(st.sets(st.integers(0, max(0, reachable - 1)), min_size=1, max_size=6))
    judge = NeedsAll({f"n{index}" for index in needed})
    found = restore_and_give_back(Attempt((), FAILED), spans(count), judge, Budget(1_000))
    assert found.judgement.holds
    assert found.nodes == judge.needed


@given(st.integers(1, 60), st.sets(st.integers(0, 59), max_size=8), st.integers(0, 24))
def test_the_budget_is_never_exceeded(count: int, needed: set[int], budget: int) -> None:
    """Whatever is needed, the judge is asked at most so often, never about everything, and what holds was judged."""
    judge = NeedsAll({f"n{index}" for index in needed} | {"never there"} if not needed else {f"n{i}" for i in needed})
    found = restore_and_give_back(Attempt((), FAILED), spans(count), judge, Budget(budget))
    assert judge.asked <= budget
    assert len(found.spans) < max(count, 1)
    assert found.judgement.holds == (judge.needed <= found.nodes)


def test_the_least_bad_comes_back_where_nothing_holds() -> None:
    """Also if more float32 makes it worse, and NaN is the worst of all."""
    badness = {0: 5.0, 1: 3.0, 2: 8.0, 4: math.nan}

    def judge(kept: tuple[Span, ...]) -> Judgement:
        return Judgement(holds=False, badness=badness.get(len(kept), 9.0), text="")

    assert len(restore_and_give_back(Attempt((), FAILED), spans(12), judge, Budget(24)).spans) == 1
    assert Attempt((), Judgement(holds=False, badness=math.nan, text="")).badness == math.inf


def prepared(graph: FloatGraph) -> tuple[QdqQuantizer, Callable[[frozenset[str]], bytes]]:
    """A quantizer with its ranges."""
    with Silent().stage("", 1) as stage:
        quantizer = QdqQuantizer(graph, measure_ranges(graph, images(), stage))
    return quantizer, quantizer.alone


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_the_culprit_ranks_first(name: str) -> None:
    """Each operation alone in INT8, on the engine itself: the divisor does most, by far, and is measured singly."""
    graph = division_graph()
    quantizer, alone = prepared(graph)
    engine = engines.create(EngineSettings(name=name, threads=1))
    ranked = rank_operations(graph, quantizer.nodes, alone, engine, list(images(2)), Silent())
    assert ranked[0].nodes == ("divisor",)
    assert ranked[0].effect > 10 * ranked[1].effect
    assert ranked[0].sqnr_db < 0 < ranked[-1].sqnr_db
    assert [span.effect for span in ranked] == sorted((span.effect for span in ranked), reverse=True)


def test_a_large_graph_is_measured_in_stretches() -> None:
    """However many operations there are, no more than 48 graphs are built, and every operation is in one stretch."""
    graph = plain_graph(layers=40)
    quantizer, alone = prepared(graph)
    engine = engines.create(EngineSettings(name="onnxruntime", threads=1))
    built = []

    def count(nodes: frozenset[str]) -> bytes:
        built.append(nodes)
        return alone(nodes)

    assert len(quantizer.nodes) > 48
    ranked = rank_operations(graph, quantizer.nodes, count, engine, list(images(1)), Silent())
    assert len(built) <= 48
    assert sorted(name for span in ranked for name in span.nodes) == sorted(quantizer.nodes)
    assert len(ranked[0].nodes) < 3
