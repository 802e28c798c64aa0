"""How the images of good parts are looked at: whole or in pieces, as they lie or turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cv2
import numpy as np

from edge_convert.images import ImageSet
from edge_runtime.vision.mask import fit_mask, paint_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_convert.teaching.area import Area
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.vision.cutting import Cutter
    from edge_runtime.vision.mask import Mask

_FREE_ANGLES: Final = 8
"""Ways of lying that the bank remembers of each part with `--rotate free`: itself, and seven that are drawn."""
_STEPS: Final = 4
_HALF: Final = 127
_STRIDE_PX: Final = 8
"""Of the finest layer that is usually taken, in pixels of the network's input."""


class View(NamedTuple):
    """One look at a frame."""

    exposure: Exposure
    within: Mask | None
    """H×W, where real pixels lie; None: everywhere."""


@dataclass(frozen=True, slots=True)
class PieceImages(ImageSet):
    """One piece of each image, another place each time, as if it were the image: what the network will see."""

    cutter: Cutter

    def load(self, index: int) -> Exposure:
        """See `ImageSet`."""
        pieces = self.cutter.cut(ImageSet.load(self, index)).pieces
        return _exposure(pieces[index * 7 % len(pieces)].pixels)


class Views:
    """The ways in which the parts of a set lie before the camera.

    A turned part shows what the frame did not hold: those pixels continue the edge, and their patches are neither
    taught nor scored. It turns about the middle of what is inspected, and nothing from outside turns into it.

    Args:
        images: good parts.
        area: what is inspected.
        rotate: "0", "90" or "free".
        seed: of every angle.
    """

    def __init__(self, images: ImageSet, area: Area, rotate: str, seed: int) -> None:
        self.images: Final = images
        self._area = area
        self._rotate = rotate
        self._seed = seed

    @property
    def count(self) -> int:
        """Views of each part that the bank remembers."""
        return {"0": 1, "90": _STEPS, "free": _FREE_ANGLES}[self._rotate]

    def taught(self, index: int) -> Iterator[View]:
        """Every view of a part for the bank, the part as it lies first."""
        frame = self.images.load(index)
        yield View(frame, None)
        draw = np.random.default_rng((self._seed, index, 1))
        for step in range(1, self.count):
            if self._rotate == "90":
                yield self._turned(frame, 90.0 * step)
            else:
                yield self._turned(frame, 360.0 * (step + draw.uniform(-0.5, 0.5)) / self.count)

    def held_out(self, index: int) -> View:
        """One drawn way for a part to lie, as the line will draw one: a score for each part, and none of its turns."""
        frame = self.images.load(index)
        draw = np.random.default_rng((self._seed, index, 2))
        if self._rotate == "0":
            return View(frame, None)
        if self._rotate == "free":
            return self._turned(frame, draw.uniform(0, 360))
        step = int(draw.integers(_STEPS))
        return self._turned(frame, 90.0 * step) if step else View(frame, None)

    @property
    def note(self) -> str:
        """What the bundle says about it; empty where nothing is turned."""
        if self._rotate == "0":
            return ""
        how = "in steps of 90°" if self._rotate == "90" else f"by {self.count - 1} drawn angles"
        return (
            f"each good part also turned {how}, {self.count} views of each in the bank; "
            "each held-out part scored once, lying in a drawn way"
        )

    def _turned(self, frame: Exposure, degrees: float) -> View:
        height, width = frame.shape[:2]
        x, y, box_width, box_height = self._area.spec.region or (0, 0, width, height)
        box = slice(y, y + box_height), slice(x, x + box_width)
        around, _ = self._area.inspected((height, width))
        left, top, across, down = around or (x, y, box_width, box_height)
        centre = (left - x + (across - 1) / 2, top - y + (down - 1) / 2)
        pixels = frame[box]
        turned, within = frame.copy(), np.zeros((height, width), dtype=np.bool_)
        if self._area.mask is not None:
            mask = fit_mask(self._area.mask, height, width)[box]
            pixels = paint_out(pixels, mask)
            shown, _ = rotate(np.where(mask, np.uint8(255), np.uint8(0)), degrees, centre)
            within[box] = shown > _HALF
        else:
            within[box] = True
        turned[box], real = rotate(pixels, degrees, centre)
        within[box] &= cv2.erode(real.astype(np.uint8), np.ones(self._margin_px(box_height, box_width))) > 0
        turned.flags.writeable = False
        return View(turned, within)

    def _margin_px(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of an odd window that reaches from a patch to its neighbours, in frame pixels."""
        spec, tiles = self._area.spec, self._area.spec.tiles
        rows, columns = (1, 1) if tiles is None else (tiles.rows, tiles.columns)
        down = _STRIDE_PX * height / rows / spec.height_px
        across = _STRIDE_PX * width / columns / spec.width_px
        return 2 * round(down) + 1, 2 * round(across) + 1


def rotate(pixels: Exposure, degrees: float, centre: tuple[float, float]) -> tuple[Exposure, Mask]:
    """Turn a picture anticlockwise about a point, within its own size.

    Steps of 90° move pixels and change none (the centre moves by half a pixel where that needs it); other angles
    interpolate with a cubic. What lay outside the picture continues its edge.

    Args:
        pixels: H×W or H×W×3, uint8 or uint16.
        degrees: angle.
        centre: x, y in pixels.

    Returns:
        The picture, and H×W bool: false where the edge was continued.
    """
    height, width = pixels.shape[:2]
    exact = degrees % 90 == 0
    x, y = centre
    if exact and (x + y) % 1:
        x, y = float(np.floor(x)), float(np.floor(y))
    matrix = cv2.getRotationMatrix2D((x, y), degrees, 1.0)
    if exact:
        matrix = np.rint(matrix)
    method = cv2.INTER_NEAREST if exact else cv2.INTER_CUBIC
    turned = cv2.warpAffine(
        np.ascontiguousarray(pixels), matrix, (width, height), flags=method, borderMode=cv2.BORDER_REPLICATE
    )
    real = cv2.warpAffine(
        np.full((height, width), 255, dtype=np.uint8),
        matrix,
        (width, height),
        flags=cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return _exposure(turned), np.asarray(real > _HALF, dtype=np.bool_)


def _exposure(pixels: Any) -> Exposure:
    found: Exposure = np.ascontiguousarray(pixels)
    return found
