"""A common scale for the scores of different models: 0.5 is a model's own review limit, 1 its own reject limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edge_runtime.decision.judge import classify
from edge_runtime.domain.combination import COMMON_LIMITS
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from edge_runtime.domain.verdict import Limits

_REVIEW: Final = COMMON_LIMITS.review
_REJECT: Final = COMMON_LIMITS.reject
_STEP: Final = 1e-6
"""What is above a limit is so by this at least, so that no rounding of a mean takes it back."""
HIGHEST: Final = 1_000.0
"""However bad a part is for one model: a finite number."""


def on_common_scale(score: float, limits: Limits) -> float:
    """A finite score, piecewise linear: 0 → 0, review → 0.5, reject → 1, and on with the same slope.

    Whatever the limits are, `COMMON_LIMITS` make the same of the result as the limits make of the score. A score below
    0 counts as 0: a model cannot be so sure of a good part that it makes up for another one's REJECT. Where a limit
    leaves no room for a slope (equal limits, a review limit of 0 or less, an infinite one), only the side counts.

    Returns:
        0…1000.
    """
    review, reject = limits.review, limits.reject
    disposition, _ = classify(score, limits)
    if disposition is Disposition.PASS:
        return _within(_REVIEW * _share(score, review), 0.0, _REVIEW)
    if disposition is Disposition.REVIEW:
        return _within(_REVIEW + _REVIEW * _share(score - review, reject - review), _REVIEW + _STEP, _REJECT)
    width = reject - review if reject > review else reject
    return _within(_REJECT + _REVIEW * _share(score - reject, width), _REJECT + _STEP, HIGHEST)


def _share(part: float, whole: float) -> float:
    """NaN where the whole is nothing to measure with."""
    return part / whole if math.isfinite(part) and math.isfinite(whole) and whole > 0 else math.nan


def _within(value: float, low: float, high: float) -> float:
    """NaN: only the side is known. It is taken for the strict end; REJECT has none, so for its beginning."""
    if math.isnan(value):
        return high if high < HIGHEST else low
    return min(max(value, low), high)
