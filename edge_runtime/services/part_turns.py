"""The inspect stage's side of the turns that several lines share: what it wants next, and whether it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.decision.turns import Want
from edge_runtime.domain.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from edge_runtime.domain.part import Part
    from edge_runtime.services.engine_turns import LineTurns
    from edge_runtime.services.queues import BoundedQueue


class AlwaysItsTurn:
    """See `PartTurns`: a line that shares the processor with no other."""

    def for_the_queue(self, timeout_s: float) -> bool:  # noqa: ARG002  (whoever takes the part waits for it)
        """See `PartTurns`."""
        return True

    def for_part(self, part: Part, timeout_s: float) -> bool:  # noqa: ARG002
        """See `PartTurns`."""
        return True

    def done(self) -> None:
        """See `PartTurns`."""

    def rest(self) -> None:
        """See `PartTurns`."""


class PartTurns:
    """Takes a turn for each part. Used by one thread.

    A turn begins before the part is taken off its queue, so that the choice is made as late as it can be, and lasts
    until the stage asks for the next one or rests.
    """

    def __init__(
        self,
        turns: LineTurns,
        queue: BoundedQueue[Part],
        next_of: Callable[[tuple[Part, ...]], Part],
        expected_ns: Callable[[], int],
        engines: Callable[[], frozenset[Hashable]],
    ) -> None:
        """Nothing is wanted yet.

        Args:
            next_of: which of the parts that wait would be inspected now.
            expected_ns: how long its inspection is expected to take.
            engines: what it may run on.
        """
        self._turns = turns
        self._queue = queue
        self._next_of = next_of
        self._expected_ns = expected_ns
        self._engines = engines
        self._has_turn = False

    def for_the_queue(self, timeout_s: float) -> bool:
        """Whether a part waits and it is the line's turn; waits for either, but without a part without a turn."""
        waiting = self._queue.waiting(0)
        if not waiting:
            self.rest()
            waiting = self._queue.waiting(timeout_s)
        return bool(waiting) and self._wait(self._next_of(waiting), timeout_s)

    def for_part(self, part: Part, timeout_s: float) -> bool:
        """Whether it is the line's turn for this part, which it has taken off its queue already."""
        return self._has_turn or self._wait(part, timeout_s)

    def done(self) -> None:
        """A part is finished: the turn goes on for as long as it takes to ask for the next, if there is one."""
        if not len(self._queue):
            self.rest()

    def rest(self) -> None:
        """The line inspects nothing now. Idempotent."""
        if self._has_turn:
            self._has_turn = False
            self._turns.end()

    def _wait(self, part: Part, timeout_s: float) -> bool:
        arrival = part.arrival
        ready_ns = arrival.captured_ns if isinstance(arrival, Frame) else part.trigger.triggered_ns
        want = Want(part.deadline_ns, ready_ns, self._expected_ns(), self._engines())
        self._has_turn = self._turns.wait(want, timeout_s)
        return self._has_turn
