"""Where an anomaly map lies in the frame it was computed from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.vision.anomaly_map import upsample

if TYPE_CHECKING:
    from edge_convert.evaluate.pixels import Mask
    from edge_runtime.domain.inspection import AnomalyMap


def place_map(
    anomaly_map: AnomalyMap,
    region: tuple[int, int, int, int] | None,
    frame_px: tuple[int, int],
    size_px: tuple[int, int],
) -> tuple[AnomalyMap, Mask | None]:
    """Bring a map to the size of a mask: resized linearly over the part of the frame it covers, −inf outside it.

    Args:
        anomaly_map: h×w float32; covers the whole region.
        region: x, y, width, height in frame pixels (`framing.map_window`); None is the whole frame.
        frame_px: height and width of the frame.
        size_px: height and width of the result (the mask's).

    Returns:
        The scores, and a mask that is true outside the region; None if the region is the whole frame.
    """
    if region is None:
        return upsample(anomaly_map, *size_px), None
    scale_y, scale_x = size_px[0] / frame_px[0], size_px[1] / frame_px[1]
    left, right = round(region[0] * scale_x), round((region[0] + region[2]) * scale_x)
    top, bottom = round(region[1] * scale_y), round((region[1] + region[3]) * scale_y)
    scores = np.full(size_px, -np.inf, np.float32)
    outside = np.ones(size_px, np.bool_)
    if right > left and bottom > top:
        scores[top:bottom, left:right] = upsample(anomaly_map, bottom - top, right - left)
        outside[top:bottom, left:right] = False
    return scores, outside
