"""`[updates.signal]`: a lamp. Blinks slowly: a release comes in; on: it was taken; blinks fast: it was refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.config.base import Settings


class LedSignalSettings(Settings):
    """An LED of this machine."""

    kind: Literal["led"]
    """An LED that the kernel knows; the daemon's user must be able to write its `brightness`."""
    led: str = Field(pattern=r"^[^/\s]{1,64}$", json_schema_extra={"form": "a name below /sys/class/leds"})
    """`ls /sys/class/leds` lists what there is."""


class RelaySignalSettings(Settings):
    """A lamp on a USB serial relay (LCUS protocol)."""

    kind: Literal["serial_relay"]
    """A lamp hangs on a USB relay: not the board that works the ejector."""
    device: Path
    """Serial device; use its /dev/serial/by-id link, which survives replugging."""
    baud: int = Field(default=9_600, ge=1_200, le=4_000_000)
    """Bits per second of the relay board."""
    channel: int = Field(default=1, ge=1, le=16)
    """Which relay of the board works the lamp."""


class GpioSignalSettings(Settings):
    """A lamp on a GPIO line through gpiod (extra `gpio`)."""

    kind: Literal["gpio"]
    """A lamp hangs on an output line of this machine."""
    chip: Path = Field(default=Path("/dev/gpiochip0"), validate_default=False)
    """The GPIO chip's device."""
    line: int = Field(ge=0)
    """Number of the line on the chip."""
    active_low: bool = False
    """The lamp is on while the line is low."""


class NoSignalSettings(Settings):
    """No lamp."""

    kind: Literal["none"]
    """Results are shown on MQTT, to the PLC and in report.txt only."""


SignalSettings = Annotated[
    LedSignalSettings | RelaySignalSettings | GpioSignalSettings | NoSignalSettings, Field(discriminator="kind")
]
