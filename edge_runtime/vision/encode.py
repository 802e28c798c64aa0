"""Pixels to bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import simplejpeg

from edge_runtime.domain.errors import ImageError

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

_RGB_DIMENSIONS = 3


def encode_png(array: Exposure) -> bytes:
    """Lossless: `decode_image` gives back exactly this array.

    Args:
        array: H×W or H×W×3 RGB, uint8 or uint16.

    Raises:
        ImageError: another shape or dtype.
    """
    _require_exposure(array)
    pixels = np.ascontiguousarray(array)
    swapped = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if array.ndim == _RGB_DIMENSIONS else pixels
    done, encoded = cv2.imencode(".png", swapped)
    if not done:
        raise ImageError(f"cannot encode an image of shape {array.shape} as PNG", "report this")
    return bytes(encoded)


def encode_bmp(array: Exposure) -> bytes:
    """Lossless and not compressed: quickly read, as large as its pixels.

    Args:
        array: H×W or H×W×3 RGB, uint8.

    Raises:
        ImageError: another shape or dtype.
    """
    _require_exposure(array)
    pixels = np.ascontiguousarray(array)
    swapped = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if array.ndim == _RGB_DIMENSIONS else pixels
    if array.dtype != np.uint8:
        raise ImageError(f"a BMP holds 8 bits per channel, not {array.dtype}", "use PNG")
    _, encoded = cv2.imencode(".bmp", swapped)
    return bytes(encoded)


def encode_jpeg(array: Exposure, quality: int) -> bytes:
    """Lossy, for evidence and previews; 16-bit pixels are reduced to their high byte.

    Args:
        array: H×W or H×W×3 RGB, uint8 or uint16.
        quality: 1…100.

    Raises:
        ImageError: another shape or dtype, or a side beyond JPEG's 65,500 pixels.
    """
    _require_exposure(array)
    eight_bit = array if array.dtype == np.uint8 else (array >> 8).astype(np.uint8)
    try:
        if array.ndim == _RGB_DIMENSIONS:
            return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(eight_bit), quality, "RGB", "420"))
        planes = np.ascontiguousarray(eight_bit)[:, :, np.newaxis]
        return bytes(simplejpeg.encode_jpeg(planes, quality, "GRAY", "Gray"))
    except ValueError as error:
        raise ImageError(f"cannot encode an image of shape {array.shape} as JPEG: {error}", "use PNG") from error


def _require_exposure(array: Exposure) -> None:
    sized = array.ndim == 2 or (array.ndim == _RGB_DIMENSIONS and array.shape[2] == 3)  # noqa: PLR2004
    if not sized or array.size == 0 or array.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"not an exposure: shape {array.shape}, {array.dtype}", "supply H×W or H×W×3 pixels, uint8 or uint16"
        )
