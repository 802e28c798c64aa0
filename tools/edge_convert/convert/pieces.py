"""Frames in tiles and behind masks: what the source model says of a frame that goes through it piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_convert.teaching.area import Area, AreaOptions, resolve_area
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Fit
from edge_runtime.vision.cutting import Cutter
from edge_runtime.vision.tiling import MAP_SIDE_LIMIT_PX, stitch

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.vision.cutting import Inspected


class WholeReference(Protocol):
    """A source model that answers about any picture as if it were the frame."""

    @property
    def description(self) -> str:
        """See `ReferenceModel`."""

    def covers(self, path: Path | None) -> bool:
        """See `ReferenceModel`."""

    def look(self, pixels: Exposure, inspected: Inspected | None) -> Detection:
        """About one piece; with `inspected` the score is the largest value of the map within it, which is 0 beyond."""


def inspected_area(options: AreaOptions, spec: InputSpec, first: Exposure) -> tuple[Area | None, tuple[str, ...]]:
    """Tiles and mask for frames like the first, None where a frame is one piece; and what is to be said about it.

    Args:
        options: as a person states them.
        spec: of one piece, with the region.
        first: an image of a good part.

    Raises:
        ConfigError: the mask cannot be used with these images, or tiles with this preprocessing.
    """
    if options.tiles is None and options.mask is None:
        return None, ()
    if options.tiles is not None and (spec.fit is not Fit.STRETCH or spec.resized_px is not None):
        raise ConfigError(
            "--tiles: the model crops the middle of what it is given, so what lies between the tiles' middles would "
            "never be inspected",
            "Leave --tiles out, or export the model without its centre crop.",
        )
    area = resolve_area(options, spec, first)
    return (None if area.spec.tiles is None and area.mask is None else area), area.notices


class PieceReference:
    """The source's answer about a frame in pieces: the worst piece's score, and all their maps in one.

    Where a piece lies and what of it counts is defined by the bundle's tiles and mask; how its pixels reach the model
    is the source's own.
    """

    def __init__(self, whole: WholeReference, area: Area) -> None:
        """Take the answers about pieces from `whole`, whose own specification has neither region, tiles nor mask."""
        self._whole = whole
        self._tiled = area.spec.tiles is not None
        self._cutter = Cutter(area.spec, area.mask, paint=False)  # which is for models that were taught on grey
        self.description = f"{whole.description}, piece by piece"

    def covers(self, path: Path | None) -> bool:
        """It has an answer for every image."""
        return self._whole.covers(path)

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:
        """See `ReferenceModel`."""
        del path
        cut = self._cutter.cut(exposure)
        found = [self._whole.look(piece.pixels, piece.inspected) for piece in cut.pieces]
        maps = [detection.anomaly_map for detection in found if detection.anomaly_map is not None]
        score = float(np.max([detection.score for detection in found]))
        if len(maps) < len(found) or not self._tiled:
            return Detection(score, maps[0] if maps else None)
        places = [piece.place for piece in cut.pieces]
        return Detection(score, stitch(cut.width, cut.height, places, maps, MAP_SIDE_LIMIT_PX))
