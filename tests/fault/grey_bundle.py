"""A bundle whose score is the mean grey level of the frame, in the simulated engine."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from bundle_parts import make_draft
from trouble import GOOD, SIDE_PX

from edge_runtime.bundles.writer import BundleDraft, MemoryPayloads, manifest_of
from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    DetectorKind,
    GoldenImage,
    InputSpec,
    Layout,
    Resize,
)
from edge_runtime.domain.verdict import Limits
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detector

REVIEW, REJECT = 100.0, 180.0
_PROGRAM = {
    "inputs": [{"name": "image", "shape": [1, 1, SIDE_PX, SIDE_PX], "dtype": "uint8"}],
    "steps": [{"output": "score", "operation": "mean", "input": "image"}],
    "outputs": [{"name": "score", "shape": [], "dtype": "float32"}],
}
MODEL, GOLDEN = "model.json", "golden/01-good.png"
PAYLOADS = {
    MODEL: json.dumps(_PROGRAM).encode(),
    GOLDEN: encode_png(np.full((SIDE_PX, SIDE_PX), GOOD, np.uint8)),
}


def grey_draft(version: str = "1.0", reject: float = REJECT) -> BundleDraft:
    """Mean grey level as the score, over `PAYLOADS`."""
    return make_draft(
        version=version,
        kind=DetectorKind.GENERIC,
        input_spec=InputSpec("image", SIDE_PX, SIDE_PX, Resize.NONE, ColourOrder.MONO, Layout.NCHW, "uint8"),
        graphs={"model": MODEL},
        outputs={"score": "score"},
        parameters={},
        calibration=Calibration(Limits(REVIEW, reject), (50.0, 60.0, 70.0), 0.01, (0.0, 255.0), ()),
        golden=(GoldenImage(GOLDEN, GOOD, 0.5, "PASS"),),
    )


@functools.cache
def grey_bundle() -> tuple[Any, Any]:
    """Its manifest and payloads, in memory."""
    return manifest_of(grey_draft(), PAYLOADS), MemoryPayloads(PAYLOADS)


class GreyInspector:
    """What `app` needs of an inspector."""

    engine_description = "sim"
    payloads = MemoryPayloads(PAYLOADS)

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.bundle = detector.bundle

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
