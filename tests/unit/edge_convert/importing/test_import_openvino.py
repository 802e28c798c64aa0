"""OpenVINO IR as a source: read like ONNX, carried as it is, and bound to OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import export_bench as bench
import numpy as np
import pytest

from edge_convert.convert.source import ConvertOptions
from edge_convert.images import load_image
from edge_convert.importing.case import ImportOptions, open_export
from edge_convert.importing.importer import import_model
from edge_convert.progress import Silent
from edge_runtime import engine
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import BundleError, ConfigError, EngineError
from edge_runtime.domain.model_bundle import Resize
from edge_runtime.engine.ir import is_ir, pack_ir, unpack_ir
from edge_runtime.engine.openvino import import_openvino
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("openvino", reason="needs the extra `openvino`")


def write_ir(onnx_path: Path) -> Path:
    """What anomalib's OpenVINO export does to its own ONNX export."""
    openvino = import_openvino()
    path = onnx_path.with_suffix(".xml")
    openvino.save_model(openvino.convert_model(onnx_path), path, compress_to_fp16=False)
    return path


def options(model: Path, images: Path, reference: Path | None, out: Path, name: str = "auto") -> ImportOptions:
    """An import with the engine left to the model."""
    settings = EngineSettings(name=name, threads=1)  # type: ignore[arg-type]
    return ImportOptions(model, images, ConvertOptions(out, "part", "1", settings), reference)


def test_an_ir_becomes_a_bundle_for_openvino_alone(tmp_path: Path) -> None:
    """Scores equal the recording's; a device on onnxruntime refuses it, and says why."""
    good = bench.write_parts(tmp_path / "good", 15)
    reference = bench.record(tmp_path / "reference", {"good": good}, cut=True)
    out = tmp_path / "part.bundle"
    model = write_ir(bench.anomalib_2(tmp_path / "ir" / "model.onnx"))
    report = import_model(options(model, good, reference, out), Silent(), SystemClock())
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.001
    with load_inspector(out, EngineSettings(name="openvino", threads=1), "development") as inspector:
        assert inspector.bundle.requires.engines == ("openvino",)
        assert inspector.bundle.input_spec.resize is Resize.LINEAR_ANTIALIAS
        assert is_ir(inspector.payloads.read(inspector.bundle.graphs["model"]))
        frame = load_image(sorted(good.iterdir())[1])
        raw, _ = bench.Trained().answer(frame)
        assert inspector.inspect((frame,)).score == pytest.approx(bench.normalised(raw), abs=1e-4)
    with pytest.raises(BundleError, match="is for openvino, not for onnxruntime"):
        load_inspector(out, EngineSettings(name="onnxruntime", threads=1), "development")


@pytest.mark.parametrize("batch", ["batch", 2])
@pytest.mark.parametrize("crop_from", [None, 56])
def test_an_ir_is_read_like_its_onnx(tmp_path: Path, batch: int | str, crop_from: int | None) -> None:
    """Resize, crop, threshold and the un-cut score are found in both, and both give the same."""
    onnx_path = bench.anomalib_2(tmp_path / "model.onnx", batch=batch, crop_from=crop_from)
    first, second = open_export(onnx_path), open_export(write_ir(onnx_path))
    assert second.format_name == "anomalib 2.x, OpenVINO IR"
    assert second.stated == first.stated
    built = [export.build(export.stated, {}) for export in (first, second)]
    assert built[0].input_spec == built[1].input_spec
    assert built[0].outputs == built[1].outputs
    assert (built[1].threshold, built[1].clamped) == (0.5, True)
    image = np.random.default_rng(3).random((1, 3, 48, 48), dtype=np.float32)
    answers = [export.finished(made).run(image) for export, made in zip((first, second), built, strict=True)]
    assert float(answers[0]["score"].item()) > 1.2
    np.testing.assert_allclose(answers[1]["score"], answers[0]["score"], rtol=1e-4)
    np.testing.assert_allclose(answers[1]["anomaly_map"], answers[0]["anomaly_map"], atol=1e-4)


