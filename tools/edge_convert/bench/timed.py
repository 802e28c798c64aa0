"""An engine that notes how long each of its graphs took, to tell the networks from what is around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.engine.port import Engine, Graph, Tensor, TensorInfo
    from edge_runtime.ops.clock import Clock


class Stopwatch:
    """Nanoseconds by graph, in the order in which the graphs were loaded, since the last `take`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent_ns: dict[int, int] = {}

    def now_ns(self) -> int:
        """The clock."""
        return self._clock.monotonic_ns()

    def add(self, number: int, spent_ns: int) -> None:
        """One run of the graph that was loaded as the `number`th."""
        self._spent_ns[number] = self._spent_ns.get(number, 0) + spent_ns

    def take(self) -> dict[int, int]:
        """What was added since the last call."""
        taken, self._spent_ns = self._spent_ns, {}
        return taken


class TimedEngine:
    """See `Engine`. Numbers its graphs 0, 1, … as they are loaded, and keeps what they were loaded from."""

    def __init__(self, engine: Engine, stopwatch: Stopwatch) -> None:
        self._engine = engine
        self._stopwatch = stopwatch
        self.models: list[bytes] = []
        """Of each graph, what it was loaded from."""

    @property
    def name(self) -> str:
        """See `Engine`."""
        return self._engine.name

    @property
    def description(self) -> str:
        """See `Engine`."""
        return self._engine.description

    def load(self, model: bytes) -> TimedGraph:
        """See `Engine`."""
        graph = TimedGraph(self._engine.load(model), len(self.models), self._stopwatch)
        self.models.append(model)
        return graph


class EngineWatch:
    """Puts a stopwatch before every engine that a bundle is tried on: one without bf16 is given up for another."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._engines: list[TimedEngine] = []

    def __call__(self, engine: Engine) -> TimedEngine:
        """For `load_inspector`."""
        self._engines.append(TimedEngine(engine, self._stopwatch))
        return self._engines[-1]

    @property
    def runs(self) -> TimedEngine:
        """The one that runs the bundle: the last that was tried."""
        return self._engines[-1]


class TimedGraph:
    """See `Graph`."""

    def __init__(self, graph: Graph, number: int, stopwatch: Stopwatch) -> None:
        self._graph = graph
        self._number = number
        self._stopwatch = stopwatch

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See `Graph`."""
        return self._graph.inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See `Graph`."""
        return self._graph.outputs

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See `Graph`."""
        started_ns = self._stopwatch.now_ns()
        found = self._graph.run(feeds, outputs)
        self._stopwatch.add(self._number, self._stopwatch.now_ns() - started_ns)
        return found
