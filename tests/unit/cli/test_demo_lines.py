from __future__ import annotations

import numpy as np
from makers import MS, make_fault, make_inspection, make_part, make_recipe

from edge_runtime.app.demo import PastTheGate, past_the_gate
from edge_runtime.cli.demo import acknowledged, stopped_parts, why_past_the_gate
from edge_runtime.decision.judge import judge
from edge_runtime.domain.verdict import Reason
from edge_runtime.plc.codes import GateCode, OpcDisposition
from edge_runtime.plc.gate import GateReason, GateRecord, Takeover
from edge_runtime.plc.model import ResultEntry
from edge_runtime.plc.registers import Result


def test_a_log_of_the_demo_names_each_part_that_did_not_pass_once() -> None:
    """In a pipe there is no live view: without these lines a newcomer would look at nothing until the end."""
    outcomes = [make_inspection(0.5), make_inspection(1.5), make_inspection(2.5), make_fault(Reason.OVERLOAD)]
    verdicts = [judge(found, make_part(n), make_recipe(), 1_010 * MS) for n, found in enumerate(outcomes, start=1)]
    assert list(stopped_parts(verdicts, 0)) == [
        "part 2: REVIEW between_limits, score 1.500",
        "part 3: REJECT above_limit, score 2.500",
        "part 4: REJECT overload",
    ]
    assert list(stopped_parts(verdicts, 3)) == ["part 4: REJECT overload"]
    assert list(stopped_parts(verdicts, 4)) == []


def at_gate(part: int, *, passed: bool, defective: bool) -> GateRecord:
    """What the simulated gate writes down."""
    return GateRecord(part, passed, GateReason.PERMIT if passed else GateReason.REJECT, defective, 0, 1, 0)


def told(part: int, score: float | None) -> ResultEntry:
    """What the simulated PLC was told."""
    return ResultEntry(Result(part, OpcDisposition.OK, GateCode.PERMIT, 0, score, 1), 0, Takeover.TAKEN)


def test_a_faint_defect_that_passed_is_told_from_a_hole() -> None:
    """The one is the model's limit, which every model has; the other must never be, and asks to be reported."""
    log = [
        at_gate(1, passed=True, defective=False),
        at_gate(2, passed=False, defective=True),
        *(at_gate(part, passed=True, defective=True) for part in (3, 4, 5)),
    ]
    found = past_the_gate(log, [told(3, float(np.float32(0.7))), told(4, 1.5), told(2, 9.0)], 0.7)
    assert [(each.part, each.is_weak) for each in found] == [(3, True), (4, False), (5, False)]
    faint, hole = why_past_the_gate(found)
    assert "part 3 (score 0.700)" in faint
    assert "PASS was its verdict" in faint
    assert "part 4, part 5" in hole
    assert "report" in hole
    assert list(why_past_the_gate(())) == []
    assert len(list(why_past_the_gate([PastTheGate(9, 0.1, is_weak=True)]))) == 1


def test_more_acknowledged_than_committed_is_explained() -> None:
    """What a run commits at its very end the next one sends."""
    assert acknowledged(103, 103) == "103 acknowledged by the broker"
    assert acknowledged(103, 107) == "107 acknowledged by the broker, with those that an earlier run left"