def test_metadata_beside_an_ir_counts(tmp_path: Path) -> None:
    """Anomalib 1.x writes it for both formats."""
    onnx_path = bench.anomalib_1(tmp_path / "model.onnx", with_score=False)
    first, second = open_export(onnx_path), open_export(write_ir(onnx_path))
    assert second.format_name == "anomalib 1.x, OpenVINO IR"
    built = [export.build(export.stated, {}) for export in (first, second)]
    assert built[0].outputs == built[1].outputs
    image = np.random.default_rng(3).random((1, 3, 48, 48), dtype=np.float32)
    answers = [export.finished(made).run(image) for export, made in zip((first, second), built, strict=True)]
    np.testing.assert_allclose(answers[1]["score"], answers[0]["score"], rtol=1e-4)
    np.testing.assert_allclose(answers[1]["anomaly_map"], answers[0]["anomaly_map"], atol=1e-4)


@pytest.mark.parametrize("version", [1, 2])
def test_behind_a_mask_an_ir_gives_its_map_before_the_cut(tmp_path: Path, version: int) -> None:
    """As its ONNX does: the map alone, with values below 0."""
    folder = tmp_path / "export"
    if version == 1:
        onnx_path = bench.anomalib_1(folder / "model.onnx", with_score=True)
    else:
        onnx_path = bench.anomalib_2(folder / "model.onnx")
    exports = open_export(onnx_path), open_export(write_ir(onnx_path))
    built = [export.build(export.stated, {}, masked=True) for export in exports]
    image = np.random.default_rng(3).random((1, 3, bench.SIDE_PX, bench.SIDE_PX), dtype=np.float32) * 0.2
    maps = [export.finished(made).run(image)["anomaly_map"] for export, made in zip(exports, built, strict=True)]
    assert [set(made.outputs) for made in built] == [{"anomaly_map"}] * 2
    assert [made.threshold for made in built] == [0.5, 0.5]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-5)
    assert maps[0].min() < 0


def test_another_engine_or_precision_cannot_be_asked_for(tmp_path: Path) -> None:
    """The numbers of an IR are its own, and only OpenVINO computes them."""
    good = bench.write_parts(tmp_path / "good", 9)
    model = write_ir(bench.plain_export(tmp_path / "model.onnx", normalises=True))
    out = tmp_path / "x.bundle"
    with pytest.raises(ConfigError, match="is for openvino alone"):
        import_model(options(model, good, None, out, "onnxruntime"), Silent(), SystemClock())


def test_half_an_ir_is_refused(tmp_path: Path) -> None:
    """XML without weights, and text that is no IR."""
    model = write_ir(bench.plain_export(tmp_path / "model.onnx"))
    model.with_suffix(".bin").unlink()
    with pytest.raises(ConfigError, match=r"model\.bin is missing"):
        open_export(model)
    model.with_suffix(".bin").touch()
    model.write_text("<nothing/>")
    with pytest.raises(ConfigError, match="not valid OpenVINO IR"):
        open_export(model)


def test_the_container_gives_both_files_back() -> None:
    """And finds that it was cut short."""
    packed = pack_ir(b"<xml/>", b"\x00\x01weights")
    assert is_ir(packed)
    assert not is_ir(b"\x08\x08")
    assert unpack_ir(packed) == (b"<xml/>", b"\x00\x01weights")
    with pytest.raises(EngineError, match="cut short"):
        unpack_ir(packed[:18])


def test_onnxruntime_says_that_it_cannot_run_an_ir() -> None:
    """Also where a bundle does not say so itself."""
    with pytest.raises(EngineError, match="OpenVINO IR, which onnxruntime cannot"):
        engine.create(EngineSettings(name="onnxruntime", threads=1)).load(pack_ir(b"<xml/>", b""))
