"""How long candidates take on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.engine.port import Graph, Tensor
    from edge_runtime.ops.clock import Clock

_TIMED_RUNS: Final = 15
_FEWEST_RUNS: Final = 5
_LONGEST_NS: Final = 10_000_000_000
"""Seconds per run are told apart by fewer runs than milliseconds."""


def median_ms(
    graphs: Mapping[str, Graph], feeds: Mapping[str, Tensor], outputs: Sequence[str], clock: Clock
) -> dict[str, float]:
    """Median milliseconds per run of each graph, run in turn so that a busy machine slows all alike.

    Raises:
        EngineError: a graph fails.
    """
    taken: dict[str, list[int]] = {name: [] for name in graphs}
    begun_ns = clock.monotonic_ns()
    for turn in range(_TIMED_RUNS + 1):
        for name, graph in graphs.items():
            started_ns = clock.monotonic_ns()
            graph.run(feeds, outputs)
            if turn:  # the first run allocates
                taken[name].append(clock.monotonic_ns() - started_ns)
        if turn >= _FEWEST_RUNS and clock.monotonic_ns() - begun_ns > _LONGEST_NS:
            break
    return {name: float(np.median(times)) / 1e6 for name, times in taken.items()}
