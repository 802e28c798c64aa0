"""From an export to a bundle on the device: scores equal the recording's, and what is unproven is said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import export_bench as bench
import numpy as np
import pytest
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_convert.convert.source import ConvertOptions
from edge_convert.images import load_image
from edge_convert.importing.case import ImportOptions, gather, open_export
from edge_convert.importing.importer import import_model
from edge_convert.importing.recording import read_recording
from edge_convert.importing.reference import GraphReference, RecordedReference
from edge_convert.importing.stated import Stated
from edge_convert.progress import Silent
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind, Resize
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.residual import Criterion

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = EngineSettings(name="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and defective parts of several shapes, and three recordings of them."""
    root = tmp_path_factory.mktemp("import")
    folders = {
        "good": bench.write_parts(root / "test" / "good", 15),
        "ring": bench.write_parts(root / "test" / "ring", 6, first=300, defect=True),
    }
    bench.record(root / "cut", folders, cut=True)
    bench.record(root / "cropped", folders, bench.Trained(resized_px=56), cut=True)
    bench.record(root / "unclamped", folders, cut=False)
    return root


def options(parts: Path, model: Path, out: Path, **changes: object) -> ImportOptions:
    """An import on onnxruntime in float32."""
    convert = ConvertOptions(out, "part", "1", ENGINE, precision="fp32", dataset=parts)
    made = ImportOptions(model=model, images=parts / "test" / "good", convert=convert, reference=parts / "cut")
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_device_gives_the_trained_models_scores(parts: Path, tmp_path: Path) -> None:
    """The export lost its antialiasing: found from the recording and put back; non-square frames of any size agree."""
    out = tmp_path / "part.bundle"
    report = import_model(options(parts, bench.anomalib_2(tmp_path / "m.onnx"), out), Silent(), SystemClock())
    assert report.reference == "NumPy, float64"
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.001
    assert report.plain_figures.map_correlation is not None
    assert report.plain_figures.map_correlation > 0.9999
    assert any("trained with antialiasing, which its export lost" in text for text in report.warnings)
    assert any("were cut to 0 or 1" in text for text in report.warnings)
    with load_inspector(out, ENGINE, "development") as inspector:
        spec = inspector.bundle.input_spec
        assert (spec.resize, spec.keep_fractions) == (Resize.LINEAR_ANTIALIAS, True)
        for label in ("good", "ring"):
            for path in sorted((parts / "test" / label).iterdir()):
                frame = load_image(path)
                raw, _ = bench.Trained().answer(frame)
                assert inspector.inspect((frame,)).score == pytest.approx(bench.normalised(raw), abs=1e-4)


def test_a_crop_in_the_export_reaches_the_device(parts: Path, tmp_path: Path) -> None:
    """Resize 56, centre crop 48: in the manifest, not in the graph, and the maps cover the crop."""
    out = tmp_path / "part.bundle"
    model = bench.anomalib_2(tmp_path / "m.onnx", crop_from=56)
    report = import_model(options(parts, model, out, reference=parts / "cropped"), Silent(), SystemClock())
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.001
    with load_inspector(out, ENGINE, "development") as inspector:
        assert inspector.bundle.input_spec.resized_px == (56, 56)


def test_without_a_recording_the_export_itself_is_the_reference_and_that_is_said(parts: Path, tmp_path: Path) -> None:
    """Parity holds against the export, antialiasing stays off as in it, and notes and warnings say what is unproven."""
    out = tmp_path / "part.bundle"
    model = bench.anomalib_2(tmp_path / "m.onnx")
    report = import_model(options(parts, model, out, reference=None), Silent(), SystemClock())
    assert "the exported graph itself, onnxruntime" in report.reference
    assert any("unproven" in text for text in report.warnings)
    assert any("--resize linear_antialias" in text for text in report.warnings)
    with load_inspector(out, ENGINE, "development") as inspector:
        assert "unproven" in inspector.bundle.notes["parity"]
        assert inspector.bundle.input_spec.resize is Resize.LINEAR


def test_the_sources_own_threshold_can_be_the_limit(parts: Path, tmp_path: Path) -> None:
    """0.5 in anomalib's units; a plain graph states none."""
    out = tmp_path / "part.bundle"
    model = bench.anomalib_1(tmp_path / "v1" / "m.onnx", with_score=False)
    report = import_model(options(parts, model, out, source_limits=True), Silent(), SystemClock())
    assert (report.review_limit, report.reject_limit) == (0.5, 0.5)
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.001
    plain = bench.plain_export(tmp_path / "plain.onnx")
    with pytest.raises(ConfigError, match="states no threshold"):
        import_model(
            options(parts, plain, tmp_path / "x.bundle", source_limits=True, reference=None), Silent(), SystemClock()
        )


