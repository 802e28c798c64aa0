"""A figure that grows as the lens comes into focus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

_RGB_DIMENSIONS = 3
_PERCENT = 100.0


def sharpness(exposure: Exposure, region: tuple[int, int, int, int] | None = None) -> float:
    """Standard deviation of the Laplacian relative to the mean brightness, in percent.

    The variance of the Laplacian is a common focus measure (Pech-Pacheco et al. 2000); dividing by the brightness
    keeps a change of light or exposure time from looking like a change of focus. Only comparable within one scene:
    turn the lens for the largest value.

    Args:
        exposure: H×W or H×W×3, uint8 or uint16.
        region: x, y, width, height in pixels, as in `InputSpec`; the part outside the frame is ignored.

    Returns:
        0 (featureless, black, or no pixels) upwards.
    """
    pixels = exposure
    if region is not None:
        x, y, width, height = region
        pixels = exposure[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    if pixels.size == 0:
        return 0.0
    contiguous = np.ascontiguousarray(pixels)
    mono = cv2.cvtColor(contiguous, cv2.COLOR_RGB2GRAY) if pixels.ndim == _RGB_DIMENSIONS else contiguous
    grey = np.asarray(mono, dtype=np.float32)
    brightness = float(np.mean(grey, dtype=np.float64))
    if brightness == 0.0:
        return 0.0
    edges = np.asarray(cv2.Laplacian(grey, cv2.CV_32F), dtype=np.float32)
    return _PERCENT * float(np.std(edges)) / brightness
