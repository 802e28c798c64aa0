"""Which pixels of a frame are taught and inspected: region, mask, and the tiles in which they reach the network."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from edge_convert.defects import plant_defect
from edge_convert.images import load_image
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Tiles
from edge_runtime.vision.encode import encode_png
from edge_runtime.vision.mask import fit_mask, same_proportions
from edge_runtime.vision.tiling import tile_side

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.vision.mask import Mask

MASK_PAYLOAD: Final = "mask.png"
TILES_LIMIT: Final = 64

_LOSSLESS: Final = frozenset({".png", ".bmp", ".tif", ".tiff"})
_SIDE_LIMIT: Final = 32
_OVERLAP_LIMIT: Final = 0.5
_SHRINK_LIMIT: Final = 2.0
"""A tile is shrunk by no more: a mark of twelve pixels still covers half of a patch of stride 8."""
_GRID: Final = re.compile(r"(\d{1,2})[x×](\d{1,2})")
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class AreaOptions:
    """What a person decides about the inspected area."""

    tiles: str | None = None
    """None, "auto", or rows and columns as in "3x5"."""
    overlap: float = 0.1
    """Share of a tile's side that it has in common with its neighbour."""
    mask: Path | None = None
    """Picture of the frame's proportions: where it is 0, nothing is inspected."""
    rotate: Literal["0", "90", "free"] = "0"
    """How parts may lie: as in the images, in steps of 90°, or any way."""

    def check(self) -> None:
        """Refuse at once what would fail after minutes.

        Raises:
            ConfigError: names the option and what it may be.
        """
        if not 0 <= self.overlap <= _OVERLAP_LIMIT:
            raise ConfigError(f"--tile-overlap {self.overlap} is impossible", "Choose a share from 0 to 0.5.")
        if self.tiles is not None and self.tiles != "auto":
            found = _GRID.fullmatch(self.tiles)
            if found is None or not all(1 <= int(side) <= _SIDE_LIMIT for side in found.groups()):
                raise ConfigError(
                    f"--tiles {self.tiles!r} is no grid", "Write auto, or 3x5 for rows x columns up to 32."
                )
        if self.mask is not None and not self.mask.is_file():
            raise ConfigError(
                f"--mask: there is no file {self.mask}", "Name a grey picture of the frame's proportions."
            )
        if self.mask is not None and self.mask.suffix.lower() not in _LOSSLESS:
            raise ConfigError(
                f"--mask: {self.mask.name} may have been compressed with loss, which leaves traces where it was 0",
                "Save the mask as PNG.",
            )


@dataclass(frozen=True, slots=True)
class Area:
    """The inspected area of one bundle."""

    spec: InputSpec
    """With tiles and mask."""
    mask: Mask | None = None
    notices: tuple[str, ...] = ()

    @property
    def whole(self) -> InputSpec:
        """What one piece is to the network."""
        return replace(self.spec, region=None, tiles=None, mask=None)

    @property
    def count(self) -> int:
        """Pieces of a frame."""
        tiles = self.spec.tiles
        return 1 if tiles is None else tiles.rows * tiles.columns

    @property
    def payloads(self) -> dict[str, bytes]:
        """The mask, if there is one."""
        if self.mask is None:
            return {}
        return {MASK_PAYLOAD: encode_png(np.where(self.mask, np.uint8(255), np.uint8(0)))}

    def inspected(self, frame_px: tuple[int, int]) -> tuple[tuple[int, int, int, int] | None, Mask | None]:
        """Of a frame of this height and width: the box around what is inspected (None: all), and the mask inside it."""
        if self.mask is None:
            return self.spec.region, None
        mask = fit_mask(self.mask, *frame_px)
        if self.spec.region is not None:
            x, y, width, height = self.spec.region
            inside = np.zeros_like(mask)
            inside[y : y + height, x : x + width] = mask[y : y + height, x : x + width]
            mask = inside
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            raise ConfigError(
                "--mask: it leaves nothing of the inspected region", "Draw another mask, or leave --region out."
            )
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        return (left, top, right - left, bottom - top), mask[top:bottom, left:right]

    def plant(self, frame: Exposure, seed: int, kind: int) -> Exposure:
        """A defect of which at least a part is inspected, see `plant_defect`; same arguments, same pixels."""
        height, width = frame.shape[:2]
        box, mask = self.inspected((height, width))
        damaged = plant_defect(frame, seed, kind, box)
        if box is None or mask is None:
            return damaged
        x, y, width, height = box
        for retry in range(1, _TRIES):
            changed = damaged[y : y + height, x : x + width] != frame[y : y + height, x : x + width]
            if (changed.any(axis=2) if changed.ndim > mask.ndim else changed)[mask].any():
                break
            damaged = plant_defect(frame, seed + retry * 100_000, kind, box)
        return damaged


