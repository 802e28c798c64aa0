"""The tables of docs/reliability.md, from the code: `python -m edge_runtime.app.line_document docs/reliability.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_runtime.app import stages
from edge_runtime.decision.line_rules import RANK, RULES, SECOND_NS
from edge_runtime.domain.status import LineReason, LineState, Weight
from edge_runtime.ops.document import fill, table
from edge_runtime.plc.codes import LINE_REASON_CODES

_STATES = {
    LineState.STARTING: ("off", "The model proves itself, the stages start"),
    LineState.READY: ("on", "Nothing is wrong, or only a notice holds"),
    LineState.DEGRADED: ("on", "Parts are judged in time; something beside that is broken"),
    LineState.FAULT: ("off", "Parts cannot be judged soundly: every part gets the fail-safe"),
    LineState.STOPPING: ("off", "Open parts get their verdict, records are written"),
    LineState.OFFLINE: ("off", "Stopped, or gone without a goodbye (the broker's last will)"),
}
_WEIGHTS = {Weight.FAULT: "**FAULT**", Weight.DEGRADED: "DEGRADED", Weight.NOTICE: "notice"}


def sections() -> dict[str, str]:
    """Every generated section of the document, by its name."""
    states = [(f"`{state}`", ready, meaning) for state, (ready, meaning) in _STATES.items()]
    reasons = [
        (f"`{reason}`", _WEIGHTS[RULES[reason].weight], RULES[reason].line_does, RULES[reason].you_do, _when(reason))
        for reason in RANK
    ]
    return {
        "states": table(("state", "ready", "meaning"), states),
        "reasons": table(("reason", "state", "what the line does", "what you do", "comes, goes; PLC code"), reasons),
        "queues": table(("queue", "holds at most", "when it is full"), _queues()),
    }


def _when(reason: LineReason) -> str:
    rule, code = RULES[reason], LINE_REASON_CODES[reason]
    comes = f"after {rule.raise_after_ns / SECOND_NS:g} s" if rule.raise_after_ns else "at once"
    goes = f"{rule.hold_ns / SECOND_NS:g} s after its cause" if rule.hold_ns else "with its cause"
    return f"{comes}, {'once acknowledged' if rule.latched else goes}; {code}"


def _queues() -> list[tuple[str, str, str]]:
    return [
        ("inspect", "`ops.inspect_queue` (8) frames", "the oldest part gets the fail-safe, `overload`; a folder waits"),
        ("dispatch", f"{stages.DISPATCH_CAPACITY} items", "capture and inspection wait; nothing is dropped"),
        ("commands", f"{stages.COMMAND_CAPACITY:,}", "the oldest goes: its part is long past the gate"),
        (
            "records",
            f"{stages.RECORD_CAPACITY:,}, a quarter of it for verdicts alone",
            "the newest is lost, and counted",
        ),
        ("evidence", f"{stages.EVIDENCE_CAPACITY} frames", "the newest image is not kept; the record says so"),
    ]


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(fill(document.read_text(encoding="utf-8"), sections()), encoding="utf-8")
