"""The publish stage: from the outbox to the broker. A row is done when its PUBACK has outlived the broker's memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_runtime.broker.port import Broker, Request
    from edge_runtime.domain.records import Outbox
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.replay import Replayer

_log = logging.getLogger(__name__)
POLL_S = 0.02
BATCH = 100
REPLAY = "replay"
"""The command that asks for records once more."""
REFUSED_PAUSE_NS = 2_000_000_000
"""A broker that refuses (ACL, quota) is asked again after this, not in a tight loop."""
DISK_PAUSE_NS = 1_000_000_000
"""An outbox that cannot be read or written is tried again after this."""
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
    """Sends committed rows in order of their sequence; marks them once acknowledged and settled.

    Behind them, and only once none is left to send, come the rows of a replay.
    """

    name = "publish"

    def __init__(
        self,
        outbox: Outbox,
        broker: Broker,
        clock: Clock,
        replayer: Replayer | None = None,
        commands: Mapping[str, Callable[[Request], None]] | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            outbox: what is to be sent.
            broker: to whom.
            clock: measures how settled a PUBACK is.
            replayer: sends again what is asked for; None where that is not allowed.
            commands: who carries out the other requests that the settings allow, by their name. Called in this
                stage's thread: quick, and never raising.
        """
        self._outbox = outbox
        self._broker = broker
        self._clock = clock
        self._replayer = replayer
        self._commands = dict(commands or {})
        if replayer is not None:
            self._commands[REPLAY] = replayer.ask
        self._cursor = 0
        self._caught_up = False
        self._in_flight: set[int] = set()
        self._settling: list[_Acknowledged] = []
        self._settled: list[int] = []
        self._paused_until_ns = 0
        self._disk_at_ns = 0
        self.acknowledged = 0
        self.refusal: str | None = None
        """Why the broker refused the last row; None once it accepts again."""
        self.failing: str | None = None
        """Why the outbox cannot be read or written; None while all is well."""

    def step(self) -> None:
        """Collect PUBACKs, settle old ones, then hand over what the window allows."""
        self._collect()
        self._settle()
        self._listen()
        if self._clock.monotonic_ns() < self._disk_at_ns:
            return
        try:
            self._mark()
            if self._clock.monotonic_ns() >= self._paused_until_ns and self._broker.status().connected:
                self._send()
                self._replay()
        except LedgerError as error:
            self._refused_by_disk(error)
        else:
            self.failing = None

    def finish(self) -> None:
        """A clean end: what is acknowledged by now is done."""
        self._collect()
        self._settled += [row.sequence for row in self._settling]
        self._settling = []
        try:
            self._mark()
        except LedgerError as error:
            _log.warning("%d messages will be sent again: %s", len(self._settled), error.diagnostics())

    def backlog(self) -> int:
        """Committed rows without PUBACK.

        Raises:
            LedgerError: the outbox cannot be read.
        """
        return max(0, self._outbox.backlog() - len(self._settling) - len(self._settled))

    def _collect(self) -> None:
        connection = self._broker.status().connects
        now_ns = self._clock.monotonic_ns()
        for ack in self._broker.poll_acks(POLL_S):
            replayed = self._replayer is not None and self._replayer.take_ack(ack.sequence, accepted=ack.accepted)
            if ack.accepted:
                self.refusal = None
            elif ack.reason != "disconnected":
                self.refusal = ack.reason
                self._paused_until_ns = self._clock.monotonic_ns() + REFUSED_PAUSE_NS
            if not replayed:
                self._in_flight.discard(ack.sequence)
                if ack.accepted:
                    self._settling.append(_Acknowledged(ack.sequence, now_ns, connection))
                    self.acknowledged += 1
                else:
                    self._send_again(ack.sequence)

    def _settle(self) -> None:
        if not self._settling:
            return
        status, now_ns = self._broker.status(), self._clock.monotonic_ns()
        waiting: list[_Acknowledged] = []
        for row in self._settling:
            if now_ns - row.acknowledged_ns >= SETTLE_NS:
                self._settled.append(row.sequence)
            elif not status.connected or row.connection != status.connects:
                self._send_again(row.sequence)
                self.acknowledged -= 1
            else:
                waiting.append(row)
        self._settling = waiting

    def _send(self) -> None:
        self._caught_up = False
        known = self._in_flight | {row.sequence for row in self._settling} | set(self._settled)
        rows = self._outbox.unsent(self._cursor, BATCH)
        for row in rows:
            if row.sequence not in known:
                if not self._broker.publish(row):
                    return
                self._in_flight.add(row.sequence)
            self._cursor = row.sequence
        self._caught_up = len(rows) < BATCH

    def _listen(self) -> None:
        """Requests come only where the settings allow a command; all are recorded by who carries them out."""
        if not self._commands:
            return
        for request in self._broker.poll_requests():
            if (carry_out := self._commands.get(request.command)) is not None:
                carry_out(request)

    def _replay(self) -> None:
        if self._replayer is None or self._replayer.is_idle or not self._caught_up:
            return
        delivered = self._outbox.delivered_upto()
        while (row := self._replayer.next_row(delivered)) is not None:
            if not self._broker.publish(row):
                self._replayer.keep(row)
                return
            self._replayer.started(row)

    def _send_again(self, sequence: int) -> None:
        self._cursor = min(self._cursor, sequence - 1)

    def _mark(self) -> None:
        if self._settled:
            self._outbox.mark_sent(self._settled)
            self._settled = []

    def _refused_by_disk(self, error: LedgerError) -> None:
        if self.failing is None:
            _log.error("the outbox refuses: %s", error.diagnostics())
        self.failing = error.what
        self._disk_at_ns = self._clock.monotonic_ns() + DISK_PAUSE_NS
