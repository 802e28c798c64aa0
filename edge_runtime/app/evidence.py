"""How an evidence image looks: the part as it was, the heatmap over it, a caption below."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.domain.errors import EngineError
from edge_runtime.domain.inspection import drawn
from edge_runtime.vision.caption import Caption, with_caption
from edge_runtime.vision.display import as_picture
from edge_runtime.vision.encode import encode_jpeg
from edge_runtime.vision.framing import map_window
from edge_runtime.vision.heatmap import overlay

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.config.line import EvidenceSettings
    from edge_runtime.domain.inspection import AnomalyMap, MapSource
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.services.flow import EvidenceItem

_log = logging.getLogger(__name__)


def shown_map(source: MapSource | None) -> AnomalyMap | None:
    """The map, drawn now if need be; None where the engine fails: a picture without heatmap is better than none."""
    try:
        return drawn(source)
    except EngineError as error:
        _log.warning("no heatmap: %s", error.diagnostics())
        return None


def evidence_renderer(
    settings: EvidenceSettings, manifest: Callable[[str], ModelBundle]
) -> Callable[[EvidenceItem], bytes]:
    """A function from an item to the JPEG that is kept: the frame, and beside it the frame under its heatmap.

    Args:
        manifest: of the bundle with this digest; it says how its map is drawn.
    """
    side_px = settings.max_side_px // 2

    def render(item: EvidenceItem) -> bytes:
        exposure = item.frame.exposures[0]
        picture = as_picture(exposure, side_px)
        anomaly_map = shown_map(item.anomaly_map)
        if anomaly_map is not None:
            bundle = manifest(item.verdict.bundle.digest)
            window = map_window(bundle.input_spec, exposure)
            colours = bundle.calibration.map_range
            picture = np.hstack([picture, overlay(exposure, anomaly_map, colours, window, side_px)])
        verdict = item.verdict
        caption = Caption(verdict.disposition, verdict.score, verdict.part_id, verdict.bundle.trust)
        return encode_jpeg(with_caption(picture, caption), settings.quality)

    return render
