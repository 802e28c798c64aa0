from __future__ import annotations

import pytest
from makers import MS, make_fault, make_inspection, make_part, make_recipe, make_trigger

from edge_runtime.decision.judge import judge
from edge_runtime.decision.reject_plan import GateFifo, gate_action, plan_reject
from edge_runtime.domain.recipe import GateAction, RejectTiming
from edge_runtime.domain.verdict import Disposition

ENCODER = RejectTiming(delay_ns=None, encoder_ticks=500, pulse_ns=50 * MS, window_ticks=20)


def _verdict(score: float, recipe):
    return judge(make_inspection(score), make_part(), recipe, 1_050 * MS)


@pytest.mark.parametrize(
    ("score", "review_action", "expected"),
    [
        (0.5, GateAction.EJECT, GateAction.LET_PASS),
        (1.5, GateAction.EJECT, GateAction.EJECT),
        (1.5, GateAction.LET_PASS, GateAction.LET_PASS),
        (2.5, GateAction.LET_PASS, GateAction.EJECT),
    ],
)
def test_the_gate_follows_the_verdict_and_the_recipe(score, review_action, expected) -> None:
    """Only what the gate does with REVIEW is the recipe's choice."""
    recipe = make_recipe(review_action=review_action)
    assert gate_action(_verdict(score, recipe), recipe) is expected


def test_a_fault_is_ejected_even_where_review_parts_pass() -> None:
    """A fail-safe of REVIEW must not open the gate to a part nobody looked at."""
    recipe = make_recipe(review_action=GateAction.LET_PASS, fail_safe=Disposition.REVIEW)
    verdict = judge(make_fault(), make_part(), recipe, 1_050 * MS)
    assert verdict.disposition is Disposition.REVIEW
    assert gate_action(verdict, recipe) is GateAction.EJECT


def test_the_plan_counts_from_the_original_trigger() -> None:
    """A slow decision does not move the gate."""
    recipe = make_recipe()
    command = plan_reject(_verdict(5.0, recipe), make_trigger(), recipe)
    assert (command.fire_at_ns, command.expires_ns) == (1_800 * MS, 1_850 * MS)


def test_an_encoder_plan_counts_ticks_from_the_trigger() -> None:
    """With an encoder the belt may stop and go without moving the reject."""
    recipe = make_recipe(timing=ENCODER)
    command = plan_reject(_verdict(5.0, recipe), make_trigger(encoder_ticks=1_000), recipe)
    assert (command.fire_at_ns, command.fire_at_ticks, command.expires_ticks) == (None, 1_500, 1_520)


def test_parts_leave_the_fifo_at_the_gate_in_belt_order() -> None:
    """A verdict that came early does not overtake the part before it on the belt."""
    recipe = make_recipe()
    verdict = _verdict(5.0, recipe)
    fifo = GateFifo()
    fifo.add(plan_reject(verdict, make_trigger(2, 1_200 * MS), recipe))
    fifo.add(plan_reject(verdict, make_trigger(1, 1_000 * MS), recipe))
    assert fifo.next_instant_ns() == 1_800 * MS
    assert fifo.due(1_799 * MS, None) == []
    assert [(due.command.fire_at_ns, due.missed) for due in fifo.due(1_801 * MS, None)] == [(1_800 * MS, False)]
    assert len(fifo) == 1


def test_a_part_past_the_gate_is_missed_not_fired() -> None:
    """Firing late would hit the neighbour."""
    recipe = make_recipe()
    fifo = GateFifo()
    fifo.add(plan_reject(_verdict(5.0, recipe), make_trigger(), recipe))
    assert [due.missed for due in fifo.due(1_851 * MS, None)] == [True]


def test_encoder_parts_wait_for_the_belt_and_are_missed_beyond_the_window() -> None:
    """Time does not move them; the encoder does."""
    recipe = make_recipe(timing=ENCODER)
    fifo = GateFifo()
    for ticks in (1_000, 1_100):
        fifo.add(plan_reject(_verdict(5.0, recipe), make_trigger(encoder_ticks=ticks), recipe))
    assert fifo.due(100_000 * MS, 1_499) == []
    assert [due.missed for due in fifo.due(100_000 * MS, 1_510)] == [False]
    assert [due.missed for due in fifo.due(100_000 * MS, 1_621)] == [True]


def test_a_plan_needs_exactly_one_measure() -> None:
    """Delay and ticks together would contradict each other."""
    with pytest.raises(ValueError, match="either a delay or encoder ticks"):
        RejectTiming(delay_ns=1, encoder_ticks=1, pulse_ns=1)
