"""Records once more, on request: a subscriber that lost its disk gets back what the ledger still has.

Runs in the publish stage, behind everything new, at a bounded rate and for bounded requests.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_runtime.broker.requests import ReplayRequest
from edge_runtime.services.asked import Intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.broker.port import Request
    from edge_runtime.domain.records import EventRecord, Outbox, OutboxRow
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.asked import Attributes

REFUSED = "replay_refused"
MOST_ROWS = 100_000
"""Of one request; whoever lacks more asks again."""
MOST_WAITING = 4
"""Requests behind the one that runs."""
MOST_IN_FLIGHT = 10
"""Without PUBACK at a time; the rest of the connection's window is for new records."""
CREDIT_NS = 100_000_000
"""So much of the rate may be made up for after a pause."""


@dataclass(slots=True)
class _Job:
    """What is left of a request."""

    next: int
    last: int
    about: Attributes
    sent: int = 0
    missing: int = 0
    """No longer in the ledger."""


class Replayer:
    """Used by the publish thread alone."""

    def __init__(self, outbox: Outbox, rows_per_s: int, record: Callable[[EventRecord], None], clock: Clock) -> None:
        """Nothing happens before a request.

        Args:
            outbox: where the records are.
            rows_per_s: most that are sent again.
            record: writes down who asked for what, and what became of it.
            clock: measures the rate.
        """
        self._outbox = outbox
        self._interval_ns = 1_000_000_000 // rows_per_s
        self._clock = clock
        self._intake = Intake(ReplayRequest, REFUSED, record, clock)
        self._jobs: deque[_Job] = deque()
        self._ready: deque[OutboxRow] = deque()
        self._in_flight: dict[int, OutboxRow] = {}
        self._next_ns = 0
        self.sent = 0
        """Records sent again and acknowledged, since the start."""

    @property
    def is_idle(self) -> bool:
        """Nothing was asked for, or all of it is done."""
        return not self._jobs

    def ask(self, request: Request) -> None:
        """Take a request, or refuse it. Whatever it holds, nothing worse happens than a record of it."""
        taken = self._intake.read(request)
        if taken is None:
            return
        wanted, about = taken
        about |= {"from": wanted.from_sequence, "to": wanted.to_sequence}
        rows = wanted.to_sequence - wanted.from_sequence + 1
        if not 0 < rows <= MOST_ROWS:
            self._refuse(f"a request is for 1 to {MOST_ROWS} records, in ascending order", about)
        elif len(self._jobs) > MOST_WAITING:
            self._refuse("too many requests wait already", about)
        else:
            self._jobs.append(_Job(wanted.from_sequence, wanted.to_sequence, about))
            text = f"records {wanted.from_sequence} to {wanted.to_sequence}"
            self._intake.tell("replay_started", "info", text, about)

    def next_row(self, delivered_upto: int) -> OutboxRow | None:
        """The next record that may be sent now; hand it back with `keep` if it could not be.

        Args:
            delivered_upto: records beyond this one are on their way anyhow and are left out.

        Raises:
            LedgerError: the ledger cannot be read now.
        """
        if not self._jobs or len(self._in_flight) >= MOST_IN_FLIGHT or self._clock.monotonic_ns() < self._next_ns:
            return None
        if not self._ready and not self._fetch(delivered_upto):
            if not self._in_flight:
                self._finish()
            return None
        return self._ready.popleft() if self._ready else None

    def keep(self, row: OutboxRow) -> None:
        """It could not be sent: it stays the next one."""
        self._ready.appendleft(row)

    def started(self, row: OutboxRow) -> None:
        """It is on its way."""
        self._in_flight[row.sequence] = row
        self._next_ns = max(self._next_ns, self._clock.monotonic_ns() - CREDIT_NS) + self._interval_ns

    def take_ack(self, sequence: int, *, accepted: bool) -> bool:
        """True if this PUBACK belongs to a replayed record; one that was not accepted is sent again."""
        row = self._in_flight.pop(sequence, None)
        if row is None:
            return False
        if accepted:
            self.sent += 1
            self._jobs[0].sent += 1
        else:
            self._ready.appendleft(row)
        return True

    def _fetch(self, delivered_upto: int) -> bool:
        """Read the next records of the running request; false when it is done."""
        job = self._jobs[0]
        last = min(job.last, delivered_upto)
        if job.next > last:
            return False
        found = self._outbox.rows(job.next, last, MOST_IN_FLIGHT)
        upto = found[-1].sequence if len(found) == MOST_IN_FLIGHT else last
        job.missing += upto - job.next + 1 - len(found)
        job.next = upto + 1
        self._ready.extend(replace(row, is_replay=True) for row in found)
        return True

    def _finish(self) -> None:
        job = self._jobs.popleft()
        gone = f", {job.missing} are no longer in the ledger" if job.missing else ""
        text = f"{job.sent} records were sent again{gone}"
        self._intake.tell("replay_finished", "info", text, {**job.about, "sent": job.sent, "missing": job.missing})

    def _refuse(self, why: str, about: Attributes) -> None:
        self._intake.tell(REFUSED, "warning", why, about)
