from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.reject import RejectCommand
from edge_runtime.domain.verdict import BundleIdentity, Disposition, Limits, Reason, Verdict
from edge_runtime.plc.codes import REASON_CODES, ControlBit, GateCode, OpcDisposition, StatusBit
from edge_runtime.plc.registers import (
    DEVICE_WORDS,
    PLC_WORDS,
    BlockError,
    DeviceBlock,
    PlcBlock,
    Result,
    decode_device_block,
    decode_plc_block,
    encode_device_block,
    encode_plc_block,
    result_of,
)

WORDS = st.integers(0, 0xFFFF)
DOUBLE_WORDS = st.integers(0, 0xFFFF_FFFF)
PLAIN_STATUS = [bit for bit in StatusBit if bit not in {StatusBit.RESULTS_VALID, StatusBit.SCORE_VALID}]
RESULTS = st.builds(
    Result,
    part_sequence=st.integers(1, 0xFFFF_FFFF),
    disposition=st.sampled_from(OpcDisposition),
    gate=st.sampled_from(GateCode),
    reason_code=st.sampled_from(sorted(REASON_CODES.values())),
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
    decision_ms=WORDS,
)
DEVICE_BLOCKS = st.builds(
    DeviceBlock,
    heartbeat=WORDS,
    status=st.sets(st.sampled_from(PLAIN_STATUS)).map(lambda bits: StatusBit(sum(bits))),
    result_count=WORDS,
    result=st.none() | RESULTS,
    line_reason=st.integers(0, 255),
)
PLC_BLOCKS = st.builds(
    PlcBlock,
    heartbeat=WORDS,
    control=st.sets(st.sampled_from(list(ControlBit))).map(lambda bits: ControlBit(sum(bits))),
    acknowledged_sequence=DOUBLE_WORDS,
    trigger_count=DOUBLE_WORDS,
    encoder_ticks=DOUBLE_WORDS,
    overruns=WORDS,
    device_heartbeat_echo=WORDS,
)


def _command(
    reason: Reason = Reason.BELOW_LIMIT,
    disposition: Disposition = Disposition.PASS,
    action: GateAction = GateAction.LET_PASS,
    *,
    score: float | None = 0.5,
    decided_ns: int = 30_000_000,
) -> RejectCommand:
    verdict = Verdict(
        part_id="part-7",
        part_sequence=70_000,
        frame_sequence=7,
        disposition=disposition,
        reason=reason,
        score=score,
        limits=Limits(1.0, 2.0),
        bundle=BundleIdentity("demo", "1", "00", "development"),
        triggered_ns=0,
        decided_ns=decided_ns,
        triggered_wall_ns=0,
    )
    return RejectCommand("part-7", 70_000, action, verdict, 800_000_000, None, 900_000_000, 50_000_000)


@given(DEVICE_BLOCKS)
def test_device_block_survives_the_registers(block: DeviceBlock) -> None:
    """What the device encodes is what a PLC decodes, for every value that a block may have."""
    words = encode_device_block(block)
    assert len(words) == DEVICE_WORDS
    assert decode_device_block(words) == block


@given(PLC_BLOCKS)
def test_plc_block_survives_the_registers(block: PlcBlock) -> None:
    """What the PLC encodes is what the device decodes."""
    words = encode_plc_block(block)
    assert len(words) == PLC_WORDS
    assert decode_plc_block(words) == block


@given(old=DEVICE_BLOCKS, new=DEVICE_BLOCKS, cut=st.integers(2, DEVICE_WORDS - 1))
def test_device_block_caught_half_written_is_refused(old: DeviceBlock, new: DeviceBlock, cut: int) -> None:
    """The first words of a new block before the last words of the old one never pass for a block."""
    assume(old.heartbeat != new.heartbeat)
    torn = [*encode_device_block(new)[:cut], *encode_device_block(old)[cut:]]
    assume(torn != [*encode_device_block(new)])
    with pytest.raises(BlockError):
        decode_device_block(torn)


@given(block=DEVICE_BLOCKS, at=st.integers(0, DEVICE_WORDS - 1), by=st.integers(1, 0xFFFF))
def test_one_altered_word_is_noticed(block: DeviceBlock, at: int, by: int) -> None:
    """Whichever word of a device block is changed, the PLC refuses the block."""
    words = list(encode_device_block(block))
    words[at] ^= by
    with pytest.raises(BlockError):
        decode_device_block(words)


