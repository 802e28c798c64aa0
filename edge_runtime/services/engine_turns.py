"""Gives the lines of one process their turns on the processor. See `decision.turns` for whose is next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

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
        self._clock = clock
        self._changed = threading.Condition()

    def of(self, line: int) -> LineTurns:
        """What line number `line` asks."""
        return LineTurns(self, line)

    def wait(self, line: int, want: Want, timeout_s: float) -> bool:
        """See `LineTurns.wait`."""
        with self._changed:
            self._turns.end(line, self._clock.monotonic_ns())
            self._turns.ask(line, want)
            self._begin()
            if self._changed.wait_for(lambda: line in self._turns.running, timeout_s):
                return True
            self._begin()  # a turn may have become overdue meanwhile
            if line in self._turns.running:
                return True
            self._turns.withdraw(line)
            return False

    def end(self, line: int) -> None:
        """See `LineTurns.end`."""
        with self._changed:
            self._turns.end(line, self._clock.monotonic_ns())
            self._begin()

    def overdue(self, line: int) -> str | None:
        """See `LineTurns.overdue`."""
        with self._changed:
            now_ns = self._clock.monotonic_ns()
            held = (n for n, turn in self._turns.running.items() if n != line and turn.is_overdue(now_ns))
            other = next(held, None)
            return None if other is None else self._names[other]

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
