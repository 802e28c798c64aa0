from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plc_rigs import make_command
from pydantic import TypeAdapter

from edge_runtime.config.plc import GpioSettings, NoPlcSettings, PlcSettings, SimulatedPlcSettings
from edge_runtime.domain.errors import PlcError
from edge_runtime.domain.recipe import GateAction
from edge_runtime.ops.belt import BeltPlan
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.plc import create
from edge_runtime.plc.handshake import HandshakePlc
from edge_runtime.plc.model import SimulatedPlcModel
from edge_runtime.plc.port import DeviceState, PlcCapability
from edge_runtime.plc.registers import PLC_WORDS
from edge_runtime.plc.sim import ModelLink

MS = 1_000_000
FULL = PlcCapability.HANDSHAKE | PlcCapability.ENCODER | PlcCapability.TRIGGER_COUNT
BELT = BeltPlan(
    seed=1,
    start_ns=1_000 * MS,
    parts_per_s=10.0,
    defect_rate=0.0,
    dropped_trigger_rate=0.0,
    travel_ns=800 * MS,
    ticks_per_s=1_000,
)


@pytest.mark.parametrize(
    ("settings", "name", "capabilities"),
    [
        ({"kind": "none"}, "no PLC", PlcCapability(0)),
        ({"kind": "sim"}, "simulated PLC", FULL | PlcCapability.EJECTOR),
        ({"kind": "modbus_tcp", "host": "10.0.0.5"}, "Modbus TCP 10.0.0.5:502 unit 1", FULL),
        (
            {"kind": "modbus_rtu", "device": "/dev/serial/by-id/x", "unit": 7, "ejector_coil": 3},
            "Modbus RTU /dev/serial/by-id/x unit 7",
            FULL | PlcCapability.EJECTOR,
        ),
        ({"kind": "serial_relay", "device": "/dev/r"}, "serial relay /dev/r channel 1", PlcCapability.EJECTOR),
        ({"kind": "gpio", "line": 17}, "GPIO /dev/gpiochip0 line 17", PlcCapability.EJECTOR),
    ],
)
def test_settings_choose_the_adapter(settings: dict[str, object], name: str, capabilities: PlcCapability) -> None:
    """Each kind of [plc] gives its adapter, unconnected, with what it can do."""
    parsed: PlcSettings = TypeAdapter(PlcSettings).validate_python(settings)
    plc = create(parsed, SimulatedClock())
    assert plc.name == name
    assert plc.capabilities == capabilities


def test_line_without_a_gate_can_do_nothing_and_says_so() -> None:
    """Kind = "none" connects, knows nothing, and refuses what it has not."""
    plc = create(NoPlcSettings(kind="none"), SimulatedClock())
    plc.connect()
    assert plc.read().acknowledged_sequence is None
    state = DeviceState(online=True, ready=True, busy=False, fault=False, development_trust=False)
    for call in (
        lambda: plc.publish_result(make_command(1)),
        lambda: plc.beat(state),
        lambda: plc.set_ejector(on=True),
    ):
        with pytest.raises(PlcError):
            call()
    plc.close()


def test_plc_without_ejector_coil_refuses_to_eject(tmp_path) -> None:
    """Gate mode fire without a coil is an error that names the key, not silence."""
    settings: PlcSettings = TypeAdapter(PlcSettings).validate_python({"kind": "modbus_tcp", "host": "127.0.0.1"})
    with pytest.raises(PlcError) as caught:
        create(settings, SimulatedClock()).set_ejector(on=True)
    assert "ejector_coil" in caught.value.action


def test_missing_gpiod_names_the_extra(monkeypatch) -> None:
    """Without the optional package the technician learns what to install."""
    monkeypatch.setitem(sys.modules, "gpiod", None)
    plc = create(GpioSettings(kind="gpio", line=17), SimulatedClock())
    with pytest.raises(PlcError, match="gpiod") as caught:
        plc.connect()
    assert "gpio" in caught.value.action


@pytest.mark.needs_hardware
def test_real_gpio_line_is_switched() -> None:
    """On a device with a GPIO chip the line named by EDGE_TEST_GPIO_LINE goes on and off."""
    line = os.environ.get("EDGE_TEST_GPIO_LINE")
    if line is None or not Path("/dev/gpiochip0").exists():
        pytest.skip("needs a GPIO chip and EDGE_TEST_GPIO_LINE")
    plc = create(GpioSettings(kind="gpio", line=int(line)), SimulatedClock())
    plc.connect()
    plc.set_ejector(on=True)
    plc.set_ejector(on=False)
    plc.close()


def test_simulated_plc_follows_the_belt_on_the_injected_clock() -> None:
    """The simulated PLC counts and moves parts by the line's clock, and passes the permitted one only."""
    clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
    model = SimulatedPlcModel(BELT)
    plc = create(SimulatedPlcSettings(kind="sim"), clock, model=model)
    plc.connect()
    state = DeviceState(online=True, ready=True, busy=False, fault=False, development_trust=False)
    for _ in range(11):
        clock.advance(100 * MS)
        plc.beat(state)
        if plc.read().trigger_count == 2:
            plc.publish_result(make_command(2, GateAction.LET_PASS))
    assert plc.read().encoder_ticks == 1_100
    assert [(record.sequence, record.why) for record in model.gate_log] == [
        (1, "no_result"),
        (2, "permit"),
        (3, "no_result"),
    ]


@pytest.mark.parametrize(("torn", "readable"), [(1, True), (2, False)])
def test_plc_met_in_the_middle_of_an_update_is_read_once_more(torn: int, *, readable: bool) -> None:
    """One torn reading costs nothing; a block that is torn again is an error."""
    model = _Encoder(5, torn=torn)
    plc = HandshakePlc(ModelLink(model, SimulatedClock()), result_address=100, status_address=200, ejector_coil=None)
    plc.connect()
    if readable:
        assert plc.read().encoder_ticks == 5
    else:
        with pytest.raises(PlcError, match="torn"):
            plc.read()


@given(steps=st.lists(st.integers(-(2**30), 2**30), max_size=20), start=st.integers(0, 2**32 - 1))
def test_encoder_continues_beyond_its_registers(steps: list[int], start: int) -> None:
    """A belt that runs for months, or back, is followed without a jump when the 32-bit counter wraps."""
    model = _Encoder(start)
    plc = HandshakePlc(ModelLink(model, SimulatedClock()), result_address=100, status_address=200, ejector_coil=None)
    plc.connect()
    first = plc.read().encoder_ticks
    assert first == start
    for step in steps:
        model.ticks += step
        assert plc.read().encoder_ticks == model.ticks


class _Encoder(SimulatedPlcModel):
    """A PLC whose encoder stands where the test says, and that is met in the middle of its first updates."""

    def __init__(self, ticks: int, torn: int = 0) -> None:
        super().__init__()
        self.ticks = ticks
        self.torn = torn

    def read_registers(self, address: int, count: int, now_ns: int) -> list[int]:
        words = super().read_registers(address, count, now_ns)
        raw = self.ticks % 2**32
        words[7:9] = [raw >> 16, raw & 0xFFFF]
        if self.torn > 0:
            self.torn -= 1
            words[PLC_WORDS - 1] ^= 1
        return words
