"""The publish stage: from the outbox to the broker. A row is done when its PUBACK has outlived the broker's memory."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge_runtime.broker.port import DISCONNECTED
from edge_runtime.domain.errors import LedgerError
from edge_runtime.services import breakers
from edge_runtime.services.breakers import Breakers
from edge_runtime.services.deliveries import Deliveries
from edge_runtime.services.refused_rows import RefusedRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_runtime.broker.port import Broker, PubAck, Request
    from edge_runtime.domain.records import Outbox, OutboxRow
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.replay import Replayer

_log = logging.getLogger(__name__)
POLL_S = 0.05
BATCH = 100
REPLAY = "replay"
"""The command that asks for records once more."""
REFUSED_PAUSE_NS = 2_000_000_000
"""A broker that refuses (ACL, quota) is asked again after this, not in a tight loop."""
DISK_PAUSE_NS = 1_000_000_000
"""An outbox that cannot be read or written is tried again after this."""
GATHER_S = 0.01
"""After the first PUBACK others are waited for so long: a round per PUBACK would cost a busy line a tenth of a core."""
LINGER_S = 0.05
"""So long where nothing is left to send: what is committed meanwhile goes out in one round. A round per part costs the
inspection, which shares cores and interpreter with it, up to a twentieth of its throughput."""
MARK_EVERY_NS = 500_000_000
"""So often what is settled is marked, or when it is a batch; a daemon that is killed in between sends it again."""


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
        told: Callable[[OutboxRow, str], None] | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            outbox: what is to be sent.
            broker: to whom.
            clock: measures how settled a PUBACK is.
            replayer: sends again what is asked for; None where that is not allowed.
            commands: who carries out the other requests that the settings allow, by their name. Called in this
                stage's thread: quick, and never raising.
            told: hears of a row that was set apart, and of the broker's reason.
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
        self._rows = Deliveries()
        self._breakers = Breakers()
        self._refused = RefusedRows(outbox, broker, clock, told)
        self._never = threading.Event()
        self._mark_at_ns = 0
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
            if self._is_time_to_mark():
                self._mark()
            if self._clock.monotonic_ns() >= self._paused_until_ns and self._broker.status().connected:
                self._refused.offer(self._rows)
                self._send()
                self._replay()
        except LedgerError as error:
            self._refused_by_disk(error)
        else:
            self.failing = None

    def finish(self) -> None:
        """A clean end: what is acknowledged by now is done."""
        self._collect()
        self._rows.settle_all()
        try:
            self._mark()
        except LedgerError as error:
            _log.warning("%d messages will be sent again: %s", len(self._rows.settled), error.diagnostics())

    def backlog(self) -> int:
        """Committed rows without PUBACK.

        Raises:
            LedgerError: the outbox cannot be read.
        """
        return max(0, self._outbox.backlog() - self._rows.unmarked)

    @property
    def set_apart(self) -> int:
        """Rows that the broker refuses while it takes others; they are offered again once per minute."""
        return self._refused.count

    def _collect(self) -> None:
        connection = self._broker.status().connects  # now: while others are waited for, it may end and come back
        acks = [*self._broker.poll_acks(POLL_S)]
        if acks:
            replays = self._replayer is not None and not self._replayer.is_idle
            self._never.wait(LINGER_S if self._caught_up and not replays else GATHER_S)
            acks += self._broker.poll_acks(0)
        now_ns = self._clock.monotonic_ns()
        lost: list[int] = []
        for ack in acks:
            if self._replayer is not None and self._replayer.take_ack(ack.sequence, accepted=ack.accepted):
                self._hear(ack)
            elif ack.accepted:
                self._hear(ack)
                self._rows.acknowledged(ack.sequence, now_ns, connection)
                self._refused.accepted(ack.sequence)
                self._breakers.accepted(ack.sequence)
                self.acknowledged += 1
            else:
                self._rows.returned(ack.sequence)
                if not self._refused.returned(ack):
                    self._hear(ack)
                    self._send_again(ack.sequence)
                    lost += [ack.sequence] if ack.reason == DISCONNECTED else []
        if lost and (breaker := self._breakers.lost(lost)) is not None:
            self._refused.blame(breaker, breakers.REASON)

    def _hear(self, ack: PubAck) -> None:
        if ack.accepted:
            self.refusal = None
        elif ack.reason != DISCONNECTED:
            self.refusal = ack.reason
            self._paused_until_ns = self._clock.monotonic_ns() + REFUSED_PAUSE_NS

    def _settle(self) -> None:
        status = self._broker.status()
        for sequence in self._rows.settle(self._clock.monotonic_ns(), status.connects if status.connected else None):
            self._send_again(sequence)
            self.acknowledged -= 1

    def _send(self) -> None:
        newest = self._outbox.newest()  # before the question: what is committed after it is asked for the next time
        self._caught_up = self._cursor >= newest
        if self._caught_up:
            return
        rows = self._outbox.unsent(self._cursor, BATCH)
        for row in rows:
            if not self._rows.is_known(row.sequence):
                if self._must_wait() or not self._broker.publish(row):
                    return
                self._rows.sent(row.sequence)
            self._cursor = row.sequence
        if len(rows) < BATCH:
            self._cursor = max(self._cursor, newest)
            self._caught_up = True

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

    def _must_wait(self) -> bool:
        return self._refused.wants_quiet or (self._breakers.is_careful and bool(self._rows.in_flight))

    def _mark(self) -> None:
        self._refused.set_apart()
        if self._rows.settled:
            self._outbox.mark_sent(self._rows.settled)
            self._refused.marked(self._rows.settled)
            self._rows.marked()

    def _is_time_to_mark(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._mark_at_ns and len(self._rows.settled) < BATCH:
            return False
        self._mark_at_ns = now_ns + MARK_EVERY_NS
        return True

    def _refused_by_disk(self, error: LedgerError) -> None:
        if self.failing is None:
            _log.error("the outbox refuses: %s", error.diagnostics())
        self.failing = error.what
        self._disk_at_ns = self._clock.monotonic_ns() + DISK_PAUSE_NS
