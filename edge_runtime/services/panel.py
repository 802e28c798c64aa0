"""Several models for one part: has them look as the rule asks, and takes the verdict from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.decision.combine import Ask, NoTime, combined_verdict, look_of, next_step
from edge_runtime.decision.overload import Durations
from edge_runtime.services.looking import look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.combination import Combination, Look
    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.model_swap import Model, Models


@dataclass(slots=True)
class MemberCounters:
    """Of one model since the start. Written by the inspect stage's thread alone."""

    looked: int = 0
    """Parts at which it looked."""
    decided: int = 0
    """Parts whose verdict names it."""


class Panel:
    """The models of one line. `judge` belongs to the inspect stage's thread."""

    def __init__(self, combination: Combination, models: Models, clock: Clock) -> None:
        """Wire it.

        Args:
            combination: with terms for the line's own model and for each of the others.
            models: of the line, its own and those beside it.
        """
        self.combination = combination
        self._models = models
        self.counters = tuple(MemberCounters() for _ in combination.terms)
        self._durations = [Durations() for _ in combination.terms]
        self._timed: list[Model | None] = [None] * len(combination.terms)
        """Whose durations these are."""
        self._clock = clock

    def judge(self, own: Model, part: Part, frame: Frame, recipe: Recipe) -> tuple[Verdict, MapSource | None]:
        """The verdict, and the map of the model that decided.

        Args:
            own: the line's own model.
            part: not judged yet.
            frame: of the part.
            recipe: with the limits that are in force for the line's own model.
        """
        models = (own, *self._models.others)
        self._forget_others(models)
        looks: list[Look] = []
        maps: list[MapSource | None] = []
        while isinstance(step := self._next(part, looks), Ask):
            model = models[step.place]
            self._models.looking = model.digest
            outcome, source = look(model, part.trigger.part_id, frame.exposures, self._clock)
            looks.append(look_of(outcome, model.recipe.limits if step.place else recipe.limits))
            maps.append(source)
            self._durations[step.place].add(looks[-1].took_ns)
        self._models.looking = ""
        unheard = step if isinstance(step, NoTime) else None
        if unheard is not None:
            self._durations[unheard.place].doubt()
        verdict = combined_verdict(self.combination, looks, unheard, part, recipe, self._clock.monotonic_ns())
        return verdict, self._count(verdict, looks, maps)

    def _forget_others(self, models: Sequence[Model]) -> None:
        """What one model took says nothing about the one that has taken its place."""
        for place, model in enumerate(models):
            if model is not self._timed[place]:
                self._timed[place], self._durations[place] = model, Durations()

    def _next(self, part: Part, looks: Sequence[Look]) -> object:
        left_ns = part.deadline_ns - self._clock.monotonic_ns()
        return next_step(self.combination, looks, left_ns, [lasted.expected_ns for lasted in self._durations])

    def _count(self, verdict: Verdict, looks: Sequence[Look], maps: Sequence[MapSource | None]) -> MapSource | None:
        chosen = None
        for counters, said, source in zip(self.counters, looks, maps, strict=False):
            counters.looked += 1
            if said.bundle == verdict.bundle:
                counters.decided += 1
                chosen = source
        return chosen
