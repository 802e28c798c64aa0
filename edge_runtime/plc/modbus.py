"""Modbus TCP and RTU: pymodbus frames the requests and replies, everything else is checked here.

pymodbus' own receive loops may take twice the timeout when bytes trickle, its serial one polls and reads the wall
clock, and on RTU it takes any sound frame for the reply (it cannot know better: RTU frames carry no transaction
number). So the clients below wait with one deadline for the whole exchange, and every reply is compared with its
request. Whatever does not fit closes the link: the next exchange starts on a fresh, drained one. On RTU opening proves
that requests and replies are in step, and then the count of registers differs from one exchange to the next, so that
even a late reply to the same kind of request differs from the one that is awaited.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import select
import socket
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import serial
from pymodbus import ModbusException
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.bit_message import WriteSingleCoilRequest, WriteSingleCoilResponse
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from edge_runtime.domain.errors import ConfigError, PlcError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymodbus.pdu import ModbusPDU

    from edge_runtime.config.plc import ModbusRtuSettings, ModbusTcpSettings

Reply = TypeVar("Reply", bound="ModbusPDU")

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge (still working)",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}
_WORD = 0x1_0000
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
        while _readable(self.socket, min(give_up_s, time.monotonic() + _DRAIN_QUIET_S)):
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


class ModbusLink:
    """RegisterLink over Modbus. Nothing is repeated here: the caller decides whether it still makes sense."""

    def __init__(self, transport: Transport, *, unit: int) -> None:
        self._transport = transport
        self._unit = unit
        self._client: DeadlineTcpClient | DeadlineSerialClient | None = None
        self._turn = 0
        # A predecessor that died may have left requests in the line, too.
        self._nonce = secrets.randbelow(_WORD)
        # Its messages repeat what our PlcError says, at level error, once per lost exchange.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

    @property
    def name(self) -> str:
        """See `RegisterLink`."""
        return self._transport.name

    def open(self, spare_address: int) -> None:
        """See `RegisterLink`.

        A PLC that hung works off the requests that it had buffered, and a count that varies a little repeats soon. So
        on RTU a number that was not used before is written: its echo proves that every earlier request is answered.
        """
        self.close()
        client = self._transport.client()
        try:
            client.open(self._transport.timeout_s)
        except OSError as error:
            client.close()
            raise PlcError(f"{self.name} cannot be opened: {error}", self._transport.action) from error
        self._client = client
        if self._transport.is_serial:
            self._nonce = (self._nonce + 1) % _WORD
            request = WriteSingleRegisterRequest(address=spare_address, registers=[self._nonce], dev_id=self._unit)
            reply = self._exchange(request, WriteSingleRegisterResponse)
            self._same("address", reply.address, spare_address)
            self._same("value", list(reply.registers), [self._nonce])

    def write(self, address: int, words: Sequence[int], spare: int) -> None:
        """See `RegisterLink`."""
        padded = [*words, *[0] * self._extra(spare)]
        request = WriteMultipleRegistersRequest(address=address, registers=padded, dev_id=self._unit)
        reply = self._exchange(request, WriteMultipleRegistersResponse)
        self._same("address", reply.address, address)
        self._same("count", reply.count, len(padded))

    def read(self, address: int, count: int, spare: int) -> Sequence[int]:
        """See `RegisterLink`."""
        asked = count + self._extra(spare)
        request = ReadHoldingRegistersRequest(address=address, count=asked, dev_id=self._unit)
        reply = self._exchange(request, ReadHoldingRegistersResponse)
        self._same("number of registers", len(reply.registers), asked)
        return reply.registers[:count]

    def write_coil(self, address: int, *, on: bool) -> None:
        """See `RegisterLink`."""
        request = WriteSingleCoilRequest(address=address, bits=[on], dev_id=self._unit)
        reply = self._exchange(request, WriteSingleCoilResponse)
        self._same("address", reply.address, address)
        self._same("coil value", list(reply.bits), [on])

    def close(self) -> None:
        """See `RegisterLink`."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _extra(self, spare: int) -> int:
        if not self._transport.is_serial:
            return 0
        self._turn = (self._turn + 1) % (spare + 1)
        return self._turn

    def _exchange(self, request: ModbusPDU, expected: type[Reply]) -> Reply:
        """One request and its reply, inside the timeout."""
        if self._client is None:
            raise PlcError(f"{self.name} is not connected", "connect again")
        self._client.deadline_s = time.monotonic() + self._transport.timeout_s
        try:
            reply = self._client.execute(no_response_expected=False, request=request)
        except (ModbusException, OSError, termios.error) as error:
            in_time = time.monotonic() < self._client.deadline_s
            reason = f"sound answer: {error}" if in_time else f"answer within {self._transport.timeout_s * 1e3:.0f} ms"
            raise self._failed(f"gave no {reason}") from error
        if isinstance(reply, ExceptionResponse):
            meaning = _EXCEPTIONS.get(reply.exception_code, "unknown")
            raise self._failed(
                f"refused function {request.function_code} at address {request.address}: "
                f"exception {reply.exception_code}, {meaning}"
            )
        # Not isinstance: pymodbus derives the input-register reply from the holding-register one.
        if type(reply) is not expected or reply.dev_id != self._unit:
            raise self._failed(
                f"answered function {request.function_code} with function {reply.function_code} of unit {reply.dev_id}"
            )
        return reply

    def _same(self, what: str, got: object, wanted: object) -> None:
        if got != wanted:
            raise self._failed(f"answered with {what} {got} where {wanted} was asked")

    def _failed(self, what: str) -> PlcError:
        self.close()
        return PlcError(f"{self.name} {what}", self._transport.action)


def _remaining(deadline_s: float) -> float:
    # Zero would mean "do not wait" to a socket, and "for ever" to pyserial.
    return max(deadline_s - time.monotonic(), 0.000_1)


def _readable(device: socket.socket | serial.Serial, deadline_s: float) -> bool:
    return bool(select.select([device], [], [], max(deadline_s - time.monotonic(), 0.0))[0])
