"""The publish stage: from the outbox to the broker. A row is done when its PUBACK has outlived the broker's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.broker.port import Broker
    from edge_runtime.domain.records import Outbox
    from edge_runtime.ops.clock import Clock

POLL_S = 0.02
BATCH = 100
REFUSED_PAUSE_NS = 2_000_000_000
"""A broker that refuses (ACL, quota) is asked again after this, not in a tight loop."""
SETTLE_NS = 2_000_000_000
"""Mosquitto sends the PUBACK before it saves its queue, even with `autosave_interval 1`; killed in between, it has lost
what it acknowledged (seen in 4 of 6 runs with four kills each). Rows whose PUBACK is younger than this when the
connection breaks are sent again; the subscriber drops what it has already seen."""


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    sequence: int
    acknowledged_ns: int
    connection: int
    """Number of the connection on which the PUBACK came."""


class PublishStage:
    """Sends committed rows in order of their sequence; marks them once acknowledged and settled."""

    name = "publish"

    def __init__(self, outbox: Outbox, broker: Broker, clock: Clock) -> None:
        self._outbox = outbox
        self._broker = broker
        self._clock = clock
        self._cursor = 0
        self._in_flight: set[int] = set()
        self._settling: list[_Acknowledged] = []
        self._paused_until_ns = 0
        self.acknowledged = 0
        self.refusal: str | None = None
        """Why the broker refused the last row; None once it accepts again."""

    def step(self) -> None:
        """Collect PUBACKs, settle old ones, then hand over what the window allows."""
        self._collect()
        self._settle()
        if self._clock.monotonic_ns() < self._paused_until_ns or not self._broker.status().connected:
            return
        self._send()

    def finish(self) -> None:
        """A clean end: what is acknowledged by now is done."""
        self._collect()
        self._done([row.sequence for row in self._settling])
        self._settling = []

    def backlog(self) -> int:
        """Committed rows without PUBACK."""
        return max(0, self._outbox.backlog() - len(self._settling))

    def _collect(self) -> None:
        connection = self._broker.status().connects
        now_ns = self._clock.monotonic_ns()
        for ack in self._broker.poll_acks(POLL_S):
            self._in_flight.discard(ack.sequence)
            if ack.accepted:
                self._settling.append(_Acknowledged(ack.sequence, now_ns, connection))
                self.acknowledged += 1
                self.refusal = None
                continue
            self._send_again(ack.sequence)
            if ack.reason != "disconnected":
                self.refusal = ack.reason
                self._paused_until_ns = self._clock.monotonic_ns() + REFUSED_PAUSE_NS

    def _settle(self) -> None:
        if not self._settling:
            return
        status, now_ns = self._broker.status(), self._clock.monotonic_ns()
        settled: list[int] = []
        waiting: list[_Acknowledged] = []
        for row in self._settling:
            if now_ns - row.acknowledged_ns >= SETTLE_NS:
                settled.append(row.sequence)
            elif not status.connected or row.connection != status.connects:
                self._send_again(row.sequence)
                self.acknowledged -= 1
            else:
                waiting.append(row)
        self._settling = waiting
        self._done(settled)

    def _send(self) -> None:
        known = self._in_flight | {row.sequence for row in self._settling}
        for row in self._outbox.unsent(self._cursor, BATCH):
            if row.sequence not in known:
                if not self._broker.publish(row):
                    return
                self._in_flight.add(row.sequence)
            self._cursor = row.sequence

    def _send_again(self, sequence: int) -> None:
        self._cursor = min(self._cursor, sequence - 1)

    def _done(self, sequences: list[int]) -> None:
        if sequences:
            self._outbox.mark_sent(sequences)
