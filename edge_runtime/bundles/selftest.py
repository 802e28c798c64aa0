"""The self-test: a bundle proves on this device and engine that it still gives the scores of its conversion.

Two proofs on the same golden images: the score is the one that this bundle gave when it was converted, within the
image's tolerance, and it departs from the *source model's* answer no farther than the bundle's parity limits allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.bundles.reference_maps import read_map
from edge_runtime.decision.judge import classify
from edge_runtime.decision.parity import Answer, GoodParts, Pair, departures, flips, measure
from edge_runtime.domain.errors import EngineError, ImageError
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.model_bundle import GoldenImage, ModelBundle, ParityFigures, PayloadReader, Reference


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """What became of one golden image."""

    payload: str
    expected_score: float
    score: float | None
    """None where the image could not be inspected."""
    tolerance: float
    expected_disposition: str
    disposition: str | None
    """Under the bundle's own limits."""
    fault: str = ""

    @property
    def passed(self) -> bool:
        """The score is within its tolerance (a NaN never is) and the disposition is the expected one."""
        return (
            self.score is not None
            and abs(self.score - self.expected_score) <= self.tolerance
            and self.disposition == self.expected_disposition
        )

    def __str__(self) -> str:
        """One line for a technician."""
        if self.score is None:
            return f"{self.payload}: {self.fault}"
        return (
            f"{self.payload}: score {self.score:.6g}, expected {self.expected_score:.6g} ± {self.tolerance:.3g}; "
            f"{self.disposition}, expected {self.expected_disposition}"
        )


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """All golden images of a bundle."""

    results: tuple[GoldenResult, ...]
    parity: ParityFigures | None = None
    """Against the source model; None where the bundle carries no reference."""
    departures: tuple[str, ...] = ()
    """What of the parity is beyond the bundle's limits, in words."""

    @property
    def passed(self) -> bool:
        """Every golden image passed. A bundle without golden images proves nothing and does not pass."""
        return bool(self.results) and all(result.passed for result in self.results) and not self.departures

    @property
    def summary(self) -> str:
        """What failed, or a short confirmation where nothing did; one line."""
        if not self.results:
            return "the bundle contains no golden images"
        if self.passed:
            return f"{len(self.results)} golden images reproduced"
        failed = [str(result) for result in self.results if not result.passed]
        return "; ".join((*failed, *(f"departs from the source model: {text}" for text in self.departures)))


def golden_self_test(
    detector: Detector, manifest: ModelBundle, payloads: PayloadReader, engine: str = ""
) -> SelfTestReport:
    """Inspect every golden image with the very detector that is to decide.

    A score that differs is a result, not an error. `engine` describes who computes, for the report.

    Raises:
        BundleError: a golden image or reference map is missing or damaged inside the bundle.
    """
    results: list[GoldenResult] = []
    found: dict[str, Detection | None] = {}
    for golden in manifest.golden:
        detection, fault = _inspect(detector, payloads, golden)
        found[golden.payload] = detection
        results.append(_judge(golden, manifest, detection, fault))
    if manifest.reference is None:
        return SelfTestReport(tuple(results))
    figures, beyond = _compare(manifest, manifest.reference, payloads, found, engine)
    return SelfTestReport(tuple(results), figures, beyond)


def _inspect(detector: Detector, payloads: PayloadReader, golden: GoldenImage) -> tuple[Detection | None, str]:
    content = payloads.read(golden.payload)
    try:
        return detector.inspect((decode_image(content).array,)), ""
    except (EngineError, ImageError) as error:
        return None, error.what


def _judge(golden: GoldenImage, manifest: ModelBundle, detection: Detection | None, fault: str) -> GoldenResult:
    score = None if detection is None else detection.score
    return GoldenResult(
        payload=golden.payload,
        expected_score=golden.expected_score,
        score=score,
        tolerance=golden.tolerance,
        expected_disposition=golden.disposition,
        disposition=None if score is None else classify(score, manifest.calibration.limits)[0].value,
        fault=fault,
    )


def _compare(
    manifest: ModelBundle,
    reference: Reference,
    payloads: PayloadReader,
    found: dict[str, Detection | None],
    engine: str,
) -> tuple[ParityFigures, tuple[str, ...]]:
    pairs = []
    for image in reference.images:
        if image.payload is None:
            continue
        detection = found.get(image.payload)
        plane = None if image.anomaly_map is None else read_map(payloads.read(image.anomaly_map), image.anomaly_map)
        device = Answer(math.nan) if detection is None else Answer(detection.score, detection.anomaly_map)
        pairs.append(Pair(image.payload, image.defective, Answer(image.score, plane), device))
    ruler = GoodParts(reference.good_median, reference.good_spread)
    limits = manifest.calibration.limits
    figures = measure(pairs, limits, ruler, engine)
    # No allowance covers a golden image: whatever loss was accepted, these verdicts are the source model's.
    flipped = tuple(f"{pair.name} changes its verdict" for pair in pairs if flips(pair, limits))
    return figures, flipped + departures(figures, reference.limits)
