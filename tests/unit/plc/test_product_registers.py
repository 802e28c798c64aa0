from __future__ import annotations

from edge_runtime.config.plc import SimulatedPlcSettings
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.plc import create
from edge_runtime.plc.model import SimulatedPlcModel
from edge_runtime.plc.port import DeviceState

ADDRESS = 300


def state(product_code: int | None) -> DeviceState:
    """A line that is well."""
    return DeviceState(
        online=True, ready=True, busy=False, fault=False, development_trust=False, product_code=product_code
    )


def test_the_code_is_read_and_answered_with_every_heartbeat() -> None:
    """The PLC writes the next part's code; behind it stands whose model decides, 65535 while none does."""
    clock, model = SimulatedClock(), SimulatedPlcModel()
    plc = create(SimulatedPlcSettings(kind="sim", product_address=ADDRESS), clock, model=model)
    plc.connect()
    assert plc.read().product_code is None, "nothing is known before the first heartbeat"
    model.write_registers(ADDRESS, [17], clock.monotonic_ns())
    plc.beat(state(None))
    assert plc.read().product_code == 17
    assert model.read_registers(ADDRESS + 1, 1, clock.monotonic_ns()) == [0xFFFF]
    plc.beat(state(17))
    assert model.read_registers(ADDRESS, 2, clock.monotonic_ns()) == [17, 17]


def test_without_the_setting_no_register_is_touched() -> None:
    """A PLC program that knows nothing of products sees no exchange that it does not expect."""
    clock, model = SimulatedClock(), SimulatedPlcModel()
    plc = create(SimulatedPlcSettings(kind="sim"), clock, model=model)
    plc.connect()
    model.write_registers(ADDRESS, [17, 4], clock.monotonic_ns())
    plc.beat(state(17))
    assert plc.read().product_code is None
    assert model.read_registers(ADDRESS, 2, clock.monotonic_ns()) == [17, 4]
