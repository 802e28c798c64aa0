"""Counts what the two models said, each on its own scale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.decision.rollout_evidence import ScoreScale
from edge_runtime.decision.rollout_report import look_of
from edge_runtime.domain.verdict import Reason
from edge_runtime.services.beside import FellBack

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.decision.rollout_evidence import Evidence, Look, Side
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import Limits, Verdict
    from edge_runtime.services.beside import Result
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.shadow import Compared, Facts


class Tally:
    """Puts looks into the evidence. One thread."""

    def __init__(self, in_force: Callable[[Limits], Limits]) -> None:
        """Begin.

        Args:
            in_force: the limits that a bundle with these would be given on this line.
        """
        self._in_force = in_force
        self._scales: dict[tuple[str, Limits], ScoreScale] = {}

    def compared(self, evidence: Evidence, found: Compared, facts: Facts) -> bool:
        """Count a part that both have looked at; false if the candidate could not judge it."""
        verdict, answer, model = found.seen.verdict, found.answer, found.seen.model
        if answer.score is None or verdict.score is None:
            evidence.candidate.faults += 1
            return False
        evidence.active.late += verdict.reason is Reason.DEADLINE_MISSED
        recipe = _with_limits(model.recipe, verdict.limits)
        active = look_of(verdict.score, recipe, self._scale(model, verdict.limits), found.seen.duration_ns)
        limits = self._in_force(facts.limits)
        scale = ScoreScale.of(facts.good_scores, limits)
        candidate = look_of(answer.score, _with_limits(model.recipe, limits), scale, answer.duration_ns)
        evidence.add_pair(active, candidate)
        return True

    def decided(self, evidence: Evidence, result: Result, candidate: str) -> bool:
        """Count a part that one of them decided; true if the candidate has judged it.

        Args:
            candidate: its digest.
        """
        if isinstance(result, FellBack):
            evidence.candidate.faults += 1
            return False
        verdict, model = result.verdict, result.model
        is_candidates = model.digest == candidate
        side = evidence.candidate if is_candidates else evidence.active
        self._decided(side, verdict, model)
        return is_candidates and verdict.score is not None

    def _decided(self, side: Side, verdict: Verdict, model: Model) -> None:
        if verdict.score is None:
            side.faults += 1
            return
        side.late += verdict.reason is Reason.DEADLINE_MISSED
        side.add(self._look(verdict, verdict.score, model))

    def _look(self, verdict: Verdict, score: float, model: Model) -> Look:
        recipe = _with_limits(model.recipe, verdict.limits)
        return look_of(score, recipe, self._scale(model, verdict.limits), verdict.decided_ns - verdict.triggered_ns)

    def _scale(self, model: Model, limits: Limits) -> ScoreScale:
        key = model.digest, limits
        scale = self._scales.get(key)
        if scale is None:
            scale = ScoreScale.of(model.bundle.calibration.good_scores, limits)
            self._scales = {**dict(list(self._scales.items())[-3:]), key: scale}
        return scale


def _with_limits(recipe: Recipe, limits: Limits) -> Recipe:
    return recipe if recipe.limits == limits else replace(recipe, limits=limits)
