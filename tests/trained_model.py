"""The model behind the exports of `export_bench`, in NumPy: as it was trained, not as it was exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import tiny_anomaly

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure

    Image = npt.NDArray[np.float64]

SIDE_PX = tiny_anomaly.SIDE_PX
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Trained:
    """How the model was trained to see: resize in floats with antialiasing, RGB, ImageNet's normalisation."""

    antialias: bool = True
    resized_px: int | None = None
    """Side before a centre crop."""

    def answer(self, exposure: Exposure) -> tuple[float, npt.NDArray[np.float32]]:
        """Raw score and map."""
        side = self.resized_px or SIDE_PX
        across, down = (_weights(length, side, antialias=self.antialias) for length in exposure.shape[1::-1])
        small = np.einsum("ow,hwc->hoc", across, exposure.astype(np.float64))
        small = np.einsum("oh,hwc->owc", down, small)
        first = round((side - SIDE_PX) / 2)
        inner = small[first : first + SIDE_PX, first : first + SIDE_PX]
        plane = _contrast((inner / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD))
        return float(plane.max()), plane


def _contrast(image: Image) -> npt.NDArray[np.float32]:
    """The layers of the exported graphs, in float64."""
    response = np.zeros(image.shape[:2])
    for channel in range(3):
        kernel = tiny_anomaly.kernel()[0, channel].astype(np.float64)
        response += cv2.filter2D(image[:, :, channel], cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)
    padded, counts = np.pad(np.abs(response), 1), np.pad(np.ones_like(response), 1)
    height, width = response.shape
    shifts = [(y, x) for y in range(3) for x in range(3)]
    total = sum(padded[y : y + height, x : x + width] for y, x in shifts)
    inside = sum(counts[y : y + height, x : x + width] for y, x in shifts)
    return np.asarray(total / inside, dtype=np.float32)


def _weights(length: int, side: int, *, antialias: bool) -> Image:
    factor = length / side
    centres = (np.arange(side)[:, np.newaxis] + 0.5) * factor
    if not antialias:
        centres = np.clip(centres, 0.5, length - 0.5)
    reach = max(1.0, factor) if antialias else 1.0
    weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centres) / reach)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
