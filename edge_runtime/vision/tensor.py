"""From resized pixels to the tensor of a graph: channels, values and layout, with as few copies as they need."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.model_bundle import ColourOrder, Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.model_bundle import InputSpec

_MONO_DIMENSIONS = 2


def to_tensor(pixels: npt.NDArray[Any], spec: InputSpec, full_scale: int) -> npt.NDArray[Any]:
    """Scale, normalise and lay out, as `InputSpec` defines.

    Args:
        pixels: H×W or H×W×3 RGB of the graph's size: uint8, uint16, or float32 where fractions are kept.
        spec: what the graph expects.
        full_scale: largest value of the frame's dtype.

    Returns:
        1×C×H×W or 1×H×W×C, C-contiguous, uint8 or float32. It may share its memory with `pixels`.

    Raises:
        BundleError: `spec` makes no sense (dtype, too few means, fractions of bytes).
    """
    dtype = _dtype(spec)
    if dtype == np.uint8:
        return _bytes(_high_byte(pixels), spec)
    channels = 1 if spec.colour is ColourOrder.MONO else 3
    _require_normalisation(spec, channels)
    tensor = np.empty(_shape(spec, channels), dtype=dtype)
    planes = cv2.split(pixels) if pixels.ndim > _MONO_DIMENSIONS else (pixels,)
    for channel in range(channels):
        plane = planes[_source_channel(spec.colour, channel) if len(planes) == channels else 0]
        values = _values(plane, spec, channel, channels, full_scale)
        if spec.layout is Layout.NCHW:
            tensor[0, channel] = values
        else:
            tensor[0, :, :, channel] = values
    return tensor


def _high_byte(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def _bytes(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Nothing is computed: at most channels are reversed or replicated, and moved."""
    shown: npt.NDArray[Any] = pixels[:, :, np.newaxis] if pixels.ndim == _MONO_DIMENSIONS else pixels
    if spec.colour is ColourOrder.BGR and shown.shape[2] > 1:
        shown = shown[:, :, ::-1]
    elif spec.colour is not ColourOrder.MONO and shown.shape[2] == 1:
        shown = np.broadcast_to(shown, (*shown.shape[:2], 3))
    if spec.layout is Layout.NCHW:
        shown = shown.transpose(2, 0, 1)
    return np.ascontiguousarray(shown)[np.newaxis]


def _values(
    plane: npt.NDArray[Any], spec: InputSpec, channel: int, channels: int, full_scale: int
) -> npt.NDArray[np.float32]:
    """What one colour plane becomes."""
    if spec.keep_fractions:
        return np.asarray((plane * (spec.scale / full_scale) - spec.mean[channel]) / spec.std[channel], np.float32)
    table = _tables(spec, channels, full_scale)[channel]
    if plane.dtype == np.uint8:
        return np.asarray(cv2.LUT(plane, table), dtype=np.float32)
    return np.asarray(np.take(table, plane))


def _source_channel(colour: ColourOrder, channel: int) -> int:
    return 2 - channel if colour is ColourOrder.BGR else channel


@lru_cache(maxsize=8)
def _tables(spec: InputSpec, channels: int, full_scale: int) -> tuple[npt.NDArray[np.float32], ...]:
    """One table per channel from pixel to network value: exact to the last bit of float32, and cheap."""
    unit = np.arange(full_scale + 1, dtype=np.float64) / full_scale * spec.scale
    return tuple(
        ((unit - mean) / std).astype(np.float32)
        for mean, std in zip(spec.mean[:channels], spec.std[:channels], strict=True)
    )


def _dtype(spec: InputSpec) -> np.dtype[Any]:
    if spec.dtype not in {"uint8", "float32"}:
        raise BundleError(f"the bundle asks for {spec.dtype} input", "convert it again with uint8 or float32 input")
    if spec.dtype == "uint8" and spec.keep_fractions:
        raise BundleError("the bundle asks for fractions of bytes", "convert it again with float32 input")
    return np.dtype(spec.dtype)


def _shape(spec: InputSpec, channels: int) -> tuple[int, ...]:
    if spec.layout is Layout.NCHW:
        return (1, channels, spec.height_px, spec.width_px)
    return (1, spec.height_px, spec.width_px, channels)


def _require_normalisation(spec: InputSpec, channels: int) -> None:
    if len(spec.mean) < channels or len(spec.std) < channels:
        raise BundleError(
            f"the bundle states {len(spec.mean)} means and {len(spec.std)} deviations for {channels} channels",
            "convert it again",
        )
