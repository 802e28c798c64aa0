from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.events import INTERVAL_NS, MOST, Events
from edge_runtime.services.queues import BoundedQueue

if TYPE_CHECKING:
    from edge_runtime.services.flow import RecordItem


class Bench:
    """Events into a queue of records."""

    def __init__(self, capacity: int = 1_000) -> None:
        self.clock = SimulatedClock()
        self.queue: BoundedQueue[RecordItem] = BoundedQueue("records", capacity)
        self.events = Events(self.queue, self.clock)

    def messages(self) -> list[str]:
        """What arrived."""
        found = []
        while (item := self.queue.get(0)) is not None:
            found.append(item.record.message)
        return found


def test_trouble_with_every_part_is_told_now_and_then_with_how_often() -> None:
    """A thousand late frames are twenty events and a figure, not a thousand records."""
    bench = Bench()
    for number in range(1_000):
        bench.events("late_frame", "warning", f"frame {number}")
    assert bench.messages() == [f"frame {number}" for number in range(MOST)]
    bench.clock.advance(INTERVAL_NS)
    bench.events("late_frame", "warning", "one more")
    assert bench.messages() == ["one more (and 980 more of this kind before)"]


def test_one_kind_does_not_silence_another() -> None:
    """Nor is a part that may have passed the gate ever left out."""
    bench = Bench()
    for _ in range(100):
        bench.events("late_frame", "warning", "late")
    bench.events("camera_lost", "error", "gone")
    for number in range(100):
        bench.events("gate_deadline_missed", "warning", f"part {number}")
    assert bench.messages()[MOST:] == ["gone", *(f"part {number}" for number in range(100))]


def test_verdicts_keep_a_quarter_of_the_queue() -> None:
    """Where the disk refuses for long, events go before verdicts."""
    bench = Bench(capacity=8)
    for number in range(10):
        bench.events(f"kind{number}", "info", "text")
    assert (len(bench.queue), bench.queue.dropped) == (6, 4)
