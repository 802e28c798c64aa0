"""Every kind of gate with its other end in the test's hands."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from makers import BUNDLE

from edge_runtime.config.plc import (
    GpioSettings,
    ModbusRtuSettings,
    ModbusTcpSettings,
    SerialRelaySettings,
    SimulatedPlcSettings,
)
from edge_runtime.domain.errors import PlcError
from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.reject import RejectCommand
from edge_runtime.domain.verdict import Disposition, Limits, Reason, Verdict
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc import create
from edge_runtime.plc.faults import Fault, FaultPlan
from edge_runtime.plc.gpio import GpioPlc
from edge_runtime.plc.modbus_server import PlcServer, RtuEndpoint, TcpEndpoint
from edge_runtime.plc.model import SimulatedPlcModel
from edge_runtime.plc.twins import GpioTwin, RelayTwin
from edge_runtime.plc.virtual_cable import VirtualCable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.plc.port import Plc
    from edge_runtime.plc.registers import Result

TIMEOUT_MS = 100
SLACK_S = 2.0
"""What a busy machine may add. Without a bound of ours pymodbus would wait for 12 s."""
COIL = 0


def make_command(part: int, action: GateAction = GateAction.EJECT) -> RejectCommand:
    """A reject above the limit, or a pass below it."""
    ejects = action is GateAction.EJECT
    verdict = Verdict(
        part_id=f"part-{part}",
        part_sequence=part,
        frame_sequence=part,
        disposition=Disposition.REJECT if ejects else Disposition.PASS,
        reason=Reason.ABOVE_LIMIT if ejects else Reason.BELOW_LIMIT,
        score=2.5 if ejects else 0.5,
        limits=Limits(1.0, 2.0),
        bundle=BUNDLE,
        triggered_ns=0,
        decided_ns=20_000_000,
        triggered_wall_ns=0,
    )
    return RejectCommand(verdict.part_id, part, action, verdict, 800_000_000, None, 900_000_000, 50_000_000)


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Poll a condition that another thread brings about; its last value."""
    give_up = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.002)
    return condition()


def reconnect(plc: Plc) -> None:
    """As the line does: try until it works."""

    def works() -> bool:
        try:
            plc.connect()
        except PlcError:
            return False
        return True

    assert wait_until(works)


class Rig(Protocol):
    """A gate and its other end."""

    plc: Plc

    def results(self) -> list[Result]:
        """Results that reached the PLC."""

    def ejector(self) -> list[bool]:
        """Every state that the ejector was switched to, in order."""

    def hang(self) -> None:
        """From now on nothing answers."""

    def heal(self) -> None:
        """Everything answers again."""

    def close(self) -> None:
        """Adapter and other end closed."""


class ModelRig:
    """A PLC with registers: Modbus TCP, Modbus RTU or in this process."""

    def __init__(self, kind: str, coil: int | None = COIL) -> None:
        self.coil = coil
        self.model = SimulatedPlcModel(keep=None)
        self.stack = ExitStack()
        clock = SystemClock()
        if kind == "sim":
            self.faults = FaultPlan()
            settings = SimulatedPlcSettings(kind="sim")
            self.plc = create(settings, clock, model=self.model, faults=self.faults)
        else:
            self.faults = self._serve(kind, clock)
        self.stack.callback(self.plc.close)

    def _serve(self, kind: str, clock: SystemClock) -> FaultPlan:
        endpoint: TcpEndpoint | RtuEndpoint = TcpEndpoint(0)
        cable = VirtualCable() if kind == "rtu" else None
        if cable is not None:
            self.stack.callback(cable.close)
            endpoint = RtuEndpoint(cable.far, parity="N")
        server = PlcServer(self.model, clock, endpoint)
        server.start()
        self.stack.callback(server.stop)
        if cable is None:
            self.plc = create(
                ModbusTcpSettings(
                    kind="modbus_tcp", host="127.0.0.1", port=server.port, timeout_ms=TIMEOUT_MS, ejector_coil=self.coil
                ),
                clock,
            )
        else:
            self.plc = create(
                ModbusRtuSettings(
                    kind="modbus_rtu", device=cable.near, parity="N", timeout_ms=TIMEOUT_MS, ejector_coil=self.coil
                ),
                clock,
            )
        return server.faults

    def results(self) -> list[Result]:
        """See `Rig`."""
        return [entry.result for entry in self.model.results]

    def ejector(self) -> list[bool]:
        """See `Rig`."""
        return [entry.on for entry in self.model.coils]

    def hang(self) -> None:
        """See `Rig`."""
        self.faults.inject(Fault.HANG, times=1_000)

    def heal(self) -> None:
        """See `Rig`."""
        self.faults.clear()

    def close(self) -> None:
        """See `Rig`."""
        self.stack.close()


class RelayRig:
    """A serial relay on a pseudo terminal."""

    def __init__(self, folder: Path) -> None:
        self.twin = RelayTwin(folder / "usb-relay")
        settings = SerialRelaySettings(kind="serial_relay", device=self.twin.link, channel=2, timeout_ms=TIMEOUT_MS)
        self.plc = create(settings, SystemClock())

    def results(self) -> list[Result]:
        """See `Rig`."""
        return []

    def ejector(self) -> list[bool]:
        """See `Rig`."""
        self.twin.listen(0.05)
        assert not self.twin.refused
        assert all(channel == 2 for channel, _ in self.twin.commands)
        return [on for _, on in self.twin.commands]

    def hang(self) -> None:
        """See `Rig`."""
        self.twin.unplug()

    def heal(self) -> None:
        """See `Rig`."""
        self.twin.plug()

    def close(self) -> None:
        """See `Rig`."""
        self.plc.close()
        self.twin.close()


class GpioRig:
    """A GPIO line of the twin."""

    def __init__(self) -> None:
        self.twin = GpioTwin()
        self.plc: Plc = GpioPlc(GpioSettings(kind="gpio", line=17), self.twin.request)

    def results(self) -> list[Result]:
        """See `Rig`."""
        return []

    def ejector(self) -> list[bool]:
        """See `Rig`."""
        return list(self.twin.history)

    def hang(self) -> None:
        """See `Rig`."""
        self.twin.broken = True

    def heal(self) -> None:
        """See `Rig`."""
        self.twin.broken = False

    def close(self) -> None:
        """See `Rig`."""
        self.plc.close()
