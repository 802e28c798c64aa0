"""How far a device departs from the source model, and whether that is within the limits. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_runtime.decision.judge import classify
from edge_runtime.domain.model_bundle import ParityFigures
from edge_runtime.domain.verdict import Disposition
from edge_runtime.vision.compare import map_correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ParityLimits
    from edge_runtime.domain.verdict import Limits

NEAR_LIMIT: Final = 0.1
"""As a share of the good spread: a reference score this near to a limit may fall to either side by rounding alone."""
_GOOD_QUANTILE: Final = 0.95
_LOWEST_SPREAD: Final = 1e-3
"""As a share of the median: good parts that all score alike would make every rounding a departure."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side says about an image."""

    score: float
    anomaly_map: AnomalyMap | None = None
    """H×W float32; None where that side gives or keeps none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides on one image."""

    name: str
    defective: bool
    reference: Answer
    device: Answer


@dataclass(frozen=True, slots=True)
class GoodParts:
    """Where the reference puts good parts: the ruler for every drift."""

    median: float
    spread: float
    """Standard deviation, > 0."""


def good_parts(scores: Sequence[float]) -> GoodParts:
    """The ruler from reference scores of good parts.

    Raises:
        ValueError: no score, or one that is not finite.
    """
    if not scores or not all(math.isfinite(score) for score in scores):
        message = "finite reference scores of good parts are needed"
        raise ValueError(message)
    median = float(np.median(scores))
    return GoodParts(median, max(float(np.std(scores)), _LOWEST_SPREAD * abs(median), 1e-9))


def measure(pairs: Sequence[Pair], limits: Limits, good: GoodParts, engine: str) -> ParityFigures:
    """Departures over images; `engine` describes the device's side.

    The drift of a good image is a share of the good spread. A defect may be many spreads away, where no share of the
    spread means anything: it is judged by how much of its distance from the good parts it lost or gained. A score that
    is not finite departs infinitely.
    """
    drifts = [_distance(pair) / good.spread for pair in pairs if not pair.defective]
    losses = [
        _distance(pair) / (pair.reference.score - good.median)
        for pair in pairs
        if pair.defective and pair.reference.score - good.median > good.spread
    ]
    maps = [
        map_correlation(pair.reference.anomaly_map, pair.device.anomaly_map)
        for pair in pairs
        if pair.defective and pair.reference.anomaly_map is not None and pair.device.anomaly_map is not None
    ]
    flipped = [pair for pair in pairs if flips(pair, limits)]
    near = sum(abs(pair.reference.score - limits.review) <= NEAR_LIMIT * good.spread for pair in flipped)
    return ParityFigures(
        engine=engine,
        images=len(pairs),
        good_drift=float(np.quantile(drifts, _GOOD_QUANTILE, method="higher")) if drifts else None,
        separation_loss=max(losses) if losses else None,
        flips=len(flipped) - near,
        flips_near_limit=near,
        map_correlation=min(maps) if maps else None,
    )


def flips(pair: Pair, limits: Limits) -> bool:
    """One side passes the part and the other does not."""
    found = [
        math.isfinite(answer.score) and classify(answer.score, limits)[0] is Disposition.PASS
        for answer in (pair.reference, pair.device)
    ]
    return found[0] != found[1]


def departures(figures: ParityFigures, limits: ParityLimits, labelled_pairs: int | None = None) -> tuple[str, ...]:
    """What lies beyond its limit, one phrase each; empty: parity holds.

    Args:
        figures: as measured; None never departs.
        limits: how far it may go.
        labelled_pairs: good × defective images behind the AUROCs; one swapped pair is always allowed.
    """
    swapped = 1 / labelled_pairs if labelled_pairs else 0.0
    rows = (
        ("good parts drift by {0:.3g} of their spread (limit {1:.3g})", figures.good_drift, limits.good_drift),
        (
            "a defect's distance from the good parts changes by {0:.1%} (limit {1:.1%})",
            figures.separation_loss,
            limits.separation_loss,
        ),
        ("{0:.0f} verdict(s) flip (limit {1:.0f})", float(figures.flips), float(limits.flips)),
        (
            "image AUROC falls by {0:.4f} (limit {1:.4f})",
            figures.image_auroc_loss,
            max(limits.image_auroc_loss, swapped) + 1e-12,
        ),
        ("pixel AUROC falls by {0:.4f} (limit {1:.4f})", figures.pixel_auroc_loss, limits.pixel_auroc_loss),
    )
    found = [text.format(value, limit) for text, value, limit in rows if value is not None and not value <= limit]
    if figures.map_correlation is not None and not figures.map_correlation >= limits.map_correlation:
        found.append(f"an anomaly map correlates by {figures.map_correlation:.3f} (limit {limits.map_correlation:.3f})")
    return tuple(found)


def worst_ratio(figures: ParityFigures, limits: ParityLimits) -> float:
    """How far the figures are from perfect, 0, in units of their limits; above 1 parity does not hold."""
    ratios = [
        _share(figures.good_drift, limits.good_drift),
        _share(figures.separation_loss, limits.separation_loss),
        _share(float(figures.flips), limits.flips),
        _share(figures.image_auroc_loss, limits.image_auroc_loss),
        _share(figures.pixel_auroc_loss, limits.pixel_auroc_loss),
        _share(None if figures.map_correlation is None else 1 - figures.map_correlation, 1 - limits.map_correlation),
    ]
    return max(ratios)


def _share(value: float | None, limit: float) -> float:
    if value is None or value <= 0:
        return 0.0
    return value / limit if limit > 0 else 1.0 + value


def _distance(pair: Pair) -> float:
    distance = abs(pair.device.score - pair.reference.score)
    return distance if math.isfinite(distance) else math.inf
