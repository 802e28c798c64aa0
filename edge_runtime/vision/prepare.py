"""From an exposure to the tensor that a graph expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.model_bundle import ColourOrder, Resize
from edge_runtime.vision.antialias import Kernel, resize_antialiased
from edge_runtime.vision.framing import framing
from edge_runtime.vision.tensor import to_tensor

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec

_MONO_DIMENSIONS = 2
_RGB_DIMENSIONS = 3
_MOST_ENLARGED = 16
"""Times, along either side. Beyond it a picture has next to nothing of what the model looks at, and would pass."""
_OPENCV = {
    Resize.AREA: cv2.INTER_AREA,
    Resize.AREA_HALVED: cv2.INTER_AREA,
    Resize.LINEAR_HALVED: cv2.INTER_LINEAR,
    Resize.LINEAR: cv2.INTER_LINEAR,
    Resize.CUBIC: cv2.INTER_CUBIC,
}


def prepare(exposure: Exposure, spec: InputSpec) -> npt.NDArray[Any]:
    """Crop, convert colour, resize, crop the middle, scale, normalise and lay out, as `InputSpec` defines.

    Mono frames are replicated for colour graphs; colour frames become luminance (ITU-R BT.601) for mono graphs.
    Pixels stay integers until after the resize, unless the spec keeps fractions. The result does not depend on OpenCV's
    number of threads.

    Args:
        exposure: H×W or H×W×3 RGB, uint8 or uint16.
        spec: what the graph expects.

    Returns:
        1×C×H×W or 1×H×W×C, C-contiguous, uint8 or float32.

    Raises:
        ImageError: the region lies outside the frame, is too small for the crop, would have to be enlarged more than
            16 times, or the size differs and `spec` forbids resizing.
        BundleError: `spec` itself makes no sense (dtype, too few means, fractions of bytes).
    """
    _require_exposure(exposure)
    full_scale = int(np.iinfo(exposure.dtype).max)
    sized = _resize(_convert_colour(_crop(exposure, spec), spec.colour), spec)
    tensor = to_tensor(sized, spec, full_scale)
    # A frame that needs nothing is still not ours: engines read it later, and a camera may give its buffer away.
    return tensor.copy() if np.may_share_memory(tensor, exposure) else tensor


def _require_exposure(exposure: Exposure) -> None:
    rgb = exposure.ndim == _RGB_DIMENSIONS and exposure.shape[2] == 3  # noqa: PLR2004
    if (exposure.ndim != _MONO_DIMENSIONS and not rgb) or exposure.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"cannot inspect an image of shape {exposure.shape}, {exposure.dtype}",
            "supply H×W or H×W×3 pixels, uint8 or uint16",
        )


def _crop(exposure: Exposure, spec: InputSpec) -> npt.NDArray[Any]:
    if spec.region is None:
        return exposure
    x, y, width, height = spec.region
    frame_height, frame_width = exposure.shape[:2]
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > frame_width or y + height > frame_height:
        raise ImageError(
            f"the inspected region {width}×{height} at ({x}, {y}) does not fit the {frame_width}×{frame_height} frame",
            "set the camera to the resolution the bundle was taught at, or teach a bundle with the new region",
        )
    return exposure[y : y + height, x : x + width]


def _convert_colour(pixels: npt.NDArray[Any], colour: ColourOrder) -> npt.NDArray[Any]:
    """Mono where that is wanted; a mono frame stays mono here, so that it is resized once and replicated last."""
    if colour is ColourOrder.MONO and pixels.ndim == _RGB_DIMENSIONS:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return pixels


def _resize(pixels: npt.NDArray[Any], spec: InputSpec) -> npt.NDArray[Any]:
    height, width, top, left = framing(spec, *pixels.shape[:2])
    if spec.resize is Resize.NONE and pixels.shape[:2] != (height, width):
        raise ImageError(
            f"the image is {pixels.shape[1]}×{pixels.shape[0]} pixels, the bundle takes only {width}×{height}",
            "set the camera to that resolution, or convert the bundle with a resize",
        )
    if _MOST_ENLARGED * pixels.shape[0] < height or _MOST_ENLARGED * pixels.shape[1] < width:
        raise ImageError(
            f"an image of {pixels.shape[1]}×{pixels.shape[0]} pixels is far too small for a model "
            f"that looks at {width}×{height}",
            "set the camera to the resolution the bundle was taught at; whatever writes the images may cut them",
        )
    if spec.keep_fractions:
        pixels = pixels.astype(np.float32)
    method = spec.resize
    if method in {Resize.AREA_HALVED, Resize.LINEAR_HALVED}:
        pixels = _halved(pixels, height, width)
    if method is Resize.LINEAR_HALVED and not shrinks_little(pixels.shape[:2], height, width):
        method = Resize.AREA
    if pixels.shape[:2] != (height, width):
        pixels = _resized(pixels, height, width, method)
    return pixels[top : top + spec.height_px, left : left + spec.width_px]


def shrinks_little(size: tuple[int, ...], height: int, width: int) -> bool:
    """Whether both neighbours that LINEAR takes per new pixel are most of what lies there: below two and a half."""
    return 2 * size[0] < 5 * height and 2 * size[1] < 5 * width


def _halved(pixels: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """OpenCV has fast code for exactly this shrink factor, and for no other."""
    rows, columns = pixels.shape[:2]
    while rows % 2 == 0 and columns % 2 == 0 and rows >= 2 * height and columns >= 2 * width:
        rows, columns = rows // 2, columns // 2
        pixels = np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA))
    return pixels


def _resized(pixels: npt.NDArray[Any], height: int, width: int, method: Resize) -> npt.NDArray[Any]:
    match method:
        case Resize.LINEAR_ANTIALIAS:
            return resize_antialiased(pixels, height, width)
        case Resize.CUBIC_ANTIALIAS:
            return resize_antialiased(pixels, height, width, Kernel.CUBIC)
        case Resize.NEAREST:
            rows, columns = _nearest(pixels.shape[0], height), _nearest(pixels.shape[1], width)
            return pixels[rows[:, np.newaxis], columns]
        case _:
            return np.asarray(cv2.resize(pixels, (width, height), interpolation=_OPENCV[method]))


def _nearest(before: int, after: int) -> npt.NDArray[np.intp]:
    """The pixel under each new pixel's centre, the later one where the centre lies between two: in whole numbers."""
    return (2 * np.arange(after, dtype=np.intp) + 1) * before // (2 * after)
