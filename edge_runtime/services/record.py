"""The record stage: group commits of verdicts and events. Never on the deadline path."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerDamagedError, LedgerError, LedgerFullError
from edge_runtime.domain.records import EventRecord
from edge_runtime.services.flow import RecordItem
from edge_runtime.services.housekeeping import Housekeeping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.camera.port import Camera
    from edge_runtime.ledger.port import Ledger
    from edge_runtime.ledger.retention import Quota
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.queues import BoundedQueue

_log = logging.getLogger(__name__)
POLL_S = 0.1
RETRY_S = 0.1
"""Pause between two attempts while the disk refuses."""
MOST_PER_COMMIT = 256
DAMAGED_ATTEMPTS = 3
"""A ledger that is still damaged at this attempt is set aside."""


class RecordStage:
    """Commits what the dispatch stage decided. While the disk refuses, it keeps trying and the queue holds the rest.

    What the queue could not hold is lost; the first commit that succeeds again carries a record of how many
    (`records_lost`).
    """

    name = "record"

    def __init__(
        self,
        ledger: Ledger,
        camera: Camera,
        queue: BoundedQueue[RecordItem],
        clock: Clock,
        *,
        group_commit_s: float,
        quota: Quota,
    ) -> None:
        self._ledger = ledger
        self._camera = camera
        self._queue = queue
        self._clock = clock
        self._group_commit_s = group_commit_s
        self._pending: list[RecordItem] = []
        self._told_lost = 0
        self._damaged = 0
        self._never = threading.Event()
        self.housekeeping = Housekeeping(ledger, quota, clock)
        self.failure: LedgerError | None = None
        """What the last commit failed of; None while all is well."""
        self.committed = 0
        self.last_sequence = 0
        self.lost = 0
        """Records that no message can express: a defect, told in the log."""

    def step(self) -> None:
        """Commit at most one batch."""
        if self.failure is not None:
            self._never.wait(RETRY_S)  # a dead disk must not cost the processor that inspection needs
        self._tell_losses()
        room = MOST_PER_COMMIT - len(self._pending)
        if room > 0:
            self._pending += self._queue.get_batch(room, POLL_S, 0 if self._pending else self._group_commit_s)
        if self._pending:
            self._commit()
        self.housekeeping.look()

    def finish(self) -> None:
        """Commit what is left; one attempt, the disk may be dead."""
        self._tell_losses()
        while batch := self._queue.get_batch(MOST_PER_COMMIT, 0, 0):
            self._pending += batch
        if self._pending:
            self._commit()
        if self._pending:
            _log.error("%d records could not be committed before the end: %s", len(self._pending), self.failing)

    @property
    def failing(self) -> str | None:
        """Why the last commit failed; None while all is well."""
        return None if self.failure is None else self.failure.what

    @property
    def waiting(self) -> int:
        """Decided but not yet committed."""
        return len(self._queue) + len(self._pending)

    @property
    def lost_in_all(self) -> int:
        """Records lost since the start: for want of room in the queue, or because no message can express them."""
        return self.lost + self._queue.dropped

    def _commit(self) -> None:
        try:
            sequences = self._ledger.append([item.record for item in self._pending])
        except LedgerError as error:
            self._refused(error)
        except ValueError:  # the encoder's
            self._sort_out()
        else:
            self._committed(sequences)

    def _tell_losses(self) -> None:
        """Once the ledger works again: how many records are not in it."""
        lost = self.lost_in_all
        if self.failure is not None or lost == self._told_lost:
            return
        since, self._told_lost = lost - self._told_lost, lost
        text = f"{since} records could not be kept: the queue to the ledger was full, or they could not be written"
        event = EventRecord("records_lost", "error", text, self._clock.wall_ns(), {"records": since, "in_all": lost})
        self._pending.insert(0, RecordItem(event))

    def _sort_out(self) -> None:
        """Some record cannot be encoded at all: it must not hold up the others for ever."""
        everything = self._pending
        for position, item in enumerate(everything):
            self._pending = [item]
            try:
                sequences = self._ledger.append([item.record])
            except ValueError:
                self.lost += 1
                _log.exception("a record cannot be written and is left out: %s", item.record)
            except LedgerError as error:
                self._refused(error)
                self._pending = everything[position:]
                return
            else:
                self._committed(sequences)
        self._pending = []

    def _refused(self, error: LedgerError) -> None:
        if self.failure is None:
            _log.error("the ledger refuses: %s", error.diagnostics())
        self.failure = error
        if isinstance(error, LedgerFullError):
            self.housekeeping.hurry()
        if not isinstance(error, LedgerDamagedError):
            self._damaged = 0
            return
        self._damaged += 1
        if self._damaged >= DAMAGED_ATTEMPTS:
            self._damaged = 0
            self._begin_anew(error)

    def _begin_anew(self, error: LedgerDamagedError) -> None:
        try:
            event = self._ledger.begin_anew(error, self._clock.wall_ns())
        except LedgerError as refusal:
            _log.error("the damaged ledger cannot be set aside: %s", refusal.diagnostics())
        else:
            _log.error("%s: %s", event.kind, event.message)
            self._pending.insert(0, RecordItem(event))

    def _committed(self, sequences: Sequence[int]) -> None:
        if self.failure is not None:
            _log.warning("the ledger works again")
        self.failure = None
        batch, self._pending = self._pending, []
        self.committed += len(batch)
        self.last_sequence = sequences[-1]
        for item in batch:
            if item.arrival is not None:
                self._camera.settle(item.arrival)
        self.housekeeping.committed(len(batch))
