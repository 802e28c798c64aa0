"""Numbering parts: which part a frame belongs to, and which parts never got one."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.domain.part import PART_SEQUENCE_MAX, next_part_sequence

MAX_GAP = 1_000
"""A larger jump means that the PLC's counter was reset, not that so many parts were lost."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The number of an arrival, and what it implies."""

    part_sequence: int | None
    """None: the part already has a verdict (its frame came after it was given up)."""
    missing: tuple[int, ...] = ()
    """Parts before this one that got no frame: each needs a verdict of its own, in this order."""
    resynchronised: bool = False
    """The counter jumped: numbering goes on from the source's number."""


class PartTracker:
    """Allots part sequences and notices parts without frames. Pure: no clock, time is an argument.

    A source that knows the PLC's number (`part_sequence` given) rules; otherwise parts are counted here.
    """

    def __init__(self, last: int) -> None:
        """Count on after `last`, the newest committed part sequence; 0 in a new ledger."""
        self._last = last
        self._follows_source = False
        self._counted = 0
        self._overdue_since_ns: int | None = None

    @property
    def last(self) -> int:
        """Newest allotted number."""
        return self._last

    def assign(self, given: int | None) -> Assignment:
        """Number one arrival.

        Args:
            given: the PLC's number of this part where the source knows it, 1…2³²−1.
        """
        if given is None:
            self._last = next_part_sequence(self._last)
            return Assignment(self._last)
        if not self._follows_source:  # the first word from the PLC: no gap can be inferred from our own count
            self._follows_source = True
            self._last = given
            return Assignment(given)
        return self._follow(given)

    def _follow(self, given: int) -> Assignment:
        ahead = (given - self._last) % PART_SEQUENCE_MAX
        behind = (self._last - given) % PART_SEQUENCE_MAX
        if behind < MAX_GAP:
            return Assignment(None)
        if ahead > MAX_GAP:
            self._last = given
            return Assignment(given, resynchronised=True)
        missing = self._advance_to(given)
        return Assignment(given, missing=tuple(missing[:-1]))

    def _advance_to(self, target: int) -> list[int]:
        numbers = []
        while self._last != target:
            self._last = next_part_sequence(self._last)
            numbers.append(self._last)
        return numbers

    def observe_trigger_count(self, count: int, now_ns: int, timeout_ns: int) -> tuple[int, ...]:
        """Compare with the PLC's count of triggered parts; returns parts given up as lost.

        A part that has been counted for longer than `timeout_ns` without any frame is lost. Only meaningful where
        the source carries the PLC's numbers; before the first frame the PLC's count is taken as the start, its
        newest part included (its frame may be on the way).
        """
        if not self._follows_source:
            self._follows_source = True
            self._last = max(count - 1, 0)
        ahead = (count - self._last) % PART_SEQUENCE_MAX
        if ahead == 0 or ahead > MAX_GAP:
            self._overdue_since_ns = None
            return ()
        if self._overdue_since_ns is None:
            self._overdue_since_ns, self._counted = now_ns, count
            return ()
        if now_ns - self._overdue_since_ns < timeout_ns:
            return ()
        # Only what was already counted when the wait began has waited long enough.
        self._overdue_since_ns = None
        if (self._counted - self._last) % PART_SEQUENCE_MAX > MAX_GAP:
            return ()
        return tuple(self._advance_to(self._counted))
