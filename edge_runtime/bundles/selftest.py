"""The self-test: a bundle proves on this device and engine that it still gives the scores of its conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import EngineError, ImageError
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import GoldenImage, ModelBundle, PayloadReader


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

    @property
    def passed(self) -> bool:
        """Every golden image passed. A bundle without golden images proves nothing and does not pass."""
        return bool(self.results) and all(result.passed for result in self.results)

    @property
    def summary(self) -> str:
        """What failed, or a short confirmation where nothing did; one line."""
        if not self.results:
            return "the bundle contains no golden images"
        if self.passed:
            return f"{len(self.results)} golden images reproduced"
        return "; ".join(str(result) for result in self.results if not result.passed)


def golden_self_test(detector: Detector, manifest: ModelBundle, payloads: PayloadReader) -> SelfTestReport:
    """Inspect every golden image with the very detector that is to decide.

    A score that differs is a result, not an error.

    Raises:
        BundleError: a golden image is missing or damaged inside the bundle.
    """
    return SelfTestReport(tuple(_inspect(detector, manifest, payloads, golden) for golden in manifest.golden))


def _inspect(detector: Detector, manifest: ModelBundle, payloads: PayloadReader, golden: GoldenImage) -> GoldenResult:
    score, disposition, fault = None, None, ""
    content = payloads.read(golden.payload)
    try:
        score = detector.inspect((decode_image(content).array,)).score
        disposition = classify(score, manifest.calibration.limits)[0].value
    except (EngineError, ImageError) as error:
        fault = error.what
    return GoldenResult(
        payload=golden.payload,
        expected_score=golden.expected_score,
        score=score,
        tolerance=golden.tolerance,
        expected_disposition=golden.disposition,
        disposition=disposition,
        fault=fault,
    )
