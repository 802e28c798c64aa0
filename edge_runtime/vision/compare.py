"""Anomaly maps beside each other: reduced to what is worth keeping, and correlated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.inspection import AnomalyMap

_ROUNDING: Final = 1e-6
"""As a share of the largest value: some eight units in the last place of float32."""
REDUCED_PX: Final = 64
"""Longest side of a reduced map: a defect of a fiftieth of the frame still stands out in it."""


def reduce_map(anomaly_map: AnomalyMap) -> npt.NDArray[np.float32]:
    """A map of at most `REDUCED_PX` in height and width, by area means; a smaller one as it is.

    Args:
        anomaly_map: H×W float32, finite.
    """
    height, width = anomaly_map.shape
    size = (min(width, REDUCED_PX), min(height, REDUCED_PX))
    return np.asarray(cv2.resize(anomaly_map, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def lacks_contrast(plane: npt.NDArray[np.floating]) -> bool:
    """Whether a map differs from a constant by no more than float32 rounds.

    A model that cuts its map to 0…1 gives 1 nearly everywhere where a whole part is strange; what is left there are
    roundings, which mean nothing.

    Args:
        plane: H×W, finite.
    """
    values = plane.astype(np.float64)
    return bool(values.std() <= _ROUNDING * np.abs(values).max())


def map_correlation(one: AnomalyMap, other: AnomalyMap) -> float:
    """Pearson correlation of two maps of the same image, −1…1, at the resolution of the coarser one.

    A map without contrast correlates with nothing: 0, or 1 with another one without contrast.
    """
    height, width = min(one.shape[0], other.shape[0]), min(one.shape[1], other.shape[1])
    values = [
        np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float64)
        for plane in (one, other)
    ]
    if not all(np.isfinite(plane).all() for plane in values):
        return 0.0
    flat = [lacks_contrast(plane) for plane in values]
    if any(flat):
        return 1.0 if all(flat) else 0.0
    first, second = (plane - plane.mean() for plane in values)
    norms = float(np.sqrt(np.square(first).sum())), float(np.sqrt(np.square(second).sum()))
    return float(np.clip((first * second).sum() / (norms[0] * norms[1]), -1.0, 1.0))
