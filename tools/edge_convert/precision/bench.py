"""What every attempt at a precision shares: the graph, the judge and its budget, the engine, the images seen once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from edge_convert.precision import nncf_route
from edge_convert.precision.half import HalfPrecision
from edge_convert.precision.qdq import QdqQuantizer
from edge_convert.precision.ranges import measure_ranges
from edge_convert.precision.search import Budget
from edge_convert.precision.sensitivity import rank_operations
from edge_convert.precision.simplify import simplify
from edge_convert.precision.timing import median_ms
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edge_convert.precision.choice import Candidate, Judgement
    from edge_convert.precision.nncf_route import NncfQuantizer
    from edge_convert.precision.routes import FloatGraph
    from edge_convert.precision.sensitivity import Span
    from edge_convert.progress import Observer
    from edge_runtime.engine.port import Engine, Graph, Tensor
    from edge_runtime.ops.clock import Clock

JUDGEMENTS: Final = 24
_PROBES: Final = 2
"""A good part and a defect: each runs once per operation that is ranked."""


@dataclass
class Bench:
    """One conversion's worth of attempts."""

    original: FloatGraph
    calibration: Callable[[], Iterator[Tensor]]
    """A fresh pass over the prepared images, the same each time."""
    judge: Callable[[Candidate], Judgement]
    engine: Engine
    clock: Clock
    observer: Observer
    routes: tuple[str, ...] = ("ort-qdq", "nncf")
    """To INT8, in this order; the next only where one fails."""
    budget: Budget = field(default_factory=lambda: Budget(JUDGEMENTS))

    @cached_property
    def graph(self) -> FloatGraph:
        """The original in fewer nodes."""
        return simplify(self.original)

    @cached_property
    def plain(self) -> bytes:
        """The float32 graph as it came."""
        return bytes(self.original.model.SerializeToString())

    @cached_property
    def images(self) -> tuple[int, tuple[Tensor, ...]]:
        """How many images calibrate, and the first few of them."""
        images = self.calibration()
        probes = tuple(itertools.islice(images, _PROBES))
        if not probes:
            raise ConfigError("no image to calibrate with", "Give images of good parts.")
        return len(probes) + sum(1 for _ in images), probes

    @cached_property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of every tensor, over all images."""
        with self.observer.stage("calibrating", self.images[0]) as stage:
            return measure_ranges(self.graph, self.calibration(), stage)

    @cached_property
    def qdq(self) -> QdqQuantizer:
        """The onnxruntime route."""
        return QdqQuantizer(self.graph, self.ranges)

    @cached_property
    def nncf(self) -> NncfQuantizer:
        """The NNCF route.

        Raises:
            ConfigError: NNCF is not installed.
        """
        return nncf_route.NncfQuantizer(self.graph, self.calibration, self.images[0], self.qdq.nodes)

    @cached_property
    def half(self) -> HalfPrecision:
        """The float16 route."""
        return HalfPrecision(self.graph, self.ranges)

    @cached_property
    def int8_costs(self) -> tuple[Span, ...]:
        """Operations by what INT8 alone in them does, worst first: both INT8 routes search in this order."""
        return self._costs(self.qdq)

    @cached_property
    def half_costs(self) -> tuple[Span, ...]:
        """Operations by what float16 alone in them does, worst first."""
        return self._costs(self.half)

    def _costs(self, quantizer: QdqQuantizer | HalfPrecision) -> tuple[Span, ...]:
        return rank_operations(self.graph, quantizer.nodes, quantizer.alone, self.engine, self.images[1], self.observer)

    def time(self, models: Mapping[str, bytes]) -> dict[str, float]:
        """Median milliseconds per run on this engine, by name.

        Raises:
            EngineError: the engine cannot run one of them.
        """
        return self._time({name: self.engine.load(model) for name, model in models.items()})

    def race(self, model: bytes, engines: Mapping[str, Engine]) -> dict[str, float]:
        """Median milliseconds per run of one model on several engines, by name.

        Raises:
            EngineError: one of them cannot run it.
        """
        return self._time({name: engine.load(model) for name, engine in engines.items()})

    def _time(self, graphs: Mapping[str, Graph]) -> dict[str, float]:
        feeds = {self.original.input_name: self.images[1][0]}
        return median_ms(graphs, feeds, self.original.outputs, self.clock)