def test_an_autoencoder_becomes_a_bundle_of_its_residual(parts: Path, tmp_path: Path) -> None:
    """A graph that gives its input back: the criterion of the residual is the score."""
    out = tmp_path / "part.bundle"
    told = options(
        parts,
        bench.autoencoder(tmp_path / "m.onnx"),
        out,
        reference=None,
        outputs={"reconstruction": "drawn"},
        criterion=Criterion.MAXIMUM,
        stated=Stated(resize=Resize.LINEAR_ANTIALIAS, scale=1.0),
    )
    report = import_model(told, Silent(), SystemClock())
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.1
    with load_inspector(out, ENGINE, "development") as inspector:
        assert inspector.bundle.kind is DetectorKind.RECONSTRUCTION
        assert inspector.bundle.options["criterion"] == "maximum"


def test_equal_inputs_give_equal_bundles(parts: Path, tmp_path: Path) -> None:
    """Byte for byte."""
    model = bench.anomalib_2(tmp_path / "m.onnx")
    digests = {
        import_model(options(parts, model, tmp_path / name), Silent(), SystemClock()).digest
        for name in ("a.bundle", "b.bundle")
    }
    assert len(digests) == 1


def test_a_cut_score_stands_for_its_side_alone(parts: Path, tmp_path: Path) -> None:
    """Where the graph's own score lies beyond the cut it stands in; where it does not, the recorded one is kept."""
    export = open_export(bench.anomalib_2(tmp_path / "m.onnx"))
    built = export.build(Stated(resize=Resize.LINEAR_ANTIALIAS).over(export.stated), {})
    graph = GraphReference(export, built)
    recording = read_recording(parts / "cut")
    reference = RecordedReference(recording, clamped=True, beyond=graph)
    files = sorted((parts / "test" / "good").iterdir())
    cut = [path for path in files if recording.images[_sha(path)].score == 0.0]
    assert cut
    for path in cut:
        found = reference.inspect(path, load_image(path)).score
        assert found == graph.inspect(path, load_image(path)).score
        assert found < 0
    entry = recording.images[_sha(files[0])]
    lying = replace(recording, images={**recording.images, _sha(files[0]): replace(entry, score=1.0)})
    kept = RecordedReference(lying, clamped=True, beyond=graph)
    assert kept.inspect(files[0], load_image(files[0])).score == 1.0


def _sha(path: Path) -> str:
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_recording_may_state_scores_before_the_cut(parts: Path, tmp_path: Path) -> None:
    """`unclamped` wins: nothing has to stand in."""
    document = json.loads((parts / "cut" / "reference.json").read_text())
    exact = json.loads((parts / "unclamped" / "reference.json").read_text())
    scores = {image["sha256"]: image["score"] for image in exact["images"]}
    for image in document["images"]:
        image["unclamped"] = scores[image["sha256"]]
        image["map"] = None
    (tmp_path / "reference.json").write_text(json.dumps(document))
    recording = read_recording(tmp_path)
    export = open_export(bench.anomalib_2(tmp_path / "m.onnx"))
    reference = RecordedReference(
        recording, clamped=True, beyond=GraphReference(export, export.build(export.stated, {}))
    )
    path = sorted((parts / "test" / "good").iterdir())[2]
    assert reference.inspect(path, load_image(path)).score == scores[_sha(path)]
    assert reference.inspect(path, load_image(path)).anomaly_map is None


