"""How an evidence image looks: the part as it was, the heatmap over it, a caption below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.vision.caption import Caption, with_caption
from edge_runtime.vision.display import as_picture
from edge_runtime.vision.encode import encode_jpeg
from edge_runtime.vision.framing import map_window
from edge_runtime.vision.heatmap import overlay

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.config.line import EvidenceSettings
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.services.flow import EvidenceItem


def evidence_renderer(settings: EvidenceSettings, bundle: ModelBundle) -> Callable[[EvidenceItem], bytes]:
    """A function from an item to the JPEG that is kept: the frame, and beside it the frame under its heatmap."""
    map_range, spec = bundle.calibration.map_range, bundle.input_spec
    side_px = settings.max_side_px // 2

    def render(item: EvidenceItem) -> bytes:
        exposure = item.frame.exposures[0]
        picture = as_picture(exposure, side_px)
        if item.anomaly_map is not None:
            window = map_window(spec, exposure)
            picture = np.hstack([picture, overlay(exposure, item.anomaly_map, map_range, window, side_px)])
        verdict = item.verdict
        caption = Caption(verdict.disposition, verdict.score, verdict.part_id, verdict.bundle.trust)
        return encode_jpeg(with_caption(picture, caption), settings.quality)

    return render
