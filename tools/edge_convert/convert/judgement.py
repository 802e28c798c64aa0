"""Whether a candidate's numbers will do: judged more strictly than the finished bundle, for the probes are few."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.convert.proof import brief
from edge_convert.precision.choice import Judgement
from edge_convert.precision.order import SWAPPED_LIMIT, expected_swaps
from edge_runtime.decision.parity import departures, worst_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.precision.choice import Candidate
    from edge_runtime.decision.parity import Pair
    from edge_runtime.domain.model_bundle import ParityFigures, ParityLimits

DRIFT_MARGIN: Final = 0.5
"""Share of the limit of good parts' drift that rounding may use up on the probes: a few parts only estimate it."""


def judged(candidate: Candidate, figures: ParityFigures, pairs: Sequence[Pair], limits: ParityLimits) -> Judgement:
    """Judge a candidate by its answers about the probes.

    Float32 is held to `limits` alone. Other numbers may use half of the limit of good parts' drift, and at most 1.5 %
    of the pairs of a good part and a defect may be expected to change their order (see `expected_swaps`).

    Args:
        figures: measured of `pairs`.
        pairs: every probe, the source's answer beside the device's.
    """
    if candidate.precision == "fp32":
        beyond = departures(figures, limits)
        return Judgement(not beyond, worst_ratio(figures, limits), "; ".join(beyond) or brief(figures))
    stricter = replace(limits, good_drift=DRIFT_MARGIN * limits.good_drift)
    beyond, badness = departures(figures, stricter), worst_ratio(figures, stricter)
    swapped = _swapped(pairs)
    if swapped is not None and not swapped <= SWAPPED_LIMIT:
        beyond += (f"{swapped:.1%} of good parts and defects may change their order (limit {SWAPPED_LIMIT:.1%})",)
    badness = max(badness, 0.0 if swapped is None else swapped / SWAPPED_LIMIT)
    return Judgement(not beyond, badness, "; ".join(beyond) or brief(figures))


def _swapped(pairs: Sequence[Pair]) -> float | None:
    def scores(*, defective: bool, device: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(
            [(p.device if device else p.reference).score for p in pairs if p.defective == defective], np.float64
        )

    exact, found = (
        (scores(defective=False, device=device), scores(defective=True, device=device)) for device in (False, True)
    )
    return expected_swaps(*exact, *found)
