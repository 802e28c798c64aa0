"""Keeping the ledger within its quota and its disk. Runs in the record stage, between two commits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.decision.clock_watch import ClockWatch, is_unset
from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.port import Room
from edge_runtime.ledger.retention import Retention

if TYPE_CHECKING:
    from edge_runtime.ledger.port import Ledger
    from edge_runtime.ledger.retention import Quota
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)
PRUNE_EVERY = 2_000
"""Records between two looks at the quota."""
LOOK_NS = 1_000_000_000
AGE_LOOK_NS = 3_600_000_000_000
"""A line that stands still keeps no record longer than this beyond its age."""
SPARE_BYTES = 2_000_000
LEAST_SPARE_BYTES = 250_000
"""On a full disk so much is kept free inside the ledger's file, at the expense of delivered records: an eighth of it,
between these two."""


class Housekeeping:
    """Used by the record thread; `room` is readable from any."""

    def __init__(self, ledger: Ledger, quota: Quota, clock: Clock) -> None:
        self._ledger = ledger
        self._quota = quota
        self._clock = clock
        self._watch = ClockWatch()
        self._clock_is_sure = True
        self._since_prune = 0
        self._look_at_ns = 0
        self._age_at_ns = 0
        self.room = Room(0, 0, 0, is_low=False)
        """As of the last look."""

    def committed(self, records: int) -> None:
        """So many records were added."""
        self._since_prune += records

    def hurry(self) -> None:
        """The disk is full: do not wait for the next look."""
        self._look_at_ns = 0

    def look(self) -> None:
        """Look after the quota and the room, when it is time. Never raises."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._look_at_ns:
            return
        self._look_at_ns = now_ns + LOOK_NS
        try:
            self.room = self._ledger.look_after_room()
            share_bytes = (self.room.used_bytes + self.room.spare_bytes) // 8
            wanted_bytes = min(SPARE_BYTES, max(LEAST_SPARE_BYTES, share_bytes))
            if self.room.is_low and self.room.spare_bytes < wanted_bytes:
                self._make_way(wanted_bytes)
            elif self._since_prune >= PRUNE_EVERY or now_ns >= self._age_at_ns:
                self._since_prune, self._age_at_ns = 0, now_ns + AGE_LOOK_NS
                self._ledger.prune(self._quota.at(self._sure_wall_ns()), self._clock.wall_ns())
        except LedgerError as error:
            _log.warning("the ledger could not be tidied: %s", error.diagnostics())

    def _make_way(self, wanted_bytes: int) -> None:
        """The disk is full and half of the reserve is gone: the oldest delivered records make place for new ones."""
        retention = Retention(self._quota.rows, self.room.used_bytes - wanted_bytes, size_limit="disk")
        self._ledger.prune(retention, self._clock.wall_ns())

    def _sure_wall_ns(self) -> int | None:
        """The time, unless the clock was never set or was set while we ran: a wrong year must not empty the ledger."""
        wall_ns = self._clock.wall_ns()
        if self._watch.jumped_ns(self._clock.monotonic_ns(), wall_ns) and self._clock_is_sure:
            self._clock_is_sure = False
            if self._quota.age_ns is not None:
                _log.warning("the wall clock was set: ledger.keep_days is not applied before the next start")
        return None if is_unset(wall_ns) or not self._clock_is_sure else wall_ns
