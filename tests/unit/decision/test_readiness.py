from __future__ import annotations

from dataclasses import replace

import pytest

from edge_runtime.decision.readiness import assess
from edge_runtime.domain.status import LineFacts, LineState

WELL = LineFacts(dead_stage=None, hung_stage=None, stalled_stage=None, camera=None, plc=None, ledger=None, broker=None)


def test_nothing_wrong_is_ready() -> None:
    """READY has no reasons."""
    health = assess(WELL)
    assert (health.state, health.reasons, health.can_judge) == (LineState.READY, (), True)


@pytest.mark.parametrize("fact", ["plc", "ledger", "broker"])
def test_what_stands_beside_the_deadline_path_only_degrades(fact) -> None:
    """Parts are still judged; the reason is named."""
    health = assess(replace(WELL, **{fact: "gone"}))
    assert health.state is LineState.DEGRADED
    assert health.can_judge
    assert "gone" in health.reasons[0]


@pytest.mark.parametrize("fact", ["dead_stage", "hung_stage", "camera"])
def test_what_stops_the_judging_is_a_fault_whatever_else_is_wrong(fact) -> None:
    """The fault comes first among the reasons."""
    health = assess(replace(WELL, broker="away", **{fact: "inspect"}))
    assert (health.state, health.can_judge) == (LineState.FAULT, False)
    assert "inspect" in health.reasons[0]
    assert "away" in health.reasons[1]
