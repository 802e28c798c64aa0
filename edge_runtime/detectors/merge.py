"""One answer from several exposures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.detectors.port import Detection
from edge_runtime.vision.anomaly_map import read_only

if TYPE_CHECKING:
    from collections.abc import Sequence


def worst_of(detections: Sequence[Detection]) -> Detection:
    """The largest score and the pixelwise largest map: a defect need show under one illumination only.

    NaN wins, so that a broken exposure cannot hide behind a sound one.
    """
    if len(detections) == 1:
        return detections[0]
    score = float(np.max([detection.score for detection in detections]))
    maps = [detection.anomaly_map for detection in detections if detection.anomaly_map is not None]
    return Detection(score=score, anomaly_map=read_only(np.max(maps, axis=0)) if maps else None)
