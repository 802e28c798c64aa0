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

import cv2
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
    if pixels.dtype == np.float32:
        # Rows first, where memory lies in rows: the columns then have little left to do.
        tall = _along_rows(pixels, *_fractions(pixels.shape[0], height_px, kernel))
        wide = _along_rows(cv2.transpose(tall), *_fractions(pixels.shape[1], width_px, kernel))
        return np.asarray(cv2.transpose(wide))
    wide = pixels
    if pixels.shape[1] != width_px:
        wide = np.asarray(cv2.transpose(_whole(cv2.transpose(pixels), width_px, kernel)))
    return _whole(wide, height_px, kernel) if pixels.shape[0] != height_px else wide


def _whole(pixels: npt.NDArray[Any], size: int, kernel: Kernel) -> npt.NDArray[Any]:
    """Resample integers along axis 0.

    In double precision, which is exact here: 16-bit pixels times 22-bit weights, and no filter has 2^15 taps.
    """
    total = _along_rows(pixels.astype(np.float64), *_fixed_point(pixels.shape[0], size, kernel))
    total *= 1.0 / (1 << _PRECISION_BITS)
    total += 0.5
    np.floor(total, out=total)
    np.clip(total, 0, np.iinfo(pixels.dtype).max, out=total)
    return total.astype(pixels.dtype)


def _along_rows(pixels: npt.NDArray[Any], first: npt.NDArray[np.intp], weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each new row: so many rows from its first one on, weighted. The result has the dtype of both."""
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1)
    size, taps = weights.shape
    new = np.empty((size, rows.shape[1]), dtype=rows.dtype)
    for index in range(size):
        start = first[index]
        there = min(taps, rows.shape[0] - start)  # beyond the edge the weight is 0
        np.dot(weights[index, :there], rows[start : start + there], out=new[index])
    return new.reshape(size, *pixels.shape[1:])


@lru_cache(maxsize=32)
def _fixed_point(before: int, after: int, kernel: Kernel) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """The filter with whole weights, rounded half away from zero."""
    first, weights = _filter(before, after, kernel)
    scaled = weights * (1 << _PRECISION_BITS)
    return first, np.trunc(scaled + np.copysign(0.5, scaled))


@lru_cache(maxsize=32)
def _fractions(before: int, after: int, kernel: Kernel) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The filter in single precision."""
    first, weights = _filter(before, after, kernel)
    return first, weights.astype(np.float32)


@lru_cache(maxsize=32)
def _filter(before: int, after: int, kernel: Kernel) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """First source row per output row, and the weights as output rows × taps; each output row's add up to 1."""
    scale = before / after
    stretch = max(scale, 1.0)
    support = kernel.value * stretch
    weigh = _triangle if kernel is Kernel.TRIANGLE else _cubic
    taps = math.ceil(support) * 2 + 1
    first = np.zeros(after, dtype=np.intp)
    weights = np.zeros((after, taps), dtype=np.float64)
    for index in range(after):
        centre = (index + 0.5) * scale
        start = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), before) - start
        values = [weigh((start + tap - centre + 0.5) * (1.0 / stretch)) for tap in range(count)]
        whole = sum(values)
        first[index] = start
        weights[index, :count] = [value / whole for value in values]
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