def resolve_area(options: AreaOptions, spec: InputSpec, first: Exposure) -> Area:
    """Choose the tiles and read the mask, for frames of the size of the first image.

    Raises:
        ConfigError: the mask cannot be used with these images.
    """
    frame_px = (first.shape[0], first.shape[1])
    mask = None if options.mask is None else _read_mask(options.mask, frame_px)
    if mask is not None and spec.region is not None:  # whose coordinates bind the frame to its size
        mask = fit_mask(mask, *frame_px)
    spec = replace(spec, mask=None if mask is None else MASK_PAYLOAD)
    width, height = spec.region[2:] if spec.region is not None else (frame_px[1], frame_px[0])
    tiles, notices = _choose_tiles(options, spec, height, width)
    area = Area(replace(spec, tiles=tiles), mask, notices)
    area.inspected(frame_px)
    return area


def _read_mask(path: Path, frame_px: tuple[int, int]) -> Mask:
    picture = load_image(path)
    seen = picture if picture.ndim == 2 else picture.max(axis=2)  # noqa: PLR2004  (H×W)
    mask = np.asarray(seen > 0, dtype=np.bool_)
    if not same_proportions(frame_px, mask.shape):
        raise ConfigError(
            f"--mask: {path.name} has {mask.shape[1]}×{mask.shape[0]} pixels, which are not the proportions of the "
            f"{frame_px[1]}×{frame_px[0]} images",
            "Draw the mask over one of the images, at its size or reduced as a whole.",
        )
    if not mask.any():
        raise ConfigError(f"--mask: {path.name} is black everywhere", "Paint white what is to be inspected.")
    return mask


def _choose_tiles(
    options: AreaOptions, spec: InputSpec, height: int, width: int
) -> tuple[Tiles | None, tuple[str, ...]]:
    if options.tiles is None:
        return None, ()
    if options.tiles == "auto":
        tiles = auto_tiles(height, width, spec, options.overlap)
    else:
        rows, columns = (int(side) for side in options.tiles.replace("×", "x").split("x"))
        tiles = Tiles(rows, columns, options.overlap)
    shrink = _shrink(height, width, spec, tiles)
    if tiles.rows * tiles.columns == 1:
        return None, (f"--tiles: one tile shows all, shrunk {max(shrink, 1):.1f}×",)
    side = f"{tile_side(width, tiles.columns, tiles.overlap)}×{tile_side(height, tiles.rows, tiles.overlap)}"
    text = f"{tiles.rows}×{tiles.columns} tiles of {side} pixels, shrunk {max(shrink, 1):.1f}×"
    notices = [f"{text}: every part goes through the network {tiles.rows * tiles.columns} times"]
    if shrink > _SHRINK_LIMIT + 1e-9:
        notices.append(
            f"tiles shrunk by more than {_SHRINK_LIMIT:.0f}× lose small marks: take more, or a larger --size"
        )
    return tiles, tuple(notices)


def auto_tiles(height: int, width: int, spec: InputSpec, overlap: float) -> Tiles:
    """The fewest tiles none of which is shrunk by more than 2×, but no more than 64.

    Args:
        height: of the region in pixels.
        width: of the region in pixels.
        spec: the input's size.
        overlap: share of a tile's side.
    """
    rows = _least_count(height, _SHRINK_LIMIT * spec.height_px, overlap)
    columns = _least_count(width, _SHRINK_LIMIT * spec.width_px, overlap)
    while rows * columns > TILES_LIMIT or max(rows, columns) > _SIDE_LIMIT:
        fewer_rows = tile_side(height, rows - 1, overlap) / spec.height_px if rows > 1 else math.inf
        fewer_columns = tile_side(width, columns - 1, overlap) / spec.width_px if columns > 1 else math.inf
        if fewer_rows <= fewer_columns:
            rows -= 1
        else:
            columns -= 1
    return Tiles(rows, columns, overlap)


def _least_count(length: int, longest: float, overlap: float) -> int:
    return max(1, math.ceil((length / longest - overlap) / (1 - overlap) - 1e-9))


def _shrink(height: int, width: int, spec: InputSpec, tiles: Tiles) -> float:
    return max(
        tile_side(height, tiles.rows, tiles.overlap) / spec.height_px,
        tile_side(width, tiles.columns, tiles.overlap) / spec.width_px,
    )
