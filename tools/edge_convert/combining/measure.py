"""Every model of a line looks at every image of a labelled folder; the line's rule judges by those it would ask.

Time is measured in turn, model after model on the same image, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.evaluate.metrics import image_auroc
from edge_convert.images import load_image
from edge_runtime.decision.combine import Ask, combined_verdict, look_of, next_step
from edge_runtime.decision.combine_scale import on_common_scale
from edge_runtime.domain.combination import Rule
from edge_runtime.domain.frame import Trigger
from edge_runtime.domain.part import Part
from edge_runtime.domain.verdict import Disposition
from edge_runtime.services.looking import look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_convert.evaluate.dataset import Dataset
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.domain.combination import Combination, Look
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import Limits, Verdict
    from edge_runtime.ops.clock import Clock

_TRIGGER: Final = Trigger(1, "", 0, 0)
_NO_HURRY_NS: Final = 10**15
_PART: Final = Part(_TRIGGER, 1, _NO_HURRY_NS, None)
"""A deadline is the line's affair: here every look has its time."""
OTHER_SHARES: Final = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.0)
"""Of the review limit; 0: by itself the line's own model passes only what scores 0 or less."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One model, with the limits that are in force for it."""

    inspector: Inspector
    limits: Limits


@dataclass(frozen=True, slots=True)
class Judged:
    """One image."""

    file: str
    is_defect: bool
    looks: tuple[Look, ...]
    """Of every model, whether the rule asks for it or not."""
    verdict: Verdict
    """What the line would say."""

    @property
    def asked(self) -> int:
        """How many models the rule asks for."""
        return 0 if self.verdict.combined is None else len(self.verdict.combined.looks)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one model, or all together, did."""

    name: str
    mean_ms: float
    """Per part; of all looks that were asked for."""
    p99_ms: float
    auroc: float | None
    """None where a part could not be judged."""
    good: int
    good_rejected: int
    good_in_review: int
    bad: int
    bad_passed: int
    bad_in_review: int
    looked_percent: float
    """Of the parts; together: those at which a second model looked."""


def measure(
    contestants: Sequence[Contestant],
    combination: Combination,
    recipe: Recipe,
    dataset: Dataset,
    clock: Clock,
    on_progress: Callable[[], None],
) -> list[Judged]:
    """Have every model look at every image, as the line has it done: what one throws is a fault of this image alone."""
    found = []
    for sample in dataset.samples:
        exposure = load_image(sample.path)
        looks = tuple(
            look_of(look(contestant.inspector, sample.file, (exposure,), clock)[0], contestant.limits)
            for contestant in contestants
        )
        found.append(Judged(sample.file, sample.is_defect, looks, judged_by(combination, recipe, looks)))
        on_progress()
    return found


def judged_by(combination: Combination, recipe: Recipe, looks: Sequence[Look]) -> Verdict:
    """What a line with all the time in the world would say, when every model would say this."""
    asked: list[Look] = []
    while isinstance(step := next_step(combination, asked, _NO_HURRY_NS, [0] * len(looks)), Ask):
        asked.append(looks[step.place])
    return combined_verdict(combination, asked, None, _PART, recipe, 0)


def standings(judged: Sequence[Judged], combination: Combination) -> list[Standing]:
    """Of each model alone, in order, then of all together."""
    found = []
    for place in range(len(combination.terms)):
        alone = [row.looks[place] for row in judged]
        found.append(
            _standing(
                f"{place + 1} {alone[0].bundle.name} {alone[0].bundle.version}",
                [look.took_ns for look in alone],
                [None if look.score is None else on_common_scale(look.score, look.limits) for look in alone],
                [look.disposition or Disposition.REJECT for look in alone],
                judged,
                100 * sum(row.asked > place for row in judged) / len(judged),
            )
        )
    return [*found, _together(f"{combination.rule}", judged, combination)]


def other_doubts(judged: Sequence[Judged], combination: Combination, recipe: Recipe) -> list[Standing]:
    """What the same looks would have come to, had the line's own model been in doubt elsewhere.

    Nothing but in a cascade whose first model has a review limit above 0: there alone are shares of it allowed.
    """
    if combination.rule is not Rule.CASCADE or not judged[0].looks[0].limits.review > 0:
        return []
    found = []
    for share in OTHER_SHARES:
        first = replace(combination.terms[0], doubt=replace(combination.terms[0].doubt, from_share=share))
        other = replace(combination, terms=(first, *combination.terms[1:]))
        rows = [replace(row, verdict=judged_by(other, recipe, row.looks)) for row in judged]
        found.append(_together(f"doubt from {100 * share:.0f} %", rows, other))
    return found


def _together(name: str, judged: Sequence[Judged], combination: Combination) -> Standing:
    return _standing(
        name,
        [sum(look.took_ns for look in row.looks[: row.asked]) for row in judged],
        [_rank(row.verdict, combination) for row in judged],
        [row.verdict.disposition for row in judged],
        judged,
        100 * sum(row.asked > 1 for row in judged) / len(judged),
    )


def _rank(verdict: Verdict, combination: Combination) -> float | None:
    """Where a verdict stands between the best and the worst part, whichever model gave it."""
    if verdict.score is None or combination.rule is Rule.WEIGHTED:
        return verdict.score
    return on_common_scale(verdict.score, verdict.limits)


def _standing(
    name: str,
    took_ns: Sequence[int],
    ranks: Sequence[float | None],
    dispositions: Sequence[Disposition],
    judged: Sequence[Judged],
    looked_percent: float,
) -> Standing:
    good = [said for said, row in zip(dispositions, judged, strict=True) if not row.is_defect]
    bad = [said for said, row in zip(dispositions, judged, strict=True) if row.is_defect]
    sound = [rank for rank in ranks if rank is not None]
    auroc = None
    if len(sound) == len(ranks):
        of_good = [rank for rank, row in zip(sound, judged, strict=True) if not row.is_defect]
        auroc = image_auroc(of_good, [rank for rank, row in zip(sound, judged, strict=True) if row.is_defect])
    return Standing(
        name,
        float(np.mean(took_ns)) / 1e6,
        float(np.percentile(took_ns, 99)) / 1e6,
        auroc,
        len(good),
        good.count(Disposition.REJECT),
        good.count(Disposition.REVIEW),
        len(bad),
        bad.count(Disposition.PASS),
        bad.count(Disposition.REVIEW),
        looked_percent,
    )
