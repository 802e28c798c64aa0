"""A clock on which every wait is over at once, and is added up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class LeapingClock:
    """See `edge_runtime.ops.clock.Clock`."""

    def __init__(self, wall_ns: int = 1_800_000_060_000_000_000) -> None:
        self.now_ns = 1_000_000_000
        self.waited_ns = 0
        self._offset_ns = wall_ns - self.now_ns
        self.on_wait: Callable[[int], object] | None = None
        """Called instead of the time that passes."""

    def monotonic_ns(self) -> int:
        """See `Clock`."""
        return self.now_ns

    def wall_ns(self) -> int:
        """See `Clock`."""
        return self.now_ns + self._offset_ns

    def wait(self, event: threading.Event, timeout_ns: int) -> bool:
        """See `Clock`."""
        self.now_ns += timeout_ns
        self.waited_ns += timeout_ns
        if self.on_wait is not None:
            self.on_wait(timeout_ns)
        return event.is_set()
