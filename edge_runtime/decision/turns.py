"""Whose turn on the processor is next, when several lines share it. Pure: instants and durations are arguments.

Every line has a *due time* for the part that it wants to inspect: the instant at which a processor of its own, slower
by the number of lines, would have finished it (the virtual clock of Zhang, SIGCOMM 1990). A line's *key* is the later
of its part's deadline and its due time, and the smallest key is next. So

- a line within its share (its own slower processor would be in time) has its parts' deadlines for keys: among such
  lines it is earliest deadline first;
- a line that wants more runs ahead of its due times. Its key grows with every part that it gets, and the others go
  first; it gets whatever they leave.

Parts that become ready after one instant and have their keys before another need no more time than lies between the
two. Earliest key first therefore meets all keys (Liu and Layland, JACM 1973), but that an inspection is never
interrupted: a line within its share is late by one inspection of another line at most, whatever the others do. The
processor never idles while a line waits, but that a line whose turn is next keeps what is free of its engines until the
others that it needs are free, too.

How far a line can get ahead is bounded by the longest deadline of any line: a line that had the processor to itself is
not shut out for as long when others come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

OVERDUE_NS: Final = 1_000_000_000
"""An inspection that takes longer, and longer than `OVERDUE_FACTOR` times what was expected, holds nobody up but lines
on the same engine: it may never end."""
OVERDUE_FACTOR: Final = 4


@dataclass(frozen=True, slots=True)
class Want:
    """The part that a line wants to inspect next."""

    deadline_ns: int
    ready_ns: int
    """Since when it could have been."""
    expected_ns: int
    """How long its inspection is expected to take."""
    engines: frozenset[Hashable]
    """What it may run on: never two inspections at once on one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An inspection that runs."""

    want: Want
    began_ns: int

    def is_overdue(self, now_ns: int) -> bool:
        """Whether it takes so long that it may hang."""
        return now_ns - self.began_ns > max(OVERDUE_NS, OVERDUE_FACTOR * self.want.expected_ns)


class Turns:
    """Lines are numbered from 0. Instants must not go back."""

    def __init__(self, lines: int, at_once: int = 1) -> None:
        """Nobody wants anything.

        Args:
            lines: how many; each is guaranteed the same share.
            at_once: so many inspections fit side by side on the cores.
        """
        self._lines = lines
        self._at_once = at_once
        self._wants: dict[int, Want] = {}
        self._running: dict[int, Turn] = {}
        self._due_ns = [0] * lines
        self._patience_ns = [0] * lines

    @property
    def running(self) -> dict[int, Turn]:
        """Line → its turn."""
        return self._running

    def ask(self, line: int, want: Want) -> None:
        """The line wants to inspect this part; in place of what it wanted before. It must not be running."""
        self._wants[line] = want
        self._patience_ns[line] = max(0, want.deadline_ns - want.ready_ns)

    def withdraw(self, line: int) -> None:
        """The line wants nothing for now."""
        self._wants.pop(line, None)

    def end(self, line: int, now_ns: int) -> None:
        """The line's inspection has ended. Nothing happens where none ran."""
        turn = self._running.pop(line, None)
        if turn is not None:
            due_ns = max(self._due_ns[line], turn.want.ready_ns) + self._lines * (now_ns - turn.began_ns)
            self._due_ns[line] = min(due_ns, now_ns + max(self._patience_ns))

    def begin(self, now_ns: int) -> tuple[int, ...]:
        """Start whatever can be started; returns the lines whose turn it is now."""
        begun: list[int] = []
        while (line := self._next(now_ns)) is not None:
            self._running[line] = Turn(self._wants.pop(line), now_ns)
            begun.append(line)
        return tuple(begun)

    def key_ns(self, line: int, want: Want) -> int:
        """The smaller, the sooner."""
        due_ns = max(self._due_ns[line], want.ready_ns) + self._lines * want.expected_ns
        return max(want.deadline_ns, due_ns)

    def _next(self, now_ns: int) -> int | None:
        turns = self._running.values()
        overdue = [turn for turn in turns if turn.is_overdue(now_ns)]
        if len(turns) - len(overdue) >= self._at_once:
            return None
        taken, hung = _engines(turns), _engines(overdue)
        for line in sorted(self._wants, key=lambda line: (self.key_ns(line, self._wants[line]), line)):
            engines = self._wants[line].engines
            if taken.isdisjoint(engines):
                return line
            if hung.isdisjoint(engines):
                taken |= engines  # it goes first: lines behind it must not take them from it one after the other
        return None


def _engines(turns: Iterable[Turn]) -> frozenset[Hashable]:
    return frozenset(engine for turn in turns for engine in turn.want.engines)
