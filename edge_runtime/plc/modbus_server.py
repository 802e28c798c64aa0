"""The simulated PLC behind a real Modbus TCP or RTU server, in a thread of its own.

Run as a process of its own it is `python -m edge_runtime.plc.server`.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_runtime.domain.errors import PlcError
from edge_runtime.plc.faults import FaultPlan
from edge_runtime.plc.faulty_connection import FaultyConnection

if TYPE_CHECKING:
    from pathlib import Path

    from pymodbus.constants import ExcCodes

    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.model import SimulatedPlcModel

_REGISTERS = 65_536
_START_TIMEOUT_S = 10.0
_WRITE_REGISTERS = {6, 16}
_WRITE_COILS = {5, 15}
_READ_REGISTERS = 3


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """Where to listen; port 0 takes any free one."""

    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class RtuEndpoint:
    """Which serial device to serve."""

    device: Path
    baud: int = 115_200
    parity: str = "E"
    """A pseudo terminal has none: "N" there."""
    stop_bits: int = 1


class _TcpServer(ModbusTcpServer):
    faults: FaultPlan

    def callback_new_connection(self) -> FaultyConnection:
        return FaultyConnection(self, self.faults)


class _SerialServer(ModbusSerialServer):
    faults: FaultPlan

    def callback_new_connection(self) -> FaultyConnection:
        return FaultyConnection(self, self.faults)


class PlcServer:
    """Serves a SimulatedPlcModel from one thread of its own. Only that thread touches the model."""

    def __init__(
        self, model: SimulatedPlcModel, clock: Clock, endpoint: TcpEndpoint | RtuEndpoint, *, unit: int = 1
    ) -> None:
        self.faults = FaultPlan()
        self._model = model
        self._clock = clock
        self._endpoint = endpoint
        self._unit = unit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._run, name="plc-server", daemon=True)

    @property
    def port(self) -> int:
        """TCP port that it listens on; 0 for RTU."""
        return self._port

    @property
    def address(self) -> str:
        """Where it is reached, for messages."""
        if isinstance(self._endpoint, TcpEndpoint):
            return f"Modbus TCP {self._endpoint.host}:{self._port}"
        return f"Modbus RTU {self._endpoint.device}"

    def start(self) -> None:
        """Serve; returns once it can be reached.

        Raises:
            PlcError: the port or device cannot be used.
        """
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT_S) or self._failure is not None:
            raise PlcError(
                f"the simulated PLC cannot serve {self._endpoint}: {self._failure}", "choose a free port or device"
            )

    def stop(self) -> None:
        """Close every connection and end the thread. Idempotent."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join(_START_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = self._server()
        server.faults = self.faults
        if not await server.listen():
            raise OSError("address or device is in use, or not there")
        if isinstance(self._endpoint, TcpEndpoint) and isinstance(server.transport, asyncio.Server):
            self._port = server.transport.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await server.shutdown()  # type: ignore[no-untyped-call]

    def _server(self) -> _TcpServer | _SerialServer:
        bits = [SimData(0, values=[False] * _REGISTERS, datatype=DataType.BITS)]
        words = [SimData(0, count=_REGISTERS, values=0, datatype=DataType.REGISTERS)]
        device = SimDevice(self._unit, simdata=(bits, list(bits), words, list(words)), action=self._act)
        if isinstance(self._endpoint, TcpEndpoint):
            return _TcpServer(device, address=(self._endpoint.host, self._endpoint.port), ignore_missing_devices=True)
        return _SerialServer(
            device,
            port=str(self._endpoint.device),
            baudrate=self._endpoint.baud,
            parity=self._endpoint.parity,
            stopbits=self._endpoint.stop_bits,
            ignore_missing_devices=True,
        )

    async def _act(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Pymodbus' hook, called before its own image is read or written."""
        now_ns = self._clock.monotonic_ns()
        if function in _WRITE_REGISTERS and values is not None:
            self._model.write_registers(address, [int(value) for value in values], now_ns)
        elif function in _WRITE_COILS and values is not None:
            for offset, value in enumerate(values):
                self._model.write_coil(address + offset, on=bool(value), now_ns=now_ns)
        elif function == _READ_REGISTERS:
            first = address - start
            registers[first : first + count] = self._model.read_registers(address, count, now_ns)
        return None
