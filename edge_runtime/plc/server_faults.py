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

from edge_runtime.plc.faults import Fault, PlannedFault

if TYPE_CHECKING:
    from pymodbus.pdu import ModbusPDU
    from pymodbus.server.base import ModbusBaseServer

    from edge_runtime.plc.faults import FaultPlan

Address = tuple[str, int] | None
_NOT_CARRIED_OUT = {Fault.HANG, Fault.WRONG_FUNCTION, Fault.EXCEPTION, Fault.GARBAGE, Fault.DISCONNECT}
_GARBAGE = bytes(range(0x90, 0xB0))


class FaultyConnection(ServerRequestHandler):
    """pymodbus' request handler; a fault from the plan, if there is one, befalls the exchange."""

    def __init__(self, server: ModbusBaseServer, faults: FaultPlan) -> None:
        super().__init__(server, None, None, None)  # type: ignore[no-untyped-call]
        self._faults = faults
        self._planned: PlannedFault | None = None

    async def handle_request(self) -> None:
        """Carry out a request, unless the fault forbids it."""
        planned = self._faults.take()
        self._planned = planned
        request, address = self.last_pdu, self.last_addr
        if planned is None or request is None:
            await super().handle_request()  # type: ignore[no-untyped-call]
        elif planned.fault in _NOT_CARRIED_OUT:
            self._answer_wrongly(planned.fault, request, address)
        elif planned.fault is Fault.LATE_REQUEST:
            await asyncio.sleep(planned.delay_ms / 1e3)
            self.last_pdu, self._planned = request, None
            await super().handle_request()  # type: ignore[no-untyped-call]
        else:
            await super().handle_request()  # type: ignore[no-untyped-call]

    def server_send(self, pdu: ModbusPDU, addr: Address) -> None:
        """Send the reply as the fault has it."""
        planned, self._planned = self._planned, None
        if planned is None:
            super().server_send(pdu, addr)  # type: ignore[no-untyped-call]
        elif planned.fault is Fault.LATE_REPLY:
            self.loop.call_later(planned.delay_ms / 1e3, super().server_send, pdu, addr)
        elif planned.fault is Fault.WRONG_ADDRESS:
            super().server_send(_altered(pdu), addr)  # type: ignore[no-untyped-call]
        elif planned.fault is Fault.TRICKLE:
            for index, byte in enumerate(self.framer.buildFrame(pdu)):
                self.loop.call_later(index * planned.delay_ms / 1e3, self.send, bytes([byte]), addr)
        # LOST_REPLY: nothing is sent.

    def _answer_wrongly(self, fault: Fault, request: ModbusPDU, address: Address) -> None:
        self._planned = None
        if fault is Fault.DISCONNECT:
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
        super().server_send(reply, address)  # type: ignore[no-untyped-call]


def _altered(pdu: ModbusPDU) -> ModbusPDU:
    """The same reply about something else: another address, or one register fewer."""
    other = copy.copy(pdu)
    if pdu.registers:
        other.registers = list(pdu.registers)[:-1]
    else:
        other.address = pdu.address + 1
    return other
