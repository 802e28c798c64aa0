"""Limits of scores, wherever the configuration may set some."""

from __future__ import annotations

from pydantic import model_validator

from edge_runtime.config.base import Settings


class LimitSettings(Settings):
    """Overrides the bundle's own limits without touching it."""

    review: float
    """Scores at or below this are PASS."""
    reject: float
    """Scores above this are REJECT, between the two REVIEW; not less than `review`."""

    @model_validator(mode="after")
    def _ordered(self) -> LimitSettings:
        if not self.review <= self.reject:
            message = f"review ({self.review}) must not exceed reject ({self.reject})"
            raise ValueError(message)
        return self
