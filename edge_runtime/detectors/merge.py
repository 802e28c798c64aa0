"""One answer from several exposures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.detectors.port import Detection
from edge_runtime.domain.inspection import DeferredMap, drawn
from edge_runtime.vision.anomaly_map import read_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.inspection import AnomalyMap


def worst_of(detections: Sequence[Detection]) -> Detection:
    """The largest score and the pixelwise largest map: a defect need show under one illumination only.

    NaN wins, so that a broken exposure cannot hide behind a sound one.
    """
    if len(detections) == 1:
        return detections[0]
    score = float(np.max([detection.score for detection in detections]))
    sources = [detection.source for detection in detections if detection.source is not None]
    if not sources:
        return Detection(score, None)

    def draw() -> AnomalyMap:
        return read_only(np.max([drawn(source) for source in sources], axis=0))

    return Detection(score, DeferredMap(draw))
