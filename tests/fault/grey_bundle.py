"""A bundle whose score is the mean grey level of the frame, in the simulated engine."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from bundle_parts import make_draft
from trouble import SIDE_PX

from edge_runtime.bundles.writer import MemoryPayloads, manifest_of
from edge_runtime.domain.model_bundle import Calibration, ColourOrder, DetectorKind, InputSpec, Layout, Resize
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from troubled import TroubledDetector

REVIEW, REJECT = 100.0, 180.0


@functools.cache
def grey_bundle() -> tuple[Any, Any]:
    """Mean grey level as the score, in the simulated engine."""
    shape = [1, 1, SIDE_PX, SIDE_PX]
    program = {
        "inputs": [{"name": "image", "shape": shape, "dtype": "uint8"}],
        "steps": [{"output": "score", "operation": "mean", "input": "image"}],
        "outputs": [{"name": "score", "shape": [], "dtype": "float32"}],
    }
    draft = make_draft(
        kind=DetectorKind.GENERIC,
        input_spec=InputSpec("image", SIDE_PX, SIDE_PX, Resize.NONE, ColourOrder.MONO, Layout.NCHW, "uint8"),
        graphs={"model": "model.json"},
        outputs={"score": "score"},
        parameters={},
        calibration=Calibration(Limits(REVIEW, REJECT), (50.0, 60.0, 70.0), 0.01, (0.0, 255.0), ()),
        golden=(),
    )
    payloads = {"model.json": json.dumps(program).encode()}
    return manifest_of(draft, payloads), MemoryPayloads(payloads)


class GreyInspector:
    """What `app.line` needs of an inspector."""

    engine_description = "sim"

    def __init__(self, detector: TroubledDetector) -> None:
        self.detector = detector
        self.bundle = detector.bundle

    def close(self) -> None:
        """Nothing is open."""
