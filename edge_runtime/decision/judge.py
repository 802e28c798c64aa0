"""From an inspection to a verdict. PASS only when everything is sound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import Disposition, Limits, Reason, Verdict

if TYPE_CHECKING:
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import BundleIdentity

_STRICTNESS = {Disposition.PASS: 0, Disposition.REVIEW: 1, Disposition.REJECT: 2}


def strictness(disposition: Disposition) -> int:
    """0 for PASS, 1 for REVIEW, 2 for REJECT."""
    return _STRICTNESS[disposition]


def stricter(one: Disposition, other: Disposition) -> Disposition:
    """The one that lets less pass: REJECT over REVIEW over PASS."""
    return max(one, other, key=strictness)


def classify(score: float, limits: Limits) -> tuple[Disposition, Reason]:
    """Compare a finite score with the two limits: a score equal to a limit is on its lower side."""
    if score <= limits.review:
        return Disposition.PASS, Reason.BELOW_LIMIT
    if score <= limits.reject:
        return Disposition.REVIEW, Reason.BETWEEN_LIMITS
    return Disposition.REJECT, Reason.ABOVE_LIMIT


def judge(outcome: Inspection | InspectionFault, part: Part, recipe: Recipe, decided_ns: int) -> Verdict:
    """The verdict on a part that was looked at.

    A fault, a score that is not a finite number, and a decision later than the recipe's deadline follow the recipe's
    fail-safe. A late REJECT stays a REJECT whatever the fail-safe is.
    """
    if isinstance(outcome, InspectionFault):
        return fault_verdict(part, recipe, outcome.reason, outcome.detail, outcome.bundle, decided_ns)
    if not math.isfinite(outcome.score):
        detail = f"the model returned {outcome.score}"
        return fault_verdict(part, recipe, Reason.SCORE_INVALID, detail, outcome.bundle, decided_ns)
    disposition, reason = classify(outcome.score, recipe.limits)
    detail = ""
    if decided_ns > part.deadline_ns:
        disposition, reason = stricter(disposition, recipe.fail_safe), Reason.DEADLINE_MISSED
        detail = f"decided {(decided_ns - part.deadline_ns) / 1e6:.1f} ms after the deadline"
    return _verdict(part, recipe, disposition, reason, outcome.bundle, decided_ns, score=outcome.score, detail=detail)


def fault_verdict(
    part: Part, recipe: Recipe, reason: Reason, detail: str, bundle: BundleIdentity, decided_ns: int
) -> Verdict:
    """The verdict on a part that could not be judged: the recipe's fail-safe, never PASS."""
    disposition = stricter(recipe.fail_safe, Disposition.REVIEW)
    return _verdict(part, recipe, disposition, reason, bundle, decided_ns, score=None, detail=detail)


def _verdict(
    part: Part,
    recipe: Recipe,
    disposition: Disposition,
    reason: Reason,
    bundle: BundleIdentity,
    decided_ns: int,
    *,
    score: float | None,
    detail: str,
) -> Verdict:
    return Verdict(
        part_id=part.trigger.part_id,
        part_sequence=part.part_sequence,
        frame_sequence=part.trigger.sequence,
        disposition=disposition,
        reason=reason,
        score=score,
        limits=recipe.limits,
        bundle=bundle,
        triggered_ns=part.trigger.triggered_ns,
        decided_ns=decided_ns,
        triggered_wall_ns=part.trigger.triggered_wall_ns,
        detail=detail,
    )
