"""A USB serial relay that speaks LCUS: four bytes per command, no answer. Not fail-safe.

The bytes are A0, channel, 1 or 0, and the low byte of their sum. The board answers nothing, and the kernel takes bytes
for a device that has just been pulled out; so the device's node is compared with the open descriptor around every
write: a vanished one is an error, another one (replugged) is opened afresh.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
from typing import TYPE_CHECKING

import serial

from edge_runtime.domain.errors import PlcError
from edge_runtime.plc.none import NOTHING_KNOWN, refuse_handshake
from edge_runtime.plc.port import PlcCapability, PlcInputs

if TYPE_CHECKING:
    from edge_runtime.config.plc import SerialRelaySettings
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.plc.port import DeviceState

_START = 0xA0
_ACTION = "plug the relay in again; use its /dev/serial/by-id link in [plc] device"


def relay_command(channel: int, *, on: bool) -> bytes:
    """The four LCUS bytes for a channel (1…16)."""
    state = int(on)
    return bytes([_START, channel, state, (_START + channel + state) & 0xFF])


class SerialRelay:
    """The relay as a Plc with an ejector and nothing else."""

    def __init__(self, settings: SerialRelaySettings) -> None:
        self._settings = settings
        self._port: serial.Serial | None = None

    @property
    def name(self) -> str:
        """See `Plc`."""
        return f"serial relay {self._settings.device} channel {self._settings.channel}"

    @property
    def capabilities(self) -> PlcCapability:
        """See `Plc`."""
        return PlcCapability.EJECTOR

    def connect(self) -> None:
        """See `Plc`. The relay is switched off: a predecessor may have died while it was on."""
        self._drop()
        self._open()
        self._send(on=False)

    def publish_result(self, command: RejectCommand) -> None:  # noqa: ARG002  (nowhere to put it)
        """See `Plc`."""
        refuse_handshake(self.name)

    def beat(self, state: DeviceState) -> None:  # noqa: ARG002  (nobody to tell)
        """See `Plc`."""
        refuse_handshake(self.name)

    def read(self) -> PlcInputs:
        """See `Plc`. A relay says nothing."""
        return NOTHING_KNOWN

    def set_ejector(self, *, on: bool) -> None:
        """See `Plc`. A relay that was replugged since the last call is opened afresh first."""
        if self._port is None:
            raise PlcError(f"{self.name} is not connected", "connect again")
        if not self._is_same_device(self._port):
            self._drop()
            self._open()
        self._send(on=on)

    def close(self) -> None:
        """See `Plc`."""
        if self._port is not None:
            # Best effort on the way out: a relay that is gone cannot be switched.
            with contextlib.suppress(PlcError):
                self.set_ejector(on=False)
        self._drop()

    def _open(self) -> None:
        settings = self._settings
        try:
            self._port = serial.Serial(
                str(settings.device),
                baudrate=settings.baud,
                timeout=0,
                write_timeout=settings.timeout_ms / 1e3,
                exclusive=True,
            )
        except (OSError, termios.error, ValueError) as error:
            raise PlcError(f"{self.name} cannot be opened: {error}", _ACTION) from error

    def _send(self, *, on: bool) -> None:
        port = self._port
        if port is None:
            raise PlcError(f"{self.name} is not connected", "connect again")
        try:
            port.write(relay_command(self._settings.channel, on=on))
        except (OSError, termios.error) as error:
            self._drop()
            raise PlcError(f"{self.name} cannot be written: {error}", _ACTION) from error
        # The write of a device that was just pulled out succeeds: look once more.
        if not self._is_same_device(port):
            self._drop()
            raise PlcError(f"{self.name} was unplugged while it was being switched", _ACTION)

    def _is_same_device(self, port: serial.Serial) -> bool:
        """True if the configured path still leads to the device that is open, and that is not hung up.

        Raises:
            PlcError: there is no device at the path.
        """
        try:
            node = self._settings.device.stat()
        except OSError as error:
            self._drop()
            raise PlcError(f"{self.name} is gone: {error}", _ACTION) from error
        opened = os.fstat(port.fileno())
        # A replugged adapter that gets the same number has a new node: devices and inodes are compared.
        if (node.st_rdev, node.st_dev, node.st_ino) != (opened.st_rdev, opened.st_dev, opened.st_ino):
            return False
        poll = select.poll()
        poll.register(port.fileno(), 0)
        return not poll.poll(0)

    def _drop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(OSError):
                port.close()
