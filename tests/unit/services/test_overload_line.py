"""Ten times as many parts as can be inspected, through the real stages on a simulated clock."""

from __future__ import annotations

from collections import Counter

import pytest
from makers import BUNDLE, MS, make_frame, make_recipe

from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.decision.part_tracker import PartTracker
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.capture import CaptureStage
from edge_runtime.services.dispatch import DispatchStage
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.flow import RecipeCell
from edge_runtime.services.inspect import InspectStage
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.queues import BoundedQueue

SOUND = {Reason.BELOW_LIMIT}


class Belt:
    """A camera whose frames come at equal intervals of the simulated clock."""

    name = "belt"

    def __init__(self, clock: SimulatedClock, interval_ms: int, parts: int) -> None:
        self._clock, self._interval_ns, self._parts = clock, interval_ms * MS, parts
        self._began_ns = clock.monotonic_ns()
        self.delivered = 0

    def next_frame(self, timeout_s: float):
        """A frame whose time has come."""
        due_ns = self._began_ns + self.delivered * self._interval_ns
        if self.delivered == self._parts or self._clock.monotonic_ns() < due_ns:
            return None
        self.delivered += 1
        return make_frame(self.delivered, due_ns)

    def status(self) -> CameraStatus:
        """Always well."""
        return CameraStatus(CameraState.CONNECTED, "", 0, 0)


class SlowDetector:
    """Needs `duration_ms` of the simulated clock; meanwhile the other stages go on."""

    class bundle:  # noqa: N801  (an attribute of the port)
        """Only who it is matters here."""

        identity = BUNDLE

    def __init__(self, line: OverloadedLine, duration_ms: int) -> None:
        self._line, self.duration_ms = line, duration_ms
        self.inspected = []

    def inspect(self, exposures) -> Detection:
        """Let time pass."""
        for _ in range(self.duration_ms):
            self._line.millisecond()
        return Detection(score=0.5, anomaly_map=None)


class OverloadedLine:
    """Capture, inspect and dispatch stage, driven by hand, with every verdict that came out."""

    def __init__(self, *, interval_ms: int, duration_ms: int, parts: int, deadline_ms: int = 100) -> None:
        self.clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
        recipe = RecipeCell(make_recipe(deadline_ms=deadline_ms))
        self.queue = BoundedQueue("inspect", 8)
        self.inbox = BoundedQueue("dispatch", 256)
        self.commands, self.records = BoundedQueue("commands", 10_000), BoundedQueue("records", 10_000)
        self.monitor = LineMonitor()
        self.detector = SlowDetector(self, duration_ms)
        self.belt = Belt(self.clock, interval_ms, parts)
        self.capture = CaptureStage(
            self.belt,
            PartTracker(0),
            recipe,
            BUNDLE,
            self.queue,
            self.inbox,
            lambda *_: None,
            self.clock,
            wait_when_full=False,
        )
        self.inspect = InspectStage(
            EngineKeeper(self.detector, None, self.clock), recipe, self.queue, self.inbox, self.clock
        )
        self.dispatch = DispatchStage(
            recipe, BUNDLE, "belt", self.inbox, self.commands, self.records, None, self.monitor, self.clock
        )
        self.most_waiting = 0

    def millisecond(self) -> None:
        """One millisecond of everything but the inspection."""
        self.clock.advance(MS)
        delivered = -1
        while delivered != self.belt.delivered:
            delivered = self.belt.delivered
            self.capture.step()
        self.settle()
        self.most_waiting = max(self.most_waiting, len(self.queue) + len(self.inbox))

    def settle(self) -> None:
        """Dispatch has caught up."""
        while len(self.inbox):
            self.dispatch.step()
        if any(self.clock.monotonic_ns() > part.deadline_ns for part in self.dispatch._open.values()):
            self.dispatch.step()

    def run(self, milliseconds: int):
        """Let so much time pass, inspecting whenever something waits; returns the verdicts."""
        until_ns = self.clock.monotonic_ns() + milliseconds * MS
        while self.clock.monotonic_ns() < until_ns:
            if len(self.queue):
                self.inspect.step()
                self.settle()
            else:
                self.millisecond()
        verdicts = []
        while (item := self.records.get(0)) is not None:
            verdicts.append(item.record.verdict)
        return verdicts


def test_at_ten_times_the_speed_every_part_gets_its_verdict_in_time_and_one_in_ten_is_judged() -> None:
    """500 parts, one every 2 ms, 20 ms per inspection, 100 ms deadline: never idle, and nobody waits in vain."""
    line = OverloadedLine(interval_ms=2, duration_ms=20, parts=500)
    verdicts = line.run(1_300)
    assert Counter(v.part_sequence for v in verdicts) == Counter(range(1, 501))
    assert max(v.decided_ns - v.triggered_ns for v in verdicts) <= 101 * MS
    reasons = Counter(v.reason for v in verdicts)
    assert set(reasons) == {Reason.BELOW_LIMIT, Reason.OVERLOAD}
    assert reasons[Reason.BELOW_LIMIT] >= 48  # 1,000 ms of belt at 20 ms each, the first and the last part aside
    assert {v.disposition for v in verdicts if v.reason is Reason.OVERLOAD} == {Disposition.REJECT}
    assert line.most_waiting <= 8 + 3
    assert line.monitor.late_results == 0


def test_the_newest_parts_are_the_ones_inspected() -> None:
    """A part is judged within little more than one inspection of its trigger; old ones are not dragged along."""
    line = OverloadedLine(interval_ms=2, duration_ms=20, parts=500)
    verdicts = line.run(1_300)
    judged = [v.decided_ns - v.triggered_ns for v in verdicts[20:-20] if v.reason in SOUND]
    assert sorted(judged)[len(judged) // 2] <= 25 * MS


def test_a_slight_overload_does_not_make_every_part_too_late() -> None:
    """A third too many: in the order of arrival 16 of 66 would be judged in time; the machine can do 50."""
    reasons = Counter(v.reason for v in OverloadedLine(interval_ms=15, duration_ms=20, parts=66).run(1_300))
    assert reasons[Reason.BELOW_LIMIT] >= 50
    assert reasons[Reason.DEADLINE_MISSED] == 0


def test_an_inspection_slower_than_the_deadline_is_a_timeout_and_never_stops_trying() -> None:
    """The machine is too slow for each part, not for their number: no overload where parts come slowly."""
    line = OverloadedLine(interval_ms=400, duration_ms=150, parts=15)
    assert [v.reason for v in line.run(3_900)] == [Reason.DEADLINE_MISSED] * 10
    line.detector.duration_ms = 20
    assert {v.reason for v in line.run(2_000)} == SOUND


@pytest.mark.parametrize("interval_ms", [25, 21])
def test_a_line_that_just_keeps_up_gives_nobody_up(interval_ms) -> None:
    """In order, all judged."""
    verdicts = OverloadedLine(interval_ms=interval_ms, duration_ms=20, parts=100).run(3_000)
    assert [v.part_sequence for v in verdicts] == list(range(1, 101))
    assert {v.reason for v in verdicts} == SOUND


def test_after_a_burst_the_line_judges_everything_again() -> None:
    """Forty parts at once cost forty parts at most, and not the next one."""
    line = OverloadedLine(interval_ms=1, duration_ms=20, parts=40)
    line.run(300)
    line.belt._interval_ns, line.belt._parts = 30 * MS, 60
    line.belt._began_ns = line.clock.monotonic_ns() - 40 * 30 * MS
    assert {v.reason for v in line.run(900)} == SOUND
