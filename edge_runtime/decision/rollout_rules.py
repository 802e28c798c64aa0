"""The rules of a rollout: which guardrail stops a candidate at once, and what it must have shown to go on. Pure.

Rates with a stated limit are watched with the test of `decision.trial`, which may be looked at after every part; the
comparison with the active model has its looks (`rollout_looks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.decision.rollout_looks import level_at
from edge_runtime.decision.rollout_stats import fisher_exact, ks_distance, mcnemar_exact, wilson_lower
from edge_runtime.decision.trial import is_beyond
from edge_runtime.domain.rollout import RolloutStage

if TYPE_CHECKING:
    from edge_runtime.decision.rollout_evidence import Evidence

Z_99: Final = 2.3263
"""One-sided, 99 %."""
_TWICE: Final = 2.0


@dataclass(frozen=True, slots=True)
class StageTerms:
    """What one stage asks for."""

    parts: int
    """Parts that the candidate must have judged in it."""
    dwell_ns: int
    """And so much time: parts come in batches, and a batch is not a shift."""


@dataclass(frozen=True, slots=True)
class RolloutTerms:
    """The stated limits of a rollout."""

    shadow: StageTerms
    canary: StageTerms
    share: float
    """Of the parts that the candidate decides in the canary stage, 0…1."""
    alpha: float
    """Two-sided significance for the reject rate, for all looks of one stage together."""
    smallest_difference: float
    """Reject rates that differ by less, 0…1, are the same for the line, however significant that is."""
    stops_at_difference: bool
    """A different reject rate rolls the candidate back; else it only holds back a promotion by rule."""
    most_reject_rate: float
    """Guardrail, 0…1: the candidate's own reject rate is above this."""
    most_faults: float
    """Guardrail: share of the parts that the candidate cannot judge, or decides late, 0…1."""
    least_agreement: float
    """0…1; its 99 % lower bound must reach this before the canary stage."""
    most_distance: float
    """Between the score distributions, 0…1, before either promotion."""
    most_latency: float
    """The candidate's 99th percentile from trigger to decision before it becomes active, as a share of the deadline."""
    deadline_ns: int
    """Of a decision, from the trigger."""

    def of(self, stage: RolloutStage) -> StageTerms:
        """Those of a stage that is running."""
        return self.shadow if stage is RolloutStage.SHADOW else self.canary


def rate_p(stage: RolloutStage, evidence: Evidence) -> float:
    """Two-sided p that both models reject the same share: of the same parts (shadow), or of different ones (canary)."""
    if stage is RolloutStage.SHADOW:
        return mcnemar_exact(evidence.only_active, evidence.only_candidate)
    active, candidate = evidence.active, evidence.candidate
    return fisher_exact(active.rejected, active.parts, candidate.rejected, candidate.parts)


def tripped(stage: RolloutStage, evidence: Evidence, terms: RolloutTerms, *, counted: bool = True) -> str | None:
    """Which guardrail stops the candidate now, in words; None while all is well. Asked after every part.

    Args:
        stage: SHADOW or CANARY.
        evidence: of this stage.
        terms: the stated limits.
        counted: the newest part was judged by the candidate; else no look at the reject rates is due.
    """
    return (
        _faults(evidence, terms)
        or _lateness(evidence, terms)
        or _too_many_rejects(evidence, terms)
        or (_difference(stage, evidence, terms) if counted and terms.stops_at_difference else None)
    )


def waits_for(stage: RolloutStage, evidence: Evidence, terms: RolloutTerms, stage_ns: int) -> tuple[str, ...]:
    """What the candidate has not shown yet, in words; empty: it may be promoted by rule.

    Args:
        stage: SHADOW or CANARY.
        stage_ns: how long the stage has lasted.
    """
    asked, seen = terms.of(stage), evidence.candidate.parts
    found = []
    if seen < asked.parts:
        found.append(f"{asked.parts - seen} more parts")
    if stage_ns < asked.dwell_ns:
        found.append(f"{(asked.dwell_ns - stage_ns) / 60e9:.1f} more minutes")
    if _is_different(evidence, terms) and rate_p(stage, evidence) < terms.alpha / 2:
        found.append(f"the same reject rate as the active model ({_rates(evidence)})")
    distance = ks_distance(evidence.active.scores, evidence.candidate.scores)
    if distance > terms.most_distance:
        found.append(f"scores distributed as the active model's (distance {distance:.3f} > {terms.most_distance:g})")
    found += _agreement(evidence, terms) if stage is RolloutStage.SHADOW else _latency(evidence, terms)
    return tuple(found)


def _agreement(evidence: Evidence, terms: RolloutTerms) -> list[str]:
    sure = wilson_lower(evidence.agreed, evidence.pairs, Z_99)
    if sure >= terms.least_agreement:
        return []
    return [f"agreement of {terms.least_agreement:.1%} at least (surely {sure:.1%} so far)"]


def _latency(evidence: Evidence, terms: RolloutTerms) -> list[str]:
    p99_ms, most_ms = evidence.candidate.time_ms(0.99), terms.most_latency * terms.deadline_ns / 1e6
    if p99_ms is None or p99_ms <= most_ms:
        return []
    return [f"decisions within {most_ms:.0f} ms (99 % take {p99_ms:.0f} ms)"]


def _faults(evidence: Evidence, terms: RolloutTerms) -> str | None:
    faults, asked = evidence.candidate.faults, evidence.candidate.faults + evidence.candidate.parts
    if not is_beyond(faults, asked, terms.most_faults):
        return None
    return f"the candidate could not judge {faults} of {asked} parts"


def _lateness(evidence: Evidence, terms: RolloutTerms) -> str | None:
    """A line that is late with the active model as well is not the candidate's fault."""
    candidate, active = evidence.candidate, evidence.active
    if not is_beyond(candidate.late, candidate.parts, terms.most_faults):
        return None
    if active.parts and candidate.late / candidate.parts <= _TWICE * active.late / active.parts:
        return None
    return f"the candidate decided {candidate.late} of {candidate.parts} parts after their deadline"


def _too_many_rejects(evidence: Evidence, terms: RolloutTerms) -> str | None:
    candidate = evidence.candidate
    if not is_beyond(candidate.rejected, candidate.parts, terms.most_reject_rate):
        return None
    stated = f"{terms.most_reject_rate:.1%} at most are expected"
    return f"the candidate rejects {candidate.rejected} of {candidate.parts} parts; {stated}"


def _difference(stage: RolloutStage, evidence: Evidence, terms: RolloutTerms) -> str | None:
    level = level_at(evidence.candidate.parts, terms.of(stage).parts, terms.alpha)
    if level is None or not _is_different(evidence, terms):
        return None
    p = rate_p(stage, evidence)
    return f"another reject rate than the active model's: {_rates(evidence)}, p = {p:.2g}" if p < level else None


def _is_different(evidence: Evidence, terms: RolloutTerms) -> bool:
    active, candidate = evidence.active, evidence.candidate
    if not active.parts or not candidate.parts:
        return False
    difference = abs(active.rejected / active.parts - candidate.rejected / candidate.parts)
    return difference >= terms.smallest_difference


def _rates(evidence: Evidence) -> str:
    active, candidate = evidence.active, evidence.candidate
    return f"{candidate.rejected} of {candidate.parts} against {active.rejected} of {active.parts}"
