"""Preprocessing once more, by the definitions alone: NumPy in double precision, sharing no code with the device.

The reference has to reach the graph on a way of its own. Were the device's `prepare` used on both sides, a fault in it
could never show.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Fit, Layout, Resize

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec

    Matrix = npt.NDArray[np.float64]

_RGB_DIMENSIONS = 3
_LUMINANCE = (0.299, 0.587, 0.114)


def reference_tensor(exposure: Exposure, spec: InputSpec) -> npt.NDArray[Any]:
    """What `edge_runtime.vision.prepare.prepare` gives, to within its rounding.

    Raises:
        ConfigError: the image is too small for the crop, or has another size and is not to be resized.
    """
    full = float(np.iinfo(exposure.dtype).max)
    x, y, width, height = spec.region or (0, 0, exposure.shape[1], exposure.shape[0])
    pixels = exposure[y : y + height, x : x + width].astype(np.float64)
    if pixels.ndim != _RGB_DIMENSIONS:
        pixels = pixels[:, :, np.newaxis]
    if spec.colour is ColourOrder.MONO and pixels.shape[2] == _RGB_DIMENSIONS:
        pixels = np.round(pixels @ np.asarray(_LUMINANCE))[:, :, np.newaxis]
    sized = _cropped(_resized(pixels, spec, full), spec)
    channels = 1 if spec.colour is ColourOrder.MONO else 3
    if sized.shape[2] != channels:
        sized = np.repeat(sized[:, :, :1], channels, axis=2)
    if spec.colour is ColourOrder.BGR:
        sized = sized[:, :, ::-1]
    if spec.dtype == "uint8":
        values: npt.NDArray[Any] = (sized * (255.0 / full)).astype(np.uint8)
    else:
        values = ((sized / full * spec.scale - np.asarray(spec.mean)) / np.asarray(spec.std)).astype(np.float32)
    batch = values[np.newaxis]
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if spec.layout is Layout.NCHW else batch)


def _resized(pixels: Matrix, spec: InputSpec, full: float) -> Matrix:
    height, width = resized_size(spec, pixels.shape[0], pixels.shape[1])
    if (height, width) == pixels.shape[:2]:
        return pixels
    if spec.resize is Resize.NONE:
        raise ConfigError(
            f"an image has {pixels.shape[1]}×{pixels.shape[0]} pixels, the graph takes {width}×{height} and nothing "
            "is to be resized",
            "Give --resize, or images of that size.",
        )
    method = spec.resize
    if method in {Resize.AREA_HALVED, Resize.LINEAR_HALVED}:
        pixels = _halved(pixels, height, width, whole=not spec.keep_fractions)
    if method is Resize.LINEAR_HALVED:
        shrunk = max(pixels.shape[0] / height, pixels.shape[1] / width)
        method = Resize.LINEAR if shrunk < 2.5 else Resize.AREA  # noqa: PLR2004  (as the format says)
    across = _weights(pixels.shape[1], width, method)
    down = _weights(pixels.shape[0], height, method)
    wide = np.einsum("wx,hxc->hwc", across, pixels, optimize=True)
    if spec.keep_fractions:
        return np.asarray(np.einsum("yh,hwc->ywc", down, wide, optimize=True))
    if spec.resize in {Resize.LINEAR_ANTIALIAS, Resize.CUBIC_ANTIALIAS}:  # Pillow rounds between its passes
        wide = np.clip(np.floor(wide + 0.5), 0, full)
    whole = np.floor(np.einsum("yh,hwc->ywc", down, wide, optimize=True) + 0.5)
    return np.asarray(np.clip(whole, 0, full))


def _halved(pixels: Matrix, height: int, width: int, *, whole: bool) -> Matrix:
    while (
        not any(side % 2 for side in pixels.shape[:2])
        and pixels.shape[0] >= 2 * height
        and pixels.shape[1] >= 2 * width
    ):
        pixels = (pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]) / 4
        pixels = np.floor(pixels + 0.5) if whole else pixels
    return pixels


def resized_size(spec: InputSpec, height: int, width: int) -> tuple[int, int]:
    """Height and width of a resized image, before the crop."""
    rows, columns = spec.resized_px or (spec.height_px, spec.width_px)
    if spec.fit is Fit.STRETCH:
        return rows, columns
    side = min(rows, columns)
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def _cropped(pixels: Matrix, spec: InputSpec) -> Matrix:
    spare = pixels.shape[0] - spec.height_px, pixels.shape[1] - spec.width_px
    if min(spare) < 0:
        raise ConfigError(
            f"an image becomes {pixels.shape[1]}×{pixels.shape[0]} pixels, too few to crop "
            f"{spec.width_px}×{spec.height_px} from",
            "Correct --resized, --fit or --input-size.",
        )
    top, left = round(spare[0] / 2), round(spare[1] / 2)
    return pixels[top : top + spec.height_px, left : left + spec.width_px]


@lru_cache(maxsize=16)
def _weights(before: int, after: int, method: Resize) -> Matrix:
    """Row i: how much each old pixel contributes to new pixel i."""
    scale = before / after
    matrix = np.zeros((after, before))
    old = np.arange(before)
    for index in range(after):
        centre = (index + 0.5) * scale
        match method:
            case Resize.NEAREST:
                matrix[index, math.floor(Fraction(2 * index + 1, 2) * before / after)] = 1.0
            case Resize.LINEAR | Resize.LINEAR_HALVED | Resize.CUBIC:
                _sample(matrix[index], centre - 0.5, cubic=method is Resize.CUBIC)
            case Resize.LINEAR_ANTIALIAS | Resize.CUBIC_ANTIALIAS:
                reach, cubic = max(scale, 1.0), method is Resize.CUBIC_ANTIALIAS
                support = reach * (2 if cubic else 1)
                first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), before)
                row = [_kernel((x + 0.5 - centre) / reach, -0.5, cubic=cubic) for x in range(first, last)]
                matrix[index, first:last] = np.asarray(row) / sum(row)
            case Resize.AREA | Resize.AREA_HALVED:
                if scale < 1:
                    raise ConfigError(
                        "an image is smaller than the graph's input, and area averaging cannot enlarge",
                        "Give --resize linear or linear_antialias.",
                    )
                low, high = index * scale, (index + 1) * scale
                matrix[index] = np.clip(np.minimum(old + 1, high) - np.maximum(old, low), 0, None) / scale
            case Resize.NONE:
                raise AssertionError(method)
    return matrix


def _sample(row: Matrix, position: float, *, cubic: bool) -> None:
    """Interpolation between neighbours, those beyond the edge being the edge's own."""
    first = math.floor(position)
    for neighbour in range(first - 1, first + 3):
        weight = _kernel(neighbour - position, -0.75, cubic=cubic)
        row[min(max(neighbour, 0), len(row) - 1)] += weight


def _kernel(distance: float, a: float, *, cubic: bool) -> float:
    t = abs(distance)
    if not cubic:
        return max(0.0, 1.0 - t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0  # noqa: PLR2004  (its reach)
