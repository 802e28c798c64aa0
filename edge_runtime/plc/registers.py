"""The register map: what we and the PLC say to each other, as 16-bit words. Pure.

Two blocks of holding registers. The device block is written by us in ONE exchange (FC16) and carries our state and one
part's result; the PLC block is read by us in one exchange (FC3). Two-word values have the high word first. Both
blocks repeat their heartbeat near the end, so that a reader that catches a block half written can tell (a torn block
never has two equal heartbeats); the device block ends in a sum over all words before it.

`docs/modbus-map.md` carries these tables for PLC programmers; a test keeps both equal.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.verdict import Disposition
from edge_runtime.plc.codes import REASON_CODES, ControlBit, GateCode, OpcDisposition, StatusBit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.reject import RejectCommand

MAP_VERSION = 1
CHECK_SEED = 0xA55A
"""Start of the check sum: a block of zeros is not valid."""
SPARE_WORDS = 3
"""Unused registers behind each block. On RTU the count of words varies by up to this much from exchange to exchange, so
that a reply to an earlier exchange is told from the reply to this one."""
_LINE_REASON_SHIFT = 8
_STATUS_BITS = 0xFF
_RESULTS_VALID, _SCORE_VALID = int(StatusBit.RESULTS_VALID), int(StatusBit.SCORE_VALID)
_RESULT_BITS = _RESULTS_VALID | _SCORE_VALID
"""As numbers: each operation on flags takes a microsecond, for every part."""
WORD = 0x1_0000
DOUBLE_WORD = 0x1_0000_0000


class BlockError(ValueError):
    """The words are not a whole block of this map version."""


_DISPOSITIONS = {
    Disposition.PASS: OpcDisposition.OK,
    Disposition.REJECT: OpcDisposition.NOT_OK,
    Disposition.REVIEW: OpcDisposition.NOT_DECIDABLE,
}
_DEVICE = struct.Struct(">HHHHIHHHfH")
"""Device block up to `decision_ms`, as it lies in the registers (big-endian, high word first)."""
_PLC = struct.Struct(">HHHIIIHH")
"""PLC block up to `device_heartbeat_echo`."""
DEVICE_WORDS = _DEVICE.size // 2 + 2
PLC_WORDS = _PLC.size // 2 + 1


@dataclass(frozen=True, slots=True)
class Result:
    """One part's result, in the PLC's terms."""

    part_sequence: int
    """1…2³²−1."""
    disposition: OpcDisposition
    gate: GateCode
    reason_code: int
    score: float | None
    """float32 precision; None where no sound score exists."""
    decision_ms: int
    """Trigger to decision, 0…65535 (saturates)."""


@dataclass(frozen=True, slots=True)
class DeviceBlock:
    """Everything we write."""

    heartbeat: int
    """0…65535, another one with every write."""
    status: StatusBit
    """Without RESULTS_VALID and SCORE_VALID, which follow from `result`."""
    result_count: int
    """0…65535, another one with every result handed over; unchanged by a mere heartbeat."""
    result: Result | None
    line_reason: int = 0
    """The worst reason that holds on the line, 0…255, in the high byte of the status word; 0 for none."""


@dataclass(frozen=True, slots=True)
class PlcBlock:
    """Everything we read."""

    heartbeat: int
    control: ControlBit
    acknowledged_sequence: int
    """Results Ack: part sequence of the last result taken over; 0 before the first."""
    trigger_count: int
    """Part sequence of the newest part at the trigger sensor; 0 before the first."""
    encoder_ticks: int
    """Modulo 2³²."""
    overruns: int
    """Results that the PLC could not keep, modulo 2¹⁶."""
    device_heartbeat_echo: int
    """Our heartbeat as the PLC last saw it."""


def result_of(command: RejectCommand) -> Result:
    """The planned gate action of a part in the PLC's terms."""
    verdict = command.verdict
    fault = verdict.reason.is_fault
    decision_ms = max(0, verdict.decided_ns - verdict.triggered_ns) // 1_000_000
    return Result(
        part_sequence=command.part_sequence,
        disposition=OpcDisposition.UNDEFINED if fault else _DISPOSITIONS[verdict.disposition],
        gate=GateCode.PERMIT if command.action is GateAction.LET_PASS else GateCode.REJECT,
        reason_code=REASON_CODES[verdict.reason],
        score=verdict.score,
        decision_ms=min(decision_ms, WORD - 1),
    )


