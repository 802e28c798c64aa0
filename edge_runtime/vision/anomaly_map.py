"""Anomaly maps: from the detector's grid to the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.inspection import AnomalyMap

_SUPPORT_SIGMAS = 4.0
"""The kernel ends here: 33 taps at σ = 4, as in PatchCore's reference implementation."""

_EMPTY_RANGE = 1e-30
"""A narrower range is no range: dividing by it would only magnify rounding."""


def upsample(anomaly_map: AnomalyMap, height_px: int, width_px: int) -> AnomalyMap:
    """Bilinear, H×W float32 → height_px×width_px float32. NaN spreads to its neighbours."""
    return _map(cv2.resize(anomaly_map, (width_px, height_px), interpolation=cv2.INTER_LINEAR))


def smooth(anomaly_map: AnomalyMap, sigma_px: float) -> AnomalyMap:
    """Separable Gaussian of standard deviation `sigma_px`, mirrored at the edges; 0 changes nothing."""
    if sigma_px <= 0:
        return anomaly_map
    taps = 2 * int(_SUPPORT_SIGMAS * sigma_px + 0.5) + 1
    return _map(cv2.GaussianBlur(anomaly_map, (taps, taps), sigma_px, borderType=cv2.BORDER_REFLECT_101))


def normalise(anomaly_map: AnomalyMap, map_range: tuple[float, float]) -> npt.NDArray[np.float32]:
    """0…1 between the two ends of `map_range`, clipped; with an empty range 0 up to it and 1 above. NaN becomes 1."""
    low, high = map_range
    if not high - low > _EMPTY_RANGE:
        return (~(anomaly_map <= low)).astype(np.float32)
    scaled = (anomaly_map.astype(np.float64) - low) / (high - low)
    return np.nan_to_num(scaled, nan=1.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0).astype(np.float32)


def read_only(values: npt.NDArray[Any]) -> AnomalyMap:
    """As the domain wants a map: float32, C-contiguous, read-only, owned by nobody else."""
    owned = np.array(values, dtype=np.float32, order="C")
    owned.flags.writeable = False
    return owned


def _map(values: Any) -> AnomalyMap:
    return np.asarray(values, dtype=np.float32)
