from __future__ import annotations

import contextlib
import random
import socket
import time
from typing import TYPE_CHECKING

import pytest
from plc_rigs import SLACK_S, TIMEOUT_MS, ModelRig, make_command, reconnect

from edge_runtime.config.plc import ModbusRtuSettings, ModbusTcpSettings
from edge_runtime.domain.errors import ConfigError, PlcError
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc import create
from edge_runtime.plc.faults import Fault
from edge_runtime.plc.modbus_server import PlcServer, TcpEndpoint
from edge_runtime.plc.model import SimulatedPlcModel

if TYPE_CHECKING:
    from collections.abc import Iterator


LATE_MS = TIMEOUT_MS + 60


@pytest.fixture(params=["tcp", "rtu"])
def wired(request) -> Iterator[ModelRig]:
    """A connected PLC behind a real wire protocol."""
    rig = ModelRig(request.param)
    rig.plc.connect()
    yield rig
    rig.close()


@pytest.fixture
def serial_line() -> Iterator[ModelRig]:
    """A connected PLC on a serial line. Without a coil every exchange is one that a late reply could be taken for."""
    rig = ModelRig("rtu", coil=None)
    rig.plc.connect()
    yield rig
    rig.close()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.REPEATED_REPLY])
def test_any_fault_is_an_error_within_the_timeout_and_leaves_no_trace(wired, fault: Fault) -> None:
    """Whatever a PLC does wrong, the result is refused in time, and the next one is acknowledged as itself."""
    if fault is Fault.TRICKLE:
        wired.faults.inject(fault, delay_ms=20)
    else:
        wired.faults.inject(fault, delay_ms=LATE_MS)
    begun = time.monotonic()
    with pytest.raises(PlcError) as caught:
        wired.plc.publish_result(make_command(1))
    assert time.monotonic() - begun < TIMEOUT_MS / 1e3 + SLACK_S
    assert wired.plc.name in caught.value.what
    reconnect(wired.plc)
    wired.plc.publish_result(make_command(2))
    assert wired.plc.read().acknowledged_sequence == 2


@pytest.mark.parametrize("fault", [Fault.WRONG_ADDRESS, Fault.WRONG_FUNCTION, Fault.EXCEPTION, Fault.HANG])
def test_faulty_reply_to_a_reading_is_refused(wired, fault: Fault) -> None:
    """Inputs from a reply that does not fit the request never reach the line."""
    wired.faults.inject(fault)
    with pytest.raises(PlcError):
        wired.plc.read()


@pytest.mark.parametrize("fault", [Fault.WRONG_ADDRESS, Fault.WRONG_FUNCTION, Fault.EXCEPTION])
def test_faulty_reply_to_a_coil_is_refused(wired, fault: Fault) -> None:
    """An ejector that may not have been switched is an error."""
    wired.faults.inject(fault)
    with pytest.raises(PlcError):
        wired.plc.set_ejector(on=True)


def test_exception_reply_says_what_the_plc_said(wired) -> None:
    """The technician reads the PLC's own refusal, not a generic failure."""
    wired.faults.inject(Fault.EXCEPTION)
    with pytest.raises(PlcError, match="exception 6, device busy"):
        wired.plc.publish_result(make_command(1))


def test_late_reply_to_the_same_request_is_not_taken_for_its_successor(serial_line) -> None:
    """RTU: the reply to result 1 comes while the reply to result 2 is awaited, and is refused."""
    serial_line.faults.inject(Fault.LATE_REPLY, delay_ms=LATE_MS)
    with pytest.raises(PlcError):
        serial_line.plc.publish_result(make_command(1))
    with pytest.raises(PlcError, match="answered function 6 with function 16"):
        serial_line.plc.connect()
    reconnect(serial_line.plc)
    assert serial_line.plc.read().acknowledged_sequence == 1


def test_reply_that_comes_twice_answers_one_request_only(wired) -> None:
    """A converter that repeats the reply to result 1 does not make result 2 look delivered."""
    wired.faults.inject(Fault.REPEATED_REPLY, delay_ms=20)
    wired.faults.inject(Fault.HANG)
    wired.plc.publish_result(make_command(1))
    with pytest.raises(PlcError):
        wired.plc.publish_result(make_command(2))
    assert [result.part_sequence for result in wired.results()] == [1]


