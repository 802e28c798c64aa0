"""The anomaly map drawn over the part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.vision.anomaly_map import normalise, upsample
from edge_runtime.vision.display import as_picture

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.vision.display import Picture

_OPACITY = 0.75
"""Of the hottest colour: the defect itself stays visible through it."""

_FIRST_COLOUR = 70
"""Inferno's first quarter is nearly black and would look like a shadow on the part."""

_REGION_COLOUR = (255, 255, 255)


def overlay(
    exposure: Exposure,
    anomaly_map: AnomalyMap,
    map_range: tuple[float, float],
    region: tuple[int, int, int, int] | None = None,
    max_side_px: int | None = None,
) -> Picture:
    """Glow over what is anomalous, the bare part elsewhere.

    The colours are matplotlib's "inferno", whose lightness grows evenly (so it reads the same in grey and to the
    colour-blind); opacity grows with the value as well, so that a good part looks like itself.

    Args:
        exposure: H×W or H×W×3 RGB, uint8 or uint16.
        anomaly_map: any size; it covers `region`.
        map_range: values drawn as 0 % and 100 % (`Calibration.map_range`). NaN is drawn as 100 %.
        region: x, y, width, height in frame pixels that the map covers (`framing.map_window`); None is the whole frame.
        max_side_px: the picture is shrunk to this.

    Returns:
        RGB, uint8.
    """
    picture = as_picture(exposure, max_side_px)
    left, top, right, bottom = _scaled(region, exposure.shape[:2], picture.shape[:2])
    if right <= left or bottom <= top:
        return picture
    strength = normalise(upsample(anomaly_map, bottom - top, right - left), map_range)
    colours = _colour_table()[np.rint(strength * 255).astype(np.uint8)]
    part = picture[top:bottom, left:right]
    opacity = (strength * np.float32(_OPACITY))[:, :, np.newaxis]
    part[:] = np.rint(part * (1 - opacity) + colours * opacity).astype(np.uint8)
    if region is not None:
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), _REGION_COLOUR, 1)
    return picture


def _scaled(
    region: tuple[int, int, int, int] | None, frame: tuple[int, ...], picture: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the region in the picture."""
    height, width = picture[:2]
    if region is None:
        return 0, 0, width, height
    x, y, region_width, region_height = region
    across, down = width / frame[1], height / frame[0]
    left, right = round(x * across), round((x + region_width) * across)
    top, bottom = round(y * down), round((y + region_height) * down)
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def _colour_table() -> Picture:
    """256×3 RGB."""
    steps = np.linspace(_FIRST_COLOUR, 255, 256).round().astype(np.uint8)[np.newaxis]
    return np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[0, :, ::-1], dtype=np.uint8)
