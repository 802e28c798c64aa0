"""Rows that a broker refuses for ever while it takes the others: too large for it, or on a topic that is denied.

One such row must neither hold up the others nor the pruning, and is not given up either: it is set apart in the ledger
and offered again, one at a time, until somebody has mended what it is refused for.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.broker.port import DISCONNECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edge_runtime.broker.port import Broker, PubAck
    from edge_runtime.domain.records import Outbox, OutboxRow
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.deliveries import Deliveries

_log = logging.getLogger(__name__)
REFUSALS = 3
"""A row that was refused so often, while the broker took others, is set apart."""
OFFER_AFTER_NS = 60_000_000_000
LONGEST_OFFER_NS = 3_600_000_000_000
"""After a refusal the next one of those set apart is offered so much later, after each further one twice as late."""
KNOWN_PAUSE_NS = 500_000_000
MOST_COUNTED = 1_000
_NONE_NS = 2**62


@dataclass(slots=True)
class _Refusal:
    times: int
    accepted_before: int
    """What the broker had taken when it refused this row first."""
    reason: str


class RefusedRows:
    """Used by the publish thread; `count` is readable from any."""

    def __init__(
        self, outbox: Outbox, broker: Broker, clock: Clock, told: Callable[[OutboxRow, str], None] | None
    ) -> None:
        """Those that an earlier life of the daemon had set apart are offered soon.

        Args:
            told: hears of each row that is set apart, and why.
        """
        self._outbox = outbox
        self._broker = broker
        self._clock = clock
        self._told = told
        self._accepted = 0
        self._refusals: dict[int, _Refusal] = {}
        self._to_set_apart: dict[int, str] = {}
        self._offered: int | None = None
        self._last = 0
        self._taken: set[int] = set()
        self._offer_at_ns = 0
        self._pause_ns = OFFER_AFTER_NS
        self.count = 0
        """How many are set apart; counted up to 1 000."""

    @property
    def wants_quiet(self) -> bool:
        """One of them is on its way or wants to be: alone, for the broker may end the connection over it."""
        return self._offered is not None or self._clock.monotonic_ns() >= self._offer_at_ns

    def accepted(self, sequence: int) -> None:
        """The broker took this row."""
        self._accepted += 1
        self._refusals.pop(sequence, None)
        if sequence == self._offered:
            self._offered, self._offer_at_ns, self._pause_ns = None, 0, OFFER_AFTER_NS
            self._taken.add(sequence)

    def returned(self, ack: PubAck) -> bool:
        """The broker did not take this row; true if it need not be sent again with the others."""
        if ack.sequence == self._offered:
            self._offered = None
            self._offer_at_ns = self._clock.monotonic_ns() + self._pause_ns
            self._pause_ns = min(2 * self._pause_ns, LONGEST_OFFER_NS)
            return True
        if ack.reason == DISCONNECTED:
            return False
        refusal = self._refusals.setdefault(ack.sequence, _Refusal(0, self._accepted, ack.reason))
        refusal.times += 1
        if refusal.times < REFUSALS or refusal.accepted_before == self._accepted:
            return False
        self.blame(ack.sequence, ack.reason)
        return True

    def blame(self, sequence: int, reason: str) -> None:
        """This one is to be set apart."""
        self._to_set_apart[sequence] = reason

    def set_apart(self) -> None:
        """Write down what was decided.

        Raises:
            LedgerError: not now; it is tried again.
        """
        if not self._to_set_apart:
            return
        self._outbox.set_apart([*self._to_set_apart])
        for sequence, reason in self._to_set_apart.items():
            self._refusals.pop(sequence, None)
            _log.error("the broker takes others and refuses record %d (%s): it is set apart", sequence, reason)
            if self._told is not None:
                self._told(self._outbox.apart(sequence - 1, 1)[0], reason)
        self._to_set_apart = {}
        self._pause_ns = OFFER_AFTER_NS
        self._offer_at_ns = self._clock.monotonic_ns() + self._pause_ns
        self._count()

    def offer(self, rows: Deliveries) -> None:
        """One of them, when it is time; the next one at once as long as they are taken.

        Raises:
            LedgerError: the outbox cannot be read now.
        """
        if rows.in_flight or not self.wants_quiet:
            return
        found = self._outbox.apart(self._last, 1) or self._outbox.apart(0, 1)
        if not found:
            self.count, self._offer_at_ns = 0, _NONE_NS
            return
        row = found[0]
        if row.sequence <= self._last or not self.count:
            self._count()
        if rows.is_known(row.sequence):  # taken, and not yet settled
            self._last, self._offer_at_ns = row.sequence, self._clock.monotonic_ns() + KNOWN_PAUSE_NS
        elif self._broker.publish(row):
            rows.sent(row.sequence)
            self._offered = self._last = row.sequence

    def marked(self, sequences: Collection[int]) -> None:
        """These are delivered for good."""
        if not self._taken.isdisjoint(sequences):
            self._taken.difference_update(sequences)
            self._count()

    def _count(self) -> None:
        self.count = len(self._outbox.apart(0, MOST_COUNTED))
