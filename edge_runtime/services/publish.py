"""The publish stage: from the outbox to the broker. A row is done only when its PUBACK says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.broker.port import Broker
    from edge_runtime.domain.records import Outbox
    from edge_runtime.ops.clock import Clock

POLL_S = 0.02
BATCH = 100
REFUSED_PAUSE_NS = 2_000_000_000
"""A broker that refuses (ACL, quota) is asked again after this, not in a tight loop."""


class PublishStage:
    """Sends committed rows in order of their sequence and marks them on PUBACK."""

    name = "publish"

    def __init__(self, outbox: Outbox, broker: Broker, clock: Clock) -> None:
        self._outbox = outbox
        self._broker = broker
        self._clock = clock
        self._cursor = 0
        self._in_flight: set[int] = set()
        self._paused_until_ns = 0
        self.acknowledged = 0
        self.refusal: str | None = None
        """Why the broker refused the last row; None once it accepts again."""

    def step(self) -> None:
        """Collect PUBACKs, then hand over what the window allows."""
        self._collect()
        if self._clock.monotonic_ns() < self._paused_until_ns or not self._broker.status().connected:
            return
        self._send()

    def finish(self) -> None:
        """Take the PUBACKs that are already there."""
        self._collect()

    def _collect(self) -> None:
        accepted: list[int] = []
        for ack in self._broker.poll_acks(POLL_S):
            self._in_flight.discard(ack.sequence)
            if ack.accepted:
                accepted.append(ack.sequence)
                self.refusal = None
                continue
            self._cursor = min(self._cursor, ack.sequence - 1)  # it must be sent again
            if ack.reason != "disconnected":
                self.refusal = ack.reason
                self._paused_until_ns = self._clock.monotonic_ns() + REFUSED_PAUSE_NS
        if accepted:
            self._outbox.mark_sent(accepted)
            self.acknowledged += len(accepted)

    def _send(self) -> None:
        for row in self._outbox.unsent(self._cursor, BATCH):
            if row.sequence not in self._in_flight:
                if not self._broker.publish(row):
                    return
                self._in_flight.add(row.sequence)
            self._cursor = row.sequence
