"""A frame cut into the pieces that go through the model one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.model_bundle import Tiles
from edge_runtime.vision.framing import window_px
from edge_runtime.vision.mask import fit_mask, paint_out, same_proportions
from edge_runtime.vision.tiling import Rectangle, lay_tiles

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.vision.mask import Mask

_ANOTHER_CAMERA: Final = (
    "set the camera to the resolution the bundle was taught at, or teach a bundle with the present one"
)


class Inspected:
    """The part of a piece that is inspected.

    Args:
        mask: over what the model sees of the piece, true where it is inspected.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask: Final = mask
        self._cells: dict[tuple[int, int], Mask] = {}

    def cells(self, rows: int, columns: int) -> Mask:
        """True for each cell of a grid over what the model sees that shares any pixel with what is inspected."""
        found = self._cells.get((rows, columns))
        if found is None:
            found = self._cells[rows, columns] = fit_mask(self.mask, rows, columns)
        return found


@dataclass(frozen=True, slots=True)
class Piece:
    """One tile of a frame, or the whole region."""

    place: Rectangle
    """Within the region."""
    pixels: Exposure
    inspected: Inspected | None
    """None: all of it."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What of a frame goes through the model."""

    width: int
    """Of the region, in frame pixels."""
    height: int
    pieces: tuple[Piece, ...]
    """Those with anything to inspect, row by row; never empty."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Everything that depends on the frame's size alone."""

    frame_px: tuple[int, int]
    region: Rectangle
    mask: Mask | None
    """In the region's pixels."""
    places: tuple[tuple[Rectangle, Inspected | None], ...]


class Cutter:
    """Cuts frames into pieces. The layout for the last frame size is kept; the pieces depend on the frame alone.

    Args:
        spec: region, tiles, and what a centre crop leaves of a piece.
        mask: of the frame's proportions at any scale, with a region of the frame's size; None inspects everything.
        paint: mid-grey where the mask is false, see `paint_out`.
    """

    def __init__(self, spec: InputSpec, mask: Mask | None, *, paint: bool) -> None:
        self._region = spec.region
        self._tiles = spec.tiles
        self._whole = replace(spec, region=None)
        self._mask = mask
        self._paint = paint
        self._last: _Layout | None = None

    def cut(self, exposure: Exposure, within: Mask | None = None) -> Pieces:
        """Cut one frame.

        Args:
            exposure: H×W or H×W×3.
            within: H×W; narrows the mask for this frame only, without painting.

        Raises:
            ImageError: the region does not fit the frame, the mask has other proportions, or nothing is left.
        """
        height, width = exposure.shape[:2]
        layout = self._last
        if layout is None or layout.frame_px != (height, width):
            layout = self._last = self._lay(height, width)
        places = layout.places if within is None else self._places(layout.region, _both(layout, within))
        x, y, region_width, region_height = layout.region
        region = exposure[y : y + region_height, x : x + region_width]
        pieces = tuple(Piece(place, self._pixels(region, place, layout.mask), inspected) for place, inspected in places)
        if not pieces:
            raise ImageError("the mask leaves nothing of the inspected region", "Draw another mask, or another region.")
        return Pieces(region_width, region_height, pieces)

    def _lay(self, height: int, width: int) -> _Layout:
        region = _fitting(self._region, height, width)
        mask = None
        if self._mask is not None:
            same = self._mask.shape == (height, width)
            if not same and (self._region is not None or not same_proportions((height, width), self._mask.shape)):
                raise ImageError(
                    f"the mask has {self._mask.shape[1]}×{self._mask.shape[0]} pixels, which are not those of "
                    f"the {width}×{height} frame" + (" in proportion" if self._region is None else ""),
                    _ANOTHER_CAMERA,
                )
            mask = _cropped(fit_mask(self._mask, height, width), region)
        return _Layout((height, width), region, mask, self._places(region, mask))

    def _places(self, region: Rectangle, mask: Mask | None) -> tuple[tuple[Rectangle, Inspected | None], ...]:
        tiles = lay_tiles(region.width, region.height, self._tiles or Tiles(rows=1, columns=1))
        if mask is None:
            return tuple((tile, None) for tile in tiles)
        seen = ((tile, _cropped(_cropped(mask, tile), self._window(tile))) for tile in tiles)
        return tuple((tile, None if part.all() else Inspected(part)) for tile, part in seen if part.any())

    def _window(self, tile: Rectangle) -> Rectangle:
        """What the model sees of a piece."""
        return Rectangle(*window_px(self._whole, tile.height, tile.width))

    def _pixels(self, region: Exposure, place: Rectangle, mask: Mask | None) -> Exposure:
        pixels = region[place.y : place.y + place.height, place.x : place.x + place.width]
        if mask is None or not self._paint:
            return pixels
        part = _cropped(mask, place)
        return pixels if part.all() else paint_out(pixels, part)


def _fitting(region: tuple[int, int, int, int] | None, height: int, width: int) -> Rectangle:
    if region is None:
        return Rectangle(0, 0, width, height)
    found = Rectangle(*region)
    if found.x + found.width > width or found.y + found.height > height:
        raise ImageError(
            f"the inspected region {found.width}×{found.height} at ({found.x}, {found.y}) does not fit the "
            f"{width}×{height} frame",
            _ANOTHER_CAMERA,
        )
    return found


def _both(layout: _Layout, within: Mask) -> Mask:
    narrowed = _cropped(within, layout.region)
    return narrowed if layout.mask is None else narrowed & layout.mask


def _cropped(mask: Mask, place: Rectangle) -> Mask:
    return mask[place.y : place.y + place.height, place.x : place.x + place.width]
