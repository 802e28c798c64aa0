"""Where tiles lie, and how their maps become one map again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import Tiles

MAP_SIDE_LIMIT_PX: Final = 1_024
"""A stitched map has no longer side: a 4K frame's would take 33 MB, and no screen shows it."""


class Rectangle(NamedTuple):
    """Part of a picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int


def lay_tiles(width: int, height: int, tiles: Tiles) -> tuple[Rectangle, ...]:
    """Rectangles of the tiles over a region, row by row.

    All have the same size, the least with which they cover every pixel and share `tiles.overlap` of their side with
    their neighbour (within two pixels of rounding), and they lie evenly: the first begins and the last ends with the
    region. A region with fewer pixels than tiles is covered by tiles of one pixel that partly coincide.

    Args:
        width: of the region in pixels, at least 1.
        height: of the region in pixels, at least 1.
        tiles: the grid.
    """
    across = _spans(width, tiles.columns, tiles.overlap)
    down = _spans(height, tiles.rows, tiles.overlap)
    return tuple(Rectangle(x, y, tile_width, tile_height) for y, tile_height in down for x, tile_width in across)


def tile_side(length: int, count: int, overlap: float) -> int:
    """Pixels that each of `count` tiles takes of a side of `length` pixels."""
    return min(length, math.ceil(length / (count - (count - 1) * overlap) - 1e-9))


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    side = tile_side(length, count, overlap)
    steps = max(1, count - 1)
    return [((2 * index * (length - side) + steps) // (2 * steps), side) for index in range(count)]


def stitch(
    width: int, height: int, rectangles: Sequence[Rectangle], maps: Sequence[AnomalyMap], limit_px: int
) -> AnomalyMap:
    """One map over the whole region: where tiles overlap, the larger value counts, as it does for the score.

    Args:
        width: of the region in pixels.
        height: of the region in pixels.
        rectangles: the tiles within the region.
        maps: one per tile, each h×w float32 over its whole tile, at least one.
        limit_px: the longer side of the result is not longer than this; it keeps the tiles' own resolution where that
            gives less.

    Returns:
        H×W float32 in the region's proportions. 0 where no tile lies; NaN stays NaN.
    """
    finest = max(
        max(found.shape[1] / tile.width, found.shape[0] / tile.height)
        for tile, found in zip(rectangles, maps, strict=True)
    )
    scale = min(finest, limit_px / max(width, height))
    canvas_height, canvas_width = max(1, round(height * scale)), max(1, round(width * scale))
    canvas = np.full((canvas_height, canvas_width), -np.inf, dtype=np.float32)
    for tile, found in zip(rectangles, maps, strict=True):
        left, right = _span(tile.x, tile.width, canvas_width / width, canvas_width)
        top, bottom = _span(tile.y, tile.height, canvas_height / height, canvas_height)
        place = canvas[top:bottom, left:right]
        np.maximum(place, _resized(found, bottom - top, right - left), out=place)
    canvas[np.isneginf(canvas)] = 0.0
    return canvas


def _span(start: int, length: int, scale: float, limit: int) -> tuple[int, int]:
    """First and last pixel on the canvas, at least one of them."""
    first = min(round(start * scale), limit - 1)
    return first, min(max(round((start + length) * scale), first + 1), limit)


def _resized(found: AnomalyMap, height: int, width: int) -> AnomalyMap:
    if found.shape == (height, width):
        return found
    smaller = height <= found.shape[0] and width <= found.shape[1]
    return np.asarray(
        cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR),
        dtype=np.float32,
    )
