"""From the evidence to the report that people and programs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.decision.judge import classify
from edge_runtime.decision.rollout_evidence import Look
from edge_runtime.decision.rollout_rules import Z_99, rate_p, waits_for
from edge_runtime.decision.rollout_stats import ks_distance, ks_p_value, wilson_lower
from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.rollout import RolloutReport, RolloutStage, SideFigures
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from edge_runtime.decision.rollout_evidence import Evidence, ScoreScale, Side
    from edge_runtime.decision.rollout_rules import RolloutTerms
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import BundleIdentity


def look_of(score: float, recipe: Recipe, scale: ScoreScale, duration_ns: int) -> Look:
    """What a model with these limits says about a part, whenever it says it."""
    disposition, _ = classify(score, recipe.limits)
    ejected = disposition is Disposition.REJECT or (
        disposition is Disposition.REVIEW and recipe.review_action is GateAction.EJECT
    )
    return Look(disposition, ejected, scale(score), duration_ns)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rollout stands, and since when."""

    stage: RolloutStage
    since_ns: int
    """Wall clock, when the stage began."""
    lasted_ns: int
    """How long that is by the clock that nobody sets."""
    reason: str
    """Why it stands there."""
    compared_as: RolloutStage | None = None
    """After an end: the stage that ended, in which the evidence was gathered."""

    @property
    def gathered(self) -> RolloutStage:
        """The stage whose evidence there is."""
        return self.stage if self.stage.is_running else (self.compared_as or RolloutStage.SHADOW)


def make_report(
    standing: Standing, evidence: Evidence, terms: RolloutTerms, bundles: tuple[BundleIdentity, BundleIdentity]
) -> RolloutReport:
    """How a rollout stands, in figures; None in it is what nothing is known of yet.

    Args:
        standing: where it stands.
        evidence: of this stage; after an end, of the one that ended.
        terms: the stated limits.
        bundles: the active model and the candidate.
    """
    stage, gathered = standing.stage, standing.gathered
    paired = gathered is RolloutStage.SHADOW
    active, candidate = evidence.active, evidence.candidate
    both = bool(active.parts and candidate.parts)
    distance = ks_distance(active.scores, candidate.scores) if both else None
    return RolloutReport(
        stage=stage,
        since_ns=standing.since_ns,
        wanted=terms.of(gathered).parts,
        share=terms.share if stage is RolloutStage.CANARY else 0.0,
        active=_figures(bundles[0], active),
        candidate=_figures(bundles[1], candidate),
        agreement=evidence.agreed / evidence.pairs if paired and evidence.pairs else None,
        agreement_at_least=wilson_lower(evidence.agreed, evidence.pairs, Z_99) if paired and evidence.pairs else None,
        rate_test="mcnemar_exact" if paired else "fisher_exact",
        rate_p=rate_p(gathered, evidence) if both else None,
        distance=distance,
        distance_p=None if distance is None else ks_p_value(distance, active.parts, candidate.parts),
        skipped=evidence.skipped,
        cpu_share=evidence.cpu_ns / standing.lasted_ns if paired and standing.lasted_ns > 0 else None,
        waits_for=waits_for(stage, evidence, terms, standing.lasted_ns) if stage.is_running else (),
        reason=standing.reason,
    )


def _figures(bundle: BundleIdentity, side: Side) -> SideFigures:
    return SideFigures(
        bundle=bundle,
        parts=side.parts,
        rejected=side.rejected,
        faults=side.faults,
        late=side.late,
        p50_ms=side.time_ms(0.5),
        p99_ms=side.time_ms(0.99),
    )
