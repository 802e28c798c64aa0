"""The broker as the publish stage sees it. Keeps nothing: what has no PUBACK stays in the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.records import OutboxRow


DISCONNECTED = "disconnected"
"""Why a row came back that the broker never answered."""


@dataclass(frozen=True, slots=True)
class PubAck:
    """What became of one publish."""

    sequence: int
    accepted: bool
    """True only for a PUBACK with a reason code below 0x80."""
    reason: str
    """Reason code in words, or `DISCONNECTED`."""


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """Snapshot of the connection."""

    connected: bool
    detail: str
    """Where to, or why not."""
    connects: int
    """How often a connection was accepted."""


@dataclass(frozen=True, slots=True)
class Request:
    """A message that somebody sent to this device. Nothing in it is proved: the broker's access rules are the guard."""

    command: str
    """Last level of the topic: one of those that the settings allow."""
    payload: bytes
    """As it came, at most `MOST_REQUEST_BYTES`."""
    response_topic: str = ""
    correlation: bytes = b""
    properties: tuple[tuple[str, str], ...] = ()
    """User properties, MQTT 5 only."""


MOST_REQUEST_BYTES = 4_096
"""A longer request is none of ours; it is dropped."""


class Broker(Protocol):
    """One broker connection. `publish` and `poll_acks` are called by one thread; the rest by any."""

    def start(self) -> None:
        """Connect in the background and keep reconnecting. An absent broker is not an error.

        Raises:
            BrokerError: the settings can never work (unreadable certificate, missing password file).
        """

    def set_status(self, payload: bytes) -> None:
        """Newest retained `…/status`; published now if connected, and again on every connect."""

    def publish(self, row: OutboxRow) -> bool:
        """Hand one row to the broker, QoS 1. False if not connected or the in-flight window is full."""

    def poll_acks(self, timeout_s: float) -> Sequence[PubAck]:
        """Results since the last call; waits for the first at most `timeout_s`.

        On a lost connection every row in flight comes back once as not accepted, reason `DISCONNECTED`.
        """

    def poll_requests(self) -> Sequence[Request]:
        """Requests since the last call, oldest first; never waits. A flood beyond 16 between two calls is dropped.

        Retained messages are not among them: a request is meant once.
        """

    def status(self) -> BrokerStatus:
        """Current connection."""

    def stop(self, timeout_s: float) -> None:
        """Publish the last status, disconnect cleanly, end every thread. Idempotent."""
