"""`[rollout]`: how a candidate comes to decide, beside the running model at first."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from edge_runtime.config.base import Settings


class ShadowSettings(Settings):
    """The first stage: the candidate inspects the same frames and decides nothing."""

    parts: int = Field(default=500, ge=16, le=10_000_000)
    """Parts that both have judged before the candidate may go on."""
    minutes: float = Field(default=60.0, ge=0)
    """And so much time: parts come in batches."""
    cpu_share: float = Field(default=0.25, gt=0, le=64)
    """Processor time that it may use on average, in cores. Parts beyond that are skipped."""
    threads: int = Field(default=1, ge=1, le=64)
    """Threads of its engine. It always computes on the processor, also where the line has an accelerator."""
    priority: Literal["idle", "low"] = "idle"
    """`idle`: only time that nobody else wants; a device that is never idle has none. `low`: hardly more."""
    least_agreement: float = Field(default=0.95, ge=0, lt=1)
    """Share of the parts with the same disposition; its lower bound (99 %) must reach this."""


class CanarySettings(Settings):
    """The second stage: the candidate decides a share of the parts."""

    share: float = Field(default=0.1, gt=0, le=0.5)
    """Of the parts; always the same ones, chosen by their number."""
    parts: int = Field(default=300, ge=16, le=10_000_000)
    """Parts that it has decided before it may go on."""
    minutes: float = Field(default=60.0, ge=0)
    """And so much time."""
    most_latency: float = Field(default=0.8, gt=0, le=1)
    """Of 100 of its decisions 99 must come within this share of `recipe.decision_deadline_ms`."""


class RolloutSettings(Settings):
    """`[rollout]`: shadow, then a share of the parts, then all, instead of all at once."""

    enabled: bool = False
    """Compare the newest release that waits in the store (`updates.after_install = "wait"`), or `candidate`."""
    candidate: Path | None = None
    """A bundle to compare with the one in `bundle.path`, for development. It cannot become active by itself."""
    promote: Literal["hand", "rule"] = "hand"
    """`rule`: from stage to stage as soon as everything asked for is shown. `hand`: `edge-runtime bundle promote`."""
    significance: float = Field(default=0.01, gt=0, le=0.5)
    """Two-sided p below which the reject rates differ, for all comparisons of a stage together."""
    smallest_difference: float = Field(default=0.005, ge=0, le=1)
    """Reject rates that differ by less are the same for the line."""
    on_difference: Literal["roll_back", "hold"] = "roll_back"
    """Another reject rate ends the rollout, or only holds back a promotion by rule (where it is meant)."""
    most_reject_rate: float = Field(default=0.5, gt=0, le=1)
    """A candidate that rejects a larger share is rolled back at once."""
    most_faults: float = Field(default=0.005, ge=0, le=1)
    """A candidate that cannot judge a larger share of the parts, or decides it late, is rolled back at once."""
    most_distance: float = Field(default=0.3, gt=0, le=1)
    """Largest distance between the two distributions of scores (Kolmogorov and Smirnov) before a promotion by rule."""
    report_minutes: float = Field(default=5.0, ge=0.05)
    """Time between two reports on MQTT; each change of the stage is reported at once."""
    shadow: ShadowSettings = ShadowSettings()
    """Beside the active model."""
    canary: CanarySettings = CanarySettings()
    """With a share of the parts."""
