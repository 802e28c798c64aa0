from __future__ import annotations

import math

import pytest
from makers import MS, make_fault, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import classify, fault_verdict, judge, stricter
from edge_runtime.domain.verdict import Disposition, Limits, Reason

IN_TIME = 1_050 * MS
LATE = 1_101 * MS


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (-5.0, (Disposition.PASS, Reason.BELOW_LIMIT)),
        (1.0, (Disposition.PASS, Reason.BELOW_LIMIT)),
        (1.0000001, (Disposition.REVIEW, Reason.BETWEEN_LIMITS)),
        (2.0, (Disposition.REVIEW, Reason.BETWEEN_LIMITS)),
        (2.0000001, (Disposition.REJECT, Reason.ABOVE_LIMIT)),
    ],
)
def test_two_limits_make_three_dispositions(score, expected) -> None:
    """A score equal to a limit is on its lower side; above the upper one it is a reject."""
    assert classify(score, Limits(1.0, 2.0)) == expected


def test_a_sound_score_in_time_is_judged_by_the_limits() -> None:
    """The verdict carries score, limits, bundle and both times."""
    verdict = judge(make_inspection(0.5), make_part(), make_recipe(), IN_TIME)
    assert (verdict.disposition, verdict.reason, verdict.score) == (Disposition.PASS, Reason.BELOW_LIMIT, 0.5)
    assert (verdict.triggered_ns, verdict.decided_ns, verdict.part_sequence) == (1_000 * MS, IN_TIME, 1)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_never_passes(score) -> None:
    """NaN and infinity are faults, also minus infinity, which is below every limit."""
    verdict = judge(make_inspection(score), make_part(), make_recipe(), IN_TIME)
    assert (verdict.disposition, verdict.reason, verdict.score) == (Disposition.REJECT, Reason.SCORE_INVALID, None)


def test_a_late_pass_follows_the_fail_safe() -> None:
    """A good score that comes after the deadline is a reject with its reason and how late it was."""
    verdict = judge(make_inspection(0.5), make_part(), make_recipe(), LATE)
    assert (verdict.disposition, verdict.reason) == (Disposition.REJECT, Reason.DEADLINE_MISSED)
    assert "1.0 ms" in verdict.detail


def test_a_late_reject_stays_a_reject_even_with_a_milder_fail_safe() -> None:
    """With fail-safe REVIEW a late bad part is not softened."""
    recipe = make_recipe(fail_safe=Disposition.REVIEW)
    assert judge(make_inspection(5.0), make_part(), recipe, LATE).disposition is Disposition.REJECT
    assert judge(make_inspection(0.5), make_part(), recipe, LATE).disposition is Disposition.REVIEW


def test_a_fault_takes_the_fail_safe_and_keeps_its_reason() -> None:
    """What went wrong in the inspection stays readable in the verdict."""
    verdict = judge(make_fault(), make_part(), make_recipe(), IN_TIME)
    assert (verdict.disposition, verdict.reason, verdict.detail) == (
        Disposition.REJECT,
        Reason.ENGINE_ERROR,
        "it broke",
    )


def test_a_fault_never_passes_even_if_a_recipe_object_says_so() -> None:
    """The configuration refuses fail_safe = PASS; should such a recipe exist all the same, it becomes REVIEW."""
    recipe = make_recipe(fail_safe=Disposition.PASS)
    part = make_part()
    verdict = fault_verdict(part, recipe, Reason.OVERLOAD, "", make_fault().bundle, IN_TIME)
    assert verdict.disposition is Disposition.REVIEW


def test_stricter_prefers_what_lets_less_pass() -> None:
    """REJECT over REVIEW over PASS, whatever the order of the arguments."""
    assert stricter(Disposition.PASS, Disposition.REJECT) is Disposition.REJECT
    assert stricter(Disposition.REVIEW, Disposition.PASS) is Disposition.REVIEW


@pytest.mark.parametrize(("review", "reject"), [(2.0, 1.0), (math.nan, 1.0), (1.0, math.nan)])
def test_limits_out_of_order_cannot_exist(review, reject) -> None:
    """Swapped or NaN limits are refused where they are made."""
    with pytest.raises(ValueError, match="review ≤ reject"):
        Limits(review, reject)
