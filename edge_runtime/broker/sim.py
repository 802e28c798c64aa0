"""The broker's twin: in memory, reached at once, and it can refuse, go away, or lose what is in flight."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge_runtime.broker.port import DISCONNECTED, BrokerStatus, PubAck, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.records import OutboxRow

WINDOW = 100


class SimulatedBroker:
    """See `broker.port.Broker`. What subscribers would see is in `received` and `statuses`. Thread-safe."""

    def __init__(self, window: int = WINDOW) -> None:
        self._changed = threading.Condition()
        self._window = window
        self._acks: list[PubAck] = []
        self._held: list[OutboxRow] = []
        self._status: bytes | None = None
        self._started = False
        self._away = False
        self._holding = False
        self._connects = 0
        self._refusal: str | None = None
        self._requests: list[Request] = []
        self.received: list[OutboxRow] = []
        """Every row that the broker took over, in order, duplicates included."""
        self.statuses: list[bytes] = []
        """Every retained status, in order."""

    def start(self) -> None:
        """See `Broker`."""
        with self._changed:
            self._started = True
            self._connect()

    def set_status(self, payload: bytes) -> None:
        """See `Broker`."""
        with self._changed:
            self._status = payload
            if self._connected:
                self.statuses.append(payload)

    def publish(self, row: OutboxRow) -> bool:
        """See `Broker`."""
        with self._changed:
            if not self._connected or len(self._held) + len(self._acks) >= self._window:
                return False
            if self._holding:
                self._held.append(row)
            else:
                self._answer(row)
            self._changed.notify_all()
            return True

    def poll_acks(self, timeout_s: float) -> Sequence[PubAck]:
        """See `Broker`."""
        with self._changed:
            self._changed.wait_for(lambda: self._acks, timeout_s)
            acks, self._acks = self._acks, []
            return acks

    def poll_requests(self) -> Sequence[Request]:
        """See `Broker`."""
        with self._changed:
            requests, self._requests = self._requests, []
            return requests

    def status(self) -> BrokerStatus:
        """See `Broker`."""
        with self._changed:
            detail = "simulated broker" if self._connected else "the simulated broker is away"
            return BrokerStatus(self._connected, detail, self._connects)

    def stop(self, timeout_s: float) -> None:
        """See `Broker`."""
        del timeout_s  # nothing here takes time
        with self._changed:
            self._drop_in_flight()
            self._started = False

    def ask(self, request: Request) -> None:
        """Somebody sends this device a request."""
        with self._changed:
            self._requests.append(request)

    def refuse(self, reason: str | None) -> None:
        """Answer every row with this reason instead of taking it over; None mends it."""
        with self._changed:
            self._refusal = reason

    def hold(self) -> None:
        """Take rows, but give no PUBACK until `release`: a slow broker."""
        with self._changed:
            self._holding = True

    def release(self) -> None:
        """Answer everything held, and answer at once from now on."""
        with self._changed:
            self._holding = False
            held, self._held = self._held, []
            for row in held:
                self._answer(row)
            self._changed.notify_all()

    def go_away(self, *, after_delivery: bool = False) -> None:
        """Lose the connection: what is in flight comes back as disconnected.

        Args:
            after_delivery: the broker had already taken over the rows in flight; only their PUBACKs are lost.
        """
        with self._changed:
            if after_delivery:
                self.received.extend(self._held)
            self._drop_in_flight()
            self._away = True

    def come_back(self) -> None:
        """Accept the connection again."""
        with self._changed:
            self._away = False
            self._connect()

    @property
    def _connected(self) -> bool:
        return self._started and not self._away

    def _connect(self) -> None:
        if self._connected:
            self._connects += 1
            if self._status is not None:
                self.statuses.append(self._status)

    def _answer(self, row: OutboxRow) -> None:
        if self._refusal is None:
            self.received.append(row)
            self._acks.append(PubAck(row.sequence, accepted=True, reason="Success"))
        else:
            self._acks.append(PubAck(row.sequence, accepted=False, reason=self._refusal))

    def _drop_in_flight(self) -> None:
        held, self._held = self._held, []
        self._acks.extend(PubAck(row.sequence, accepted=False, reason=DISCONNECTED) for row in held)
        self._changed.notify_all()
