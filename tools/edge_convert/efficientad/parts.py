"""Good parts as the model sees them: whole, or piece by piece, and which of their pixels count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.efficientad.networks import BORDER_CELLS, STRIDE
from edge_runtime.vision.cutting import Cutter
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from edge_convert.efficientad.data import Picture
    from edge_convert.images import ImageSet
    from edge_convert.teaching.area import Area
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.vision.cutting import Inspected, Piece
    from edge_runtime.vision.mask import Mask

_CACHE_BYTES: Final = 512 << 20


def as_inspected(exposure: Exposure, spec: InputSpec) -> Picture:
    """A frame, or with the spec of a `piece` a part of one, as the model sees it: 8 bits, RGB; H×W×3.

    Raises:
        ImageError: the region does not fit the frame.
    """
    return np.asarray(prepare(exposure, spec)[0], np.uint8)


def piece_spec(spec: InputSpec) -> InputSpec:
    """For pixels that are cut out already."""
    return replace(spec, region=None)


class GoodParts:
    """The pieces of all good parts, decoded once where memory allows. A frame without tiles is one piece.

    Args:
        images: frames of one size where `area` has tiles or a mask.
        area: what of a frame the model sees. Pixels behind a mask are shown, as the device shows them; what the
            networks say there is to count for nothing.

    Raises:
        ImageError: the first image cannot be decoded, or does not fit the area.
    """

    def __init__(self, images: ImageSet, area: Area) -> None:
        self._images = images
        self._cutter = Cutter(area.spec, area.mask, paint=False)
        self._spec = piece_spec(area.spec)
        self._size = (area.spec.height_px, area.spec.width_px)
        self._pieces = len(self._cutter.cut(images.load(0)).pieces)
        self._masked = area.mask is not None
        self._kept: dict[int, Picture] = {}
        self._seen: dict[int, Inspected | None] = {}
        self._room = _CACHE_BYTES // (3 * area.spec.height_px * area.spec.width_px)

    def __len__(self) -> int:
        return len(self._images.files) * self._pieces

    def picture(self, index: int) -> Picture:
        """H×W×3 RGB of a piece; those of one image follow one another.

        Raises:
            ImageError: the file cannot be decoded, or the area does not fit it.
        """
        found = self._kept.get(index)
        if found is None:
            found = as_inspected(self._piece(index).pixels, self._spec)
            if len(self._kept) < self._room:
                self._kept[index] = found
        return found

    def cells(self, index: int) -> Mask | None:
        """Which cells of a patch network without padding count, h×w; None: all."""
        inspected = self._inspected(index)
        if inspected is None:
            return None
        grid = inspected.cells(*(side // STRIDE for side in self._size))
        return grid[BORDER_CELLS:-BORDER_CELLS, BORDER_CELLS:-BORDER_CELLS]

    def pixels(self, index: int) -> Mask | None:
        """Which values of the anomaly map count, H×W; None: all."""
        inspected = self._inspected(index)
        return None if inspected is None else inspected.cells(*self._size)

    def _inspected(self, index: int) -> Inspected | None:
        """The masks of an image's pieces are those of every image of its size."""
        if not self._masked:
            return None
        piece = index % self._pieces
        if piece not in self._seen:
            self._seen[piece] = self._piece(index).inspected
        return self._seen[piece]

    def _piece(self, index: int) -> Piece:
        image, piece = divmod(index, self._pieces)
        return self._cutter.cut(self._images.load(image)).pieces[piece]
