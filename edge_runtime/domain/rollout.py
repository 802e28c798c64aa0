"""Values of a rollout: where a candidate stands on its way to deciding, and the report about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edge_runtime.domain.verdict import BundleIdentity

RateTest = Literal["mcnemar_exact", "fisher_exact"]


class RolloutStage(StrEnum):
    """Where a candidate stands. The transitions are a table in `decision.rollout`."""

    SHADOW = "shadow"
    """Inspects the same frames beside the active model and decides nothing."""
    CANARY = "canary"
    """Decides a share of the parts."""
    FULL = "full"
    """Has passed: it is to become the active model, through its trial like any other."""
    ROLLED_BACK = "rolled_back"
    """A guardrail stopped it."""
    WITHDRAWN = "withdrawn"
    """A person stopped it, or it is no candidate any more."""

    @property
    def is_running(self) -> bool:
        """Whether parts are compared."""
        return self in {RolloutStage.SHADOW, RolloutStage.CANARY}


@dataclass(frozen=True, slots=True)
class SideFigures:
    """One of the two models over the parts of the present stage."""

    bundle: BundleIdentity
    parts: int
    """Shadow: parts that both have judged. Canary: parts that this one was to decide."""
    rejected: int
    """Of these, parts that the gate would eject (shadow) or ejects (canary)."""
    faults: int
    """Parts that this one could not judge."""
    late: int
    """Parts decided after their deadline. Always 0 for a candidate in the shadow: it has no deadline."""
    p50_ms: float | None
    """Shadow: one inspection. Canary: trigger to decision. None before the first part."""
    p99_ms: float | None

    @property
    def reject_rate(self) -> float | None:
        """0…1; None before the first part."""
        return self.rejected / self.parts if self.parts else None


@dataclass(frozen=True, slots=True)
class RolloutReport:
    """How a rollout stands."""

    stage: RolloutStage
    since_ns: int
    """Wall clock: when this stage began."""
    wanted: int
    """Parts that the stage asks for."""
    share: float
    """Of the parts that the candidate decides, 0…1."""
    active: SideFigures
    candidate: SideFigures
    agreement: float | None
    """Shadow: share of the parts with the same disposition, 0…1."""
    agreement_at_least: float | None
    """Its lower bound (99 %)."""
    rate_test: RateTest
    rate_p: float | None
    """Two-sided p that both reject the same share; None before the first part."""
    distance: float | None
    """Between the two score distributions, 0…1; each score in units of its own model's limit."""
    distance_p: float | None
    skipped: int
    """Shadow: parts that it did not look at, for want of budget or time."""
    cpu_share: float | None
    """Shadow: processor time that it has used in this stage, in cores."""
    waits_for: tuple[str, ...]
    """What a promotion by rule still waits for; empty: nothing."""
    reason: str
    """Why the stage is what it is: who promoted it and why, or which guardrail stopped it."""
