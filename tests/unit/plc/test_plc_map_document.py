from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edge_runtime.ops.document import fill
from edge_runtime.plc.codes import GateCode, OpcDisposition, StatusBit
from edge_runtime.plc.map_document import DEVICE_FIELDS, PLC_FIELDS, sections
from edge_runtime.plc.registers import (
    DEVICE_WORDS,
    PLC_WORDS,
    ControlBit,
    DeviceBlock,
    PlcBlock,
    Result,
    encode_device_block,
    encode_plc_block,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "modbus-map.md"


def _offsets(fields: tuple[tuple[str, int, str], ...]) -> dict[str, int]:
    offsets, at = {}, 0
    for name, words, _ in fields:
        offsets[name] = at
        at += words
    return {**offsets, "end": at}


def test_document_is_what_the_code_says() -> None:
    """The tables that PLC programmers read are the ones that the code writes (renew: see map_document)."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert fill(text, sections()) == text


def test_document_without_a_section_is_refused() -> None:
    """A section that was deleted by hand is noticed, not left out."""
    with pytest.raises(ValueError, match="device block"):
        fill("# Modbus map", sections())


def test_documented_device_offsets_are_the_encoded_ones() -> None:
    """Every documented field of the device block lies where the encoder puts it."""
    result = Result(0x0001_0002, OpcDisposition.NOT_OK, GateCode.REJECT, 3, 1.5, 777)
    words = encode_device_block(DeviceBlock(99, StatusBit.READY, 55, result))
    at = _offsets(DEVICE_FIELDS)
    assert at["end"] == DEVICE_WORDS
    assert words[at["heartbeat"]] == words[at["heartbeat_echo"]] == 99
    assert words[at["status"]] == StatusBit.READY | StatusBit.RESULTS_VALID | StatusBit.SCORE_VALID
    assert words[at["result_count"]] == 55
    assert words[at["part_sequence"]] == 1
    assert words[at["part_sequence"] + 1] == 2
    assert (words[at["disposition"]], words[at["gate"]], words[at["reason"]]) == (2, 2, 3)
    assert struct.pack(">2H", *words[at["score"] : at["score"] + 2]) == struct.pack(">f", 1.5)
    assert words[at["decision_ms"]] == 777
    assert words[at["check"]] == (0xA55A + sum(words[:-1])) % 0x1_0000


def test_documented_plc_offsets_are_the_encoded_ones() -> None:
    """Every documented field of the PLC block lies where the encoder puts it."""
    words = encode_plc_block(PlcBlock(9, ControlBit.RUNNING, 0x0001_0002, 0x0003_0004, 0x0005_0006, 7, 8))
    at = _offsets(PLC_FIELDS)
    assert at["end"] == PLC_WORDS
    assert words[at["heartbeat"]] == words[at["heartbeat_echo"]] == 9
    assert words[at["control"]] == ControlBit.RUNNING
    assert words[at["acknowledged_sequence"] : at["acknowledged_sequence"] + 2] == (1, 2)
    assert words[at["trigger_count"] : at["trigger_count"] + 2] == (3, 4)
    assert words[at["encoder_ticks"] : at["encoder_ticks"] + 2] == (5, 6)
    assert (words[at["overruns"]], words[at["device_heartbeat_echo"]]) == (7, 8)


def test_every_bit_is_documented() -> None:
    """No status or control bit is missing from the document."""
    generated = sections()
    assert all(f"`{bit.name}`" in generated["status bits"] for bit in StatusBit)
    assert all(f"`{bit.name}`" in generated["control bits"] for bit in ControlBit)
