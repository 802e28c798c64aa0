from __future__ import annotations

from collections import deque

from makers import BUNDLE, MS, make_frame, make_lost, make_recipe

from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.decision.part_tracker import PartTracker, PlcCount
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.capture import CaptureStage
from edge_runtime.services.flow import Judged, Opened, RecipeCell, Waived
from edge_runtime.services.queues import BoundedQueue


class ScriptedCamera:
    """Delivers what a test gives it."""

    name = "camera"

    def __init__(self, *arrivals) -> None:
        self.arrivals = deque(arrivals)
        self.settled = []

    def open(self) -> None:
        """Nothing to open."""

    def next_frame(self, timeout_s: float):
        """The next scripted arrival."""
        return self.arrivals.popleft() if self.arrivals else None

    def settle(self, arrival) -> None:
        """Remember it."""
        self.settled.append(arrival)

    def status(self) -> CameraStatus:
        """Always well."""
        return CameraStatus(CameraState.CONNECTED, "", 0, 0)

    def close(self) -> None:
        """Nothing to close."""


class Bench:
    """A capture stage with its queues, stepped by hand."""

    def __init__(self, *arrivals, capacity: int = 2, wait: bool = False, count=None) -> None:
        self.clock = SimulatedClock()
        self.camera = ScriptedCamera(*arrivals)
        self.inspect = BoundedQueue("inspect", capacity)
        self.dispatch = BoundedQueue("dispatch", 100)
        self.events = []
        self.stage = CaptureStage(
            self.camera,
            PartTracker(0),
            RecipeCell(make_recipe(), BUNDLE),
            self.inspect,
            self.dispatch,
            lambda *event: self.events.append(event),
            self.clock,
            wait_when_full=wait,
            trigger_count=None if count is None else lambda: PlcCount(count(), self.clock.monotonic_ns()),
            trigger_timeout_ns=100 * MS,
        )

    def run(self, steps: int):
        """Step so often; returns what the dispatch stage was told."""
        for _ in range(steps):
            self.stage.step()
        told = []
        while (item := self.dispatch.get(0)) is not None:
            told.append(item)
        return told


def test_a_part_is_announced_before_it_is_inspected() -> None:
    """From then on the dispatch stage owes a verdict."""
    bench = Bench(make_frame(1))
    (opened,) = bench.run(1)
    assert isinstance(opened, Opened)
    assert bench.inspect.get(0) is opened.part
    assert opened.part.deadline_ns == 1_100 * MS


def test_a_part_is_not_inspected_before_the_dispatch_stage_knows_of_it() -> None:
    """Behind many lost parts its announcement may wait for room; a verdict before it would not be the only one."""
    bench = Bench(make_frame(1, part_sequence=1), make_frame(2, part_sequence=9), capacity=5)
    bench.dispatch.capacity = 2
    announced = [item.part.part_sequence for item in bench.run(2) if isinstance(item, Opened)]
    while len(announced) < 9:
        assert len(bench.inspect) == 1
        announced += [item.part.part_sequence for item in bench.run(1) if isinstance(item, Opened)]
    bench.run(1)
    assert announced == list(range(1, 10))
    assert [bench.inspect.get(0).part_sequence for _ in range(2)] == [1, 9]


def test_a_corrupt_image_becomes_a_verdict_without_inspection() -> None:
    """The trigger was real."""
    bench = Bench(make_lost(1))
    opened, judged = bench.run(1)
    assert judged.part is opened.part
    assert (judged.verdict.disposition, judged.verdict.reason) == (Disposition.REJECT, Reason.IMAGE_CORRUPT)
    assert len(bench.inspect) == 0


def test_on_overload_the_oldest_waiting_part_is_given_up_and_the_newest_is_inspected() -> None:
    """Every part still gets its verdict."""
    bench = Bench(*(make_frame(n) for n in (1, 2, 3)), capacity=2)
    waived = [item for item in bench.run(3) if isinstance(item, Waived)]
    assert [item.part.part_sequence for item in waived] == [1]
    assert [bench.inspect.get(0).part_sequence for _ in range(2)] == [2, 3]


