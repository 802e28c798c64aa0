"""The gate: Modbus, serial relay, GPIO, and the simulated PLC with its belt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.plc import (
    GpioSettings,
    ModbusRtuSettings,
    ModbusTcpSettings,
    SerialRelaySettings,
    SimulatedPlcSettings,
)

if TYPE_CHECKING:
    from edge_runtime.config.plc import PlcSettings
    from edge_runtime.ops.belt import BeltPlan
    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.faults import FaultPlan
    from edge_runtime.plc.model import SimulatedPlcModel
    from edge_runtime.plc.port import Plc


def create(
    settings: PlcSettings,
    clock: Clock,
    belt: BeltPlan | None = None,
    *,
    model: SimulatedPlcModel | None = None,
    faults: FaultPlan | None = None,
) -> Plc:
    """The adapter for `settings`, not yet connected.

    Args:
        settings: which kind, and where it is.
        clock: time of the simulated PLC; real adapters bound their exchanges with the machine's own clock.
        belt: `sim` only: the parts that travel to its gate; without one it acknowledges and logs every result.
        model: `sim` only: a simulated PLC that the caller wants to look into; replaces `belt`.
        faults: `sim` only: what is to go wrong.

    Raises:
        ConfigError: settings that cannot work together.
    """
    match settings:
        case ModbusTcpSettings() | ModbusRtuSettings():
            return _modbus(settings)
        case SerialRelaySettings():
            from edge_runtime.plc.serial_relay import SerialRelay  # noqa: PLC0415

            return SerialRelay(settings)
        case GpioSettings():
            from edge_runtime.plc.gpio import GpioPlc, request_line  # noqa: PLC0415

            return GpioPlc(settings, request_line)
        case SimulatedPlcSettings():
            return _simulated(settings, clock, belt, model, faults)
        case _:
            from edge_runtime.plc.none import NoPlc  # noqa: PLC0415

            return NoPlc()


def _modbus(settings: ModbusTcpSettings | ModbusRtuSettings) -> Plc:
    from edge_runtime.plc.handshake import HandshakePlc  # noqa: PLC0415
    from edge_runtime.plc.modbus import ModbusLink  # noqa: PLC0415
    from edge_runtime.plc.modbus_transport import rtu_transport, tcp_transport  # noqa: PLC0415

    transport = tcp_transport(settings) if isinstance(settings, ModbusTcpSettings) else rtu_transport(settings)
    return HandshakePlc(
        ModbusLink(transport, unit=settings.unit),
        result_address=settings.result_address,
        status_address=settings.status_address,
        ejector_coil=settings.ejector_coil,
        product_address=settings.product_address,
    )


def _simulated(
    settings: SimulatedPlcSettings,
    clock: Clock,
    belt: BeltPlan | None,
    model: SimulatedPlcModel | None,
    faults: FaultPlan | None,
) -> Plc:
    from edge_runtime.plc.handshake import HandshakePlc  # noqa: PLC0415
    from edge_runtime.plc.model import EJECTOR_COIL, RESULT_ADDRESS, STATUS_ADDRESS, SimulatedPlcModel  # noqa: PLC0415
    from edge_runtime.plc.sim import ModelLink  # noqa: PLC0415

    link = ModelLink(SimulatedPlcModel(belt) if model is None else model, clock, faults)
    return HandshakePlc(
        link,
        result_address=RESULT_ADDRESS,
        status_address=STATUS_ADDRESS,
        ejector_coil=EJECTOR_COIL,
        product_address=settings.product_address,
    )
