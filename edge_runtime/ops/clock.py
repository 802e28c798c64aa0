"""Time is a collaborator: the system's clock for the line, a simulated one for tests and twins."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where every package above `domain` gets its time from."""

    def monotonic_ns(self) -> int:
        """Never goes back; deadlines and intervals are measured with it."""

    def wall_ns(self) -> int:
        """UTC nanoseconds since 1970; may jump; for records only."""

    def wait(self, event: threading.Event, timeout_ns: int) -> bool:
        """Wait until `event` is set or the time has passed on this clock; true if it is set."""


class SystemClock:
    """The machine's own clock."""

    def monotonic_ns(self) -> int:
        """See `Clock`."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """See `Clock`."""
        return time.time_ns()

    def wait(self, event: threading.Event, timeout_ns: int) -> bool:
        """See `Clock`."""
        return event.wait(max(timeout_ns, 0) / 1e9)


class SimulatedClock:
    """A clock that stands still until a test advances it. Thread-safe.

    `wait` blocks the calling thread until `advance` has passed its instant or the event is set, so code under
    test needs no real sleep.
    """

    def __init__(self, start_monotonic_ns: int = 1_000_000_000, start_wall_ns: int = 1_700_000_000_000_000_000) -> None:
        self._changed = threading.Condition()
        self._now_ns = start_monotonic_ns
        self._wall_offset_ns = start_wall_ns - start_monotonic_ns

    def monotonic_ns(self) -> int:
        """See `Clock`."""
        with self._changed:
            return self._now_ns

    def wall_ns(self) -> int:
        """See `Clock`."""
        with self._changed:
            return self._now_ns + self._wall_offset_ns

    def advance(self, delta_ns: int) -> None:
        """Let `delta_ns` pass and wake every waiter whose time has come."""
        with self._changed:
            self._now_ns += delta_ns
            self._changed.notify_all()

    def set_wall(self, wall_ns: int) -> None:
        """Somebody sets the wall clock; nothing that waits notices."""
        with self._changed:
            self._wall_offset_ns = wall_ns - self._now_ns

    def wait(self, event: threading.Event, timeout_ns: int) -> bool:
        """See `Clock`."""
        with self._changed:
            until_ns = self._now_ns + timeout_ns
            while not event.is_set() and self._now_ns < until_ns:
                # The event belongs to somebody who does not know this condition: look at it now and then.
                self._changed.wait(0.002)
            return event.is_set()
