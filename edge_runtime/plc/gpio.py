"""One GPIO line as the ejector, through the kernel's character device (gpiod 2). No feedback: not fail-safe."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from edge_runtime.domain.errors import PlcError
from edge_runtime.plc.none import NOTHING_KNOWN, refuse_handshake
from edge_runtime.plc.port import PlcCapability, PlcInputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.config.plc import GpioSettings
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.plc.port import DeviceState

CONSUMER = "edge-runtime ejector"
_ACTION = "check chip and line in [plc] (gpioinfo lists them), and that this user may open the chip (group gpio)"


class OutputLine(Protocol):
    """A requested output line. It is inactive when requested."""

    def set(self, *, active: bool) -> None:
        """Switch it.

        Raises:
            OSError: the kernel refuses.
        """

    def release(self) -> None:
        """Give it back.

        Raises:
            OSError: the kernel refuses.
        """


class GpiodLine:
    """An OutputLine of the kernel."""

    def __init__(self, request: Any, offset: int, *, active: Any, inactive: Any) -> None:
        self._request = request
        self._offset = offset
        self._active = active
        self._inactive = inactive

    def set(self, *, active: bool) -> None:
        """See `OutputLine`."""
        self._request.set_value(self._offset, self._active if active else self._inactive)

    def release(self) -> None:
        """See `OutputLine`."""
        self._request.release()


def request_line(settings: GpioSettings) -> OutputLine:
    """Ask the kernel for the line, as an output that is inactive.

    Raises:
        PlcError: gpiod is not installed.
        OSError: no such chip or line, in use, or not allowed.
    """
    try:
        import gpiod  # noqa: PLC0415  (an optional extra)
        from gpiod.line import Direction, Value  # noqa: PLC0415
    except ImportError as error:
        raise PlcError(
            "GPIO needs the Python package gpiod, which is not installed",
            "install the extra `gpio`: pip install 'edge-runtime[gpio]'",
        ) from error
    line = gpiod.LineSettings(direction=Direction.OUTPUT, active_low=settings.active_low, output_value=Value.INACTIVE)
    request = gpiod.request_lines(str(settings.chip), consumer=CONSUMER, config={settings.line: line})
    return GpiodLine(request, settings.line, active=Value.ACTIVE, inactive=Value.INACTIVE)


class GpioPlc:
    """The line as a Plc with an ejector and nothing else."""

    def __init__(self, settings: GpioSettings, request: Callable[[GpioSettings], OutputLine]) -> None:
        self._settings = settings
        self._request = request
        self._line: OutputLine | None = None

    @property
    def name(self) -> str:
        """See `Plc`."""
        return f"GPIO {self._settings.chip} line {self._settings.line}"

    @property
    def capabilities(self) -> PlcCapability:
        """See `Plc`."""
        return PlcCapability.EJECTOR

    def connect(self) -> None:
        """See `Plc`. The line comes up inactive."""
        self._drop()
        try:
            self._line = self._request(self._settings)
        except OSError as error:
            raise PlcError(f"{self.name} cannot be requested: {error}", _ACTION) from error

    def publish_result(self, command: RejectCommand) -> None:  # noqa: ARG002  (nowhere to put it)
        """See `Plc`."""
        refuse_handshake(self.name)

    def beat(self, state: DeviceState) -> None:  # noqa: ARG002  (nobody to tell)
        """See `Plc`."""
        refuse_handshake(self.name)

    def read(self) -> PlcInputs:
        """See `Plc`. An output line says nothing."""
        return NOTHING_KNOWN

    def set_ejector(self, *, on: bool) -> None:
        """See `Plc`."""
        if self._line is None:
            raise PlcError(f"{self.name} is not connected", "connect again")
        try:
            self._line.set(active=on)
        except OSError as error:
            self._drop()
            raise PlcError(f"{self.name} cannot be switched: {error}", _ACTION) from error

    def close(self) -> None:
        """See `Plc`."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.set(active=False)
        self._drop()

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(OSError):
                line.release()
