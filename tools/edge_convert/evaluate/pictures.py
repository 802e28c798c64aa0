"""The few pictures in the report: the part as taken, and with heatmap and mask outline, as data URIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_convert.evaluate.dataset import DatasetError
from edge_convert.evaluate.runner import load_fitting_mask
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.display import as_picture
from edge_runtime.vision.encode import encode_jpeg
from edge_runtime.vision.framing import map_window
from edge_runtime.vision.heatmap import overlay

if TYPE_CHECKING:
    from edge_convert.evaluate.dataset import Dataset
    from edge_convert.evaluate.pixels import Mask
    from edge_convert.evaluate.result import ImageRow
    from edge_convert.evaluate.runner import Inspector
    from edge_runtime.vision.display import Picture

_SIDE_PX = 420
"""Longest side in the report: large enough to see a defect, small enough to mail the file."""
_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Card:
    """One image as it is shown."""

    row: ImageRow
    original: str
    """Data URI (JPEG)."""
    overlay: str
    """Data URI; empty if the bundle gives no anomaly map."""


class CardMaker:
    """Looks at a few images again: keeping every map for the sake of the worst twelve would cost gigabytes."""

    def __init__(self, inspector: Inspector, dataset: Dataset) -> None:
        self._inspector = inspector
        self._samples = {sample.file: sample for sample in dataset.samples}

    def make(self, row: ImageRow) -> Card:
        """Pictures of a row that has a score.

        Raises:
            DatasetError: the file is gone since it was scored.
            ImageError: it is damaged now.
            EngineError: the engine failed.
        """
        sample = self._samples[row.file]
        try:
            data = sample.path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{row.file} was readable and is not any more", "Evaluate a folder at rest.") from error
        exposure = decode_image(data).array
        anomaly_map = self._inspector.inspect((exposure,)).anomaly_map
        original = as_picture(exposure, _SIDE_PX)
        if anomaly_map is None:
            return Card(row, _data_uri(original), "")
        bundle = self._inspector.bundle
        window = map_window(bundle.input_spec, exposure)
        heated = overlay(exposure, anomaly_map, bundle.calibration.map_range, window, _SIDE_PX)
        mask = load_fitting_mask(sample.mask, exposure.shape[:2]) if sample.mask else None
        if mask is not None and not isinstance(mask, str):
            heated = _outlined(heated, mask)
        return Card(row, _data_uri(original), _data_uri(heated))


def _outlined(picture: Picture, mask: Mask) -> Picture:
    """A white line with a black rim: visible on every colour of part and heatmap."""
    height, width = picture.shape[:2]
    # Area, so that a defect of a few pixels does not vanish with the picture's size.
    small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
    contours, _ = cv2.findContours(small.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    drawn = np.ascontiguousarray(picture).copy()
    cv2.drawContours(drawn, contours, -1, (0, 0, 0), 4)
    cv2.drawContours(drawn, contours, -1, (255, 255, 255), 2)
    return drawn


def _data_uri(picture: Picture) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(picture, _QUALITY)).decode("ascii")
