"""pymodbus' clients with one deadline for a whole exchange, and how to reach a PLC with them.

pymodbus' own receive loops may take twice the timeout when bytes trickle, and its serial one polls and reads the wall
clock; these wait on the descriptor and end at a monotonic instant. It still frames, numbers and decodes.
"""

from __future__ import annotations

import contextlib
import select
import socket
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import serial
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.config.plc import ModbusRtuSettings, ModbusTcpSettings

_DRAIN_QUIET_S = 0.01
"""A line on which nothing came for so long is drained (3.5 characters at 1200 baud are 32 ms, at 9600 baud 4 ms)."""


class DeadlineTcpClient(ModbusTcpClient):
    """ModbusTcpClient whose exchange ends at `deadline_s` (monotonic), however the bytes come."""

    deadline_s = 0.0

    def open(self, timeout_s: float) -> None:
        """Connect.

        Raises:
            OSError: refused, unreachable, or no answer in time.
        """
        params = self.comm_params
        self.socket = socket.create_connection((params.host, params.port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes, addr: tuple[str, int] | None = None) -> int:  # noqa: ARG002  (pymodbus' signature)
        """Send the whole frame before the deadline."""
        if self.socket is None:
            raise ConnectionError("not connected")
        self.socket.settimeout(_remaining(self.deadline_s))
        self.socket.sendall(request)
        return len(request)

    def recv(self, size: int | None) -> bytes:
        """Whatever has come; nothing at the deadline."""
        if self.socket is None:
            raise ConnectionError("not connected")
        if not _readable(self.socket, self.deadline_s):
            return b""
        data = self.socket.recv(4096 if size is None else size)
        if not data:
            raise ConnectionResetError("the PLC closed the connection")
        return data

    def close(self) -> None:
        """Idempotent, never raises."""
        device, self.socket = self.socket, None
        if device is not None:
            # A device that is gone may refuse even this; its descriptor is released all the same.
            with contextlib.suppress(OSError):
                device.close()


class DeadlineSerialClient(ModbusSerialClient):
    """ModbusSerialClient whose exchange ends at `deadline_s` (monotonic), and which waits instead of polling."""

    deadline_s = 0.0

    def open(self, timeout_s: float) -> None:
        """Open the device and throw away what lies in it.

        Raises:
            OSError: missing, busy, or not a serial device.
        """
        params = self.comm_params
        try:
            self.socket = serial.Serial(
                params.host,
                baudrate=params.baudrate,
                parity=params.parity,
                stopbits=params.stopbits,
                timeout=0,
                write_timeout=timeout_s,
                exclusive=True,
            )
        except (termios.error, ValueError) as error:
            settings = f"{params.baudrate} baud, parity {params.parity}, {params.stopbits} stop bits"
            raise OSError(f'it cannot be set to {settings} (a pseudo terminal needs parity = "N")') from error
        give_up_s = time.monotonic() + timeout_s
        while (now_s := time.monotonic()) < give_up_s and _readable(self.socket, now_s + _DRAIN_QUIET_S):
            self.recv(None)

    def send(self, request: bytes, addr: tuple[str, int] | None = None) -> int:  # noqa: ARG002  (pymodbus' signature)
        """Send the whole frame before the deadline; bytes that came unasked are thrown away first."""
        if self.socket is None:
            raise ConnectionError("not connected")
        self.socket.reset_input_buffer()
        return self.socket.write(request) or 0

    def recv(self, size: int | None) -> bytes:
        """Whatever has come; nothing at the deadline."""
        if self.socket is None:
            raise ConnectionError("not connected")
        if not _readable(self.socket, self.deadline_s):
            return b""
        return bytes(self.socket.read(4096 if size is None else size))

    def close(self) -> None:
        """Idempotent, never raises."""
        device, self.socket = self.socket, None
        if device is not None:
            # A device that is gone may refuse even this; its descriptor is released all the same.
            with contextlib.suppress(OSError):
                device.close()


@dataclass(frozen=True, slots=True)
class Transport:
    """How to reach a PLC."""

    name: str
    client: Callable[[], DeadlineTcpClient | DeadlineSerialClient]
    timeout_s: float
    is_serial: bool
    """True where frames carry no transaction number."""
    action: str
    """What to check when it does not answer."""


def tcp_transport(settings: ModbusTcpSettings) -> Transport:
    """Modbus TCP. A host name is resolved at every connection; an address needs no name server."""
    return Transport(
        name=f"Modbus TCP {settings.host}:{settings.port} unit {settings.unit}",
        client=lambda: DeadlineTcpClient(
            settings.host, port=settings.port, timeout=settings.timeout_ms / 1e3, retries=0
        ),
        timeout_s=settings.timeout_ms / 1e3,
        is_serial=False,
        action="check power and network of the PLC, and host, port and unit in [plc]",
    )


def rtu_transport(settings: ModbusRtuSettings) -> Transport:
    """Modbus RTU.

    Raises:
        ConfigError: unit 0 is a broadcast, which no PLC answers.
    """
    if settings.unit == 0:
        raise ConfigError(
            "[plc] unit = 0 is a broadcast on Modbus RTU: no PLC answers it", "set the PLC's own unit, 1…247"
        )
    return Transport(
        name=f"Modbus RTU {settings.device} unit {settings.unit}",
        client=lambda: DeadlineSerialClient(
            str(settings.device),
            baudrate=settings.baud,
            parity=settings.parity,
            stopbits=settings.stop_bits,
            timeout=settings.timeout_ms / 1e3,
            retries=0,
        ),
        timeout_s=settings.timeout_ms / 1e3,
        is_serial=True,
        action="check the cable, and device, baud, parity and unit in [plc]",
    )


def _remaining(deadline_s: float) -> float:
    # Zero would mean "do not wait" to a socket, and "for ever" to pyserial.
    return max(deadline_s - time.monotonic(), 0.000_1)


def _readable(device: socket.socket | serial.Serial, deadline_s: float) -> bool:
    return bool(select.select([device], [], [], max(deadline_s - time.monotonic(), 0.0))[0])
