"""The tables of docs/modbus-map.md, from the code: `python -m edge_runtime.plc.map_document docs/modbus-map.md`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.ops.document import fill, table
from edge_runtime.plc.codes import LINE_REASON_CODES, REASON_CODES, ControlBit, GateCode, OpcDisposition, StatusBit
from edge_runtime.plc.registers import MAP_VERSION, SPARE_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import IntEnum, IntFlag

DEVICE_FIELDS: tuple[tuple[str, int, str], ...] = (
    ("map_version", 1, f"Always {MAP_VERSION}. Anything else: not this map"),
    ("heartbeat", 1, "Heartbeat: changes with every write; wraps"),
    ("status", 1, "Status bits in the low byte, the line's worst reason in the high byte, see below"),
    ("result_count", 1, "Changes with every result handed over, not with a mere heartbeat; wraps"),
    ("part_sequence", 2, "Part sequence (Acquisition ID) of the result, 1…2³²−1"),
    ("disposition", 1, "Verdict in OPC 40001-101 terms, see below"),
    ("gate", 1, "What to do with the part, see below"),
    ("reason", 1, "Reason code, see below"),
    ("score", 2, "Anomaly score, float32; a quiet NaN where there is none (SCORE_VALID is off)"),
    ("decision_ms", 1, "Trigger to decision in milliseconds, at most 65535"),
    ("heartbeat_echo", 1, "Equal to `heartbeat`, or the block is torn"),
    ("check", 1, "16#A55A plus the sum of all words before it, modulo 2¹⁶"),
)
PLC_FIELDS: tuple[tuple[str, int, str], ...] = (
    ("map_version", 1, f"Always {MAP_VERSION}"),
    ("heartbeat", 1, "The PLC's own heartbeat: changes with every scan or faster than every 100 ms; wraps"),
    ("control", 1, "Control bits, see below"),
    ("acknowledged_sequence", 2, "Results Ack: part sequence of the last result taken over; 0 before the first"),
    ("trigger_count", 2, "Part sequence of the newest part at the trigger sensor; 0 before the first"),
    ("encoder_ticks", 2, "Belt encoder, modulo 2³²; 0 without an encoder"),
    ("overruns", 1, "Results that did not fit the table of parts, modulo 2¹⁶"),
    ("device_heartbeat_echo", 1, "The device's heartbeat as last seen"),
    ("heartbeat_echo", 1, "Equal to `heartbeat`; write it last"),
)
_STATUS_TEXT = {
    StatusBit.ONLINE: "Online: the daemon runs",
    StatusBit.READY: "Trigger Ready: parts can be inspected; off means hold the line or reject",
    StatusBit.BUSY: "Busy: a part is being inspected",
    StatusBit.RESULTS_VALID: "Results Valid: the result words hold a result",
    StatusBit.FAULT: "Fault: somebody has to look at the device",
    StatusBit.DEVELOPMENT_TRUST: "The running model is not signed for production",
    StatusBit.SCORE_VALID: "`score` holds a sound score",
    StatusBit.DEGRADED: "Parts are judged, but something beside that is broken: bits 8…15 say what",
}
_CONTROL_TEXT = {
    ControlBit.RUNNING: "The line runs",
    ControlBit.RESULTS_BUFFER_OVERRUN: "Results Buffer Overrun: `overruns` is not 0",
    ControlBit.PERMIT_MODE: "The gate works by permit",
    ControlBit.HEARTBEAT_LOST: "The device's heartbeat is stale: every part is rejected",
}
_DISPOSITION_TEXT = {
    OpcDisposition.UNDEFINED: "Undefined: a fault stands behind the result, never a sound score",
    OpcDisposition.OK: "OK: PASS",
    OpcDisposition.NOT_OK: "NotOK: REJECT",
    OpcDisposition.NOT_DECIDABLE: "NotDecidable: REVIEW",
}
_GATE_TEXT = {
    GateCode.NONE: "No result yet",
    GateCode.PERMIT: "Let the part pass",
    GateCode.REJECT: "Reject the part",
}


def sections() -> dict[str, str]:
    """Every generated section of the document, by its name."""
    reasons = [(str(code), f"`{reason}`") for reason, code in REASON_CODES.items()]
    line_reasons = [(str(code), f"`{reason}`") for reason, code in LINE_REASON_CODES.items()]
    return {
        "device block": _fields(DEVICE_FIELDS),
        "plc block": _fields(PLC_FIELDS),
        "status bits": _bits(_STATUS_TEXT),
        "control bits": _bits(_CONTROL_TEXT),
        "line reasons": table(("code", "reason"), [("0", "none"), *line_reasons]),
        "dispositions": _numbers(_DISPOSITION_TEXT),
        "gate": _numbers(_GATE_TEXT),
        "reasons": table(("code", "reason"), [("0", "no result yet"), *reasons]),
    }


def _fields(fields: Sequence[tuple[str, int, str]]) -> str:
    rows, offset = [], 0
    for name, words, meaning in fields:
        place = str(offset) if words == 1 else f"{offset}, {offset + 1}"
        rows.append((place, f"`{name}`" + (" (high word first)" if words > 1 else ""), meaning))
        offset += words
    rows.append((f"{offset}…{offset + SPARE_WORDS - 1}", "spare", "Must exist; ignore"))
    return table(("offset", "name", "meaning"), rows)


def _bits(texts: dict[StatusBit, str] | dict[ControlBit, str]) -> str:
    return table(("bit", "name", "meaning"), [(str(_bit(bit)), f"`{bit.name}`", text) for bit, text in texts.items()])


def _bit(flag: IntFlag) -> int:
    return flag.value.bit_length() - 1


def _numbers(texts: dict[OpcDisposition, str] | dict[GateCode, str]) -> str:
    return table(("value", "meaning"), [(str(_value(number)), text) for number, text in texts.items()])


def _value(number: IntEnum) -> int:
    return int(number)


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(fill(document.read_text(encoding="utf-8"), sections()), encoding="utf-8")
