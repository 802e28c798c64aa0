"""Noticing that the wall clock jumped, or was never set. Pure: both clocks are arguments."""

from __future__ import annotations

from typing import Final

JUMP_NS: Final = 2_000_000_000
"""A wall clock that is slewed gains or loses half a millisecond per second; more than this at once is a jump."""
EARLIEST_WALL_NS: Final = 1_735_689_600_000_000_000
"""2025-01-01: a clock before this was never set (boards without a battery start in 1970)."""


class ClockWatch:
    """Compares the wall clock with the monotonic one, from look to look."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None

    def jumped_ns(self, monotonic_ns: int, wall_ns: int) -> int:
        """By how much the wall clock was set since the last look; 0 where it only ran on. Negative: back."""
        offset_ns = wall_ns - monotonic_ns
        before_ns, self._offset_ns = self._offset_ns, offset_ns
        if before_ns is None or abs(offset_ns - before_ns) < JUMP_NS:
            return 0
        return offset_ns - before_ns


def is_unset(wall_ns: int) -> bool:
    """True for an instant that lies before this product was made."""
    return wall_ns < EARLIEST_WALL_NS
