from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from brightest import SPEC, brightest
from bundle_parts import make_draft
from onnx import TensorProto, helper

from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import BundleError, EngineError, ImageError
from edge_runtime.domain.model_bundle import DetectorKind, Requires, Tiles
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = EngineSettings(name="onnxruntime", threads=1)


def doubled() -> bytes:
    """A graph whose anomaly map is twice the picture."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["x_map"])],
        "doubled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("x_map", TensorProto.FLOAT, [1, 1, 8, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def write(path: Path, *, model: bytes | None = None, **changes: object) -> Path:
    """Write a generic bundle around the graph."""
    fields: dict[str, object] = {
        "kind": DetectorKind.GENERIC,
        "input_spec": SPEC,
        "graphs": {"model": "m.onnx"},
        "outputs": {"score": "score"},
        "parameters": {},
        "golden": (),
        **changes,
    }
    write_bundle(path, make_draft(**fields), {"m.onnx": brightest() if model is None else model})
    return path


def test_it_inspects_and_names_its_engine(tmp_path: Path, no_leaks: None) -> None:
    """A loaded inspector scores frames, also after its file was closed, and says what it runs on."""
    inspector = load_inspector(write(tmp_path / "p.bundle"), ENGINE, "development")
    frame = np.full((16, 16), 51, dtype=np.uint8)
    assert inspector.inspect((frame,)).score == pytest.approx(0.2)
    assert "onnxruntime" in inspector.engine_description
    assert inspector.bundle.identity.trust == "development"
    inspector.close()
    inspector.close()
    assert inspector.inspect((frame,)).score == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("requires", "word"),
    [(Requires(runtime="99.0"), "99.0"), (Requires(engines=("openvino",)), "openvino")],
)
def test_a_bundle_for_another_device_is_refused(tmp_path: Path, no_leaks: None, requires: Requires, word: str) -> None:
    """A newer runtime or another engine is refused by name, and no descriptor stays open."""
    with pytest.raises(BundleError, match=word):
        load_inspector(write(tmp_path / "p.bundle", requires=requires), ENGINE, "development")


@pytest.mark.parametrize("runtime", ["0", "0.1", "0.1.0", "0.0.9"])
def test_an_older_requirement_is_met(tmp_path: Path, runtime: str) -> None:
    """The same or an older runtime version is no obstacle, however many zeros it is written with."""
    bundle = write(tmp_path / "p.bundle", requires=Requires(runtime=runtime, engines=("onnxruntime",)))
    load_inspector(bundle, ENGINE, "development").close()


def test_what_cannot_run_is_refused_at_loading(tmp_path: Path, no_leaks: None) -> None:
    """A graph that is none is found when the bundle is loaded, not at the first part."""
    with pytest.raises(EngineError):
        load_inspector(write(tmp_path / "p.bundle", model=b"no graph"), ENGINE, "development")


def test_production_trust_refuses_it(tmp_path: Path) -> None:
    """Format 0 is not signed: no inspector with trust in production."""
    with pytest.raises(BundleError, match="never signed"):
        load_inspector(write(tmp_path / "p.bundle"), ENGINE, "production")


def test_warm_up_meets_region_and_exposures(tmp_path: Path) -> None:
    """A bundle with a region far from the corner and two exposures is warmed up with frames that fit it."""
    spec = dataclasses.replace(SPEC, region=(100, 60, 20, 20))
    bundle = write(tmp_path / "p.bundle", input_spec=spec, parameters={"exposures": 2.0})
    with load_inspector(bundle, ENGINE, "development") as inspector:
        dark, bright = np.zeros((80, 120), dtype=np.uint8), np.full((80, 120), 255, dtype=np.uint8)
        assert inspector.inspect((dark, bright)).score == 1.0
        with pytest.raises(ImageError):
            inspector.inspect((dark,))


def test_warm_up_meets_mask_and_tiles(tmp_path: Path) -> None:
    """A bundle with a region far from the corner of an unusual frame is warmed up and inspects."""
    mask = np.zeros((90, 500), dtype=np.uint8)
    mask[30:60, 200:400] = 255
    spec = dataclasses.replace(SPEC, region=(220, 20, 60, 30), tiles=Tiles(2, 3, 0.1), mask="mask.png")
    draft = make_draft(
        kind=DetectorKind.GENERIC,
        input_spec=spec,
        graphs={"model": "m.onnx"},
        outputs={"anomaly_map": "x_map"},
        parameters={},
        golden=(),
    )
    write_bundle(tmp_path / "p.bundle", draft, {"m.onnx": doubled(), "mask.png": encode_png(mask)})
    with load_inspector(tmp_path / "p.bundle", ENGINE, "development") as inspector:
        frame = np.full((90, 500), 51, dtype=np.uint8)
        frame[:20] = 255
        assert inspector.inspect((frame,)).score == pytest.approx(0.4)
