"""The images by which INT8 ranges are measured, as the graph gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.images import spread
from edge_runtime.detectors.tiled import paints
from edge_runtime.vision.cutting import Cutter
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_convert.convert.source import SourceModel
    from edge_convert.images import ImageSet
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.engine.port import Tensor

_IMAGES: Final = 48
_DEFECTS_PER_IMAGE: Final = 2


def calibration_tensors(source: SourceModel, images: ImageSet, seed: int) -> Iterator[Tensor]:
    """Good parts and planted defects, prepared, one at a time; every pass gives the same.

    Of a frame in tiles one tile: of good parts another from image to image, of planted defects the one that shows most.
    """
    area, spec = source.area, source.input_spec
    cutter = None if area is None else Cutter(spec, area.mask, paint=paints(source.kind))
    whole = spec if area is None else area.whole
    for turn, index in enumerate(spread(len(images.files), _IMAGES)):
        good = images.load(index)
        yield prepare(good if cutter is None else _one_of(cutter, good, turn), whole)
        for defect in range(_DEFECTS_PER_IMAGE):
            damaged = source.plant(good, seed + index, turn * _DEFECTS_PER_IMAGE + defect)
            yield prepare(damaged if cutter is None else _most_changed(cutter, good, damaged), whole)


def _one_of(cutter: Cutter, frame: Exposure, turn: int) -> Exposure:
    pieces = cutter.cut(frame).pieces
    return pieces[turn % len(pieces)].pixels


def _most_changed(cutter: Cutter, good: Exposure, damaged: Exposure) -> Exposure:
    before, after = cutter.cut(good).pieces, cutter.cut(damaged).pieces
    changed = [np.count_nonzero(old.pixels != new.pixels) for old, new in zip(before, after, strict=True)]
    return after[int(np.argmax(changed))].pixels