def test_result_that_was_accepted_has_arrived_whatever_happened_before(serial_line) -> None:
    """RTU under a storm of faults: publish_result never returns for a result that the PLC has not taken over."""
    draw = random.Random(20)  # noqa: S311  (repeatable faults)
    delivered = 0
    for part in range(1, 41):
        if draw.random() < 0.4:
            fault = draw.choice([Fault.LATE_REPLY, Fault.LATE_REQUEST, Fault.LOST_REPLY, Fault.GARBAGE, Fault.HANG])
            serial_line.faults.inject(fault, times=draw.randint(1, 3), delay_ms=draw.randint(80, 180))
        try:
            serial_line.plc.publish_result(make_command(part))
            assert serial_line.results()[-1].part_sequence == part
            assert serial_line.plc.read().acknowledged_sequence == part
            delivered += 1
        except PlcError:
            reconnect(serial_line.plc)
    assert delivered > 5


def test_plc_that_lags_behind_is_believed_only_when_it_has_caught_up(serial_line) -> None:
    """RTU: while every reply is one to an earlier request, no result counts as delivered; then the line is in step."""
    serial_line.faults.inject(Fault.LATE_REQUEST, times=8, delay_ms=TIMEOUT_MS * 3 // 2)
    refused = 0
    for part in range(1, 60):
        try:
            serial_line.plc.publish_result(make_command(part))
            assert serial_line.results()[-1].part_sequence == part
            break
        except PlcError:
            refused += 1
            with contextlib.suppress(PlcError):
                serial_line.plc.connect()
    assert refused >= 3
    assert serial_line.plc.read().acknowledged_sequence == serial_line.results()[-1].part_sequence


def test_plc_block_of_another_program_is_refused() -> None:
    """A PLC that does not run this map (or a wrong status_address) is an error that says so, not zeros."""
    model = SimulatedPlcModel(status_address=500)
    server = PlcServer(model, SystemClock(), TcpEndpoint(0))
    server.start()
    plc = create(ModbusTcpSettings(kind="modbus_tcp", host="127.0.0.1", port=server.port), SystemClock())
    try:
        plc.connect()
        with pytest.raises(PlcError, match="map version 0") as caught:
            plc.read()
        assert "status_address" in caught.value.action
    finally:
        plc.close()
        server.stop()


def test_unreachable_plc_names_itself_and_the_reason() -> None:
    """Nobody listens: the error tells the address and what the machine said."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    plc = create(ModbusTcpSettings(kind="modbus_tcp", host="127.0.0.1", port=port), SystemClock())
    with pytest.raises(PlcError, match=f"127.0.0.1:{port}.*refused"):
        plc.connect()


def test_serial_device_that_is_not_there_is_named(tmp_path) -> None:
    """A missing serial adapter is an error with its path."""
    settings_ = ModbusRtuSettings(kind="modbus_rtu", device=tmp_path / "usb-PLC")
    with pytest.raises(PlcError, match="usb-PLC"):
        create(settings_, SystemClock()).connect()


def test_broadcast_unit_is_refused_on_a_serial_line(tmp_path) -> None:
    """Unit 0 is never answered on RTU: the configuration is wrong, and says so before anything runs."""
    with pytest.raises(ConfigError, match="broadcast"):
        create(ModbusRtuSettings(kind="modbus_rtu", device=tmp_path / "x", unit=0), SystemClock())


def test_second_daemon_on_the_same_line_is_refused(serial_line) -> None:
    """Two masters on one RTU line would read each other's replies: the second cannot open it."""
    device = serial_line.plc.name.split()[2]
    other = create(ModbusRtuSettings(kind="modbus_rtu", device=device, parity="N"), SystemClock())
    with pytest.raises(PlcError, match="exclusively lock"):
        other.connect()


def test_server_that_cannot_serve_says_so() -> None:
    """A port in use and a device that is not there are errors of the simulated PLC, not a hang."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = PlcServer(SimulatedPlcModel(), SystemClock(), TcpEndpoint(taken.getsockname()[1]))
        with pytest.raises(PlcError, match="cannot serve"):
            server.start()
        server.stop()
