"""Resizing with antialiasing: in integers as Pillow does it, in floating point as torchvision does it to float tensors.

Pillow's `Image.resize(size, BILINEAR or BICUBIC)` and torchvision's `resize(..., antialias=True)` widen their filter by
the shrink factor. Models trained behind either of them lose accuracy behind a plain resize, so the device has to do the
same. The arithmetic for integers is that of Pillow's src/libImaging/Resample.c: weights in fixed point, columns first,
rounded between the passes. Pillow 13 takes rows first for some sizes (where the height shrinks much more than the
width): there a bilinear result differs by at most one step, and a bicubic one by more at the steepest edges, because it
is clipped between the passes. Of 16 bits, which Pillow computes in floating point, results differ by at most one step.
Floating-point pixels are never rounded and never clipped: a cubic filter overshoots at edges, as PyTorch's does.
"""

from __future__ import annotations

import math
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_PRECISION_BITS = 22
_CUBIC_A = -0.5
"""Keys' cubic convolution with Pillow's coefficient (OpenCV and plain PyTorch take -0.75)."""
_CUBIC_SUPPORT = 2.0


class Kernel(Enum):
    """The filter at a scale of one; the value is its reach in pixels to each side."""

    TRIANGLE = 1.0
    CUBIC = _CUBIC_SUPPORT


def resize_antialiased(
    pixels: npt.NDArray[Any], height_px: int, width_px: int, kernel: Kernel = Kernel.TRIANGLE
) -> npt.NDArray[Any]:
    """Resize H×W or H×W×C.

    Args:
        pixels: uint8 or uint16, rounded as Pillow rounds; or float32, not rounded.
        height_px: new height.
        width_px: new width.
        kernel: bilinear or bicubic.

    Returns:
        Same dtype and number of dimensions.
    """
    resample = _resample_fractions if pixels.dtype == np.float32 else _resample_rows
    wide = pixels
    if pixels.shape[1] != width_px:
        wide = resample(pixels.swapaxes(0, 1), width_px, kernel).swapaxes(0, 1)
    return resample(wide, height_px, kernel) if pixels.shape[0] != height_px else wide


def _resample_rows(pixels: npt.NDArray[Any], size: int, kernel: Kernel) -> npt.NDArray[Any]:
    """Resample integers along axis 0."""
    first, weights = _fixed_point(pixels.shape[0], size, kernel)
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


def _resample_fractions(pixels: npt.NDArray[Any], size: int, kernel: Kernel) -> npt.NDArray[Any]:
    """Resample float32 along axis 0."""
    first, weights = _filter(pixels.shape[0], size, kernel)
    rows = np.ascontiguousarray(pixels)
    total = np.zeros((size, *rows.shape[1:]), dtype=np.float32)
    shaped = weights.astype(np.float32).reshape(weights.shape + (1,) * (rows.ndim - 1))
    for tap in range(weights.shape[0]):
        total += rows[np.minimum(first + tap, rows.shape[0] - 1)] * shaped[tap]
    return total


@lru_cache(maxsize=32)
def _fixed_point(before: int, after: int, kernel: Kernel) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """The filter with whole weights, rounded half away from zero."""
    first, weights = _filter(before, after, kernel)
    scaled = weights * (1 << _PRECISION_BITS)
    return first, np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)


@lru_cache(maxsize=32)
def _filter(before: int, after: int, kernel: Kernel) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """First source row per output row, and the weights as taps × output rows; each output row's add up to 1."""
    scale = before / after
    stretch = max(scale, 1.0)
    support = kernel.value * stretch
    weigh = _triangle if kernel is Kernel.TRIANGLE else _cubic
    taps = math.ceil(support) * 2 + 1
    first = np.zeros(after, dtype=np.intp)
    weights = np.zeros((taps, after), dtype=np.float64)
    for index in range(after):
        centre = (index + 0.5) * scale
        start = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), before) - start
        values = [weigh((start + tap - centre + 0.5) * (1.0 / stretch)) for tap in range(count)]
        whole = sum(values)
        first[index] = start
        weights[:count, index] = [value / whole for value in values]
    return first, weights


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1.0:
        return ((_CUBIC_A + 2.0) * x - (_CUBIC_A + 3.0)) * x * x + 1.0
    if x < _CUBIC_SUPPORT:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * _CUBIC_A
    return 0.0
