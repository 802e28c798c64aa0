"""Pictures for a soak: of the proportions that its bundle takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from brightest import SPEC, brightest
from bundle_parts import make_draft

from edge_runtime.app.soak.belt import draw_pictures, frame_size_px
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.domain.model_bundle import DetectorKind, GoldenImage
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

USUAL_PX: Final = (320, 240)


@pytest.mark.parametrize(
    ("taught_px", "expected_px"),
    [((64, 48), USUAL_PX), ((64, 64), (240, 240)), ((128, 64), (480, 240)), ((64, 128), (240, 480))],
)
def test_a_bundle_is_shown_pictures_of_its_own_proportions(
    tmp_path: Path, taught_px: tuple[int, int], expected_px: tuple[int, int]
) -> None:
    """A soak with a bundle of square parts would otherwise only be told that the camera is set wrongly."""
    width_px, height_px = taught_px
    bundle = tmp_path / "p.bundle"
    draft = make_draft(
        kind=DetectorKind.GENERIC,
        input_spec=SPEC,
        graphs={"model": "m.onnx"},
        outputs={"score": "score"},
        parameters={},
        golden=(GoldenImage("g.png", 0.2, 0.01, "PASS"),),
    )
    golden = encode_png(np.full((height_px, width_px), 51, np.uint8))
    write_bundle(bundle, draft, {"m.onnx": brightest(), "g.png": golden})
    assert frame_size_px(bundle, USUAL_PX) == expected_px
    assert len(draw_pictures(bundle, *expected_px, count=2)) == 2
