"""Limits wide enough for a departure that a person allowed."""

from __future__ import annotations

from typing import Final

from edge_runtime.domain.model_bundle import ParityFigures, ParityLimits

_ALLOWANCE: Final = 1.25
"""What was allowed at conversion is allowed on the device a quarter wider: other processors round otherwise."""


def widened(limits: ParityLimits, figures: ParityFigures) -> ParityLimits:
    """The limits, each at least as wide as was measured at conversion."""
    correlation = figures.map_correlation if figures.map_correlation is not None else 1.0
    return ParityLimits(
        good_drift=max(limits.good_drift, _ALLOWANCE * (figures.good_drift or 0.0)),
        separation_loss=max(limits.separation_loss, _ALLOWANCE * (figures.separation_loss or 0.0)),
        flips=max(limits.flips, figures.flips),
        map_correlation=min(limits.map_correlation, 1 - _ALLOWANCE * (1 - correlation)),
        image_auroc_loss=max(limits.image_auroc_loss, _ALLOWANCE * (figures.image_auroc_loss or 0.0)),
        pixel_auroc_loss=max(limits.pixel_auroc_loss, _ALLOWANCE * (figures.pixel_auroc_loss or 0.0)),
    )
