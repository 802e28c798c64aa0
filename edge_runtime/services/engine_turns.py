"""Gives the lines of one process their turns on the processor. See `decision.turns` for whose is next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge_runtime.decision.turn_holds import Holds, LongTurn, Span, is_too_long
from edge_runtime.decision.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.decision.turns import Want
    from edge_runtime.ops.clock import Clock


class EngineTurns:
    """Shared by the inspect stages of all lines. Thread-safe."""

    def __init__(self, names: Sequence[str], at_once: int, clock: Clock) -> None:
        """Nobody has a turn.

        Args:
            names: of the lines.
            at_once: so many inspections fit side by side on the cores.
        """
        self._names = tuple(names)
        self._turns = Turns(len(self._names), at_once)
        self._holds = Holds(len(self._names))
        self._clock = clock
        self._changed = threading.Condition()

    def of(self, line: int) -> LineTurns:
        """What line number `line` asks."""
        return LineTurns(self, line)

    def wait(self, line: int, want: Want, timeout_s: float) -> bool:
        """See `LineTurns.wait`."""
        with self._changed:
            self._end(line)
            self._turns.ask(line, want)
            self._holds.asked(line, self._clock.monotonic_ns())
            self._begin()
            has_turn = self._changed.wait_for(lambda: line in self._turns.running, timeout_s)
            if not has_turn:
                self._begin()  # a turn may have become overdue meanwhile
                has_turn = line in self._turns.running
            if not has_turn:
                self._turns.withdraw(line)
            self._holds.answered(line, self._clock.monotonic_ns())
            return has_turn

    def end(self, line: int) -> None:
        """See `LineTurns.end`."""
        with self._changed:
            self._end(line)
            self._begin()

    def overdue(self, line: int) -> str | None:
        """See `LineTurns.overdue`."""
        with self._changed:
            now_ns = self._clock.monotonic_ns()
            held = (n for n, turn in self._turns.running.items() if n != line and turn.is_overdue(now_ns))
            other = next(held, None)
            return None if other is None else self._names[other]

    def held(self, line: int, since_ns: int) -> tuple[str, int] | None:
        """See `LineTurns.held`."""
        with self._changed:
            now_ns = self._clock.monotonic_ns()
            running = tuple(
                LongTurn(other, Span(turn.began_ns, now_ns))
                for other, turn in self._turns.running.items()
                if is_too_long(turn.began_ns, now_ns, turn.want.expected_ns)
            )
            by_line = self._holds.held_ns(line, Span(since_ns, now_ns), running)
        if not by_line:
            return None
        longest = max(by_line, key=lambda other: by_line[other])
        return self._names[longest], by_line[longest]

    def _end(self, line: int) -> None:
        now_ns = self._clock.monotonic_ns()
        if (turn := self._turns.running.get(line)) is not None:
            self._holds.ended(line, turn.began_ns, now_ns, turn.want.expected_ns)
        self._turns.end(line, now_ns)

    def _begin(self) -> None:
        if self._turns.begin(self._clock.monotonic_ns()):
            self._changed.notify_all()


class LineTurns:
    """One line's view; `wait` and `end` belong to its inspect stage's thread."""

    def __init__(self, turns: EngineTurns, line: int) -> None:
        self._turns = turns
        self._line = line

    def wait(self, want: Want, timeout_s: float) -> bool:
        """End the turn that the line still has, and wait for the next one; false if it did not come in time.

        Both at once: a line that has another part waiting is compared with the others before any of them is let in.
        """
        return self._turns.wait(self._line, want, timeout_s)

    def end(self) -> None:
        """The line inspects nothing now. Idempotent."""
        self._turns.end(self._line)

    def overdue(self) -> str | None:
        """Name of another line whose inspection does not end. Callable from any thread."""
        return self._turns.overdue(self._line)

    def held(self, since_ns: int) -> tuple[str, int] | None:
        """Which line's inspection, far longer than expected, it waited for since then, and for how long.

        None: for none. Of several lines the one that it waited for longest. Callable from any thread.
        """
        return self._turns.held(self._line, since_ns)
