from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from makers import make_part, make_recipe

from edge_runtime.decision.combine import Ask, NoTime, combined_verdict, is_in_doubt, look_of, next_step
from edge_runtime.decision.combine_scale import on_common_scale
from edge_runtime.decision.judge import classify, judge, strictness
from edge_runtime.domain.combination import COMMON_LIMITS, Combination, Doubt, Rule, Terms
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import BundleIdentity, Disposition, Limits, Reason

VOTES = (Rule.MAJORITY, Rule.ANY, Rule.ALL)
limits = st.tuples(st.floats(-5, 5), st.floats(0, 5)).map(lambda pair: Limits(pair[0], pair[0] + pair[1]))
sound = st.floats(allow_nan=False, allow_infinity=False)
anything = st.one_of(st.floats(-3, 12), st.floats(allow_nan=True, allow_infinity=True), st.none())
PART = make_part()
IN_TIME_NS, LATE_NS = PART.deadline_ns, PART.deadline_ns + 1


def _bundle(place: int) -> BundleIdentity:
    return BundleIdentity(f"model-{place}", "1", f"{place:064x}", "development")


def _outcome(place: int, score: float | None) -> Inspection | InspectionFault:
    if score is None:
        return InspectionFault("part-1", Reason.ENGINE_ERROR, "it broke", _bundle(place), 0, 1)
    return Inspection("part-1", score, None, _bundle(place), 0, 1)


@st.composite
def cases(draw, rules=tuple(Rule), scores=anything, most=5):
    """A combination, and a look of each of its models."""
    count = draw(st.integers(2, most))
    doubt = st.builds(Doubt, st.floats(0, 1), st.floats(1, 3))
    terms = tuple(Terms(draw(st.floats(0.01, 100)), draw(doubt)) for _ in range(count))
    looks = [look_of(_outcome(place, draw(scores)), draw(limits)) for place in range(count)]
    return Combination(draw(st.sampled_from(rules)), terms), looks


def _heard(combination, looks, left_ns=10**9, expected_ns=None):
    """The looks that the rule asks for, and the model for which there was no time."""
    heard = []
    expected = expected_ns or [0] * len(looks)
    while True:
        step = next_step(combination, heard, left_ns, expected)
        if not isinstance(step, Ask):
            return heard, step if isinstance(step, NoTime) else None
        assert step.place == len(heard)
        heard.append(looks[step.place])


def _verdict(combination, looks, decided_ns=IN_TIME_NS, fail_safe=Disposition.REVIEW, **time):
    heard, unheard = _heard(combination, looks, **time)
    return combined_verdict(combination, heard, unheard, PART, make_recipe(fail_safe=fail_safe), decided_ns)


