"""Scores a dataset with the very inspector that the daemon runs, image by image, keeping no map."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_convert.evaluate.dataset import load_mask
from edge_convert.evaluate.pixels import PixelTally
from edge_convert.evaluate.placement import place_map
from edge_convert.evaluate.result import ImageRow
from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import EngineError, ImageError
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.framing import map_window
from edge_runtime.vision.mask import same_proportions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_convert.evaluate.dataset import Dataset, Sample
    from edge_convert.evaluate.pixels import Mask
    from edge_runtime.detectors.port import Detection
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.ops.clock import Clock


class Inspector(Protocol):
    """What `edge_runtime.app.inspection` gives: the daemon's own detector on the daemon's own engine."""

    @property
    def bundle(self) -> ModelBundle:
        """The manifest that it runs."""

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """Look at one part.

        Raises:
            ImageError: the image does not fit the bundle.
            EngineError: the engine failed.
        """


@dataclass(frozen=True, slots=True)
class Scored:
    """What one walk over the dataset gave."""

    rows: tuple[ImageRow, ...]
    """In the dataset's order."""
    pixels: PixelTally
    problems: tuple[str, ...]
    """Masks that could not be used."""
    maps_seen: bool
    """The bundle gives anomaly maps."""
    repeatable: bool | None
    """The first image gave the same score twice, bit for bit; None if none could be inspected."""


class Runner:
    """One walk over a dataset. Use once."""

    def __init__(self, inspector: Inspector, clock: Clock) -> None:
        self._inspector = inspector
        self._clock = clock
        self._pixels = PixelTally()
        self._problems: list[str] = []
        self._maps_seen = False
        self._repeatable: bool | None = None

    def run(self, dataset: Dataset, on_progress: Callable[[], None]) -> Scored:
        """Score every sample. An image that cannot be scored becomes a row with its fault.

        Args:
            dataset: what to score.
            on_progress: called after each image.
        """
        rows = []
        for sample in dataset.samples:
            rows.append(self._score(sample, pixels_wanted=dataset.has_ground_truth))
            on_progress()
        return Scored(tuple(rows), self._pixels, tuple(self._problems), self._maps_seen, self._repeatable)

    def _score(self, sample: Sample, *, pixels_wanted: bool) -> ImageRow:
        digest = ""
        try:
            data = sample.path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            exposure = decode_image(data).array
            detection, latency_ms = self._inspect(exposure)
        except OSError as error:
            return _fault(sample, digest, f"cannot be read: {error.strerror}")
        except (ImageError, EngineError) as error:
            return _fault(sample, digest, f"{error.what} ({error.action})")
        if not math.isfinite(detection.score):
            return _fault(sample, digest, f"the model returned {detection.score}")
        if pixels_wanted and detection.anomaly_map is not None:
            self._count_pixels(sample, exposure, detection)
        self._maps_seen |= detection.anomaly_map is not None
        disposition, _ = classify(detection.score, self._inspector.bundle.calibration.limits)
        return ImageRow(sample.file, sample.label, digest, detection.score, disposition, latency_ms)

    def _inspect(self, exposure: Exposure) -> tuple[Detection, float]:
        """Inspect and time. The first image runs twice: engines allocate and compile on the first run."""
        first = self._inspector.inspect((exposure,)) if self._repeatable is None else None
        started_ns = self._clock.monotonic_ns()
        detection = self._inspector.inspect((exposure,))
        latency_ms = (self._clock.monotonic_ns() - started_ns) / 1e6
        if first is not None:
            self._repeatable = first.score == detection.score
        return detection, latency_ms

    def _count_pixels(self, sample: Sample, exposure: Exposure, detection: Detection) -> None:
        if detection.anomaly_map is None or (sample.is_defect and sample.mask is None):
            return
        frame_px = (exposure.shape[0], exposure.shape[1])
        mask = load_fitting_mask(sample.mask, frame_px) if sample.mask is not None else None
        if isinstance(mask, str):
            self._problems.append(f"{sample.file}: {mask}; left out of the pixel figures")
            return
        window = map_window(self._inspector.bundle.input_spec, exposure)
        size_px = frame_px if mask is None else (mask.shape[0], mask.shape[1])
        scores, outside = place_map(detection.anomaly_map, window, frame_px, size_px)
        try:
            self._pixels.add(scores, np.zeros(size_px, np.bool_) if mask is None else mask, outside)
        except ValueError as error:
            self._problems.append(f"{sample.file}: {error}; left out of the pixel figures")


def load_fitting_mask(path: Path, frame_px: tuple[int, int]) -> Mask | str:
    """The mask of a frame of this height and width, or in words why it cannot be used."""
    try:
        mask = load_mask(path)
    except (ImageError, OSError) as error:
        return f"its mask {path.name} cannot be read: {error}"
    size_px = (mask.shape[0], mask.shape[1])
    if not same_proportions(frame_px, size_px):
        frame, found = f"{frame_px[1]}×{frame_px[0]}", f"{size_px[1]}×{size_px[0]}"
        return f"its mask {path.name} has {found} pixels, which is another shape than the image's {frame}"
    return mask if mask.any() else f"its mask {path.name} marks nothing"


def _fault(sample: Sample, digest: str, why: str) -> ImageRow:
    return ImageRow(sample.file, sample.label, digest, None, None, None, why)
