from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from bundle_parts import make_draft

from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.bundles.writer import MemoryPayloads, manifest_of
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.domain.model_bundle import GoldenImage, ModelBundle
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

PAYLOADS = {
    "features.onnx": b"f",
    "search.onnx": b"s",
    "good.png": encode_png(np.full((8, 8), 100, dtype=np.uint8)),
    "bad.png": encode_png(np.full((8, 8), 250, dtype=np.uint8)),
}
GOLDEN = (GoldenImage("good.png", 1.0, 0.02, "PASS"), GoldenImage("bad.png", 2.5, 0.05, "REJECT"))


class BrightnessDetector:
    """Score = mean grey level / 100 times a gain; what a wrong engine does is a gain that is not 1."""

    def __init__(self, gain: float = 1.0, fault: EngineError | None = None) -> None:
        self._gain = gain
        self._fault = fault

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return manifest_of(make_draft(golden=GOLDEN), PAYLOADS)

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        if self._fault is not None:
            raise self._fault
        return Detection(float(exposures[0].mean()) / 100 * self._gain, None)


def test_reproduced_scores_pass() -> None:
    """The same scores within tolerance, the same dispositions: passed."""
    detector = BrightnessDetector(1.01)
    report = golden_self_test(detector, detector.bundle, MemoryPayloads(PAYLOADS))
    assert report.passed
    assert [result.disposition for result in report.results] == ["PASS", "REJECT"]
    assert "2 golden images" in report.summary


@pytest.mark.parametrize("gain", [0.97, 1.03, float("nan"), float("inf")])
def test_departing_scores_fail(gain: float) -> None:
    """Scores beyond the tolerance, NaN and infinity fail, and the summary names image, score and tolerance."""
    detector = BrightnessDetector(gain)
    report = golden_self_test(detector, detector.bundle, MemoryPayloads(PAYLOADS))
    assert not report.passed
    assert "bad.png" in report.summary
    assert "expected 2.5" in report.summary


def test_a_tipped_disposition_fails() -> None:
    """A wide tolerance does not excuse another disposition."""
    golden = (GoldenImage("good.png", 1.6, 1.0, "REVIEW"),)
    manifest = manifest_of(make_draft(golden=golden), PAYLOADS)
    assert not golden_self_test(BrightnessDetector(), manifest, MemoryPayloads(PAYLOADS)).passed


def test_a_failing_engine_fails_the_test() -> None:
    """An engine error is a result with its words, not a crash of the self-test."""
    detector = BrightnessDetector(fault=EngineError("no VNNI", "use another engine"))
    report = golden_self_test(detector, detector.bundle, MemoryPayloads(PAYLOADS))
    assert not report.passed
    assert "no VNNI" in report.summary


def test_no_golden_image_proves_nothing() -> None:
    """A bundle without golden images does not pass."""
    manifest = manifest_of(make_draft(golden=()), PAYLOADS)
    report = golden_self_test(BrightnessDetector(), manifest, MemoryPayloads(PAYLOADS))
    assert not report.passed
    assert "no golden images" in report.summary


def test_a_missing_golden_payload_is_a_bundle_error() -> None:
    """A bundle that lost a golden image is damaged, which is an error."""
    detector = BrightnessDetector()
    with pytest.raises(BundleError):
        golden_self_test(detector, detector.bundle, MemoryPayloads({"good.png": PAYLOADS["good.png"]}))
