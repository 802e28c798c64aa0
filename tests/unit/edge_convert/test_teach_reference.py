from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_teaching import ENGINE, drawn_options, taught
from onnx import helper, numpy_helper
from tiny_backbone import draw_part

import edge_convert.teach as teach_module
from edge_convert.coreset import CoresetSize
from edge_convert.exact_search import read_rows
from edge_convert.parity.check import check_parity
from edge_convert.precision.features import FeaturesChoice
from edge_convert.progress import Silent
from edge_convert.teaching.contamination import Contamination
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from edge_convert.graphs import FeatureGraph
    from edge_convert.options import TeachOptions


def make_options(folder: Path, **changes: object) -> TeachOptions:
    """Teach 24 drawn parts in INT8."""
    fixed = {"coreset": CoresetSize(0.05, 100, 200), "int8": True, "golden": 2, "contamination": Contamination(0.0)}
    return drawn_options(folder, **(fixed | changes))


def quantize_with(*noises: float, monkeypatch: pytest.MonkeyPatch, precision: str = "int8") -> list[float]:
    """From now on INT8 is the float32 graph with so much noise on every patch: a quantization as bad as one likes.

    Each further attempt has the next noise; the last one stays. Returns a list that will say by how much each attempt
    before it departed.
    """
    missed: list[float] = []

    class Chooser:
        def __init__(self, graph: FeatureGraph, *_: Any, **__: Any) -> None:
            self._graph = graph

        def choose(self) -> FeaturesChoice:
            noise = noises[min(len(missed), len(noises) - 1)]
            return FeaturesChoice(_noisy(self._graph, noise), precision, None, None, None)

        def choose_nearer(self, by: float) -> FeaturesChoice:
            missed.append(by)
            return self.choose()

    monkeypatch.setattr(teach_module, "FeaturesChooser", Chooser)
    return missed


def _noisy(graph: FeatureGraph, noise: float) -> bytes:
    model = type(graph.model)()
    model.CopyFrom(graph.model)
    model.graph.node[-1].output[0] = "exact"
    count = (graph.grid_height * graph.grid_width, graph.channels)
    values = np.random.default_rng(1).normal(0, noise, count).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(values, "noise"))
    model.graph.node.append(helper.make_node("Add", ["exact", "noise"], ["patches"], "spoil"))
    return bytes(model.SerializeToString())


def test_a_bundle_remembers_its_float32_source(tmp_path: Path) -> None:
    """Golden images with the source's scores and the defects' maps, good files by digest, and what was measured."""
    report = taught(make_options(tmp_path, int8=False))
    with open_bundle(tmp_path / "part.bundle", trust="development") as bundle:
        manifest = bundle.manifest
        maps = (
            [image.anomaly_map for image in manifest.reference.images if image.anomaly_map]
            if manifest.reference
            else []
        )
        sizes = [len(bundle.payloads.read(name)) for name in maps]
    reference = manifest.reference
    assert reference is not None
    assert "onnxruntime" in reference.source
    golden = [image for image in reference.images if image.payload is not None]
    assert [image.payload for image in golden] == [image.payload for image in manifest.golden]
    assert [image.defective for image in golden] == [False, False, True, True]
    assert len(maps) == 2
    assert all(size < 10_000 for size in sizes)
    files = {image.sha256 for image in reference.images if image.payload is None}
    assert files == {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "good").iterdir()}
    assert reference.measured == report.figures
    assert reference.allowed == ()
    assert reference.measured[0].flips == 0


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_parity_holds_wherever_the_bundle_runs(tmp_path: Path, engine: str) -> None:
    """`parity` on golden images and on the folder that was taught finds the bundle faithful, on both engines."""
    options = make_options(tmp_path, int8=False)
    taught(options)
    with load_inspector(options.out, ENGINE.model_copy(update={"name": engine}), "development") as inspector:
        report = check_parity(inspector, [options.images], Silent())
    assert report.holds, report.beyond
    assert report.files is not None
    assert report.files.images == 24
    assert report.missing == 0


