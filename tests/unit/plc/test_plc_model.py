from __future__ import annotations

from dataclasses import replace

from edge_runtime.ops.belt import BeltPlan
from edge_runtime.plc.codes import ControlBit, GateCode, OpcDisposition, StatusBit
from edge_runtime.plc.gate import GateReason, Takeover
from edge_runtime.plc.model import CoilEntry, ResultEntry, SimulatedPlcModel
from edge_runtime.plc.registers import (
    DEVICE_WORDS,
    PLC_WORDS,
    DeviceBlock,
    PlcBlock,
    Result,
    decode_plc_block,
    encode_device_block,
)

MS = 1_000_000
BELT = BeltPlan(
    seed=1,
    start_ns=0,
    parts_per_s=10.0,
    defect_rate=0.0,
    dropped_trigger_rate=0.0,
    travel_ns=800 * MS,
    ticks_per_s=1_000,
    parts=10,
)
PERMIT = Result(1, OpcDisposition.OK, GateCode.PERMIT, 1, 0.5, 20)


def _block(heartbeat: int, result: Result | None = None, count: int = 1) -> tuple[int, ...]:
    return encode_device_block(DeviceBlock(heartbeat, StatusBit.ONLINE, count, result))


def _status(model: SimulatedPlcModel, now_ms: int) -> PlcBlock:
    return decode_plc_block(model.read_registers(200, PLC_WORDS, now_ms * MS))


def test_result_is_acknowledged_by_its_part_sequence() -> None:
    """Without a belt every result is taken over, acknowledged and logged with its instant."""
    model = SimulatedPlcModel()
    model.write_registers(100, _block(1), 0)
    assert _status(model, 0).acknowledged_sequence == 0
    model.write_registers(100, _block(2, replace(PERMIT, part_sequence=70_001)), 5 * MS)
    assert _status(model, 5).acknowledged_sequence == 70_001
    assert [(entry.result.part_sequence, entry.received_ns) for entry in model.results] == [(70_001, 5 * MS)]


def test_heartbeat_does_not_repeat_a_result() -> None:
    """The result that every heartbeat carries along is taken over once."""
    model = SimulatedPlcModel()
    for heartbeat in range(1, 6):
        model.write_registers(100, _block(heartbeat, PERMIT), heartbeat * MS)
    assert len(model.results) == 1


def test_result_sent_again_is_acknowledged_and_changes_nothing() -> None:
    """A device that saw no acknowledgement sends again: the PLC says so and keeps the first."""
    model = SimulatedPlcModel(BELT)
    model.write_registers(100, _block(1, PERMIT, count=1), 150 * MS)
    model.write_registers(100, _block(2, PERMIT, count=2), 160 * MS)
    assert [entry.takeover for entry in model.results] == [Takeover.TAKEN, Takeover.REPEATED]
    assert _status(model, 170).acknowledged_sequence == 1


def test_torn_block_moves_nothing() -> None:
    """Half a block is neither a heartbeat nor a result; the next whole one is both."""
    model = SimulatedPlcModel(BELT)
    model.write_registers(100, _block(1, PERMIT)[: DEVICE_WORDS - 3], 150 * MS)
    assert model.summary.torn_blocks == 1
    assert _status(model, 160).acknowledged_sequence == 0
    assert ControlBit.HEARTBEAT_LOST in _status(model, 160).control
    model.write_registers(100, _block(2, PERMIT), 170 * MS)
    assert _status(model, 180).acknowledged_sequence == 1
    assert ControlBit.HEARTBEAT_LOST not in _status(model, 180).control


def test_unexpected_result_is_not_acknowledged() -> None:
    """A result for a part that the PLC has not seen stays unacknowledged, so the device learns of the mismatch."""
    model = SimulatedPlcModel(BELT)
    model.write_registers(100, _block(1, replace(PERMIT, part_sequence=9)), 150 * MS)
    assert _status(model, 160).acknowledged_sequence == 0
    assert model.results[0].takeover is Takeover.UNEXPECTED


def test_plc_block_follows_the_belt() -> None:
    """Trigger count and encoder are the belt's, and the PLC's heartbeat changes with every reading."""
    model = SimulatedPlcModel(BELT)
    first, second = _status(model, 350), _status(model, 360)
    assert (first.trigger_count, first.encoder_ticks) == (3, 350)
    assert first.heartbeat != second.heartbeat
    assert ControlBit.PERMIT_MODE in first.control


def test_spare_registers_are_plain_memory() -> None:
    """Writing the spare register alone, as RTU does when it opens, disturbs no block."""
    model = SimulatedPlcModel(BELT)
    model.write_registers(100 + DEVICE_WORDS, [4_711], 0)
    assert model.summary.torn_blocks == 0
    assert model.read_registers(100 + DEVICE_WORDS, 1, 0) == [4_711]


def test_parts_pass_the_gate_behind_the_registers() -> None:
    """The whole way at register level: a permit and heartbeats pass part 1, part 2 gets none and is rejected."""
    model = SimulatedPlcModel(BELT)
    model.write_registers(100, _block(1, PERMIT), 150 * MS)
    for heartbeat in range(2, 7):
        model.write_registers(100, _block(heartbeat, PERMIT), heartbeat * 200 * MS)
    assert [record.why for record in model.gate_log[:2]] == [GateReason.PERMIT, GateReason.NO_RESULT]


def test_logs_are_bounded() -> None:
    """A simulated PLC that runs for weeks keeps the last entries only."""
    model = SimulatedPlcModel(keep=10)
    for part in range(1, 101):
        model.write_registers(100, _block(part, replace(PERMIT, part_sequence=part), count=part), part)
        model.write_coil(3, on=bool(part % 2), now_ns=part)
    assert [entry.result.part_sequence for entry in model.results] == list(range(91, 101))
    assert len(model.coils) == 10


def test_listener_hears_every_entry() -> None:
    """Whoever listens gets results and coils in the order of their arrival."""
    heard: list[ResultEntry | CoilEntry] = []
    model = SimulatedPlcModel(on_entry=heard.append)
    model.write_registers(100, _block(1, PERMIT), 1)
    model.write_coil(3, on=True, now_ns=2)
    assert heard == [ResultEntry(PERMIT, 1, Takeover.TAKEN), CoilEntry(3, on=True, received_ns=2)]
