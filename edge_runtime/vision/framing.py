"""What of a frame the model sees: the region, its resized size, and the crop from its middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.model_bundle import Fit

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec


class Framing(NamedTuple):
    """Sizes and offsets between the inspected region and the network's input."""

    height_px: int
    """Of the resized region."""
    width_px: int
    top_px: int
    """Of the crop, in the resized region."""
    left_px: int


def framing(spec: InputSpec, height_px: int, width_px: int) -> Framing:
    """How a region of this size reaches the network's input.

    Rounding is torchvision's: `Resize(n)` gives the longer side its whole part of n · long / short, `CenterCrop` begins
    at half of the difference, halves to the even neighbour.

    Args:
        spec: the input.
        height_px: of the region.
        width_px: of the region.

    Raises:
        ImageError: the resized region is smaller than the crop.
    """
    target = spec.resized_px or (spec.height_px, spec.width_px)
    if spec.fit is Fit.SHORTER_SIDE:
        target = _shorter_side(min(target), height_px, width_px)
    if target[0] < spec.height_px or target[1] < spec.width_px:
        raise ImageError(
            f"an image of {width_px}×{height_px} pixels becomes {target[1]}×{target[0]}, "
            f"the bundle crops {spec.width_px}×{spec.height_px} from it",
            "set the camera to the proportions of the images that the model was trained on",
        )
    top, left = (target[0] - spec.height_px) / 2.0, (target[1] - spec.width_px) / 2.0
    return Framing(*target, round(top), round(left))


def window_px(spec: InputSpec, frame_height: int, frame_width: int) -> tuple[int, int, int, int]:
    """The part of the frame that the model sees, and that its anomaly map covers, in whole pixels.

    Args:
        spec: the input.
        frame_height: of the frame.
        frame_width: of the frame.

    Returns:
        x, y, width, height: the region, less what the centre crop cuts off; with tiles all of it, for the crop is each
        tile's. Of a region that does not fit the frame it
        is the region itself; of one that is too small for the crop, all of it: such a frame is never inspected.
    """
    x, y, width, height = spec.region or (0, 0, frame_width, frame_height)
    if spec.tiles is not None or (spec.fit is Fit.STRETCH and spec.resized_px is None):
        return x, y, width, height
    try:
        found = framing(spec, height, width)
    except ImageError:
        return x, y, width, height
    across, down = width / found.width_px, height / found.height_px
    left, right = round(found.left_px * across), round((found.left_px + spec.width_px) * across)
    top, bottom = round(found.top_px * down), round((found.top_px + spec.height_px) * down)
    return x + left, y + top, max(1, right - left), max(1, bottom - top)


def map_window(spec: InputSpec, exposure: Exposure) -> tuple[int, int, int, int] | None:
    """Where in a frame its anomaly map belongs: `window_px`, or None where that is the whole frame."""
    frame_height, frame_width = exposure.shape[:2]
    found = window_px(spec, frame_height, frame_width)
    return None if found == (0, 0, frame_width, frame_height) else found


def _shorter_side(size: int, height_px: int, width_px: int) -> tuple[int, int]:
    short, long = sorted((height_px, width_px))
    other = int(size * long / short)
    return (size, other) if height_px <= width_px else (other, size)
