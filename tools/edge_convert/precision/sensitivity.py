"""Which operations cost accuracy: each alone in fewer bits, measured at the graph's outputs on the engine itself."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_convert.precision.routes import FloatGraph
    from edge_convert.progress import Observer
    from edge_runtime.engine.port import Engine, Graph, Tensor

_RUNS: Final = 48
"""Graphs that are built, loaded and run; a network with fewer operations has each of them measured by itself."""
_LARGE_BYTES: Final = 100_000_000
"""Beyond that a graph takes seconds to build, load and run: half as many are."""


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring operations, mostly just one, and what they do to the result."""

    nodes: tuple[str, ...]
    """In the graph's order."""
    effect: float
    """Root mean square of the change at the output that suffers most, divided by the standard deviation of that
    output; infinite where a result is no number any more."""
    output: str

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise ratio at that output."""
        return math.inf if self.effect == 0 else -20 * math.log10(self.effect)


class _Meter:
    def __init__(self, graph: FloatGraph, engine: Engine, probes: Sequence[Tensor]) -> None:
        self._graph = graph
        self._engine = engine
        self._probes = probes
        self._exact = self._run(engine.load(graph.model.SerializeToString()))
        self._spread = {name: _spread(values) for name, values in self._exact.items()}

    def measure(self, nodes: tuple[str, ...], model: bytes) -> Span:
        worst, output = -1.0, self._graph.outputs[0]
        for name, values in self._run(self._engine.load(model)).items():
            noise = math.sqrt(float(np.mean(np.square(values - self._exact[name], dtype=np.float64))))
            effect = noise / self._spread[name] if math.isfinite(noise) else math.inf
            if effect > worst:
                worst, output = effect, name
        return Span(nodes, worst, output)

    def _run(self, graph: Graph) -> dict[str, Tensor]:
        wanted = list(self._graph.outputs)
        runs = [graph.run({self._graph.input_name: probe}, wanted) for probe in self._probes]
        return {name: np.stack([run[name] for run in runs]) for name in wanted}


class _Measured:
    """Spans by what they do; those of several operations can be taken out again, the worst first."""

    def __init__(self) -> None:
        self._turn = itertools.count()  # equal effects keep the graph's order
        self._divisible: list[tuple[float, int, Span]] = []
        self._single: list[Span] = []

    def add(self, span: Span) -> None:
        if len(span.nodes) == 1:
            self._single.append(span)
        else:
            heapq.heappush(self._divisible, (-span.effect, next(self._turn), span))

    def take_worst(self) -> Span | None:
        return heapq.heappop(self._divisible)[2] if self._divisible else None

    def all(self) -> list[Span]:
        return [*self._single, *(item[2] for item in self._divisible)]


def rank_operations(
    graph: FloatGraph,
    nodes: Sequence[str],
    alone: Callable[[frozenset[str]], bytes],
    engine: Engine,
    probes: Sequence[Tensor],
    observer: Observer,
) -> tuple[Span, ...]:
    """Operations by what they alone do to the outputs, worst first.

    A graph of many operations is measured in stretches, and those that do most are halved again and again: at most 48
    graphs, of more than 100 MB at most 24.

    Args:
        graph: the float32 graph.
        nodes: what could be quantized, in the graph's order.
        alone: the graph with just these nodes quantized.
        engine: where the result counts; engines differ in what they make of one and the same INT8 graph.
        probes: prepared images, good ones and ones with defects.
        observer: sees the progress.

    Raises:
        EngineError: the engine cannot run the graph.
    """
    meter, measured = _Meter(graph, engine, probes), _Measured()
    left = _RUNS if graph.model.ByteSize() <= _LARGE_BYTES else _RUNS // 2
    parts = _parts(tuple(nodes), len(nodes) if len(nodes) <= left else left // 2)
    with observer.stage("what each operation costs", min(len(nodes), left)) as stage:
        while parts:
            for part in parts:
                measured.add(meter.measure(part, alone(frozenset(part))))
                stage.advance()
            left -= len(parts)
            worst = measured.take_worst() if left >= 2 else None  # noqa: PLR2004  (a span has two halves)
            parts = [] if worst is None else _parts(worst.nodes, 2)
    order = {name: index for index, name in enumerate(nodes)}
    return tuple(sorted(measured.all(), key=lambda span: (-span.effect, order[span.nodes[0]])))


def _parts(nodes: tuple[str, ...], count: int) -> list[tuple[str, ...]]:
    edges = [round(index * len(nodes) / count) for index in range(count + 1)]
    return [nodes[start:end] for start, end in itertools.pairwise(edges) if end > start]


def _spread(values: Tensor) -> float:
    spread = float(np.std(values, dtype=np.float64))
    return spread or float(np.abs(values).max()) or 1.0