@given(old=PLC_BLOCKS, new=PLC_BLOCKS, cut=st.integers(2, PLC_WORDS - 1))
def test_plc_block_caught_half_written_is_refused(old: PlcBlock, new: PlcBlock, cut: int) -> None:
    """Two scans of the PLC mixed in one reading are not believed."""
    assume(old.heartbeat != new.heartbeat)
    with pytest.raises(BlockError):
        decode_plc_block([*encode_plc_block(new)[:cut], *encode_plc_block(old)[cut:]])


@pytest.mark.parametrize("words", [[0] * DEVICE_WORDS, [0xFFFF] * DEVICE_WORDS, [1] * 3, []])
def test_untouched_registers_are_no_block(words: list[int]) -> None:
    """Memory that nobody wrote, and blocks that are too short, are refused on both sides."""
    with pytest.raises(BlockError):
        decode_device_block(words)
    with pytest.raises(BlockError):
        decode_plc_block(words[:PLC_WORDS])


def test_reason_codes_are_complete_unique_and_never_renumbered() -> None:
    """PLC programs rely on these numbers: every reason has one, no two share one, none has moved."""
    assert set(REASON_CODES) == set(Reason)
    assert {str(reason): code for reason, code in REASON_CODES.items()} == {
        "below_limit": 1,
        "between_limits": 2,
        "above_limit": 3,
        "trigger_lost": 10,
        "image_corrupt": 12,
        "image_unexpected": 13,
        "camera_frozen": 14,
        "product_unknown": 15,
        "engine_error": 20,
        "score_invalid": 21,
        "deadline_missed": 30,
        "overload": 31,
        "interrupted": 32,
        "stopping": 34,
    }


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.is_fault])
def test_fault_is_undefined_to_the_plc(reason: Reason) -> None:
    """A fault never appears as OK, NotOK or NotDecidable, whatever the fail-safe made of it."""
    result = result_of(_command(reason, Disposition.REJECT, GateAction.EJECT, score=None))
    assert result.disposition is OpcDisposition.UNDEFINED
    assert result.gate is GateCode.REJECT
    assert result.reason_code == REASON_CODES[reason]


@pytest.mark.parametrize(
    ("disposition", "reason", "expected"),
    [
        (Disposition.PASS, Reason.BELOW_LIMIT, OpcDisposition.OK),
        (Disposition.REJECT, Reason.ABOVE_LIMIT, OpcDisposition.NOT_OK),
        (Disposition.REVIEW, Reason.BETWEEN_LIMITS, OpcDisposition.NOT_DECIDABLE),
    ],
)
def test_verdict_is_translated_to_opc(disposition: Disposition, reason: Reason, expected: OpcDisposition) -> None:
    """A sound verdict reaches the PLC in OPC's words; what the gate does is the recipe's action alone."""
    for action, gate in ((GateAction.LET_PASS, GateCode.PERMIT), (GateAction.EJECT, GateCode.REJECT)):
        result = result_of(_command(reason, disposition, action))
        assert (result.disposition, result.gate) == (expected, gate)


def test_decision_time_saturates() -> None:
    """A decision later than a register can say is written as the largest number, not wrapped to a small one."""
    assert result_of(_command(decided_ns=30_000_000)).decision_ms == 30
    assert result_of(_command(decided_ns=10**15)).decision_ms == 0xFFFF


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf, 1e300])
def test_score_that_a_register_cannot_hold_is_marked_invalid(score: float | None) -> None:
    """Without a finite float32 the PLC is told that there is no score."""
    result = replace(result_of(_command()), score=score)
    decoded = decode_device_block(encode_device_block(DeviceBlock(1, StatusBit(0), 1, result)))
    assert decoded.result is not None
    assert decoded.result.score is None


@pytest.mark.parametrize("sequence", [0, -1, 2**32])
def test_part_sequence_outside_the_registers_is_refused(sequence: int) -> None:
    """A part sequence that does not fit is an error, never another part's number."""
    result = replace(result_of(_command()), part_sequence=sequence)
    with pytest.raises(BlockError, match="part sequence"):
        encode_device_block(DeviceBlock(1, StatusBit(0), 1, result))
