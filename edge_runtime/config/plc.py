"""`[plc]`: how the gate is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.config.base import Settings


class _ModbusSettings(Settings):
    unit: int = Field(default=1, ge=0, le=247)
    """Modbus unit (slave) address."""
    timeout_ms: int = Field(default=100, ge=5, le=5_000)
    """No single exchange blocks longer."""
    result_address: int = Field(default=100, ge=0, le=65_000)
    """First holding register of the block that we write (see the Modbus map in the README)."""
    status_address: int = Field(default=200, ge=0, le=65_000)
    """First holding register of the block that the PLC writes and we read."""
    ejector_coil: int | None = Field(default=None, ge=0, le=65_535)
    """Coil of the ejector, for gate mode `fire`."""
    product_address: int | None = Field(default=None, ge=0, le=65_000)
    """Holding register with the product code of the next part, written by the PLC; the one behind it is written by us:
    the code of the product that is inspected now, 65535 while none can be. For `products.source = "plc"`."""


class ModbusTcpSettings(_ModbusSettings):
    """A PLC on Modbus TCP."""

    kind: Literal["modbus_tcp"]
    """The gate is worked by a PLC that is reached over the network."""
    host: str
    """Name or address of the PLC."""
    port: int = Field(default=502, ge=1, le=65_535)
    """TCP port of the PLC."""


class ModbusRtuSettings(_ModbusSettings):
    """A PLC on Modbus RTU."""

    kind: Literal["modbus_rtu"]
    """The gate is worked by a PLC that is reached over a serial line."""
    device: Path
    """Serial device; use its /dev/serial/by-id link, which survives replugging."""
    baud: int = Field(default=115_200, ge=1_200, le=4_000_000)
    """Bits per second, as set in the PLC."""
    parity: Literal["N", "E", "O"] = "E"
    """None, even or odd, as set in the PLC; a pseudo terminal needs `N`."""
    stop_bits: Literal[1, 2] = 1
    """As set in the PLC."""


class SerialRelaySettings(Settings):
    """A USB serial relay (LCUS protocol). No feedback: not fail-safe."""

    kind: Literal["serial_relay"]
    """The ejector hangs on a USB relay."""
    device: Path
    """Serial device; use its /dev/serial/by-id link, which survives replugging."""
    baud: int = Field(default=9_600, ge=1_200, le=4_000_000)
    """Bits per second of the relay board."""
    channel: int = Field(default=1, ge=1, le=16)
    """Which relay of the board works the ejector."""
    timeout_ms: int = Field(default=100, ge=5, le=5_000)
    """No single write blocks longer."""


class GpioSettings(Settings):
    """A GPIO line through gpiod (extra `gpio`). No feedback: not fail-safe."""

    kind: Literal["gpio"]
    """The ejector hangs on an output line of this machine."""
    chip: Path = Field(default=Path("/dev/gpiochip0"), validate_default=False)
    """The GPIO chip's device; `ls /dev/gpiochip*` lists what there is."""
    line: int = Field(ge=0)
    """Number of the line on the chip."""
    active_low: bool = False
    """The ejector is on while the line is low."""


class SimulatedPlcSettings(Settings):
    """The simulated PLC with its belt."""

    kind: Literal["sim"]
    """The gate is simulated; its belt is described in `[simulation]`."""
    product_address: int | None = Field(default=None, ge=0, le=65_000)
    """As that of a Modbus PLC."""


class NoPlcSettings(Settings):
    """No gate: verdicts are only recorded and published."""

    kind: Literal["none"]
    """Nothing works a gate."""


PlcSettings = Annotated[
    ModbusTcpSettings | ModbusRtuSettings | SerialRelaySettings | GpioSettings | SimulatedPlcSettings | NoPlcSettings,
    Field(discriminator="kind"),
]


class PlcLinkSettings(Settings):
    """`[plc_link]`: timing of the link, whatever the PLC."""

    heartbeat_ms: int = Field(default=200, ge=10, le=10_000)
    """How often the PLC is told that we are alive; its watchdog should allow for three of them."""
    poll_ms: int = Field(default=10, ge=1, le=10_000)
    """How often acknowledgement, trigger count and encoder are read while anything is awaited."""
    acknowledge_timeout_ms: int = Field(default=500, ge=1, le=60_000)
    """A result that is not acknowledged within this time is sent again, after those that wait."""
    trigger_timeout_ms: int = Field(default=1_000, ge=1, le=60_000)
    """A part that the PLC has counted and that got no frame for so long is TRIGGER_LOST."""
    watch_trigger_count: bool = False
    """Compare the PLC's part count with ours (only where the PLC counts what this camera sees)."""
    reconnect_ms: int = Field(default=500, ge=10, le=60_000)
    """Pause before a lost PLC is connected again."""
