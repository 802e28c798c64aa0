"""The simulated PLC: register image, coil, and the gate behind them. Pure, `now_ns` is an argument.

The same model answers in-process (`sim`) and behind a real Modbus server (`server`), so both do the same.
Without a belt it takes over, acknowledges and logs whatever comes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.recipe import GateMode
from edge_runtime.plc.codes import ControlBit
from edge_runtime.plc.gate import GateRecord, GateSummary, SimulatedGate, Takeover
from edge_runtime.plc.registers import (
    DEVICE_WORDS,
    WORD,
    BlockError,
    DeviceBlock,
    PlcBlock,
    Result,
    decode_device_block,
    encode_plc_block,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.ops.belt import BeltPlan

RESULT_ADDRESS = 100
STATUS_ADDRESS = 200
EJECTOR_COIL = 0
HEARTBEAT_TIMEOUT_NS = 600_000_000
"""Three of our default heartbeats."""


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """A result as it arrived."""

    result: Result
    received_ns: int
    takeover: Takeover


@dataclass(frozen=True, slots=True)
class CoilEntry:
    """A coil as it was written."""

    address: int
    on: bool
    received_ns: int


class SimulatedPlcModel:
    """Holding registers and coils of a PLC that runs the program in docs/modbus-map.md.

    One thread writes; `results`, `coils`, `gate_log` and `summary` are snapshots that others may read.
    `keep` bounds each log; None keeps everything (tests).
    """

    def __init__(
        self,
        belt: BeltPlan | None = None,
        *,
        mode: GateMode = GateMode.PERMIT,
        result_address: int = RESULT_ADDRESS,
        status_address: int = STATUS_ADDRESS,
        ejector_coil: int = EJECTOR_COIL,
        heartbeat_timeout_ns: int = HEARTBEAT_TIMEOUT_NS,
        keep: int | None = 1_000,
        on_entry: Callable[[ResultEntry | CoilEntry], None] | None = None,
    ) -> None:
        self._belt = belt
        self._mode = mode
        self._result_address = result_address
        self._status_address = status_address
        self._ejector_coil = ejector_coil
        self._gate = (
            None
            if belt is None
            else SimulatedGate(belt, mode=mode, heartbeat_timeout_ns=heartbeat_timeout_ns, keep=keep)
        )
        self._heartbeat_timeout_ns = heartbeat_timeout_ns
        self._on_entry = on_entry
        self._holding: dict[int, int] = {}
        self._device: DeviceBlock | None = None
        self._device_changed_ns: int | None = None
        self._acknowledged = 0
        self._newest_result = 0
        self._heartbeat = 0
        self._torn = 0
        self._results: deque[ResultEntry] = deque(maxlen=keep)
        self._coils: deque[CoilEntry] = deque(maxlen=keep)

    @property
    def results(self) -> tuple[ResultEntry, ...]:
        """Results in the order of their arrival."""
        return tuple(self._results)

    @property
    def coils(self) -> tuple[CoilEntry, ...]:
        """Coil writes in the order of their arrival."""
        return tuple(self._coils)

    @property
    def device(self) -> DeviceBlock | None:
        """The last whole block that came."""
        return self._device

    @property
    def gate_log(self) -> tuple[GateRecord, ...]:
        """The last parts at the gate; empty without a belt."""
        return () if self._gate is None else self._gate.log

    @property
    def summary(self) -> GateSummary:
        """Totals at the gate; only `torn_blocks` without a belt."""
        return GateSummary(torn_blocks=self._torn) if self._gate is None else self._gate.summary

    def advance(self, now_ns: int) -> None:
        """Let the belt run up to `now_ns`."""
        if self._gate is not None:
            self._gate.advance(now_ns)

    def write_registers(self, address: int, words: Sequence[int], now_ns: int) -> None:
        """FC16. A write that touches the device block makes the PLC look at it."""
        self.advance(now_ns)
        for offset, word in enumerate(words):
            self._holding[address + offset] = word
        if address < self._result_address + DEVICE_WORDS and address + len(words) > self._result_address:
            self._take_over(now_ns)

    def read_registers(self, address: int, count: int, now_ns: int) -> list[int]:
        """FC3. The PLC block is made up at the moment of reading."""
        self.advance(now_ns)
        block = encode_plc_block(self._plc_block(now_ns))
        image = {self._status_address + offset: word for offset, word in enumerate(block)}
        return [image.get(at, self._holding.get(at, 0)) for at in range(address, address + count)]

    def write_coil(self, address: int, *, on: bool, now_ns: int) -> None:
        """FC5."""
        self.advance(now_ns)
        if self._gate is not None and address == self._ejector_coil:
            self._gate.ejector(on=on, now_ns=now_ns)
        self._enter(CoilEntry(address, on, now_ns))

    def _take_over(self, now_ns: int) -> None:
        words = [self._holding.get(self._result_address + offset, 0) for offset in range(DEVICE_WORDS)]
        try:
            block = decode_device_block(words)
        except BlockError:
            self._torn += 1
            if self._gate is not None:
                self._gate.torn()
            return
        before, self._device = self._device, block
        if before is None or before.heartbeat != block.heartbeat:
            self._device_changed_ns = now_ns
            if self._gate is not None:
                self._gate.heartbeat(now_ns)
        if block.result is not None and (before is None or _handed_over(before) != _handed_over(block)):
            self._take_result(block.result, now_ns)

    def _take_result(self, result: Result, now_ns: int) -> None:
        if self._gate is None:
            repeated = any(entry.result == result for entry in self._last_results(2))
            takeover = Takeover.REPEATED if repeated else Takeover.TAKEN
        else:
            takeover = self._gate.result(result.part_sequence, result.gate, now_ns)
        if takeover not in {Takeover.UNEXPECTED, Takeover.OVERRUN}:
            self._acknowledged = result.part_sequence
        self._newest_result = max(self._newest_result, result.part_sequence)
        self._enter(ResultEntry(result, now_ns, takeover))

    def _last_results(self, count: int) -> tuple[ResultEntry, ...]:
        return tuple(self._results[-back] for back in range(1, min(count, len(self._results)) + 1))

    def _enter(self, entry: ResultEntry | CoilEntry) -> None:
        if isinstance(entry, ResultEntry):
            self._results.append(entry)
        else:
            self._coils.append(entry)
        if self._on_entry is not None:
            self._on_entry(entry)

    def _plc_block(self, now_ns: int) -> PlcBlock:
        self._heartbeat = (self._heartbeat + 1) % WORD
        fresh = self._device_changed_ns is not None and now_ns - self._device_changed_ns <= self._heartbeat_timeout_ns
        control = ControlBit.RUNNING
        if self._mode is GateMode.PERMIT:
            control |= ControlBit.PERMIT_MODE
        if not fresh:
            control |= ControlBit.HEARTBEAT_LOST
        overruns = self.summary.overruns
        if overruns:
            control |= ControlBit.RESULTS_BUFFER_OVERRUN
        return PlcBlock(
            heartbeat=self._heartbeat,
            control=control,
            acknowledged_sequence=self._acknowledged,
            trigger_count=self._newest_result if self._belt is None else self._belt.triggered_until(now_ns),
            encoder_ticks=0 if self._belt is None else self._belt.encoder_at(now_ns),
            overruns=overruns,
            device_heartbeat_echo=0 if self._device is None else self._device.heartbeat,
        )


def _handed_over(block: DeviceBlock) -> tuple[int, int]:
    """What changes when the device hands over a result, and not with a mere heartbeat."""
    return block.result_count, 0 if block.result is None else block.result.part_sequence
