from __future__ import annotations

import pytest

from edge_runtime.decision.lifecycle import (
    START,
    TRANSITIONS,
    Acknowledged,
    Change,
    Ended,
    Ladder,
    Observed,
    Started,
    StopAsked,
    step,
)
from edge_runtime.decision.line_rules import RULES, SECOND_NS
from edge_runtime.domain.status import LineReason, LineState, Weight
from edge_runtime.plc.codes import LINE_REASON_CODES

FAULTS = [reason for reason, rule in RULES.items() if rule.weight is Weight.FAULT]
BURDENS = [reason for reason, rule in RULES.items() if rule.weight is Weight.DEGRADED]


def see(ladder: Ladder, second: float, *reasons: LineReason) -> Ladder:
    """Look at the line."""
    return step(ladder, Observed(round(second * SECOND_NS), {reason: f"{reason} is there" for reason in reasons}))


RUNNING = step(START, Started())


def test_every_reason_has_a_rule_a_text_and_a_code_of_its_own() -> None:
    """A reason without an effect would be a word; the PLC tells faults and notices by the number alone."""
    assert set(RULES) == set(LINE_REASON_CODES) == set(LineReason)
    assert len(set(LINE_REASON_CODES.values())) == len(LineReason)
    for reason, code in LINE_REASON_CODES.items():
        weight = Weight.FAULT if code < 20 else Weight.NOTICE if code >= 100 else Weight.DEGRADED
        assert (RULES[reason].weight, 0 < code < 256) == (weight, True)
        assert RULES[reason].line_does
        assert RULES[reason].you_do


def test_the_table_says_what_every_change_does_in_every_state() -> None:
    """No pair of state and change is left to chance."""
    assert set(TRANSITIONS) == set(LineState)
    assert all(set(row) == set(Change) for row in TRANSITIONS.values())


def test_the_end_is_one_way() -> None:
    """What is stopping never gets ready again, whatever is seen."""
    stopping = step(RUNNING, StopAsked())
    for event in (Started(), Observed(10, {}), Observed(10, {FAULTS[0]: ""}), Acknowledged(), StopAsked()):
        assert step(stopping, event).state is LineState.STOPPING
    offline = step(stopping, Ended())
    for event in (Started(), Observed(10, {}), StopAsked(), Ended()):
        assert step(offline, event).state is LineState.OFFLINE


def test_a_line_that_starts_broken_is_never_ready_in_between() -> None:
    """What was seen before the start counts at the start."""
    ladder = see(START, 1, LineReason.CAMERA_LOST)
    assert (ladder.state, ladder.health.can_judge) == (LineState.STARTING, False)
    assert step(ladder, Started()).state is LineState.FAULT


@pytest.mark.parametrize("reason", FAULTS)
def test_what_stops_the_judging_takes_the_ready_bit_at_once(reason) -> None:
    """A fault is never debounced."""
    ladder = see(RUNNING, 1, reason)
    assert (ladder.state, ladder.health.can_judge, ladder.health.worst) == (LineState.FAULT, False, reason)


@pytest.mark.parametrize("reason", BURDENS)
def test_what_stands_beside_the_deadline_path_only_degrades(reason) -> None:
    """Parts are judged; the reason is named once it has been seen for long enough."""
    ladder = see(see(RUNNING, 1, reason), 1 + RULES[reason].raise_after_ns / SECOND_NS, reason)
    assert (ladder.state, ladder.health.can_judge, ladder.health.worst) == (LineState.DEGRADED, True, reason)


def test_a_notice_is_told_and_the_line_is_ready() -> None:
    """An unsigned model is said everywhere, and is nothing that is broken."""
    health = see(RUNNING, 1, LineReason.TRUST_DEVELOPMENT).health
    assert (health.state, health.text) == (LineState.READY, "trust_development: trust_development is there")


def test_the_worst_reason_comes_first_and_none_is_hidden() -> None:
    """A dead camera is not the time to read about the broker first, nor to forget it."""
    seen = (LineReason.TRUST_DEVELOPMENT, LineReason.LEDGER_FULL, LineReason.CAMERA_LOST)
    assert [standing.reason for standing in see(RUNNING, 1, *seen).health.reasons] == list(reversed(seen))


def test_a_reconnect_within_two_seconds_is_no_change_of_state() -> None:
    """Brokers restart; a state that flaps with them is read by nobody."""
    ladder = RUNNING
    for second in (1.0, 1.5, 2.9):
        ladder = see(ladder, second, LineReason.BROKER_DOWN)
        assert ladder.state is LineState.READY
    ladder = see(see(ladder, 3.0), 3.1, LineReason.BROKER_DOWN)
    assert see(ladder, 5.0, LineReason.BROKER_DOWN).state is LineState.READY  # counted from 3.1
    assert see(ladder, 5.2, LineReason.BROKER_DOWN).state is LineState.DEGRADED


def test_a_cause_that_flaps_holds_its_reason() -> None:
    """Lost and found every second is lost."""
    ladder = RUNNING
    for second in range(20):
        ladder = see(see(ladder, second, LineReason.CAMERA_LOST), second + 0.5)
        assert ladder.state is LineState.FAULT
    assert not ladder.health.reasons[0].present
    assert see(ladder, 21.1).state is LineState.READY


def test_a_latched_reason_waits_for_a_person() -> None:
    """A part that may have passed is not forgotten because the next ones were rejected."""
    ladder = see(see(RUNNING, 1, LineReason.REJECT_MISSED), 100_000)
    assert ladder.health.worst is LineReason.REJECT_MISSED
    assert step(ladder, Acknowledged()).health.reasons == ()
    still_there = see(ladder, 100_001, LineReason.REJECT_MISSED)
    assert step(still_there, Acknowledged()).state is LineState.DEGRADED


def test_acknowledging_hides_no_fault_that_is_there() -> None:
    """It is no switch to make a line ready."""
    ladder = see(RUNNING, 1, LineReason.ENGINE_FAILING, LineReason.CAMERA_LOST)
    assert step(ladder, Acknowledged()) == ladder
