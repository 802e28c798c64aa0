from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.lifecycle import START, Acknowledged, Observed, Started, step
from edge_runtime.decision.line_rules import RULES
from edge_runtime.domain.status import LineReason, LineState, Weight

TICK_NS = 200_000_000
looks = st.lists(
    st.tuples(st.integers(0, 60), st.sets(st.sampled_from(list(LineReason)), max_size=5), st.booleans()), max_size=60
)
"""Ticks since the look before, what is seen, whether somebody acknowledges afterwards."""


def _counts(history: list[tuple[int, set[LineReason]]], reason: LineReason) -> bool:
    """The rule in its plainest form, over everything that was ever seen."""
    rule, raised_ns, since_ns = RULES[reason], None, None
    for now_ns, seen in history:
        if reason in seen:
            since_ns = now_ns if since_ns is None else since_ns
            if raised_ns is not None or now_ns - since_ns >= rule.raise_after_ns:
                raised_ns = now_ns
        else:
            since_ns = None
            if raised_ns is not None and not rule.latched and now_ns - raised_ns >= rule.hold_ns:
                raised_ns = None
    return raised_ns is not None


@given(looks)
def test_no_reason_is_lost_and_none_outstays(script) -> None:
    """At every look exactly those reasons count that the rules name, and the heaviest of them is the state."""
    ladder, history, now_ns = step(START, Started()), [], 0
    for ticks, seen, _ in script:
        now_ns += ticks * TICK_NS
        history.append((now_ns, seen))
        ladder = step(ladder, Observed(now_ns, dict.fromkeys(seen, "seen")))
        expected = {reason for reason in LineReason if _counts(history, reason)}
        assert {standing.reason for standing in ladder.health.reasons} == expected
        heaviest = max((RULES[reason].weight for reason in expected), default=Weight.NOTICE)
        assert (
            ladder.state
            is {
                Weight.NOTICE: LineState.READY,
                Weight.DEGRADED: LineState.DEGRADED,
                Weight.FAULT: LineState.FAULT,
            }[heaviest]
        )


@given(looks)
def test_the_line_is_never_ready_while_a_fault_is_seen(script) -> None:
    """Whatever came before, and whoever acknowledges: a look that sees a fault leaves the ready bit off."""
    ladder, now_ns = step(START, Started()), 0
    for ticks, seen, acknowledged in script:
        now_ns += ticks * TICK_NS
        ladder = step(ladder, Observed(now_ns, dict.fromkeys(seen, "seen")))
        if acknowledged:
            ladder = step(ladder, Acknowledged())
        if any(RULES[reason].weight is Weight.FAULT for reason in seen):
            assert not ladder.health.can_judge


@given(looks)
def test_when_all_causes_are_gone_the_line_gets_ready_again(script) -> None:
    """After the longest hold and one acknowledgement nothing of the past is left."""
    ladder, now_ns = step(START, Started()), 0
    for ticks, seen, _ in script:
        now_ns += ticks * TICK_NS
        ladder = step(ladder, Observed(now_ns, dict.fromkeys(seen, "seen")))
    longest_ns = max(rule.hold_ns for rule in RULES.values())
    ladder = step(step(ladder, Observed(now_ns + longest_ns + 1, {})), Acknowledged())
    assert (ladder.state, ladder.health.reasons) == (LineState.READY, ())


@given(st.sampled_from([r for r in LineReason if RULES[r].hold_ns]), st.lists(st.booleans(), min_size=1, max_size=300))
def test_a_flapping_cause_does_not_make_a_flapping_line(reason, flickers) -> None:
    """However a cause comes and goes, its reason changes at most twice per hold."""
    ladder, changes, held = step(START, Started()), 0, False
    for number, there in enumerate(flickers):
        ladder = step(ladder, Observed(number * TICK_NS, {reason: ""} if there else {}))
        now_held = bool(ladder.health.reasons)
        changes, held = changes + (now_held != held), now_held
    span_ns = len(flickers) * TICK_NS
    assert changes <= 2 + 2 * span_ns // (RULES[reason].hold_ns + TICK_NS)
