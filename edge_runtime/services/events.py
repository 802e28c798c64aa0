"""Events on their way to the log and the ledger."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.domain.records import EventRecord
from edge_runtime.services.flow import RecordItem
from edge_runtime.services.queues import Allowance

if TYPE_CHECKING:
    from edge_runtime.domain.records import RolloutRecord
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.queues import BoundedQueue

_log = logging.getLogger(__name__)
_SEVERITY = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MOST = 20
INTERVAL_NS = 10_000_000_000
"""Of one kind, at most so many events per interval: trouble with every part must not fill the ledger twice as fast."""
ALWAYS = frozenset({"gate_deadline_missed"})
"""Somebody may have to look for that very part."""


class Events:
    """Hands events to the record stage without ever blocking, and writes them to the log as well.

    A quarter of the record queue is left to verdicts: where the disk refuses for long, events are lost first.
    """

    def __init__(self, records: BoundedQueue[RecordItem], clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._allowance = Allowance(MOST, INTERVAL_NS)

    def __call__(self, kind: str, severity: str, message: str) -> None:
        """See `flow.EventSink`."""
        held_back = 0 if kind in ALWAYS else self._allowance.ask(kind, self._clock.monotonic_ns())
        if held_back is None:
            return
        if held_back:
            message = f"{message} (and {held_back} more of this kind before)"
        self.record(EventRecord(kind, severity, message, self._clock.wall_ns()))

    def record(self, event: EventRecord) -> None:
        """As a call, for an event that says more, and without a limit on how many of its kind."""
        _log.log(_SEVERITY[event.severity], "%s: %s", event.kind, event.message)
        self._put(event)

    def report(self, report: RolloutRecord) -> None:
        """How a rollout stands; not a word in the log."""
        self._put(report)

    def _put(self, record: EventRecord | RolloutRecord) -> None:
        self._records.try_put(RecordItem(record), leave=self._records.capacity // 4)
