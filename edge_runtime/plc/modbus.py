"""Modbus TCP and RTU: pymodbus frames the requests and replies, and every reply is compared with its request here.

On RTU pymodbus takes any sound frame for the reply (it cannot know better: RTU frames carry no transaction number), and
an exception reply is returned, not raised. Whatever does not fit closes the link: the next exchange starts on a fresh,
drained one. On RTU opening proves that requests and replies are in step, and then the count of registers differs from
one exchange to the next, so that even a late reply to the same kind of request differs from the one that is awaited.
"""

from __future__ import annotations

import logging
import secrets
import termios
import time
from typing import TYPE_CHECKING, TypeVar

from pymodbus import ModbusException
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

from edge_runtime.domain.errors import PlcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymodbus.pdu import ModbusPDU

    from edge_runtime.plc.modbus_transport import DeadlineSerialClient, DeadlineTcpClient, Transport

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
