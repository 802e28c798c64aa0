"""A camera that delivers from memory: by a timetable, as fast as the line takes them, or nothing."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.domain.frame import Frame, Trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.camera.port import Arrival
    from edge_runtime.domain.frame import Exposure


@dataclass(frozen=True, slots=True)
class Timetable:
    """So many parts, each due so long after the one before it, whoever is still busy then."""

    start_ns: int
    period_ns: int
    count: int

    @classmethod
    def of(cls, rate: float, seconds: float, start_ns: int) -> Timetable:
        """Parts at a rate per second, for so long."""
        return cls(start_ns, round(1e9 / rate), max(1, round(rate * seconds)))

    def due_ns(self, number: int) -> int:
        """When part `number`, from 0, comes."""
        return self.start_ns + number * self.period_ns


AS_FAST = "as fast as the line takes them"


class MemoryCamera:
    """See `Camera`. A part is triggered at the instant at which it is due; if the line is busy then, it waits here."""

    name = "memory"

    def __init__(self, frames: Sequence[Exposure]) -> None:
        self._frames = frames
        self._count = 0
        self._changed = threading.Event()
        self._asked: Timetable | str | None = None
        self._table: Timetable | None = None
        self._given = 0
        """Of the timetable."""

    def deliver(self, what: Timetable | str | None) -> None:
        """From now on by this timetable, `AS_FAST`, or nothing. Callable from any thread."""
        self._asked = what
        self._changed.set()

    def open(self) -> None:
        """See `Camera`."""

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """See `Camera`."""
        until_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while (now_ns := time.monotonic_ns()) < until_ns:
            due_ns = self._due_ns(now_ns)
            if due_ns is not None and due_ns <= now_ns:
                self._given += 1
                return self._frame(due_ns, now_ns)
            wait_ns = until_ns - now_ns if due_ns is None else min(due_ns, until_ns) - now_ns
            if self._changed.wait(wait_ns / 1e9):
                self._changed.clear()
        return None

    def _due_ns(self, now_ns: int) -> int | None:
        asked = self._asked
        if asked is None or isinstance(asked, str):
            return None if asked is None else now_ns
        if asked is not self._table:
            self._table, self._given = asked, 0
        return asked.due_ns(self._given) if self._given < asked.count else None

    def _frame(self, triggered_ns: int, now_ns: int) -> Frame:
        self._count += 1
        trigger = Trigger(self._count, f"{self.name}-{self._count:07d}", triggered_ns, time.time_ns())
        return Frame(trigger, (self._frames[self._count % len(self._frames)],), now_ns)

    def settle(self, arrival: Arrival) -> None:
        """See `Camera`."""

    def status(self) -> CameraStatus:
        """See `Camera`."""
        return CameraStatus(CameraState.CONNECTED, "", 0, 0)

    def close(self) -> None:
        """See `Camera`."""
