"""`[trial]`: what a new release has to show on the line before it is kept."""

from __future__ import annotations

from pydantic import Field, model_validator

from edge_runtime.config.base import Settings


class TrialSettings(Settings):
    """`[trial]`: what a new release has to show on the running line before it becomes the last-known-good one."""

    parts: int = Field(default=200, ge=1, le=1_000_000)
    """So many parts with a sound score."""
    dwell_s: float = Field(default=60.0, ge=0, le=604_800)
    """It has to decide for at least so long."""
    fault_rate: float = Field(default=0.01, ge=0, lt=1)
    """Largest share of parts that it cannot judge (`engine_error`, `score_invalid`, `image_unexpected`)."""
    late_rate: float = Field(default=0.01, ge=0, lt=1)
    """Largest share of parts that get no verdict before the deadline (`deadline_missed`, `overload`)."""
    reject_rate_min: float = Field(default=0.0, ge=0, le=1)
    """Smallest share of judged parts that the gate ejects; a model that finds nothing has failed where something is
    always to be found."""
    reject_rate_max: float = Field(default=0.5, ge=0, le=1)
    """Largest share of judged parts that the gate ejects."""
    memory_budget_mb: int | None = Field(default=None, ge=0)
    """Models that stay loaded, the running one included, take no more than this: the last-known-good one during a
    trial, then those of other products. 0 keeps none but the running one. Unset: as long as this machine has memory
    left beyond `ops.memory_reserve_mb`."""

    @model_validator(mode="after")
    def _ordered(self) -> TrialSettings:
        if self.reject_rate_min > self.reject_rate_max:
            message = f"reject_rate_min ({self.reject_rate_min}) must not exceed reject_rate_max"
            raise ValueError(message)
        return self
