"""The lamp of `[updates.signal]`: what becomes of a release, for whoever stands before the machine with a stick."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from edge_runtime import plc as plcs
from edge_runtime.config.plc import GpioSettings, SerialRelaySettings
from edge_runtime.config.signal_lamp import GpioSignalSettings, LedSignalSettings, RelaySignalSettings
from edge_runtime.domain.errors import PlcError
from edge_runtime.domain.status import LineReason

if TYPE_CHECKING:
    from edge_runtime.config.signal_lamp import SignalSettings
    from edge_runtime.domain.status import LineHealth
    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.port import Plc

_log = logging.getLogger(__name__)
LEDS: Final = Path("/sys/class/leds")
SLOW_NS: Final = 800_000_000
"""On for so long, off for so long: a release is coming in."""
FAST_NS: Final = 150_000_000
"""The same, shorter than a tick of the supervisor: it was refused, or did not work."""
AGAIN_NS: Final = 10_000_000_000
"""A lamp that fails is tried again after this."""


class Lamp(Protocol):
    """Something that can be on or off."""

    def switch(self, *, on: bool) -> None:
        """Switch it.

        Raises:
            OSError: it cannot be.
            PlcError: it cannot be.
        """

    def close(self) -> None:
        """Off, and released. Never raises."""


class Led:
    """An LED of the kernel."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def switch(self, *, on: bool) -> None:
        """See `Lamp`. Writing a brightness ends whatever trigger the LED had."""
        value = (self._folder / "max_brightness").read_text(encoding="ascii").strip() if on else "0"
        (self._folder / "brightness").write_text(f"{value}\n", encoding="ascii")

    def close(self) -> None:
        """See `Lamp`."""
        with contextlib.suppress(OSError):
            self.switch(on=False)


class OutputLamp:
    """A lamp on an output that could as well work an ejector."""

    def __init__(self, output: Plc) -> None:
        self._output = output
        self._open = False

    def switch(self, *, on: bool) -> None:
        """See `Lamp`."""
        try:
            if not self._open:
                self._output.connect()
                self._open = True
            self._output.set_ejector(on=on)
        except PlcError:
            self._open = False
            raise

    def close(self) -> None:
        """See `Lamp`."""
        self._output.close()


class LampDriver:
    """Shows by the line's own reasons; called a few times per second by one thread."""

    def __init__(self, lamp: Lamp | None, clock: Clock) -> None:
        """Nothing is switched yet.

        Args:
            lamp: None where there is none.
            clock: for blinking.
        """
        self._lamp = lamp
        self._clock = clock
        self._on: bool | None = None
        self._since_ns = 0
        self._at_ns = 0
        self._failing = False

    def show(self, health: LineHealth) -> None:
        """Switch the lamp if need be. Never raises: a lamp is a convenience."""
        now_ns = self._clock.monotonic_ns()
        if self._lamp is None or now_ns < self._at_ns:
            return
        pattern = pattern_of({standing.reason for standing in health.reasons})
        if isinstance(pattern, Blinking):
            on = not self._on if now_ns - self._since_ns >= pattern.half_ns else bool(self._on)
        else:
            on = pattern
        if on == self._on:
            return
        try:
            self._lamp.switch(on=on)
        except (OSError, PlcError) as error:
            if not self._failing:
                _log.warning("the lamp of [updates.signal] cannot be switched: %s", error)
            self._failing, self._on, self._at_ns = True, None, now_ns + AGAIN_NS
        else:
            self._failing, self._on, self._since_ns = False, on, now_ns

    def close(self) -> None:
        """Off."""
        if self._lamp is not None:
            self._lamp.close()


@dataclass(frozen=True, slots=True)
class Blinking:
    """On and off in turn."""

    half_ns: int


def pattern_of(reasons: set[LineReason]) -> bool | Blinking:
    """Slow blinking while a release comes in, fast for a refusal, on for success, else off."""
    if LineReason.UPDATE_RUNNING in reasons:
        return Blinking(SLOW_NS)
    if LineReason.UPDATE_REFUSED in reasons:
        return Blinking(FAST_NS)
    return LineReason.UPDATE_TAKEN in reasons


def make_lamp(settings: SignalSettings, clock: Clock) -> Lamp | None:
    """The lamp that the settings name; None for none. Nothing is opened yet."""
    match settings:
        case LedSignalSettings():
            return Led(LEDS / settings.led)
        case RelaySignalSettings():
            relay = SerialRelaySettings(
                kind="serial_relay", device=settings.device, baud=settings.baud, channel=settings.channel
            )
            return OutputLamp(plcs.create(relay, clock))
        case GpioSignalSettings():
            line = GpioSettings(kind="gpio", chip=settings.chip, line=settings.line, active_low=settings.active_low)
            return OutputLamp(plcs.create(line, clock))
        case _:
            return None
