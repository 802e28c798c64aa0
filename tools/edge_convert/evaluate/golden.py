"""Runs a bundle's golden images again: does this machine reproduce the converter's scores?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_convert.evaluate.result import GoldenResult
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from edge_convert.evaluate.runner import Inspector
    from edge_runtime.domain.model_bundle import PayloadReader


def run_golden(inspector: Inspector, payloads: PayloadReader) -> tuple[GoldenResult, ...]:
    """Every golden image's score on this machine and engine.

    Raises:
        BundleError: a golden image is missing or damaged.
        ImageError: a golden image does not decode or does not fit the bundle that holds it.
        EngineError: the engine failed.
    """
    results = []
    for golden in inspector.bundle.golden:
        exposure = decode_image(payloads.read(golden.payload)).array
        score = inspector.inspect((exposure,)).score
        results.append(GoldenResult(golden.payload, golden.expected_score, score, golden.tolerance))
    return tuple(results)
