from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tiny_anomaly
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_convert.convert.pipeline import convert
from edge_convert.convert.source import ConvertOptions
from edge_convert.images import survey
from edge_convert.progress import Silent
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError, ImageError
from edge_runtime.domain.model_bundle import ColourOrder, ParityLimits, Resize
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.convert.report import ConvertReport
    from edge_convert.convert.source import SourceModel

_ENGINE = EngineSettings(name="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty good parts."""
    return tiny_anomaly.write_parts(tmp_path_factory.mktemp("parts") / "good", 30)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled parts."""
    root = tmp_path_factory.mktemp("dataset")
    tiny_anomaly.write_parts(root / "test" / "good", 8, first=500)
    tiny_anomaly.write_parts(root / "test" / "ring", 8, first=600, defect=True)
    return root


def _convert(
    out: Path,
    good: Path,
    source: SourceModel | None = None,
    reference: tiny_anomaly.NumpyReference | None = None,
    **options: object,
) -> ConvertReport:
    fields: dict[str, object] = {"precision": "fp32", **options}
    return convert(
        source or tiny_anomaly.source(),
        reference or tiny_anomaly.NumpyReference(),
        survey(good),
        ConvertOptions(out, "ring", "1", _ENGINE, **fields),  # type: ignore[arg-type]
        Silent(),
        SystemClock(),
    )


def test_a_bundle_carries_its_source_models_answers_and_proves_itself(tmp_path: Path, good: Path) -> None:
    """Reference, limits of parity and figures are in the manifest; the device's self-test compares with them."""
    out = tmp_path / "ring.bundle"
    report = _convert(out, good)
    assert report.precision == "fp32"
    with load_inspector(out, _ENGINE, "development") as inspector:
        reference = inspector.bundle.reference
        assert reference is not None
        assert reference.source == "NumPy, float64"
        assert reference.limits == ParityLimits()
        assert reference.allowed == ()
        golden = [image for image in reference.images if image.payload is not None]
        assert len(golden) == len(inspector.bundle.golden) == 6
        assert all(image.anomaly_map in inspector.bundle.payloads for image in golden)
        proof = golden_self_test(inspector.detector, inspector.bundle, inspector.payloads)
    assert proof.passed
    assert proof.parity is not None
    assert proof.parity.good_drift is not None
    assert proof.parity.good_drift < 0.15
    assert proof.parity.map_correlation is not None
    assert proof.parity.map_correlation > 0.999


@pytest.mark.parametrize(
    "broken",
    [
        {"colour": ColourOrder.BGR},
        {"resize": Resize.LINEAR},
        {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
        {"scale": 255.0},
    ],
    ids=["colour order", "resize without antialiasing", "normalisation", "pixels in 0 to 255"],
)
def test_an_export_that_is_not_the_trained_model_is_refused(
    tmp_path: Path, good: Path, broken: dict[str, object]
) -> None:
    """The very graph, prepared otherwise than in training: no bundle, and what departs is said."""
    out = tmp_path / "ring.bundle"
    with pytest.raises(ConfigError, match="refused: the exported model is not the source model"):
        _convert(out, good, tiny_anomaly.source(tiny_anomaly.spec(**broken)))
    assert not list(tmp_path.iterdir())


def test_the_likely_cause_is_asked_for_only_when_parity_fails(tmp_path: Path, good: Path) -> None:
    """`diagnose` is expensive, and its answer becomes the advice."""
    with pytest.raises(ConfigError) as caught:
        convert(
            tiny_anomaly.source(tiny_anomaly.spec(colour=ColourOrder.BGR)),
            tiny_anomaly.NumpyReference(),
            survey(good),
            ConvertOptions(tmp_path / "x.bundle", "x", "1", _ENGINE, precision="fp32"),
            Silent(),
            SystemClock(),
            diagnose=lambda: "the colours are swapped",
        )
    assert caught.value.action == "the colours are swapped"


def test_an_allowed_loss_is_written_into_the_bundle(tmp_path: Path, good: Path) -> None:
    """The source scores everything 5 % higher: beyond the limits, stated, and no golden image flips."""
    out = tmp_path / "ring.bundle"
    stretched = tiny_anomaly.NumpyReference(lambda score: score * 1.02)
    strict = ParityLimits(good_drift=0.01, separation_loss=0.001)
    with pytest.raises(ConfigError, match="good parts drift"):
        _convert(out, good, reference=stretched, limits=strict)
    report = _convert(out, good, reference=stretched, limits=strict, allow_loss=True)
    assert report.allowed
    with load_inspector(out, _ENGINE, "development") as inspector:
        reference = inspector.bundle.reference
        assert reference is not None
        assert reference.allowed == report.allowed
        assert reference.limits.good_drift > strict.good_drift
        assert golden_self_test(inspector.detector, inspector.bundle, inspector.payloads).passed


def test_no_allowance_lets_a_golden_image_flip(tmp_path: Path, good: Path) -> None:
    """The source calls every defect good: that is not a loss one may allow."""
    upside_down = tiny_anomaly.NumpyReference(lambda score: -score)
    with pytest.raises(ConfigError, match="the device changes the verdict"):
        _convert(tmp_path / "x.bundle", good, reference=upside_down, allow_loss=True)
    assert not list(tmp_path.iterdir())


def test_int8_that_was_asked_for_is_judged_on_every_image(tmp_path: Path, good: Path) -> None:
    """It comes although it misses the stricter limits of the search: its figures are of all probes, not the hardest."""
    out = tmp_path / "ring.bundle"
    _convert(out, good, precision="int8", even_if_slower=True)
    with open_bundle(out, trust="development") as bundle:
        assert bundle.manifest.notes["precision"].startswith("int8, ")
        assert "limit" in bundle.manifest.notes["precision"]
        told = (*bundle.manifest.calibration.warnings, bundle.manifest.notes["precision"])
    assert not any("of 42 images" in text for text in told)


def test_an_image_that_the_model_cannot_take_is_named(tmp_path: Path) -> None:
    """Thirty good parts and the cut-off beginning of one: the file is said, whoever meets it first."""
    parts = tiny_anomaly.write_parts(tmp_path / "good", 30)
    (parts / "part-007-cut.png").write_bytes(encode_png(np.zeros((2, 2, 3), np.uint8)))
    with pytest.raises(ImageError, match=r"^part-007-cut\.png: an image of 2×2 pixels"):
        _convert(tmp_path / "x.bundle", parts)


def test_relimit_names_the_image_that_the_bundle_cannot_take(tmp_path: Path, good: Path) -> None:
    """Among the good parts that are to draw the limits lies a sliver, or a file that is no image."""
    out = tmp_path / "ring.bundle"
    _convert(out, good)
    command = ["relimit", str(out), "--out", str(tmp_path / "r.bundle"), "--reason", "x", "--engine", "onnxruntime"]
    for name, content in (("sliver.png", encode_png(np.zeros((2, 2, 3), np.uint8))), ("torn.png", b"torn")):
        (tmp_path / name[:-4]).mkdir()
        (tmp_path / name[:-4] / name).write_bytes(content)
        result = CliRunner().invoke(
            app, [*command, "--good", str(tmp_path / name[:-4]), "--false-reject-rate", "0.05", "--confidence", "0.5"]
        )
        assert result.exit_code == 2
        assert result.output.count(f"{name}:") == 1


def test_labelled_images_give_the_auroc_of_both_sides(tmp_path: Path, good: Path, dataset: Path) -> None:
    """Both sides see the same images; nothing is lost by float32."""
    report = _convert(tmp_path / "ring.bundle", good, dataset=dataset)
    assert report.labelled is not None
    assert report.labelled.images == 16
    assert report.labelled.source_auroc == report.labelled.device_auroc
    assert report.figures[0].image_auroc_loss == 0.0


def test_parity_can_be_checked_again_anywhere(tmp_path: Path, good: Path) -> None:
    """On the golden images alone, on the folder of the conversion, and with an exit code."""
    out, found = tmp_path / "ring.bundle", tmp_path / "parity.json"
    _convert(out, good)
    runner = CliRunner()
    plain = runner.invoke(app, ["parity", str(out), "--engine", "onnxruntime", "--threads", "1"])
    assert plain.exit_code == 0, plain.output
    assert "holds" in plain.output
    both = runner.invoke(app, ["parity", str(out), str(good), "--engine", "openvino", "--json", str(found)])
    assert both.exit_code == 0, both.output
    document = json.loads(found.read_text(encoding="utf-8"))
    assert document["holds"] is True
    assert document["files"]["images"] == 30
    assert document["missing"] == 0


def test_images_that_the_bundle_does_not_know_are_told_apart(tmp_path: Path, good: Path, dataset: Path) -> None:
    """Another folder proves nothing: exit code 2, not 0."""
    out = tmp_path / "ring.bundle"
    _convert(out, good)
    result = CliRunner().invoke(app, ["parity", str(out), str(dataset), "--engine", "onnxruntime"])
    assert result.exit_code == 2
    assert "SHA-256" in result.output


def test_a_file_that_cannot_be_read_leaves_parity_unknown(tmp_path: Path, good: Path) -> None:
    """Exit code 1 is for a bundle that departs; a file with a name like an image that gives no bytes is a 2."""
    out, folder = tmp_path / "ring.bundle", tmp_path / "images"
    _convert(out, good)
    folder.mkdir()
    (folder / "dead.png").symlink_to("/proc/self/mem")
    result = CliRunner().invoke(app, ["parity", str(out), str(good), str(folder), "--engine", "onnxruntime"])
    assert result.exit_code == 2
    assert "dead.png cannot be read" in result.output


def test_equal_inputs_give_equal_bytes(tmp_path: Path, good: Path) -> None:
    """Nothing of the clock or of chance is in a bundle."""
    one, other = tmp_path / "one.bundle", tmp_path / "other.bundle"
    assert _convert(one, good).digest == _convert(other, good).digest


def test_a_new_revision_has_other_limits_and_the_same_weights(tmp_path: Path, good: Path, dataset: Path) -> None:
    """Costs that make a missed defect dear: a revision that proves itself, with the reason inside."""
    out, revised = tmp_path / "ring.bundle", tmp_path / "revised.bundle"
    _convert(out, good)
    command = ["relimit", str(out), "--out", str(revised), "--reason", "QE: fewer misses", "--dataset", str(dataset)]
    costs = ["--cost-false-pass", "100", "--cost-false-reject", "1", "--engine", "onnxruntime", "--threads", "1"]
    result = CliRunner().invoke(app, [*command, *costs])
    assert result.exit_code == 0, result.output
    with (
        load_inspector(out, _ENGINE, "development") as before,
        load_inspector(revised, _ENGINE, "development") as after,
    ):
        assert after.bundle.revision == 1
        assert after.bundle.notes["revision_1"] == "limits changed: QE: fewer misses"
        assert after.bundle.calibration.limits != before.bundle.calibration.limits
        assert after.payloads.read("model.onnx") == before.payloads.read("model.onnx")


def test_limits_drawn_for_a_rate_state_that_rate(tmp_path: Path, good: Path) -> None:
    """The manifest has the rate that was asked for, and both limits follow from it, whatever was before."""
    out = tmp_path / "ring.bundle"
    _convert(out, good)
    found = []
    for rates in (["0.1"], ["0.3", "0.1"]):
        bundle = out
        for rate in rates:
            revised = tmp_path / f"{'-'.join(rates)}.bundle"
            command = ["relimit", str(bundle), "--out", str(revised), "--reason", "x", "--engine", "onnxruntime"]
            result = CliRunner().invoke(app, [*command, "--threads", "1", "--false-reject-rate", rate])
            assert result.exit_code == 0, result.output
            bundle = revised
        with load_inspector(bundle, _ENGINE, "development") as inspector:
            found.append(inspector.bundle.calibration)
    assert sum(score > found[0].limits.review for score in found[0].good_scores) == 0
    assert found[0].false_reject_rate == 0.1
    assert found[0].limits == found[1].limits


def test_limits_that_pass_a_golden_defect_are_refused(tmp_path: Path, good: Path, dataset: Path) -> None:
    """A rule that values good parts above everything: the bundle's own defects stand against it."""
    out = tmp_path / "ring.bundle"
    _convert(out, good)
    command = ["relimit", str(out), "--out", str(tmp_path / "r.bundle"), "--reason", "x", "--dataset", str(dataset)]
    costs = ["--cost-false-pass", "0.001", "--cost-false-reject", "1000", "--defect-rate", "0.5"]
    worse = tiny_anomaly.write_parts(tmp_path / "odd", 8, first=900, defect=True)
    result = CliRunner().invoke(app, [*command, *costs, "--good", str(worse)])
    assert result.exit_code == 2
    assert "golden defect" in result.output
    assert not (tmp_path / "r.bundle").exists()