def test_departures_are_measured_by_the_scores_before_the_cut(parts: Path, tmp_path: Path) -> None:
    """Good parts that are cut to 0 have lost their spread: where the score before the cut is known, that one counts."""
    document = json.loads((parts / "cut" / "reference.json").read_text())
    exact = json.loads((parts / "unclamped" / "reference.json").read_text())
    scores = {image["sha256"]: image["score"] for image in exact["images"]}
    document["images"] = [{**image, "unclamped": scores[image["sha256"]], "map": None} for image in document["images"]]
    (tmp_path / "reference.json").write_text(json.dumps(document))
    model = bench.anomalib_2(tmp_path / "m.onnx")
    found = []
    for reference in (tmp_path, parts / "unclamped"):
        case = gather(options(parts, model, tmp_path / "x.bundle", reference=reference), Silent())
        assert case.scorer is not None
        found.append(case.scorer.departure(case.stated))
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "not a JSON object"),
        ('{"format": 1, "images": []}', "format 0"),
        ('{"format": 0, "images": [{"sha256": "x", "score": null}]}', "without sha256 or finite score"),
        ('{"format": 0, "images": [{"sha256": "x", "score": NaN}]}', "without sha256 or finite score"),
    ],
)
def test_a_damaged_recording_is_refused(tmp_path: Path, content: str, message: str) -> None:
    """Never half of it."""
    (tmp_path / "reference.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_recording(tmp_path)


@pytest.mark.parametrize("step", [0.0, 1e-8])
def test_one_score_for_all_images_is_refused(tmp_path: Path, step: float) -> None:
    """A model whose answers differ by rounding alone proves nothing, and no cause must be guessed from it."""
    images = [{"sha256": str(index), "score": 0.5 + step * index} for index in range(8)]
    (tmp_path / "reference.json").write_text(json.dumps({"format": 0, "images": images}))
    with pytest.raises(ConfigError, match=r"all 8 images the same score \(0\.5\)"):
        read_recording(tmp_path)


def test_one_score_where_all_were_cut_is_read(tmp_path: Path) -> None:
    """Good parts that are all cut to 0 are usual; a score from before the cut that is the same for all is not."""
    images = [{"sha256": str(index), "score": 0.0} for index in range(3)]
    (tmp_path / "reference.json").write_text(json.dumps({"format": 0, "images": images}))
    assert len(read_recording(tmp_path).images) == 3
    known = [{**image, "unclamped": -0.25} for image in images]
    (tmp_path / "reference.json").write_text(json.dumps({"format": 0, "images": known}))
    with pytest.raises(ConfigError, match="same score"):
        read_recording(tmp_path)


def test_a_damaged_map_is_refused(parts: Path, tmp_path: Path) -> None:
    """A map that is no H×W array, or is gone."""
    recording = read_recording(parts / "cut")
    entry = next(iter(recording.images.values()))
    np.save(tmp_path / "bad.npy", np.zeros(3))
    broken = replace(recording, folder=tmp_path)
    with pytest.raises(ConfigError, match="not H×W"):
        broken.anomaly_map(replace(entry, map_file="bad.npy"))
    with pytest.raises(ConfigError, match="cannot be read"):
        broken.anomaly_map(replace(entry, map_file="gone.npy"))


def test_a_recording_of_other_images_proves_nothing(parts: Path, tmp_path: Path) -> None:
    """Files are matched by their content; too few matches are refused."""
    other = bench.write_parts(tmp_path / "other", 4, first=900)
    bench.record(tmp_path / "reference", {"good": other}, cut=True)
    model = bench.anomalib_2(tmp_path / "m.onnx")
    told = options(parts, model, tmp_path / "x.bundle", reference=tmp_path / "reference")
    with pytest.raises(ConfigError, match="answers for 0 of the 15 images"):
        import_model(told, Silent(), SystemClock())


def test_the_command_reports_what_was_proved(parts: Path, tmp_path: Path) -> None:
    """Flags in, a summary and a JSON document out; a bad flag ends with exit code 2 and what to write."""
    model = bench.anomalib_2(tmp_path / "m.onnx")
    arguments = ["import", str(model), "--images", str(parts / "test" / "good"), "--out", str(tmp_path / "x.bundle")]
    runner = CliRunner()
    told = ["--reference", str(parts / "cut"), "--engine", "onnxruntime", "--threads", "1", "--precision", "fp32"]
    found = runner.invoke(app, [*arguments, *told, "--json", str(tmp_path / "x.json")])
    assert found.exit_code == 0, found.output
    document = json.loads((tmp_path / "x.json").read_text())
    assert document["reference"] == "NumPy, float64"
    for flags, message in (
        (["--output", "heat=x"], "is not ROLE=NAME"),
        (["--input-size", "a"], "is not a size"),
        (["--mean", "a,b"], "is not a list of numbers"),
        (["--criterion", "x"], "is unknown"),
        (["--mean", "nan,0,0"], "is not a list of numbers"),
        (["--std", "1,0,1"], "is no normalisation"),
        (["--scale", "0"], "is no normalisation"),
        (["--name", "part 1"], "is not a bundle name"),
        (["--bundle-version", ""], "is not a version"),
        (["--false-reject-rate", "0.9"], "is impossible"),
        (["--out", str(tmp_path)], "is a folder"),
        (["--out", str(tmp_path / "nowhere" / "x.bundle")], "cannot write into"),
        (["--output", "map=a", "--output", "reconstruction=b"], "gives both"),
    ):
        refused = runner.invoke(app, [*arguments, *flags])
        assert refused.exit_code == 2
        assert message in refused.output
        assert "asking the source" not in refused.output
