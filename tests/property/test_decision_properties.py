from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from makers import make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.decision.part_tracker import PartTracker
from edge_runtime.decision.reject_plan import gate_action
from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.verdict import Disposition

scores = st.floats(allow_nan=True, allow_infinity=True)
times = st.integers(min_value=0, max_value=10**13)


@given(score=scores, decided_ns=times, review=st.floats(-10, 10), width=st.floats(0, 10))
def test_pass_only_when_everything_is_sound(score, decided_ns, review, width) -> None:
    """A PASS implies a finite score at or below the lower limit, decided in time."""
    part = make_part()
    recipe = make_recipe(review=review, reject=review + width)
    verdict = judge(make_inspection(score), part, recipe, decided_ns)
    if verdict.disposition is Disposition.PASS:
        assert math.isfinite(score)
        assert score <= review
        assert decided_ns <= part.deadline_ns
    assert verdict.reason.is_fault == (not math.isfinite(score) or decided_ns > part.deadline_ns)


@given(score=scores, decided_ns=times)
def test_a_fault_never_opens_the_gate(score, decided_ns) -> None:
    """Whatever the recipe does with REVIEW, a verdict without a sound score is ejected."""
    recipe = make_recipe(review_action=GateAction.LET_PASS, fail_safe=Disposition.REVIEW)
    verdict = judge(make_inspection(score), make_part(), recipe, decided_ns)
    if verdict.reason.is_fault:
        assert gate_action(verdict, recipe) is GateAction.EJECT


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_every_part_the_plc_counted_is_accounted_for_exactly_once(seen) -> None:
    """Whichever frames the camera misses, assigned and missing numbers together are the belt without gap or repeat."""
    tracker = PartTracker(last=0)
    accounted: list[int] = []
    for number, has_frame in enumerate(seen, start=1):
        if has_frame or number == 1:
            assignment = tracker.assign(number)
            accounted += [*assignment.missing, assignment.part_sequence]
    last_seen = max(number for number, has_frame in enumerate(seen, start=1) if has_frame or number == 1)
    assert accounted == list(range(1, last_seen + 1))
