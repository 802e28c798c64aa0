from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest
from brightest import SPEC, brightest
from bundle_parts import make_draft

from edge_runtime.app.models import Renewal, prove
from edge_runtime.app.sharing import SharedEngines
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors.shared import SharedDetector
from edge_runtime.domain.model_bundle import DetectorKind, GoldenImage
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.app.inspection import Inspector

ENGINE = EngineSettings(name="onnxruntime", threads=1)
FRAME = np.full((16, 16), 51, dtype=np.uint8)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Scores the brightest pixel."""
    fields: dict[str, object] = {"input_spec": SPEC, "graphs": {"model": "m.onnx"}, "outputs": {"score": "score"}}
    golden = (GoldenImage("g.png", 0.2, 0.001, "PASS"),)
    fields |= {"kind": DetectorKind.GENERIC, "parameters": {}, "golden": golden}
    path = tmp_path / "p.bundle"
    picture = encode_png(np.full((8, 8), 51, np.uint8))
    write_bundle(path, make_draft(**fields), {"m.onnx": brightest(), "g.png": picture})
    return path


def load(engines: SharedEngines, bundle: Path, settings: EngineSettings = ENGINE) -> Inspector:
    """As a line does at its start."""
    with engines.assemble(open_bundle(bundle, trust="development"), settings) as inspector:
        return inspector


def test_lines_with_the_same_bundle_and_settings_share_one_engine(bundle: Path, tmp_path: Path) -> None:
    """Wherever its compiled model is kept; with other threads it is another engine."""
    engines = SharedEngines()
    first = load(engines, bundle)
    again = load(engines, bundle, ENGINE.model_copy(update={"cache_dir": tmp_path}))
    assert again.detector is first.detector
    assert again.engine_description == first.engine_description
    assert again.inspect((FRAME,)).score == pytest.approx(0.2)
    assert load(engines, bundle, EngineSettings(name="onnxruntime", threads=2)).detector is not first.detector


def test_what_no_line_uses_any_more_goes(bundle: Path) -> None:
    """After a change of model the memory is free again."""
    engines = SharedEngines()
    inspector = load(engines, bundle)
    gone = weakref.ref(inspector.detector)
    del inspector
    gc.collect()
    assert gone() is None
    assert load(engines, bundle).inspect((FRAME,)).score == pytest.approx(0.2)


def test_a_broken_engine_is_loaded_anew_once_for_all(bundle: Path) -> None:
    """The line that finds out loads it; the others go on with the old one, and take the new one when they find out."""
    engines = SharedEngines()
    mine, others = load(engines, bundle), load(engines, bundle)
    identity, old = mine.bundle.identity, mine.detector

    def opener() -> Inspector:
        return engines.assemble(open_bundle(bundle, trust="development"), ENGINE)

    new = Renewal(mine.detector, opener, identity)()
    assert new is not old
    assert others.detector.inspect((FRAME,)).score == pytest.approx(0.2)
    assert Renewal(others.detector, opener, identity)() is new
    assert load(engines, bundle).detector is new


def test_who_takes_over_a_proved_engine_does_not_ask_it_again(bundle: Path) -> None:
    """Its golden images would hold up the line that uses it."""
    engines, asked = SharedEngines(), []
    with engines.assemble(open_bundle(bundle, trust="development"), ENGINE) as first:
        prove(first)
    detector = first.detector
    assert isinstance(detector, SharedDetector)
    inside = detector._detector
    listening = {"bundle": inside.bundle, "inspect": lambda _, exposures: asked.append(exposures)}
    detector._detector = type("Listening", (), listening)()
    prove(load(engines, bundle))
    assert asked == []
