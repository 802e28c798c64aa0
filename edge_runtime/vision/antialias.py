"""Bilinear resizing with antialiasing, in integers, as Pillow does it.

Pillow's `Image.resize(size, BILINEAR)` and torchvision's `resize(..., antialias=True)` widen the triangle filter by
the shrink factor. Models trained behind either of them lose accuracy behind a plain bilinear resize, so the device has
to do the same. The arithmetic is that of Pillow's src/libImaging/Resample.c: weights in fixed point, columns first,
rounded between the passes. Pillow 13 takes rows first for some sizes (mostly tall frames): there, and for 16 bit, which
it computes in floating point, results differ by at most one step.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_PRECISION_BITS = 22


def resize_antialiased(pixels: npt.NDArray[Any], height_px: int, width_px: int) -> npt.NDArray[Any]:
    """Resize H×W or H×W×C.

    Args:
        pixels: uint8 or uint16.
        height_px: new height.
        width_px: new width.

    Returns:
        Same dtype and number of dimensions.
    """
    wide = _shrink_rows(pixels.swapaxes(0, 1), width_px).swapaxes(0, 1) if pixels.shape[1] != width_px else pixels
    return _shrink_rows(wide, height_px) if pixels.shape[0] != height_px else wide


def _shrink_rows(pixels: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Resample along axis 0."""
    first, weights = _filter(pixels.shape[0], size)
    rows = np.ascontiguousarray(pixels)
    # 22-bit weights times 8-bit pixels fit 32 bits; 16-bit pixels need 64.
    wide = np.int32 if rows.dtype == np.uint8 else np.int64
    total = np.full((size, *rows.shape[1:]), 1 << (_PRECISION_BITS - 1), dtype=wide)
    shaped = weights.astype(wide).reshape(weights.shape + (1,) * (rows.ndim - 1))
    for tap in range(weights.shape[0]):
        source = np.minimum(first + tap, rows.shape[0] - 1)  # beyond the edge the weight is 0
        total += rows[source] * shaped[tap]
    total >>= _PRECISION_BITS
    return np.clip(total, 0, np.iinfo(rows.dtype).max).astype(rows.dtype)


@lru_cache(maxsize=32)
def _filter(before: int, after: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """First source row per output row, and the weights as taps × output rows."""
    scale = before / after
    support = max(scale, 1.0)
    taps = math.ceil(support) * 2 + 1
    first = np.zeros(after, dtype=np.intp)
    weights = np.zeros((taps, after), dtype=np.int64)
    for index in range(after):
        centre = (index + 0.5) * scale
        start = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), before) - start
        triangle = [max(0.0, 1.0 - abs((start + tap - centre + 0.5) * (1.0 / support))) for tap in range(count)]
        whole = sum(triangle)
        first[index] = start
        weights[:count, index] = [int(0.5 + value / whole * (1 << _PRECISION_BITS)) for value in triangle]
    return first, weights
