"""Real engines whose graphs take a stated time on a simulated clock, multiply what they give, or do not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.domain.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.engine.port import Engine, Graph, Tensor, TensorInfo
    from edge_runtime.ops.clock import SimulatedClock

QUANTIZED = b"QuantizeLinear"
"""In every INT8 graph, and in no other."""


class AlteredGraph:
    """A real graph whose every output is multiplied by the gain."""

    def __init__(self, graph: Graph, gain: float) -> None:
        self._graph = graph
        self._gain = np.float32(gain)

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._graph.inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._graph.outputs

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See the port."""
        return {name: value * self._gain for name, value in self._graph.run(feeds, outputs).items()}


class PacedGraph(AlteredGraph):
    """One whose every run takes a stated time, too."""

    def __init__(self, graph: Graph, clock: SimulatedClock, milliseconds: int, gain: float) -> None:
        super().__init__(graph, gain)
        self._clock = clock
        self._milliseconds = milliseconds

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See the port."""
        self._clock.advance(self._milliseconds * 1_000_000)
        return super().run(feeds, outputs)


class PacedEngine:
    """A real engine with a stated time per run for quantized and for all other graphs."""

    description = "paced"

    def __init__(
        self, engine: Engine, clock: SimulatedClock, *, int8_ms: int = 2, fp32_ms: int = 5, int8_gain: float = 1.0
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._int8 = (int8_ms, int8_gain)
        self._fp32 = (fp32_ms, 1.0)

    def slow_down(self) -> None:
        """From now on INT8 takes twice as long: another program has come."""
        milliseconds, gain = self._int8
        self._int8 = (milliseconds * 2, gain)

    @property
    def name(self) -> str:
        """See the port."""
        return self._engine.name

    def load(self, model: bytes) -> Graph:
        """See the port."""
        milliseconds, gain = self._int8 if QUANTIZED in model else self._fp32
        return PacedGraph(self._engine.load(model), self._clock, milliseconds, gain)


class Masked:
    """An engine that says it has bf16 and cannot compile for it, as OpenVINO under ONEDNN_MAX_CPU_ISA."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.description = engine.name, engine.description

    def load(self, model: bytes) -> Graph:
        """See the port."""
        if "bf16" in self.description:
            raise EngineError("no such instruction", "take float32")
        return self._engine.load(model)
