"""The record stage: group commits of verdicts and events. Never on the deadline path."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.camera.port import Camera
    from edge_runtime.ledger.port import Ledger
    from edge_runtime.services.flow import RecordItem
    from edge_runtime.services.queues import BoundedQueue

_log = logging.getLogger(__name__)
POLL_S = 0.1
RETRY_S = 0.1
"""Pause between two attempts while the disk refuses."""
MOST_PER_COMMIT = 256
PRUNE_EVERY = 10_000


class RecordStage:
    """Commits what the dispatch stage decided. While the disk refuses, it keeps trying and the queue holds the rest."""

    name = "record"

    def __init__(
        self,
        ledger: Ledger,
        camera: Camera,
        queue: BoundedQueue[RecordItem],
        *,
        group_commit_s: float,
        keep_rows: int,
    ) -> None:
        self._ledger = ledger
        self._camera = camera
        self._queue = queue
        self._group_commit_s = group_commit_s
        self._keep_rows = keep_rows
        self._pending: list[RecordItem] = []
        self._since_prune = 0
        self._never = threading.Event()
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
        room = MOST_PER_COMMIT - len(self._pending)
        if room > 0:
            self._pending += self._queue.get_batch(room, POLL_S, 0 if self._pending else self._group_commit_s)
        if self._pending:
            self._commit()

    def finish(self) -> None:
        """Commit what is left; one attempt, the disk may be dead."""
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

    def _commit(self) -> None:
        try:
            sequences = self._ledger.append([item.record for item in self._pending])
        except LedgerError as error:
            if self.failure is None:
                _log.error("the ledger refuses: %s", error.diagnostics())
            self.failure = error
            return
        except ValueError:  # the encoder's
            self._sort_out()
            return
        self._committed(sequences)

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
                self.failure = error
                self._pending = everything[position:]
                return
            else:
                self._committed(sequences)
        self._pending = []

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
        self._since_prune += len(batch)
        if self._since_prune >= PRUNE_EVERY:
            self._since_prune = 0
            self._prune()

    def _prune(self) -> None:
        try:
            self._ledger.prune(Retention(self._keep_rows), 0)
        except LedgerError as error:
            _log.warning("old records could not be dropped: %s", error.diagnostics())
