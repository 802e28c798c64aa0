"""A limit on what is taken from the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading

    from edge_runtime.ops.clock import Clock

BURST_NS: Final = 200_000_000
"""So much of the permitted rate may be made up for after a pause."""
LEAST_BYTES: Final = 4_096
"""No read is made smaller than this."""


class Pacer:
    """Keeps what is taken from the network below a rate, by waiting before more is read."""

    def __init__(self, bytes_per_s: int | None, clock: Clock, stop: threading.Event) -> None:
        """Nothing was taken yet.

        Args:
            bytes_per_s: None for no limit.
            clock: measures, and waits.
            stop: ends a wait.
        """
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._stop = stop
        self._due_ns = 0

    def largest(self, wished: int) -> int:
        """No single read takes longer than the burst allows."""
        if self._bytes_per_s is None:
            return wished
        return max(LEAST_BYTES, min(wished, self._bytes_per_s * BURST_NS // 1_000_000_000))

    def took(self, count: int) -> None:
        """So many bytes came: wait until the next ones may."""
        if self._bytes_per_s is None:
            return
        now_ns = self._clock.monotonic_ns()
        self._due_ns = max(self._due_ns, now_ns - BURST_NS) + count * 1_000_000_000 // self._bytes_per_s
        if self._due_ns > now_ns:
            self._clock.wait(self._stop, self._due_ns - now_ns)