def test_a_dispatch_stage_without_room_is_waited_for_and_misses_no_part() -> None:
    """No part is dropped between the stages: the camera is not asked until what is owed is handed over."""
    bench = Bench(*(make_frame(n) for n in range(1, 60)), capacity=60)
    bench.dispatch.capacity = 2
    told = [item.part.part_sequence for _ in range(40) for item in bench.run(3)]
    assert told == list(range(1, 60))
    assert bench.dispatch.dropped == 0


def test_a_waiting_source_is_not_asked_while_inspection_is_busy() -> None:
    """Files stay where they are; none is given up."""
    bench = Bench(*(make_frame(n) for n in (1, 2, 3)), capacity=2, wait=True)
    bench.run(4)
    assert len(bench.camera.arrivals) == 1
    assert bench.inspect.dropped == 0


def test_parts_that_the_camera_missed_get_verdicts_in_belt_order() -> None:
    """The PLC's numbers jump from 1 to 4: parts 2 and 3 are rejected as lost."""
    bench = Bench(make_frame(1, part_sequence=1), make_frame(2, part_sequence=4))
    told = bench.run(2)
    lost = [item.verdict for item in told if isinstance(item, Judged)]
    assert [(v.part_sequence, v.reason) for v in lost] == [(2, Reason.TRIGGER_LOST), (3, Reason.TRIGGER_LOST)]
    assert [item.part.part_sequence for item in told if isinstance(item, Opened)] == [1, 2, 3, 4]


def test_a_part_counted_by_the_plc_without_frame_is_given_up_after_the_timeout() -> None:
    """The last part before a gap in production is not forgotten either."""
    bench = Bench(make_frame(1, part_sequence=1), count=lambda: 2)
    bench.run(2)
    bench.clock.advance(101 * MS)
    lost = [item.verdict.part_sequence for item in bench.run(1) if isinstance(item, Judged)]
    assert lost == [2]


def test_a_part_without_frame_is_at_the_gate_when_it_was_counted_and_not_when_it_was_given_up() -> None:
    """Else the ejector hits another part, and a reject that the gate never heard of in time passes for one in time."""
    bench = Bench(make_frame(1, part_sequence=1), count=lambda: 2)
    bench.run(1)
    counted_ns = bench.clock.monotonic_ns()
    bench.clock.advance(2_000 * MS)
    opened, judged = bench.run(1)
    assert (opened.part.trigger.triggered_ns, judged.verdict.triggered_ns) == (counted_ns, counted_ns)
    assert opened.part.trigger.triggered_wall_ns == bench.clock.wall_ns() - 2_000 * MS
    assert opened.part.deadline_ns > bench.clock.monotonic_ns()


def test_a_part_that_the_next_frame_came_before_has_passed_the_sensor_before_it() -> None:
    """However late that frame is."""
    bench = Bench(make_frame(1, part_sequence=1), make_frame(2, part_sequence=3, triggered_ns=20 * MS))
    bench.clock.advance(500 * MS)
    lost = [item.verdict for item in bench.run(2) if isinstance(item, Judged)]
    assert [(verdict.part_sequence, verdict.triggered_ns) for verdict in lost] == [(2, 20 * MS)]


def test_a_frame_after_its_part_was_given_up_is_settled_without_second_verdict() -> None:
    """It is reported as an event."""
    bench = Bench(*(make_frame(n, part_sequence=p) for n, p in ((1, 1), (2, 3), (3, 2))))
    told = bench.run(3)
    assert [item.part.part_sequence for item in told if isinstance(item, Opened)] == [1, 2, 3]
    assert [event[0] for event in bench.events] == ["late_frame"]
    assert len(bench.camera.settled) == 1


def test_a_count_is_not_watched_for_frames_without_numbers() -> None:
    """Nobody could tell a late frame of a part given up from the next part's: a permit for the wrong part."""
    bench = Bench(make_frame(1), make_frame(2), count=lambda: 2)
    bench.run(1)
    bench.clock.advance(1_000 * MS)
    opened = [item.part.part_sequence for item in bench.run(1) if isinstance(item, Opened)]
    assert opened == [3]
    assert [event[0] for event in bench.events] == ["trigger_count_unusable"]