def test_int8_that_departs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quantization that moves the scores of good parts is refused with figures, and the bundle is float32's."""
    plain = taught(make_options(tmp_path, int8=False))
    quantize_with(0.05, monkeypatch=monkeypatch)
    report = taught(make_options(tmp_path, out=tmp_path / "again.bundle"))
    assert report.precision == "fp32"
    assert any("INT8 departs from float32 (" in warning for warning in report.warnings)
    assert report.review_limit == plain.review_limit
    assert report.figures[0].good_drift == pytest.approx(0.0, abs=1e-3)


def test_int8_that_departs_is_tried_again_nearer_to_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished bundle that departs asks for less rounding, by the factor that it missed parity by, and may pass."""
    missed = quantize_with(0.05, 1e-4, monkeypatch=monkeypatch)
    report = taught(make_options(tmp_path))
    assert report.precision == "int8"
    assert report.allowed == ()
    assert (report.figures[0].good_drift or 0) < 0.5
    assert len(missed) == 1
    assert missed[0] > 1


def test_a_loss_that_is_allowed_is_stated_and_no_golden_image_flips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --allow-loss a departing INT8 is written and says by how much; golden verdicts are float32's."""
    quantize_with(0.02, monkeypatch=monkeypatch)
    report = taught(make_options(tmp_path, allow_loss=True))
    assert report.precision == "int8"
    with open_bundle(tmp_path / "part.bundle", trust="development") as bundle:
        manifest = bundle.manifest
    assert manifest.reference is not None
    assert manifest.reference.allowed == report.allowed != ()
    assert (report.figures[0].good_drift or 0) <= manifest.reference.limits.good_drift
    by_payload = {image.payload: image.score for image in manifest.reference.images}
    for golden in manifest.golden:
        source = classify(by_payload[golden.payload], manifest.calibration.limits)[0]
        assert (source is Disposition.PASS) == (golden.disposition == "PASS")


def test_small_rounding_stays_int8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quantization whose rounding is far below the spread of good parts is kept, with nothing allowed."""
    quantize_with(1e-4, monkeypatch=monkeypatch)
    report = taught(make_options(tmp_path))
    assert report.precision == "int8"
    assert report.allowed == ()
    assert 0 < (report.figures[0].good_drift or 0) < 0.5


def test_the_bank_of_the_source_is_of_the_same_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taught with an INT8 that rounds nothing, source and bundle give the same score for any part."""
    quantize_with(0.0, monkeypatch=monkeypatch)
    options = make_options(tmp_path)
    report = taught(options)
    assert report.figures[0].good_drift == pytest.approx(0.0, abs=1e-6)
    assert report.figures[0].map_correlation is None or report.figures[0].map_correlation > 0.999999
    with load_inspector(options.out, ENGINE, "development") as inspector:
        assert np.isfinite(inspector.inspect((draw_part(77),)).score)


def test_int8_has_no_say_in_which_patches_the_bank_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taught in float32 and in INT8, the banks hold the same patches, apart from rounding."""
    taught(make_options(tmp_path, int8=False, search="exact"))
    noise = 1e-3
    quantize_with(noise, monkeypatch=monkeypatch)
    taught(make_options(tmp_path, out=tmp_path / "int8.bundle", allow_loss=True, search="exact"))
    banks = []
    for name in ("part", "int8"):
        with open_bundle(tmp_path / f"{name}.bundle", trust="development") as bundle:
            banks.append(read_rows(bundle.payloads.read(bundle.manifest.graphs["bank"])))
    exact, rounded = banks
    assert exact.shape == rounded.shape
    apart = np.abs(exact[:, np.newaxis] - rounded).max(axis=2)
    assert 0 < apart.min(axis=0).max() < 6 * noise
    assert apart.min(axis=1).max() < 6 * noise


def test_a_source_that_cannot_be_met_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where float32 itself departs on the engine in use, nothing is written."""
    quantize_with(0.05, monkeypatch=monkeypatch, precision="fp32")
    with pytest.raises(ConfigError, match="not its float32 source"):
        taught(make_options(tmp_path))
    assert not (tmp_path / "part.bundle").exists()
