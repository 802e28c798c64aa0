"""How long a line was kept waiting by an inspection of another line that took far too long. Pure.

Waiting for its turn is part of a line's life: with others it gets its share, later than it would alone. A turn that
goes on for several times what was expected of it is something else: the lines that wait for it are not to blame for
what they miss meanwhile.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from edge_runtime.decision.turns import OVERDUE_FACTOR

UNKNOWN_NS: Final = 50_000_000
"""A turn of which nothing was expected yet is too long beyond this."""
_REMEMBERED: Final = 64
"""Waits of a line, and turns that were too long."""


@dataclass(frozen=True, slots=True)
class Span:
    """From one instant to another; monotonic."""

    began_ns: int
    ended_ns: int

    def shared_ns(self, other: Span) -> int:
        """How much of it lies within the other one."""
        return max(0, min(self.ended_ns, other.ended_ns) - max(self.began_ns, other.began_ns))


@dataclass(frozen=True, slots=True)
class LongTurn:
    """An inspection that took too long, or does so far."""

    line: int
    span: Span


def is_too_long(began_ns: int, now_ns: int, expected_ns: int) -> bool:
    """Whether a turn lasts for several times what was expected of it."""
    return now_ns - began_ns > (OVERDUE_FACTOR * expected_ns or UNKNOWN_NS)


class Holds:
    """What lines waited for. Lines are numbered from 0; instants must not go back."""

    def __init__(self, lines: int) -> None:
        """Nobody has waited."""
        self._asked_ns: list[int | None] = [None] * lines
        self._waits: list[deque[Span]] = [deque(maxlen=_REMEMBERED) for _ in range(lines)]
        self._long: deque[LongTurn] = deque(maxlen=_REMEMBERED)

    def asked(self, line: int, now_ns: int) -> None:
        """It waits for its turn."""
        self._asked_ns[line] = now_ns

    def answered(self, line: int, now_ns: int) -> None:
        """It has its turn, or has given up waiting."""
        asked_ns, self._asked_ns[line] = self._asked_ns[line], None
        if asked_ns is not None and now_ns > asked_ns:
            self._waits[line].append(Span(asked_ns, now_ns))

    def ended(self, line: int, began_ns: int, now_ns: int, expected_ns: int) -> None:
        """A turn of this line is over."""
        if is_too_long(began_ns, now_ns, expected_ns):
            self._long.append(LongTurn(line, Span(began_ns, now_ns)))

    def held_ns(self, line: int, within: Span, running: tuple[LongTurn, ...]) -> dict[int, int]:
        """How long it has waited while turns of others took too long: line → nanoseconds, none of 0.

        Args:
            line: which one waited.
            within: what of its waiting counts.
            running: turns that are too long already and have not ended.
        """
        asked_ns = self._asked_ns[line]
        # Most of what is remembered is long over, and this is asked for every part that is late.
        waits = [wait for wait in self._waits[line] if wait.ended_ns > within.began_ns]
        if asked_ns is not None:
            waits.append(Span(asked_ns, within.ended_ns))
        found: dict[int, int] = {}
        for turn in (*self._long, *running):
            if turn.line == line or turn.span.ended_ns <= within.began_ns:
                continue
            held = Span(max(turn.span.began_ns, within.began_ns), min(turn.span.ended_ns, within.ended_ns))
            held_ns = sum(wait.shared_ns(held) for wait in waits)
            if held_ns:
                found[turn.line] = found.get(turn.line, 0) + held_ns
        return found
