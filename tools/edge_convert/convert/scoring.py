"""What the good images give: their scores, the limits from them, and the range of the heatmap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_convert.holdout import heatmap_range
from edge_convert.limits import limits_for, rate_warnings, usual_rate
from edge_convert.naming import named
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Calibration

if TYPE_CHECKING:
    from edge_convert.convert.source import ConvertOptions
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.verdict import Limits


@dataclass(frozen=True, slots=True)
class GoodScores:
    """Of all good images, on one detector."""

    scores: tuple[float, ...]
    """Ascending."""
    map_range: tuple[float, float]
    limits: Limits
    rate: float
    method: str
    warnings: tuple[str, ...]

    def calibration(self, warnings: tuple[str, ...]) -> Calibration:
        """For the manifest, with these warnings added."""
        return Calibration(self.limits, self.scores, self.rate, self.map_range, warnings)


def score_good(images: ImageSet, detector: Detector, options: ConvertOptions, observer: Observer) -> GoodScores:
    """Score every good image and draw the limits.

    Raises:
        ConfigError: too few images for a limit, or a score that is not finite.
    """
    scores: list[float] = []
    medians: list[float] = []
    peaks: list[float] = []
    with observer.stage("scoring good parts", len(images.files)) as stage:
        for index in range(len(images.files)):
            with named(images.files[index]):
                detection = detector.inspect((images.load(index),))
            scores.append(detection.score)
            if detection.anomaly_map is not None:
                medians.append(float(np.median(detection.anomaly_map)))
                peaks.append(float(np.max(detection.anomaly_map)))
            stage.advance()
    if not np.isfinite(scores).all():
        raise ConfigError(
            "the model gives a good part a score that is no finite number", "Check the model and its preprocessing."
        )
    map_range = heatmap_range(medians, peaks)
    rate = options.false_reject_rate or usual_rate(len(scores))
    ordered = tuple(sorted(scores))
    if options.fixed_limits is not None:
        above = sum(score > options.fixed_limits.review for score in scores)
        warnings = (f"{above} of {len(scores)} good images lie above the source's own limit",) if above else ()
        method = "the source model's own threshold"
        return GoodScores(ordered, map_range, options.fixed_limits, above / len(scores), method, warnings)
    found = limits_for(scores, rate)
    doubts = tuple(rate_warnings(len(scores), rate)) if options.false_reject_rate is None else ()
    return GoodScores(ordered, map_range, found.limits, found.rate, found.method, doubts + found.warnings)
