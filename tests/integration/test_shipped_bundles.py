from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_runtime.app.inspection import load_inspector
from edge_runtime.camera.sim_scene import render_part
from edge_runtime.config.engine import EngineSettings
from edge_runtime.decision.judge import classify
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", ["demo", "demo_fast"])
def test_what_ships_proves_itself_and_tells_good_parts_from_bad_ones(name: str, engine: str) -> None:
    """Each shipped bundle proves itself on both engines, nothing allowed, and judges simulated parts as they are."""
    settings = EngineSettings(name=engine, threads=1)
    with load_inspector(MODELS / f"{name}.bundle", settings, "development") as inspector:
        assert inspector.bundle.reference is not None
        assert inspector.bundle.reference.allowed == ()
        limits = inspector.bundle.calibration.limits
        told = [
            [
                classify(inspector.inspect((_part(number, defective=defective),)).score, limits)[0] is Disposition.PASS
                for number in range(20)
            ]
            for defective in (False, True)
        ]
    assert sum(told[0]) >= 19
    assert sum(told[1]) <= 2


def _part(number: int, *, defective: bool) -> Exposure:
    return render_part(77, number, defective=defective, width_px=320, height_px=240, illumination_drift=0.05)
