"""One connection of the simulated PLC's server, which can be told to misbehave."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.bit_message import WriteSingleCoilResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.transport import CommType

from edge_runtime.plc.faults import Fault, PlannedFault

if TYPE_CHECKING:
    from pymodbus.pdu import ModbusPDU
    from pymodbus.server.base import ModbusBaseServer

    from edge_runtime.plc.faults import FaultPlan

Address = tuple[str, int] | None
_NOT_CARRIED_OUT = {Fault.HANG, Fault.WRONG_FUNCTION, Fault.EXCEPTION, Fault.GARBAGE, Fault.DISCONNECT}
HEALTHY = PlannedFault(fault=None)
_GARBAGE = bytes(range(0x90, 0xB0))


class FaultyConnection(ServerRequestHandler):
    """pymodbus' request handler, one request after the other as a PLC does; faults come from the plan."""

    def __init__(self, server: ModbusBaseServer, faults: FaultPlan) -> None:
        super().__init__(server, None, None, None)  # type: ignore[no-untyped-call]
        self._faults = faults
        self._reply: ModbusPDU | None = None
        self._in_turn = asyncio.Lock()

    async def handle_request(self) -> None:
        """Carry out a request and answer it, unless the fault forbids it."""
        request, address = self.last_pdu, self.last_addr
        if request is None:
            return
        async with self._in_turn:
            planned = self._faults.take() or HEALTHY
            if planned.fault in _NOT_CARRIED_OUT:
                self._answer_wrongly(planned.fault, request, address)
                return
            if planned.fault is Fault.LATE_REQUEST:
                await asyncio.sleep(planned.delay_ms / 1e3)
            self.last_pdu, self.last_addr = request, address
            await super().handle_request()  # type: ignore[no-untyped-call]
            await self._answer(planned, address)

    def server_send(self, pdu: ModbusPDU, addr: Address) -> None:
        """Keep the reply: `handle_request` sends it as the fault has it. A refused frame is answered at once."""
        if self._in_turn.locked():
            self._reply = pdu
        else:
            self.pdu_send(pdu, addr)

    async def _answer(self, planned: PlannedFault, address: Address) -> None:
        reply, self._reply = self._reply, None
        if reply is None or planned.fault is Fault.LOST_REPLY:
            return
        if planned.fault is Fault.LATE_REPLY:
            await asyncio.sleep(planned.delay_ms / 1e3)
        if planned.fault is Fault.WRONG_ADDRESS:
            reply = _altered(reply)
        if planned.fault is Fault.REPEATED_REPLY:
            self.loop.call_later(planned.delay_ms / 1e3, self.pdu_send, reply, address)
        if planned.fault is not Fault.TRICKLE:
            self.pdu_send(reply, address)
            return
        for byte in self.framer.buildFrame(reply):
            self.send(bytes([byte]), address)
            await asyncio.sleep(planned.delay_ms / 1e3)

    def _answer_wrongly(self, fault: Fault, request: ModbusPDU, address: Address) -> None:
        if fault is Fault.DISCONNECT and self.comm_params.comm_type is CommType.TCP:
            self.close()
        elif fault is Fault.GARBAGE:
            self.send(_GARBAGE, address)
        elif fault is Fault.EXCEPTION:
            self._send_reply(ExceptionResponse(request.function_code, ExcCodes.DEVICE_BUSY), request, address)
        elif fault is Fault.WRONG_FUNCTION:
            other = (
                WriteSingleCoilResponse(address=request.address, bits=[True])
                if isinstance(request, ReadHoldingRegistersRequest)
                else ReadHoldingRegistersResponse(registers=[0] * max(request.count, 1))
            )
            self._send_reply(other, request, address)

    def _send_reply(self, reply: ModbusPDU, request: ModbusPDU, address: Address) -> None:
        reply.dev_id, reply.transaction_id = request.dev_id, request.transaction_id
        self.pdu_send(reply, address)


def _altered(pdu: ModbusPDU) -> ModbusPDU:
    """The same reply about something else: another address, or one register fewer."""
    other = copy.copy(pdu)
    if pdu.registers:
        other.registers = list(pdu.registers)[:-1]
    else:
        other.address = pdu.address + 1
    return other
