"""The two that take turns: a bare loop of one thread that prepares and infers, and the daemon."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bench.line_camera import AS_FAST, Timetable
from bench.line_costs import ThreadCosts
from edge_convert.bench.process import processor_ns
from edge_runtime.decision.judge import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.line_camera import MemoryCamera
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.domain.frame import Exposure

_SETTLE_S = 1.0
"""Behind a turn: what is still under way ends, and is not counted."""
_AHEAD_NS = 20_000_000
"""A timetable begins so long after it was made."""
_PATIENCE_S = 10.0
"""So long behind the last part's time the daemon may take for those that it is behind with."""


@dataclass(slots=True)
class Results:
    """What one side did in one kind of turn."""

    parts_per_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Processor time per part, whole process, by turn."""
    latency_ns: list[list[int]] = field(default_factory=list)
    """By turn."""
    costs: ThreadCosts = field(default_factory=ThreadCosts)

    @property
    def parts(self) -> int:
        """In all turns."""
        return sum(map(len, self.latency_ns))

    def add(self, work: Callable[[], tuple[list[int], float]]) -> None:
        """A turn: `work` gives its latencies, and the seconds that it lasted."""
        self.costs.begin()
        before_ns = processor_ns()
        latencies_ns, seconds = work()
        spent_ns = processor_ns() - before_ns
        self.costs.end()
        self.parts_per_s.append(len(latencies_ns) / seconds)
        self.cpu_ms.append(spent_ns / max(len(latencies_ns), 1) / 1e6)
        self.latency_ns.append(latencies_ns)
        threading.Event().wait(_SETTLE_S)


class Side(Protocol):
    """One of the two."""

    fast: Results
    timed: Results

    def turn_fast(self, seconds: float) -> None:
        """As many parts as it can; latency from the frame's delivery."""

    def turn_timed(self, rate: float, seconds: float) -> None:
        """Every part of a timetable, however late; latency from the instant at which it was due."""


class BareLoop:
    """See `Side`. The thread that calls it prepares, infers and compares the score with the limits: nothing else."""

    def __init__(self, inspector: Inspector, frames: Sequence[Exposure]) -> None:
        self._inspector = inspector
        self._frames = frames
        self._count = 0
        self._never = threading.Event()
        self.fast, self.timed = Results(), Results()

    def turn_fast(self, seconds: float) -> None:
        """See `Side`."""
        self.fast.add(lambda: self._run_fast(seconds))

    def turn_timed(self, rate: float, seconds: float) -> None:
        """See `Side`."""
        self.timed.add(lambda: self._run_timed(rate, seconds))

    def _run_fast(self, seconds: float) -> tuple[list[int], float]:
        latencies_ns: list[int] = []
        began_ns = time.monotonic_ns()
        while (started_ns := time.monotonic_ns()) < began_ns + seconds * 1e9:
            self._inspect()
            latencies_ns.append(time.monotonic_ns() - started_ns)
        return latencies_ns, (time.monotonic_ns() - began_ns) / 1e9

    def _run_timed(self, rate: float, seconds: float) -> tuple[list[int], float]:
        table = Timetable.of(rate, seconds, time.monotonic_ns() + _AHEAD_NS)
        latencies_ns: list[int] = []
        for number in range(table.count):
            due_ns = table.due_ns(number)
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                self._never.wait(left_ns / 1e9)
            self._inspect()
            latencies_ns.append(time.monotonic_ns() - due_ns)
        return latencies_ns, (time.monotonic_ns() - table.start_ns) / 1e9

    def _inspect(self) -> None:
        frame = self._frames[self._count % len(self._frames)]
        self._count += 1
        classify(self._inspector.inspect((frame,)).score, self._inspector.bundle.calibration.limits)


class Latencies:
    """Stands in for the daemon's `LatencyWindow`, and forgets nothing within a turn."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self._enough = threading.Event()
        self._wanted = 0
        self.values_ns: list[int] = []

    def begin(self, wanted: int) -> None:
        """A turn of so many parts; 0: nobody knows."""
        self._wanted = wanted
        self._enough.clear()
        self.values_ns = []

    def wait(self, timeout_s: float) -> bool:
        """Until they are all there; false if they were not in time."""
        return self._enough.wait(timeout_s)

    def add(self, latency_ns: int) -> None:
        """Remember one."""
        self.values_ns.append(latency_ns)
        self._inner.add(latency_ns)  # type: ignore[attr-defined]  # the daemon's own window
        if len(self.values_ns) == self._wanted:
            self._enough.set()

    def percentiles(self) -> object:
        """The daemon's own."""
        return self._inner.percentiles()  # type: ignore[attr-defined]  # the daemon's own window


class DaemonSide:
    """See `Side`. A part is done when the PLC has acknowledged its result."""

    def __init__(self, camera: MemoryCamera, latencies: Latencies) -> None:
        self._camera = camera
        self._latencies = latencies
        self.fast, self.timed = Results(), Results()

    def turn_fast(self, seconds: float) -> None:
        """See `Side`."""
        self.fast.add(lambda: self._run_fast(seconds))

    def turn_timed(self, rate: float, seconds: float) -> None:
        """See `Side`."""
        self.timed.add(lambda: self._run_timed(rate, seconds))

    def _run_fast(self, seconds: float) -> tuple[list[int], float]:
        self._latencies.begin(0)
        began_ns = time.monotonic_ns()
        self._camera.deliver(AS_FAST)
        self._latencies.wait(seconds)
        found, ended_ns = list(self._latencies.values_ns), time.monotonic_ns()
        self._camera.deliver(None)
        return found, (ended_ns - began_ns) / 1e9

    def _run_timed(self, rate: float, seconds: float) -> tuple[list[int], float]:
        table = Timetable.of(rate, seconds, time.monotonic_ns() + _AHEAD_NS)
        self._latencies.begin(table.count)
        self._camera.deliver(table)
        self._latencies.wait(seconds + _PATIENCE_S)
        found, ended_ns = list(self._latencies.values_ns), time.monotonic_ns()
        self._camera.deliver(None)
        return found, (ended_ns - table.start_ns) / 1e9
