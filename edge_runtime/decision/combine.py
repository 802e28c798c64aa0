"""Several models for one part: who looks next, and what comes of all they said. PASS only where the rule gives it.

What a fault of one model, or want of time, makes of the others' words is decided here too: such a part is never PASS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from edge_runtime.decision.combine_scale import on_common_scale
from edge_runtime.decision.judge import classify, fault_verdict, judge, stricter, strictness
from edge_runtime.domain.combination import Combined, Look, Rule
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import Disposition, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.combination import Combination, Doubt
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import Limits, Verdict

VOTES: Final = frozenset({Rule.MAJORITY, Rule.ANY, Rule.ALL})


@dataclass(frozen=True, slots=True)
class Ask:
    """Another model is to look."""

    place: int
    """In the combination; 0 is the line's own."""


@dataclass(frozen=True, slots=True)
class Enough:
    """All that the rule asks for has been said."""


@dataclass(frozen=True, slots=True)
class NoTime:
    """Another model ought to look, and could not end before the deadline."""

    place: int
    expected_ns: int
    left_ns: int


Step: TypeAlias = Ask | Enough | NoTime


def look_of(outcome: Inspection | InspectionFault, limits: Limits) -> Look:
    """What a model said, by its own limits. A score that is not a finite number is a fault."""
    took_ns = outcome.finished_ns - outcome.started_ns
    if isinstance(outcome, InspectionFault):
        return Look(outcome.bundle, limits, None, None, outcome.reason, took_ns, outcome.detail)
    if not math.isfinite(outcome.score):
        detail = f"the model returned {outcome.score}"
        return Look(outcome.bundle, limits, None, None, Reason.SCORE_INVALID, took_ns, detail)
    disposition, reason = classify(outcome.score, limits)
    return Look(outcome.bundle, limits, outcome.score, disposition, reason, took_ns)


def is_in_doubt(look: Look, doubt: Doubt) -> bool:
    """Whether a model of a cascade wants the next one's word: REVIEW always, and what the recipe adds to it."""
    if look.score is None:
        return False
    low = min(look.limits.review, look.limits.review * doubt.from_share)
    high = max(look.limits.reject, look.limits.reject * doubt.to_share)
    return look.disposition is Disposition.REVIEW or low < look.score <= high


def next_step(combination: Combination, looks: Sequence[Look], left_ns: int, expected_ns: Sequence[int]) -> Step:
    """Who looks next.

    The line's own model always looks: a part that comes too late altogether is not this rule's affair.

    Args:
        looks: so far, in order.
        left_ns: until the part's deadline.
        expected_ns: how long each model's look is expected to take; 0 where nobody knows yet.
    """
    place = len(looks)
    if place == 0:
        return Ask(0)
    if place == len(combination.terms):
        return Enough()
    if combination.rule is Rule.CASCADE and not is_in_doubt(looks[-1], combination.terms[place - 1].doubt):
        return Enough()
    if expected_ns[place] > left_ns:
        return NoTime(place, expected_ns[place], left_ns)
    return Ask(place)


def combined_verdict(
    combination: Combination, looks: Sequence[Look], unheard: NoTime | None, part: Part, recipe: Recipe, decided_ns: int
) -> Verdict:
    """The verdict on a part at which at least one model has looked.

    Score, limits and bundle are those of the model that decided. With `Rule.WEIGHTED` score and limits are on the
    common scale, and the bundle is the one that weighed most.

    A model that could not judge the part, or for which no time was left, makes it a fault: the recipe's fail-safe, and
    never less strict than what the others came to (votes: with REJECT for each that is missing). Otherwise, and for
    verdicts after the deadline, `judge` is the rule.

    Args:
        unheard: the model that ought to have looked, where no time was left.
    """
    faulty = sorted((look for look in looks if look.disposition is None), key=lambda look: look.bundle.digest)
    if faulty or unheard is not None:
        verdict = _fault(faulty, unheard, looks, part, recipe, decided_ns)
        floor = _floor(combination, looks)
        verdict = replace(verdict, disposition=stricter(verdict.disposition, floor))
    else:
        look, score, limits = _decided(combination, looks)
        outcome = Inspection(part.trigger.part_id, score, None, look.bundle, 0, look.took_ns)
        verdict = judge(outcome, part, replace(recipe, limits=limits), decided_ns)
    place = None if unheard is None else unheard.place
    return replace(verdict, combined=Combined(combination.rule, tuple(looks), place))


def _fault(
    faulty: Sequence[Look], unheard: NoTime | None, looks: Sequence[Look], part: Part, recipe: Recipe, decided_ns: int
) -> Verdict:
    if faulty:
        look, reason = faulty[0], faulty[0].reason
        detail = f"{look.bundle.name} {look.bundle.version}: {look.detail}"
    else:
        look, reason, detail = looks[-1], Reason.DEADLINE_MISSED, _in_haste(unheard)
    return fault_verdict(part, replace(recipe, limits=look.limits), reason, detail, look.bundle, decided_ns)


def _in_haste(unheard: NoTime | None) -> str:
    if unheard is None:
        raise AssertionError  # asked for where nobody is faulty
    return (
        f"no time for the look of model {unheard.place + 1}: {max(unheard.left_ns, 0) / 1e6:.1f} ms left, it takes "
        f"{unheard.expected_ns / 1e6:.1f} ms"
    )


def _floor(combination: Combination, looks: Sequence[Look]) -> Disposition:
    """What a part may not fall below where a model is missing."""
    sound = [look for look in looks if look.disposition is not None]
    if combination.rule in VOTES:
        said = [look.disposition for look in sound if look.disposition is not None]
        said += [Disposition.REJECT] * (len(combination.terms) - len(sound))
        return sorted(said, key=strictness)[_place(combination.rule, len(said))]
    if not sound:
        return Disposition.REVIEW
    _, score, limits = _decided(combination, looks)
    return classify(score, limits)[0]


def _decided(combination: Combination, looks: Sequence[Look]) -> tuple[Look, float, Limits]:
    """Of those that could judge the part (one at least): who decided, with which score under which limits."""
    heard = [
        (look, look.score, terms.weight)
        for look, terms in zip(looks, combination.terms, strict=False)
        if look.score is not None
    ]
    if combination.rule is Rule.CASCADE:
        look, score, _ = heard[-1]
        return look, score, look.limits
    if combination.rule is Rule.WEIGHTED:
        weighed = [(weight * on_common_scale(score, look.limits), look) for look, score, weight in heard]
        mean = math.fsum(share for share, _ in weighed) / math.fsum(weight for _, _, weight in heard)
        _, look = max(weighed, key=lambda item: (item[0], item[1].bundle.digest))
        return look, mean, combination.limits
    ranked = sorted((_rank(look, score), place) for place, (look, score, _) in enumerate(heard))
    look, score, _ = heard[ranked[_place(combination.rule, len(ranked))][1]]
    return look, score, look.limits


def _rank(look: Look, score: float) -> tuple[int, float, str]:
    """From the mildest to the strictest, the same whatever the order of the models."""
    disposition, _ = classify(score, look.limits)
    return strictness(disposition), on_common_scale(score, look.limits), look.bundle.digest


def _place(rule: Rule, count: int) -> int:
    """Whose word counts when all are ranked: in the middle is what more than half say, in a tie the stricter half."""
    return {Rule.ALL: 0, Rule.MAJORITY: count // 2, Rule.ANY: count - 1}[rule]
