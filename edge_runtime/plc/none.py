"""No gate: verdicts are only recorded and published."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from edge_runtime.domain.errors import PlcError
from edge_runtime.plc.port import PlcCapability, PlcInputs

if TYPE_CHECKING:
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.plc.port import DeviceState

NOTHING_KNOWN = PlcInputs(acknowledged_sequence=None, trigger_count=None, encoder_ticks=None, heartbeat=None)


def refuse_handshake(name: str) -> NoReturn:
    """For adapters without registers.

    Raises:
        PlcError: always.
    """
    raise PlcError(f"{name} has no handshake", 'use a Modbus PLC for gate = "permit", or set gate = "fire"')


class NoPlc:
    """Can do nothing, and says so."""

    @property
    def name(self) -> str:
        """See `Plc`."""
        return "no PLC"

    @property
    def capabilities(self) -> PlcCapability:
        """See `Plc`."""
        return PlcCapability(0)

    def connect(self) -> None:
        """See `Plc`."""

    def publish_result(self, command: RejectCommand) -> None:  # noqa: ARG002  (nowhere to put it)
        """See `Plc`."""
        refuse_handshake(self.name)

    def beat(self, state: DeviceState) -> None:  # noqa: ARG002  (nobody to tell)
        """See `Plc`."""
        refuse_handshake(self.name)

    def read(self) -> PlcInputs:
        """See `Plc`."""
        return NOTHING_KNOWN

    def set_ejector(self, *, on: bool) -> None:  # noqa: ARG002  (nothing to switch)
        """See `Plc`."""
        raise PlcError('there is no ejector: [plc] has kind = "none"', "configure a PLC, relay or GPIO line in [plc]")

    def close(self) -> None:
        """See `Plc`."""