def encode_device_block(block: DeviceBlock) -> tuple[int, ...]:
    """The device block as `DEVICE_WORDS` words.

    Raises:
        BlockError: a value does not fit its registers (a part sequence outside 1…2³²−1).
    """
    result = block.result
    status = int(block.status) & ~_RESULT_BITS
    if result is None:
        fields = (0, 0, 0, 0, 0.0, 0)
    else:
        if not 0 < result.part_sequence < DOUBLE_WORD:
            raise BlockError(f"part sequence {result.part_sequence} is outside 1…{DOUBLE_WORD - 1}")
        status |= _RESULTS_VALID
        score = _as_float32(result.score)
        if math.isfinite(score):
            status |= _SCORE_VALID
        fields = (
            result.part_sequence,
            int(result.disposition),
            int(result.gate),
            result.reason_code,
            score,
            result.decision_ms,
        )
    try:
        word = status | block.line_reason << _LINE_REASON_SHIFT
        head = _words(_DEVICE.pack(MAP_VERSION, block.heartbeat, word, block.result_count, *fields))
    except struct.error as error:
        raise BlockError(f"a value does not fit its register: {error}") from error
    body = (*head, block.heartbeat)
    return (*body, check_sum(body))


def decode_device_block(words: Sequence[int]) -> DeviceBlock:
    """What a PLC does with the device block; words behind it are ignored.

    Raises:
        BlockError: too short, another map version, torn or altered.
    """
    if len(words) < DEVICE_WORDS:
        raise BlockError(f"device block has {len(words)} words, expected {DEVICE_WORDS}")
    body, check = words[: DEVICE_WORDS - 1], words[DEVICE_WORDS - 1]
    version, heartbeat, status, count, sequence, disposition, gate, reason, score, decision_ms = _DEVICE.unpack(
        _bytes(body[:-1])
    )
    if version != MAP_VERSION:
        raise BlockError(f"device block has map version {version}, expected {MAP_VERSION}")
    if body[-1] != heartbeat or check_sum(body) != check:
        raise BlockError("device block is torn: heartbeat echo or check sum differ")
    bits = StatusBit(status & _STATUS_BITS)
    result = None
    if StatusBit.RESULTS_VALID in bits:
        try:
            result = Result(
                part_sequence=sequence,
                disposition=OpcDisposition(disposition),
                gate=GateCode(gate),
                reason_code=reason,
                score=score if StatusBit.SCORE_VALID in bits else None,
                decision_ms=decision_ms,
            )
        except ValueError as error:
            raise BlockError(f"device block holds an unknown code: {error}") from error
    plain = StatusBit(bits & ~_RESULT_BITS)
    return DeviceBlock(heartbeat, plain, count, result, line_reason=status >> _LINE_REASON_SHIFT)


def encode_plc_block(block: PlcBlock) -> tuple[int, ...]:
    """The PLC block as `PLC_WORDS` words; counters wrap."""
    head = _PLC.pack(
        MAP_VERSION,
        block.heartbeat,
        int(block.control),
        block.acknowledged_sequence,
        block.trigger_count % DOUBLE_WORD,
        block.encoder_ticks % DOUBLE_WORD,
        block.overruns % WORD,
        block.device_heartbeat_echo,
    )
    return (*_words(head), block.heartbeat)


def decode_plc_block(words: Sequence[int]) -> PlcBlock:
    """What the PLC says; words behind the block are ignored.

    Raises:
        BlockError: too short, another map version, or torn.
    """
    if len(words) < PLC_WORDS:
        raise BlockError(f"PLC block has {len(words)} words, expected {PLC_WORDS}")
    version, heartbeat, control, acknowledged, triggers, ticks, overruns, echo = _PLC.unpack(
        _bytes(words[: PLC_WORDS - 1])
    )
    if version != MAP_VERSION:
        raise BlockError(f"PLC block has map version {version}, expected {MAP_VERSION}")
    if words[PLC_WORDS - 1] != heartbeat:
        raise BlockError("PLC block is torn: heartbeat echo differs")
    return PlcBlock(
        heartbeat=heartbeat,
        control=ControlBit(control),
        acknowledged_sequence=acknowledged,
        trigger_count=triggers,
        encoder_ticks=ticks,
        overruns=overruns,
        device_heartbeat_echo=echo,
    )


def check_sum(words: Sequence[int]) -> int:
    """Sum of the words and `CHECK_SEED`, modulo 2¹⁶: a loop of three lines in structured text."""
    return (CHECK_SEED + sum(words)) % WORD


def _as_float32(score: float | None) -> float:
    if score is None:
        return math.nan
    try:
        packed = struct.pack(">f", score)
    except OverflowError:
        return math.copysign(math.inf, score)
    return float(struct.unpack(">f", packed)[0])


def _words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


def _bytes(words: Sequence[int]) -> bytes:
    return struct.pack(f">{len(words)}H", *words)
