"""MQTT with paho: version 5 or 3.1.1, QoS 1, TLS. Keeps nothing: what has no PUBACK stays in the outbox."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime import __version__
from edge_runtime.broker.backoff import backoff_ns
from edge_runtime.broker.cloudevents import attributes, status_attributes
from edge_runtime.broker.credentials import read_password, tls_context
from edge_runtime.broker.encoding import offline_status
from edge_runtime.broker.port import DISCONNECTED, BrokerStatus, PubAck, Request
from edge_runtime.broker.refusals import why_lost, why_refused, why_unreachable
from edge_runtime.broker.session import Access, Acknowledgement, Session
from edge_runtime.ops.cell import LatestValue
from edge_runtime.ops.threads import of_this_line

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from edge_runtime.config.mqtt import MqttSettings
    from edge_runtime.domain.records import OutboxRow
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)
LOOP_S = 0.05
"""Longest sleep of the network thread: a new status waits at most so long. Rows wake it at once."""
CONNACK_NS = 5_000_000_000
"""A peer that says nothing to our CONNECT for so long is no broker for us."""
STEADY_NS = 10_000_000_000
"""A connection that lasted so long ends the backoff; one lost sooner is part of the same trouble."""
SOON_LOST_FAILURES = 3
"""After a connection that was accepted and soon lost, the next attempt comes within a second."""
MOST_REQUESTS = 16
"""Requests that wait for the publish thread; it looks every 20 ms."""
WILL_DETAIL = "connection lost without a goodbye; the time is that of the last connect"
STOP_DETAIL = "stopped"


@dataclass(frozen=True, slots=True)
class _Acked:
    session: int
    result: Acknowledgement


@dataclass(frozen=True, slots=True)
class _Refused:
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Ended:
    session: int


@dataclass(frozen=True, slots=True)
class _Open:
    """A connection that the broker accepted, as the publish thread sees it."""

    number: int
    session: Session


class MqttBroker:
    """See `broker.port.Broker`. One thread of its own, named `mqtt`; it alone touches the socket."""

    def __init__(self, settings: MqttSettings, device: str, clock: Clock) -> None:
        self._settings = settings
        self._device = device
        self._clock = clock
        self._topic = f"{settings.topic_root}/{device}"
        self._password: str | None = None
        self._tls: ssl.SSLContext | None = None

        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._newest_status: LatestValue[bytes] = LatestValue()
        self._jitter = random.Random()  # noqa: S311  (spreads reconnects, guards nothing)
        # Written by the mqtt thread, read by others: each is one reference, replaced as a whole.
        self._open: _Open | None = None
        self._status = BrokerStatus(connected=False, detail="not started", connects=0)
        self._goodbye_s = 0.0
        self._soon_lost = 0
        self._events: queue.SimpleQueue[_Acked | _Refused | _Ended] = queue.SimpleQueue()
        self._requests: queue.Queue[Request] = queue.Queue(MOST_REQUESTS)
        self._in_flight: dict[tuple[int, int], int] = {}  # (connection, packet id) → sequence; the publish thread's own

    def start(self) -> None:
        """See `Broker`."""
        self._password = read_password(self._settings)
        self._tls = None if self._settings.tls is None else tls_context(self._settings.tls)
        detail = f"connecting to {self._settings.host}:{self._settings.port}"
        self._tell(connected=False, detail=detail, is_trouble=False)
        self._thread = threading.Thread(target=self._run, name=of_this_line("mqtt"), daemon=True)
        self._thread.start()

    def set_status(self, payload: bytes) -> None:
        """See `Broker`."""
        self._newest_status.put(payload)

    def publish(self, row: OutboxRow) -> bool:
        """See `Broker`."""
        current = self._open
        if current is None or len(self._in_flight) >= current.session.window:
            return False
        event = attributes(row, self._settings.topic_root, self._device)
        topic = f"{self._topic}/{row.channel.value}"
        if (too_large := current.session.why_too_large(topic, row.payload, event)) is not None:
            self._events.put(_Refused(row.sequence, too_large))
            return True
        mid = current.session.publish_row(topic, row.payload, event)
        if mid is None:
            return False
        self._in_flight[current.number, mid] = row.sequence
        return True

    def poll_acks(self, timeout_s: float) -> Sequence[PubAck]:
        """See `Broker`. The time is real: it waits for a network."""
        results: list[PubAck] = []
        try:
            self._settle(self._events.get(timeout=max(timeout_s, 0.0)), results)
            while True:
                self._settle(self._events.get_nowait(), results)
        except queue.Empty:
            return results

    def poll_requests(self) -> Sequence[Request]:
        """See `Broker`."""
        found: list[Request] = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._requests.get_nowait())
        return found

    def status(self) -> BrokerStatus:
        """See `Broker`."""
        return self._status

    def stop(self, timeout_s: float) -> None:
        """See `Broker`. The retained status is then `offline`, with the detail that it was on purpose."""
        self._goodbye_s = timeout_s
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s + 2 * LOOP_S)

    def _take(self, request: Request) -> None:
        with contextlib.suppress(queue.Full):  # a flood: nobody is owed an answer
            self._requests.put_nowait(request)

    def _settle(self, event: _Acked | _Refused | _Ended, results: list[PubAck]) -> None:
        if isinstance(event, _Refused):
            results.append(PubAck(event.sequence, accepted=False, reason=event.reason))
            return
        if isinstance(event, _Acked):
            sequence = self._in_flight.pop((event.session, event.result.mid), None)
            if sequence is not None:
                results.append(PubAck(sequence, event.result.accepted, event.result.reason))
            return
        lost = [key for key in self._in_flight if key[0] == event.session]
        results.extend(PubAck(self._in_flight.pop(key), accepted=False, reason=DISCONNECTED) for key in lost)

    def _run(self) -> None:
        number = failures = 0
        while not self._stopping.is_set():
            number += 1
            steady = self._serve_or_tell(number)
            failures = 0 if steady else failures + 1
            if self._soon_lost:  # it lets us in: a broker that is being restarted is soon back
                failures = min(failures, SOON_LOST_FAILURES)
            self._clock.wait(self._stopping, backoff_ns(max(failures - 1, 0), self._jitter.random()))

    def _serve_or_tell(self, number: int) -> bool:
        """As `_serve`: this thread must outlive whatever goes wrong in it, or nobody would ever publish again."""
        try:
            return self._serve(number)
        except Exception as error:  # noqa: BLE001  (short of memory, anything anywhere)
            _log.error("the MQTT connection failed and is made anew", exc_info=True)
            self._open = None
            self._events.put(_Ended(number))
            self._tell(connected=False, detail=f"the connection failed: {error!r}")
            return False

    def _serve(self, number: int) -> bool:
        """One connection from beginning to end; True if it was accepted and lasted."""
        began_ns = self._clock.monotonic_ns()
        session = Session(
            self._settings, self._access(), lambda result: self._events.put(_Acked(number, result)), self._take
        )
        try:
            session.connect()
        except (OSError, ValueError) as error:
            self._tell(connected=False, detail=why_unreachable(self._settings, error))
            return False
        try:
            return self._converse(session, number, began_ns)
        except BaseException:
            session.disconnect()  # it holds a socket
            raise

    def _converse(self, session: Session, number: int, began_ns: int) -> bool:
        """Until the connection ends or the stop; true if it was a steady one."""
        announced: bytes | None = None
        while session.pump(LOOP_S) and not self._stopping.is_set():
            if self._open is None and session.connack is not None and session.connack[0] == 0:
                session.listen([f"{self._topic}/{command}" for command in self._settings.commands])
                self._open = _Open(number, session)
                self._tell(connected=True, detail=self._where(), connects=self._status.connects + 1)
            if self._open is None and self._clock.monotonic_ns() - began_ns > CONNACK_NS:
                break
            if self._open is not None:
                announced = self._announce(session, announced)
        accepted = self._open is not None
        self._open = None  # before _Ended: whoever publishes after it finds nothing to publish on
        if accepted and self._stopping.is_set():
            self._say_goodbye(session)
        self._events.put(_Ended(number))
        steady = accepted and self._clock.monotonic_ns() - began_ns >= STEADY_NS
        self._soon_lost = self._soon_lost + 1 if accepted and not steady else 0
        self._tell(connected=False, detail=self._why_ended(session, accepted=accepted))
        return steady

    def _announce(self, session: Session, announced: bytes | None) -> bytes | None:
        newest = self._newest_status.peek()
        if newest is None or newest is announced or session.status_waits:
            return announced
        self._publish_status(session, newest)
        return newest

    def _publish_status(self, session: Session, payload: bytes) -> None:
        event = status_attributes(payload, self._settings.topic_root, self._device)
        session.publish_status(f"{self._topic}/status", payload, event)

    def _say_goodbye(self, session: Session) -> None:
        deadline_ns = self._clock.monotonic_ns() + round(self._goodbye_s * 1e9)
        payload = offline_status(self._device, __version__, self._clock.wall_ns(), STOP_DETAIL)
        self._pump_while(session, lambda: session.status_waits, deadline_ns)
        self._publish_status(session, payload)
        self._pump_while(session, lambda: session.status_waits, deadline_ns)
        session.disconnect()
        self._pump_while(session, lambda: True, deadline_ns)

    def _pump_while(self, session: Session, is_needed: Callable[[], bool], deadline_ns: int) -> None:
        """Until it is not needed any more, the connection has ended, or time is up."""
        while is_needed() and session.pump(LOOP_S) and self._clock.monotonic_ns() < deadline_ns:
            pass

    def _access(self) -> Access:
        will = offline_status(self._device, __version__, self._clock.wall_ns(), WILL_DETAIL)
        return Access(
            client_id=self._settings.client_id or f"edge-{self._device}",
            password=self._password,
            tls=self._tls,
            will_topic=f"{self._topic}/status",
            will_payload=will,
            will_attributes=status_attributes(will, self._settings.topic_root, self._device),
        )

    def _where(self) -> str:
        tls = ", TLS" if self._tls is not None else ""
        return f"{self._settings.host}:{self._settings.port} (MQTT {self._settings.version}{tls})"

    def _why_ended(self, session: Session, *, accepted: bool) -> str:
        if self._stopping.is_set():
            return STOP_DETAIL
        if session.connack is not None and session.connack[0] != 0:
            return why_refused(self._settings, *session.connack)
        return why_lost(self._settings, *session.end, accepted=accepted, soon_lost=self._soon_lost)

    def _tell(self, *, connected: bool, detail: str, connects: int | None = None, is_trouble: bool = True) -> None:
        before = self._status
        self._status = BrokerStatus(connected, detail, before.connects if connects is None else connects)
        if detail != before.detail:
            is_fine = connected or not is_trouble or self._stopping.is_set()
            _log.log(logging.INFO if is_fine else logging.WARNING, "MQTT %s", detail)
