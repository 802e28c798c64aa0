"""What a detector found in a frame, or why it could not look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge_runtime.domain.verdict import BundleIdentity, Reason

AnomalyMap: TypeAlias = npt.NDArray[np.float32]
"""H×W float32, higher is more anomalous, in the units of the score, read-only. Its size is the detector's own."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A finished look at a part."""

    part_id: str
    score: float
    """Higher is more anomalous; comparable only within one bundle. May be NaN: `judge` refuses it."""
    anomaly_map: AnomalyMap | None
    bundle: BundleIdentity
    started_ns: int
    finished_ns: int


@dataclass(frozen=True, slots=True)
class InspectionFault:
    """A look that failed. A value, not an exception: it travels the same way and becomes a Verdict."""

    part_id: str
    reason: Reason
    detail: str
    bundle: BundleIdentity
    started_ns: int
    finished_ns: int
