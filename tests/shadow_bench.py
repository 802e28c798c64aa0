"""A candidate's process on a simulated clock: it does what the test says, and answers when its time has come."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from makers import BUNDLE, MS

from edge_runtime.domain.verdict import Limits
from edge_runtime.services.shadow import Answer, Facts

if TYPE_CHECKING:
    from edge_runtime.ops.clock import SimulatedClock
    from edge_runtime.services.shadow import News

CANDIDATE = replace(BUNDLE, name="new", version="2", digest="c" * 64)
FACTS = Facts(CANDIDATE, Limits(1.0, 2.0), (0.4, 0.5, 0.6), "twin", "idle")


class SimulatedOnlooker:
    """See `services.shadow.Onlooker`. A look takes `duration_ms` and costs as much; None: it never answers."""

    def __init__(self, clock: SimulatedClock, duration_ms: int | None = 5, score: float | None = 0.5) -> None:
        self._clock, self.duration_ms, self.score = clock, duration_ms, score
        self._due_ns: int | None = None
        self.says: deque[News] = deque([FACTS])
        """Before any answer."""
        self.looks = 0
        self.closed = False

    def begin(self, exposures) -> None:
        """Begin a look."""
        assert self._due_ns is None, "two looks at once"
        assert exposures
        self.looks += 1
        self._due_ns = self._clock.monotonic_ns() + (10**15 if self.duration_ms is None else self.duration_ms * MS)

    def poll(self, timeout_s: float) -> News | None:
        """What is due."""
        if self.says:
            return self.says.popleft()
        if self._due_ns is None or self._clock.monotonic_ns() < self._due_ns:
            return None
        self._due_ns = None
        took_ns = (self.duration_ms or 0) * MS
        return Answer(self.score, "" if self.score is not None else "broken", took_ns, took_ns)

    def close(self) -> None:
        """Remember it."""
        self.closed = True
