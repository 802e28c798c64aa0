"""Image and pixel AUROC of source and device on the same labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_convert.evaluate.dataset import open_dataset
from edge_convert.evaluate.metrics import image_auroc
from edge_convert.evaluate.pixels import PixelTally
from edge_convert.evaluate.placement import place_map
from edge_convert.evaluate.runner import load_fitting_mask
from edge_convert.images import load_image
from edge_convert.naming import named
from edge_runtime.vision.framing import map_window

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.convert.source import ReferenceModel
    from edge_convert.evaluate.dataset import Sample
    from edge_convert.progress import Observer
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec


@dataclass(frozen=True, slots=True)
class Labelled:
    """AUROC of both sides; None where nothing could be computed."""

    images: int
    pairs: int
    """Good × defective images: one swapped pair moves the AUROC by its reciprocal."""
    source_auroc: float | None
    device_auroc: float | None
    source_pixel_auroc: float | None
    device_pixel_auroc: float | None

    @property
    def image_loss(self) -> float | None:
        """Source minus device; negative where the device is better."""
        if self.source_auroc is None or self.device_auroc is None:
            return None
        return self.source_auroc - self.device_auroc

    @property
    def pixel_loss(self) -> float | None:
        """Source minus device."""
        if self.source_pixel_auroc is None or self.device_pixel_auroc is None:
            return None
        return self.source_pixel_auroc - self.device_pixel_auroc


class _Side:
    """Scores and pixel counts of one side."""

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self.good: list[float] = []
        self.defective: list[float] = []
        self.pixels = PixelTally()

    def add(self, sample: Sample, exposure: Exposure, detection: Detection, spec: InputSpec) -> None:
        (self.defective if sample.is_defect else self.good).append(detection.score)
        if not self._masked or (sample.is_defect and sample.mask is None):  # before a map is drawn, which takes long
            return
        if detection.anomaly_map is None:
            return
        frame_px = (exposure.shape[0], exposure.shape[1])
        mask = load_fitting_mask(sample.mask, frame_px) if sample.mask is not None else None
        if isinstance(mask, str):
            return
        size_px = frame_px if mask is None else (mask.shape[0], mask.shape[1])
        scores, outside = place_map(detection.anomaly_map, map_window(spec, exposure), frame_px, size_px)
        self.pixels.add(scores, np.zeros(size_px, np.bool_) if mask is None else mask, outside)

    def auroc(self) -> float | None:
        return image_auroc(self.good, self.defective) if self.good and self.defective else None

    def pixel_auroc(self) -> float | None:
        found = self.pixels.pixel_auroc()
        return None if found is None else found.value


def compare_labelled(
    dataset: Path, reference: ReferenceModel, detector: Detector, spec: InputSpec, observer: Observer
) -> Labelled:
    """Score every labelled image for which the source has an answer with both sides.

    Raises:
        DatasetError: the folder is not a labelled dataset.
        ImageError: an image cannot be decoded.
    """
    samples = [sample for sample in open_dataset(dataset).samples if reference.covers(sample.path)]
    masked = any(sample.mask is not None for sample in samples)
    source, device = _Side(masked=masked), _Side(masked=masked)
    with observer.stage("labelled images on both sides", len(samples)) as stage:
        for sample in samples:
            exposure = load_image(sample.path)
            with named(sample.path):
                source.add(sample, exposure, reference.inspect(sample.path, exposure), spec)
                device.add(sample, exposure, detector.inspect((exposure,)), spec)
            stage.advance()
    return Labelled(
        images=len(samples),
        pairs=len(source.good) * len(source.defective),
        source_auroc=source.auroc(),
        device_auroc=device.auroc(),
        source_pixel_auroc=source.pixel_auroc(),
        device_pixel_auroc=device.pixel_auroc(),
    )
