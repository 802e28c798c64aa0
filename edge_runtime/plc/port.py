"""The PLC as the line sees it. Every call is bounded in time by the adapter's configured timeout."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.domain.status import LineReason


class PlcCapability(Flag):
    """What an adapter can do."""

    HANDSHAKE = auto()
    """Results with part sequence and acknowledgement, heartbeat: gate mode `permit` is possible."""
    EJECTOR = auto()
    """A line that we switch ourselves: gate mode `fire`."""
    ENCODER = auto()
    """Reports the belt encoder."""
    TRIGGER_COUNT = auto()
    """Reports how many parts passed the trigger sensor."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What we tell the PLC about ourselves with every heartbeat."""

    online: bool
    ready: bool
    """False means: hold the line or reject; we cannot judge."""
    busy: bool
    fault: bool
    development_trust: bool
    degraded: bool = False
    """Parts are judged, but something beside that is broken."""
    reason: LineReason | None = None
    """The worst reason that holds."""
    product_code: int | None = None
    """Of the product that is inspected now; None while none can be."""


@dataclass(frozen=True, slots=True)
class PlcInputs:
    """What the PLC tells us; None where the adapter cannot know."""

    acknowledged_sequence: int | None
    """Part sequence of the last result the PLC took over."""
    trigger_count: int | None
    """Part sequence of the newest part at the trigger sensor."""
    encoder_ticks: int | None
    heartbeat: int | None
    product_code: int | None = None
    """Of the next part, 0…65535, as of our last heartbeat; None where no register is configured for it."""


class Plc(Protocol):
    """One PLC, relay or GPIO line. Used by one thread."""

    @property
    def name(self) -> str:
        """Kind and address, for messages."""

    @property
    def capabilities(self) -> PlcCapability:
        """What may be called."""

    def connect(self) -> None:
        """Open the transport; may be called again after any PlcError (it closes and drains first).

        Raises:
            PlcError: not reachable; the caller retries.
        """

    def publish_result(self, command: RejectCommand) -> None:
        """HANDSHAKE: put one part's result into the PLC's registers, all of it or nothing.

        Raises:
            PlcError: no answer in time or a wrong one. The result may or may not have arrived: send it again,
                the part sequence makes it harmless.
        """

    def beat(self, state: DeviceState) -> None:
        """HANDSHAKE: advance the heartbeat and the status bits.

        Raises:
            PlcError: see `publish_result`.
        """

    def read(self) -> PlcInputs:
        """Read what the PLC says.

        Raises:
            PlcError: see `publish_result`.
        """

    def set_ejector(self, *, on: bool) -> None:
        """EJECTOR: switch the ejector line.

        Raises:
            PlcError: see `publish_result`.
        """

    def close(self) -> None:
        """Ejector off where we drive it, transport closed. Idempotent, never raises."""