@settings(deadline=None)
@given(case=cases(), late=st.booleans(), left_ns=st.integers(-5, 5), expected_ns=st.integers(0, 5))
def test_pass_only_where_the_rule_gives_it(case, late, left_ns, expected_ns) -> None:
    """No fault, no haste, in time, and as many for PASS as the rule asks for."""
    combination, looks = case
    time = {"left_ns": left_ns, "expected_ns": [expected_ns] * len(looks)}
    heard, unheard = _heard(combination, looks, **time)
    verdict = _verdict(combination, looks, LATE_NS if late else IN_TIME_NS, **time)
    assert verdict.combined is not None
    assert verdict.combined.looks == tuple(heard)
    if verdict.disposition is not Disposition.PASS:
        return
    assert unheard is None
    assert not late
    assert verdict.reason is Reason.BELOW_LIMIT
    said = [look.disposition for look in heard]
    assert None not in said
    passes = said.count(Disposition.PASS)
    if combination.rule is Rule.CASCADE:
        assert said[-1] is Disposition.PASS
        assert len(heard) == len(looks) or not is_in_doubt(heard[-1], combination.terms[len(heard) - 1].doubt)
    else:
        assert len(heard) == len(looks)
        least = {Rule.ANY: len(looks), Rule.ALL: 1, Rule.MAJORITY: len(looks) // 2 + 1, Rule.WEIGHTED: 1}
        assert passes >= least[combination.rule]


@settings(deadline=None)
@given(case=cases(scores=st.floats(-3, 12)), place=st.integers(0, 4), bad=st.sampled_from([None, math.nan, math.inf]))
def test_a_model_that_cannot_judge_never_makes_a_pass(case, place, bad) -> None:
    """With any rule, wherever it stands, if it was asked at all: the recipe's fail-safe, or stricter."""
    combination, looks = case
    place %= len(looks)
    looks[place] = look_of(_outcome(place, bad), looks[place].limits)
    for fail_safe in (Disposition.REVIEW, Disposition.REJECT):
        verdict = _verdict(combination, looks, fail_safe=fail_safe)
        if looks[place] in verdict.combined.looks:
            assert verdict.reason in {Reason.ENGINE_ERROR, Reason.SCORE_INVALID}
            assert verdict.score is None
            assert strictness(verdict.disposition) >= strictness(fail_safe)


@settings(deadline=None)
@given(case=cases(rules=(Rule.CASCADE,)), decided_ns=st.sampled_from([IN_TIME_NS, LATE_NS]))
def test_a_cascade_without_doubt_says_what_the_first_model_says(case, decided_ns) -> None:
    """Score, limits, bundle, reason and disposition; the others are not asked."""
    combination, looks = case
    first = looks[0]
    assume(first.score is not None and not is_in_doubt(first, combination.terms[0].doubt))
    verdict = _verdict(combination, looks, decided_ns)
    own = make_recipe(review=first.limits.review, reject=first.limits.reject, fail_safe=Disposition.REVIEW)
    alone = judge(_outcome(0, first.score), PART, own, decided_ns)
    assert verdict.combined.looks == (first,)
    for name in ("score", "limits", "bundle", "reason", "disposition", "detail"):
        assert getattr(verdict, name) == getattr(alone, name), name


@settings(deadline=None)
@given(case=cases(rules=(Rule.CASCADE,), scores=st.floats(-3, 12)))
def test_a_cascade_in_doubt_says_what_the_last_asked_model_says(case) -> None:
    """By its own limits; REVIEW of one that is followed by another never stands."""
    combination, looks = case
    verdict = _verdict(combination, looks)
    last = verdict.combined.looks[-1]
    assert (verdict.score, verdict.limits, verdict.bundle) == (last.score, last.limits, last.bundle)
    assert verdict.disposition is last.disposition
    if verdict.disposition is Disposition.REVIEW:
        assert last is looks[-1]


@settings(deadline=None)
@given(
    case=cases(rules=VOTES), order=st.randoms(use_true_random=False), fail_safe=st.sampled_from(["REVIEW", "REJECT"])
)
def test_the_order_of_the_models_does_not_change_a_vote(case, order, fail_safe) -> None:
    """Neither what is decided nor who is named, faults included."""
    combination, looks = case
    shuffled = list(looks)
    order.shuffle(shuffled)
    one, other = (_verdict(combination, each, fail_safe=fail_safe) for each in (looks, shuffled))
    for name in ("score", "limits", "bundle", "reason", "disposition", "detail"):
        assert getattr(one, name) == getattr(other, name), name


@settings(deadline=None)
@given(case=cases(rules=(Rule.WEIGHTED,), scores=st.floats(-3, 12)), factor=st.floats(0.001, 1_000))
def test_only_the_ratio_of_weights_counts(case, factor) -> None:
    """All weights times a number: the same mean, but for rounding; exactly the same for a power of two."""
    combination, looks = case
    verdict = _verdict(combination, looks)
    assert verdict.score is not None
    for times, tolerance in ((factor, 1e-12), (2.0 ** round(math.log2(factor)), 0.0)):
        scaled = tuple(Terms(terms.weight * times, terms.doubt) for terms in combination.terms)
        other = _verdict(Combination(Rule.WEIGHTED, scaled), looks)
        assert other.score == pytest.approx(verdict.score, rel=tolerance, abs=0)


@settings(deadline=None)
@given(case=cases(rules=(*VOTES, Rule.WEIGHTED), scores=sound))
def test_what_all_say_is_what_comes_of_it(case) -> None:
    """With every rule that asks all; and nothing is milder than the mildest or stricter than the strictest."""
    combination, looks = case
    said = sorted(strictness(look.disposition) for look in looks)
    assert said[0] <= strictness(_verdict(combination, looks).disposition) <= said[-1]


@settings(deadline=None)
@given(case=cases(scores=sound), left_ns=st.integers(-10, 99))
def test_without_time_for_another_look_nothing_passes(case, left_ns) -> None:
    """A part in doubt whose second look would end too late is a missed deadline, however good the first score was."""
    combination, looks = case
    verdict = _verdict(combination, looks, left_ns=left_ns, expected_ns=[0, *[100] * (len(looks) - 1)])
    if len(verdict.combined.looks) < len(looks) and (
        combination.rule is not Rule.CASCADE or is_in_doubt(looks[0], combination.terms[0].doubt)
    ):
        assert verdict.reason is Reason.DEADLINE_MISSED
        assert verdict.disposition is not Disposition.PASS
        assert "no time for the look of model 2" in verdict.detail


@settings(deadline=None)
@given(score=sound, limits=limits, other=sound)
def test_the_common_scale_keeps_side_and_order(score, limits, other) -> None:
    """The common limits say of the scaled score what its own limits say of the score; worse is never better."""
    scaled = on_common_scale(score, limits)
    assert 0 <= scaled <= 1_000
    assert classify(scaled, COMMON_LIMITS) == classify(score, limits)
    low, high = sorted((score, other))
    assert on_common_scale(low, limits) <= on_common_scale(high, limits)


@settings(deadline=None)
@given(limits=limits)
def test_review_alone_is_doubt_by_default(limits) -> None:
    """With 100 % on either side the band is exactly REVIEW, to the last bit."""
    for score in (limits.review, math.nextafter(limits.review, math.inf), limits.reject, limits.reject + 1):
        look = look_of(_outcome(0, score), limits)
        assert is_in_doubt(look, Doubt()) == (look.disposition is Disposition.REVIEW)
