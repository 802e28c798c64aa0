"""Counting what the line does: for the status message, the metrics and the live view. Off the deadline path."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.services.recent import RecentVerdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.domain.verdict import Verdict

WINDOW = 4_096
"""Latencies over this many parts stand behind the percentiles."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the last parts, in milliseconds; NaN before the first."""

    p50_ms: float
    p99_ms: float
    count: int


class LatencyWindow:
    """The last latencies. One writer; readers copy."""

    def __init__(self) -> None:
        self._values_ns = np.zeros(WINDOW, dtype=np.int64)
        self._count = 0

    def add(self, latency_ns: int) -> None:
        """Remember one."""
        self._values_ns[self._count % WINDOW] = latency_ns
        self._count += 1

    def percentiles(self) -> Percentiles:
        """Median and 99th percentile of the window."""
        values = self._values_ns[: self._count].astype(np.float64)
        if values.size == 0:
            return Percentiles(float("nan"), float("nan"), 0)
        p50, p99 = np.percentile(values, [50, 99]) / 1e6
        return Percentiles(float(p50), float(p99), int(values.size))


@dataclass(slots=True)
class GateCounters:
    """What became of the gate commands. Written by the PLC link alone."""

    planned_rejects: int = 0
    rejects_in_time: int = 0
    """Acknowledged by the PLC before the part was at the gate, or the ejector switched before it was past it."""
    rejects_missed: int = 0
    passes_granted: int = 0
    passes_lost: int = 0
    """A PASS that did not reach the PLC in time: the good part was rejected by the gate."""
    link_errors: int = 0
    """How often the PLC did not answer, or not as it should."""
    command_latency: LatencyWindow = field(default_factory=LatencyWindow)
    """Trigger to acknowledged result (permit)."""
    fire_lateness: LatencyWindow = field(default_factory=LatencyWindow)
    """Planned instant to ejector switched (fire)."""


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """The counters at one moment."""

    parts: int
    dispositions: Mapping[Disposition, int]
    reasons: Mapping[Reason, int]
    decision: Percentiles
    """Trigger to verdict."""
    last_verdicts: Sequence[Verdict]
    """Newest last."""
    late_results: int
    """Inspections that finished after their part had been given its verdict."""


class VerdictWatcher(Protocol):
    """Somebody else who counts verdicts."""

    def see(self, verdict: Verdict) -> None:
        """Called by the dispatch stage with every final verdict; must cost microseconds."""


class LineMonitor:
    """Counts verdicts. Written by the dispatch stage alone."""

    def __init__(self) -> None:
        self._watchers: list[VerdictWatcher] = []
        self.gate = GateCounters()
        self.recent = RecentVerdicts()
        self.late_results = 0
        self._dispositions: Counter[Disposition] = Counter()
        self._reasons: Counter[Reason] = Counter()
        self._latency = LatencyWindow()
        self._last: deque[Verdict] = deque(maxlen=24)

    def observe(self, verdict: Verdict) -> None:
        """Count one final verdict."""
        self._dispositions[verdict.disposition] += 1
        self._reasons[verdict.reason] += 1
        self.recent.add(verdict)
        if verdict.reason is not Reason.TRIGGER_LOST:  # it waited for a frame that never came
            self._latency.add(verdict.decided_ns - verdict.triggered_ns)
        self._last.append(verdict)
        for watcher in tuple(self._watchers):
            watcher.see(verdict)

    def watch(self, watcher: VerdictWatcher) -> None:
        """From now on it sees every verdict. Callable from any thread."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: VerdictWatcher) -> None:
        """No longer; one that does not watch is no error. Callable from any thread."""
        self._watchers = [other for other in self._watchers if other is not watcher]

    def snapshot(self) -> LineSnapshot:
        """Copy of the counters; callable from any thread."""
        dispositions = {d: self._dispositions[d] for d in Disposition}
        return LineSnapshot(
            parts=sum(dispositions.values()),
            dispositions=dispositions,
            reasons={r: count for r in Reason if (count := self._reasons[r])},
            decision=self._latency.percentiles(),
            last_verdicts=tuple(self._last.copy()),
            late_results=self.late_results,
        )
