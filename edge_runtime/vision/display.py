"""Exposures as a person can look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

Picture: TypeAlias = npt.NDArray[np.uint8]
"""H×W×3 RGB, uint8, C-contiguous, writable: for eyes, never for scores."""

_MONO_DIMENSIONS = 2
_EIGHT_BITS = 8


def as_picture(exposure: Exposure, max_side_px: int | None = None) -> Picture:
    """A copy in 8-bit RGB, shrunk (never enlarged) until its longer side is at most `max_side_px`.

    16-bit pixels are shifted by as many bits as the brightest one demands: a 12-bit camera fills only 4096 of 65,536
    values, and the plain high byte would be black.
    """
    small = _shrunk(exposure, max_side_px)
    if small.dtype == np.uint16:
        small = small >> max(int(small.max(initial=0)).bit_length() - _EIGHT_BITS, 0)
    pixels = small.astype(np.uint8)
    if pixels.ndim == _MONO_DIMENSIONS:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    return np.ascontiguousarray(pixels)


def _shrunk(exposure: Exposure, max_side_px: int | None) -> npt.NDArray[Any]:
    height, width = exposure.shape[:2]
    if max_side_px is None or max(height, width) <= max_side_px:
        return exposure
    factor = max_side_px / max(height, width)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.asarray(cv2.resize(exposure, size, interpolation=cv2.INTER_AREA))
