from __future__ import annotations

import pytest
from makers import make_part, make_recipe

from edge_runtime.decision.combine import Ask, Enough, NoTime, combined_verdict, is_in_doubt, look_of, next_step
from edge_runtime.decision.combine_scale import on_common_scale
from edge_runtime.domain.combination import Combination, Doubt, Rule, Terms
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import BundleIdentity, Disposition, Limits, Reason

PASS, REVIEW, REJECT = Disposition
SCORES = {"P": 0.5, "R": 1.5, "X": 3.0, "?": None}
"""Under limits of 1 and 2: PASS, REVIEW, REJECT, and a model that cannot judge."""


def _look(place: int, said: str):
    identity, score = BundleIdentity(f"m{place}", "1", f"{place:064x}", "development"), SCORES[said]
    if score is None:
        fault = InspectionFault("part-1", Reason.ENGINE_ERROR, "it broke", identity, 0, 1)
        return look_of(fault, Limits(1.0, 2.0))
    return look_of(Inspection("part-1", score, None, identity, 0, 1), Limits(1.0, 2.0))


def _verdict(rule: Rule, said: str, *, unheard: NoTime | None = None, weights=None, models: int | None = None):
    looks = [_look(place, each) for place, each in enumerate(said)]
    terms = tuple(Terms(weight) for weight in weights or [1.0] * (models or len(said)))
    recipe = make_recipe(fail_safe=Disposition.REVIEW)
    return combined_verdict(Combination(rule, terms), looks, unheard, make_part(), recipe, 0)


@pytest.mark.parametrize(
    ("said", "majority", "strictest", "mildest"),
    [
        ("PPX", PASS, REJECT, PASS),
        ("PXX", REJECT, REJECT, PASS),
        ("PRX", REVIEW, REJECT, PASS),
        ("PX", REJECT, REJECT, PASS),
        ("PR", REVIEW, REVIEW, PASS),
        ("PPXX", REJECT, REJECT, PASS),
        ("XXX", REJECT, REJECT, REJECT),
        ("RXX", REJECT, REJECT, REVIEW),
    ],
)
def test_votes(said, majority, strictest, mildest) -> None:
    """More than half, in a tie the stricter; the strictest; the mildest. A member that said so is named."""
    for rule, expected in ((Rule.MAJORITY, majority), (Rule.ANY, strictest), (Rule.ALL, mildest)):
        verdict = _verdict(rule, said)
        named = int(verdict.bundle.name[1:])
        assert verdict.disposition is expected is _look(named, said[named]).disposition, rule


@pytest.mark.parametrize(
    ("rule", "said", "expected"),
    [
        (Rule.MAJORITY, "PP?", REVIEW),  # the two would pass it: the fail-safe
        (Rule.MAJORITY, "P?", REJECT),  # the missing word counts as REJECT
        (Rule.MAJORITY, "PX?", REJECT),
        (Rule.ANY, "PP?", REJECT),
        (Rule.ALL, "XX?", REJECT),
        (Rule.ALL, "PX?", REVIEW),
        (Rule.CASCADE, "X?", REJECT),  # in doubt by its band, the other one broke
        (Rule.CASCADE, "R?", REVIEW),
        (Rule.CASCADE, "?", REVIEW),
        (Rule.WEIGHTED, "XX?", REJECT),
        (Rule.WEIGHTED, "PP?", REVIEW),
        (Rule.WEIGHTED, "??", REVIEW),
    ],
)
def test_a_missing_word_makes_a_fault_as_strict_as_the_others(rule, said, expected) -> None:
    """With the fail-safe REVIEW; the verdict names the model that failed and has no score."""
    verdict = _verdict(rule, said)
    assert (verdict.disposition, verdict.reason, verdict.score) == (expected, Reason.ENGINE_ERROR, None)
    assert verdict.bundle.name == f"m{said.index('?')}"


@pytest.mark.parametrize(
    ("rule", "said", "expected"),
    [(Rule.CASCADE, "P", REVIEW), (Rule.CASCADE, "X", REJECT), (Rule.MAJORITY, "PP", REVIEW)],
)
def test_haste_passes_nothing(rule, said, expected) -> None:
    """What the others said counts as far as it is strict."""
    verdict = _verdict(rule, said, unheard=NoTime(len(said), 30_000_000, 10_000_000), models=3)
    assert (verdict.disposition, verdict.reason) == (expected, Reason.DEADLINE_MISSED)
    assert verdict.detail == f"no time for the look of model {len(said) + 1}: 10.0 ms left, it takes 30.0 ms"


def test_a_weighted_mean_is_judged_on_the_common_scale() -> None:
    """PASS is 0.25 here, REJECT 1.5: it depends on the weights which side wins; the heavier share is named."""
    for weights, score, expected in (((1, 1), 0.875, REVIEW), ((1, 3), 1.1875, REJECT), ((9, 1), 0.375, PASS)):
        verdict = _verdict(Rule.WEIGHTED, "PX", weights=weights)
        assert (verdict.score, verdict.disposition) == (pytest.approx(score), expected)
        assert (verdict.limits, verdict.bundle.name) == (Limits(0.5, 1.0), "m0" if weights == (9, 1) else "m1")


def test_the_band_of_doubt_is_a_share_of_the_limits() -> None:
    """From 80 % of the review limit to 150 % of the reject limit, the lower end excluded."""
    doubt, limits = Doubt(0.8, 1.5), Limits(10.0, 20.0)
    for score, expected in ((8.0, False), (8.1, True), (15.0, True), (30.0, True), (30.1, False)):
        look = look_of(Inspection("p", score, None, BundleIdentity("m", "1", "0", "development"), 0, 1), limits)
        assert is_in_doubt(look, doubt) is expected, score


def test_who_looks_next() -> None:
    """In a cascade whoever comes after a model in doubt, in a vote everybody; the first in any case."""
    cascade, vote = (Combination(rule, (Terms(), Terms())) for rule in (Rule.CASCADE, Rule.ANY))
    assert next_step(cascade, [], -5, [9, 9]) == Ask(0)
    assert next_step(cascade, [_look(0, "R")], 9, [9, 9]) == Ask(1)
    assert next_step(cascade, [_look(0, "R")], 8, [9, 9]) == NoTime(1, 9, 8)
    assert next_step(cascade, [_look(0, "P")], 9, [9, 9]) == Enough()
    assert next_step(cascade, [_look(0, "?")], 9, [9, 9]) == Enough()
    assert next_step(vote, [_look(0, "?")], 9, [9, 9]) == Ask(1)
    assert next_step(vote, [_look(0, "P"), _look(1, "P")], 9, [9, 9]) == Enough()


@pytest.mark.parametrize(
    ("score", "review", "reject", "expected"),
    [
        (0.0, 4.0, 8.0, 0.0),
        (-3.0, 4.0, 8.0, 0.0),
        (2.0, 4.0, 8.0, 0.25),
        (4.0, 4.0, 8.0, 0.5),
        (6.0, 4.0, 8.0, 0.75),
        (8.0, 4.0, 8.0, 1.0),
        (12.0, 4.0, 8.0, 1.5),
        (1e9, 4.0, 8.0, 1_000.0),
        (8.0, 4.0, 4.0, 1.5),
        (-9.0, -4.0, 8.0, 0.5),
    ],
)
def test_points_of_the_common_scale(score, review, reject, expected) -> None:
    """Half at the review limit, one at the reject limit, straight between and beyond, from 0 to 1000."""
    assert on_common_scale(score, Limits(review, reject)) == pytest.approx(expected)
