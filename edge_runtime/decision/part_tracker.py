"""Numbering parts: which part a frame belongs to, and which parts never got one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge_runtime.domain.part import PART_SEQUENCE_MAX, next_part_sequence

MAX_GAP = 1_000
"""A larger jump means that the PLC's counter was reset, not that so many parts were lost."""


@dataclass(frozen=True, slots=True)
class PlcCount:
    """What the PLC said of the parts at its sensor."""

    parts: int
    """Part sequence of the newest one."""
    read_ns: int
    """Monotonic instant at which it was asked."""


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
        self._seen: deque[tuple[int, int]] = deque(maxlen=MAX_GAP)
        """Counts of the PLC, and when it was asked last before it said so."""
        self._looked_ns: int | None = None
        self._framed: deque[int] = deque(maxlen=MAX_GAP)
        self._given_up: deque[int] = deque(maxlen=MAX_GAP)

    def assign(self, given: int | None, *, late: bool = False) -> Assignment:
        """Number one arrival.

        Args:
            given: the PLC's number of this part where the source knows it, 1…2³²−1.
            late: its deadline has passed already. A late number far behind the count is that of a part given up long
                ago, and no sign of a PLC that counts anew.
        """
        if given is None:
            self._last = next_part_sequence(self._last)
            return Assignment(self._last)
        if not self._follows_source:  # the first word from the PLC: no gap can be inferred from our own count
            self._follows_source = True
            self._last = given
            assignment = Assignment(given)
        elif (self._last - given) % PART_SEQUENCE_MAX < MAX_GAP:
            assignment = self._look_back(given)
        elif late and self._is_behind(given):
            assignment = Assignment(None)
        else:
            assignment = self._follow(given)
        if assignment.part_sequence is not None:
            self._framed.append(given)
        return assignment

    def _is_behind(self, given: int) -> bool:
        return 0 < (self._last - given) % PART_SEQUENCE_MAX < PART_SEQUENCE_MAX // 2

    def _follow(self, given: int) -> Assignment:
        ahead = (given - self._last) % PART_SEQUENCE_MAX
        if ahead > MAX_GAP:
            return self._start_anew(given)
        missing = self._advance_to(given)[:-1]
        self._given_up.extend(missing)
        return Assignment(given, missing=tuple(missing))

    def _look_back(self, given: int) -> Assignment:
        """A number that is not ahead: late, out of order, a second frame, or the PLC has begun to count anew."""
        if given in self._given_up:
            self._given_up.remove(given)
            return Assignment(None)
        if given != self._last and given in self._framed:
            return self._start_anew(given)
        return Assignment(given)

    def _start_anew(self, given: int) -> Assignment:
        self._last = given
        self._framed.clear()
        self._given_up.clear()
        return Assignment(given, resynchronised=True)

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
        newest part included (its frame may be on the way) unless the ledger knows it.
        """
        if not self._follows_source:
            self._follows_source = True
            if self._last != count:
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
        lost = self._advance_to(self._counted)
        self._given_up.extend(lost)
        return tuple(lost)

    def note_count(self, count: PlcCount) -> None:
        """What the PLC said, as often as it was asked."""
        newest = self._seen[-1][0] if self._seen else None
        if newest is not None and (count.parts - newest) % PART_SEQUENCE_MAX > PART_SEQUENCE_MAX // 2:
            self._seen.clear()  # it counts anew
        if newest != count.parts:
            self._seen.append((count.parts, count.read_ns if self._looked_ns is None else self._looked_ns))
        self._looked_ns = count.read_ns

    def triggered_after_ns(self, number: int) -> int | None:
        """When the PLC, asked last before, had not counted this part yet; None: nobody knows.

        The part is not at the gate before this and its travel: whoever counts from here promises nothing too late.
        """
        return next((at_ns for count, at_ns in self._seen if (count - number) % PART_SEQUENCE_MAX < MAX_GAP), None)
