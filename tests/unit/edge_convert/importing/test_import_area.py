"""Imported models on frames in tiles and behind masks: what counts, what the reference is, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import export_bench as bench
import numpy as np
import pytest
import tiny_anomaly
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_convert.convert.calibration import calibration_tensors
from edge_convert.convert.source import ConvertOptions, SourceModel
from edge_convert.images import load_image, survey
from edge_convert.importing.case import ImportOptions
from edge_convert.importing.importer import import_model
from edge_convert.importing.stated import Stated
from edge_convert.progress import Silent
from edge_convert.teaching.area import AreaOptions, resolve_area
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Resize
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = EngineSettings(name="onnxruntime", threads=1)
FRAME_PX = (120, 168)
TOLD = Stated(resize=Resize.LINEAR_ANTIALIAS, keep_fractions=True, mean=bench.IMAGENET_MEAN, std=bench.IMAGENET_STD)


def write_frames(folder: Path, count: int, *, first: int, defect: bool = False) -> Path:
    """Frames of one size, as a camera gives them."""
    folder.mkdir(parents=True)
    for index in range(count):
        frame = tiny_anomaly.part(first + index, defect=defect, size_px=FRAME_PX)
        (folder / f"{index:03d}.png").write_bytes(encode_png(frame))
    return folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and defective frames, a recording of them, and a mask that leaves the right two thirds."""
    root = tmp_path_factory.mktemp("area")
    folders = {
        "good": write_frames(root / "test" / "good", 12, first=0),
        "ring": write_frames(root / "test" / "ring", 4, first=300, defect=True),
    }
    bench.record(root / "raw", folders)
    bench.record(root / "cut", folders, cut=True)
    mask = np.full(FRAME_PX, 255, np.uint8)
    mask[:, :56] = 0
    (root / "mask.png").write_bytes(encode_png(mask))
    return root


def options(frames: Path, model: Path, out: Path, **changes: object) -> ImportOptions:
    """An import of a plain graph on onnxruntime in float32."""
    convert = ConvertOptions(out, "part", "1", ENGINE, precision="fp32", dataset=frames)
    made = ImportOptions(
        model=model, images=frames / "test" / "good", convert=convert, stated=TOLD, reference=frames / "raw"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_tiled_model_scores_its_worst_tile(frames: Path, tmp_path: Path) -> None:
    """2×3 tiles: the trained model, asked about every tile in NumPy, agrees; the recording proves the whole frames."""
    out = tmp_path / "part.bundle"
    model = bench.plain_export(tmp_path / "m.onnx")
    report = import_model(options(frames, model, out, area=AreaOptions("2x3", 0.2)), Silent(), SystemClock())
    assert report.reference.endswith("piece by piece")
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.001
    assert report.plain_figures.map_correlation is not None
    assert report.plain_figures.map_correlation > 0.9999
    assert report.labelled is not None
    assert report.labelled.images == 16
    assert any("the recording is of whole images" in text for text in report.warnings)
    frame = load_image(frames / "test" / "ring" / "000.png")
    height, width = 67, 65  # the least sides that share a fifth with their neighbour
    trained = [bench.Trained().answer(frame[y : y + height, x : x + width])[0] for y in (0, 53) for x in (0, 52, 103)]
    with load_inspector(out, ENGINE, "development") as inspector:
        found = inspector.inspect((frame,))
        assert found.score == pytest.approx(max(trained), rel=1e-4)


def test_one_tile_is_no_tiling(frames: Path, tmp_path: Path) -> None:
    """`auto` on frames that the model sees sharply enough: the recording stays the reference, and that is said."""
    model = bench.plain_export(tmp_path / "m.onnx")
    told = options(frames, model, tmp_path / "p.bundle", area=AreaOptions("1x1"))
    report = import_model(told, Silent(), SystemClock())
    assert report.reference == "NumPy, float64"
    assert any("one tile shows all" in text for text in report.warnings)


@pytest.mark.parametrize("tiles", [None, "2x2"])
def test_what_lies_outside_the_mask_does_not_count(frames: Path, tmp_path: Path, tiles: str | None) -> None:
    """A mark in the masked part changes no score, one inside does; the map behind the score is not cut to 0…1."""
    out = tmp_path / "part.bundle"
    model = bench.anomalib_2(tmp_path / "m.onnx")
    told = options(
        frames,
        model,
        out,
        stated=Stated(),
        reference=frames / "cut",
        area=AreaOptions(tiles, mask=frames / "mask.png"),
    )
    report = import_model(told, Silent(), SystemClock())
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.001
    good = load_image(frames / "test" / "good" / "000.png")
    outside, inside = good.copy(), good.copy()
    outside[40:60, 10:22] = 255 - outside[40:60, 10:22]
    inside[40:60, 110:122] = 255 - inside[40:60, 110:122]
    with load_inspector(out, ENGINE, "development") as inspector:
        assert inspector.bundle.outputs == {"anomaly_map": "anomaly_map"}
        scores = [inspector.inspect((frame,)).score for frame in (good, outside, inside)]
        found = inspector.inspect((outside,)).anomaly_map
    assert scores[0] == scores[1] < scores[2]
    assert found is not None
    assert not found[:, : found.shape[1] // 4].any()
    assert found[:, found.shape[1] // 2 :].min() < 0


def test_metadata_beside_the_model_normalises_a_masked_map(frames: Path, tmp_path: Path) -> None:
    """In anomalib 1.x: the map's own threshold is the source's limit, at 0.5."""
    model = bench.anomalib_1(tmp_path / "v1" / "m.onnx", with_score=True)
    told = options(frames, model, tmp_path / "p.bundle", stated=Stated(), reference=frames / "cut", source_limits=True)
    told = replace(told, area=AreaOptions(mask=frames / "mask.png"))
    report = import_model(told, Silent(), SystemClock())
    assert (report.review_limit, report.reject_limit) == (0.5, 0.5)
    with load_inspector(tmp_path / "p.bundle", ENGINE, "development") as inspector:
        assert inspector.bundle.outputs == {"anomaly_map": "normalised_map"}


def test_a_masked_reconstruction_takes_its_criterion_inside(frames: Path, tmp_path: Path) -> None:
    """The residual outside the mask is not part of the score."""
    out = tmp_path / "part.bundle"
    told = options(frames, bench.autoencoder(tmp_path / "m.onnx"), out, reference=None)
    told = replace(told, outputs={"reconstruction": "drawn"}, area=AreaOptions(mask=frames / "mask.png"))
    report = import_model(told, Silent(), SystemClock())
    assert report.plain_figures.good_drift is not None
    assert report.plain_figures.good_drift < 0.01
    assert any("unproven" in text for text in report.warnings)


def test_a_broken_export_is_refused_before_it_is_cut(frames: Path, tmp_path: Path) -> None:
    """The recording of whole frames tells of the wrong colour order, tiles or not."""
    model = bench.plain_export(tmp_path / "m.onnx", bgr=True)
    with pytest.raises(ConfigError, match="whole images depart") as refused:
        import_model(options(frames, model, tmp_path / "p.bundle", area=AreaOptions("2x2")), Silent(), SystemClock())
    assert "the export expects BGR" in refused.value.action
    other = write_frames(tmp_path / "other", 4, first=900)
    bench.record(tmp_path / "reference", {"good": other})
    told = options(frames, model, tmp_path / "p.bundle", area=AreaOptions("2x2"), reference=tmp_path / "reference")
    with pytest.raises(ConfigError, match="answers for none of the images"):
        import_model(told, Silent(), SystemClock())


def test_what_cannot_be_tiled_or_masked_is_refused(frames: Path, tmp_path: Path) -> None:
    """A centre crop would leave gaps between tiles; one number for a whole picture cannot be narrowed."""
    crops = bench.anomalib_2(tmp_path / "crop.onnx", crop_from=56)
    told = options(frames, crops, tmp_path / "p.bundle", stated=Stated(), reference=None, area=AreaOptions("2x2"))
    with pytest.raises(ConfigError, match="crops the middle"):
        import_model(told, Silent(), SystemClock())
    score = bench.other_training(tmp_path / "score.onnx")
    told = options(frames, score, tmp_path / "p.bundle", reference=None, area=AreaOptions(mask=frames / "mask.png"))
    with pytest.raises(ConfigError, match="one score for the whole picture"):
        import_model(told, Silent(), SystemClock())


def test_int8_ranges_come_from_tiles(frames: Path) -> None:
    """Of a damaged frame the tile with the damage calibrates, of good ones another each time, always the same."""
    spec = tiny_anomaly.spec(colour=ColourOrder.RGB)
    images = survey(frames / "test" / "good")
    area = resolve_area(AreaOptions("2x3"), spec, images.load(0))
    source: SourceModel = tiny_anomaly.source(area.spec, area=area)
    tensors = list(calibration_tensors(source, images, 5))
    assert len(tensors) == 36
    assert {tensor.shape for tensor in tensors} == {(1, 3, bench.SIDE_PX, bench.SIDE_PX)}
    again = list(calibration_tensors(source, images, 5))
    assert all(np.array_equal(one, other) for one, other in zip(tensors, again, strict=True))
    whole = list(calibration_tensors(tiny_anomaly.source(spec), images, 5))
    assert len(whole) == 36
    assert not np.array_equal(whole[0], tensors[0])


def test_the_command_takes_tiles_and_a_mask(frames: Path, tmp_path: Path) -> None:
    """As `teach` does, with the same refusals."""
    model = bench.anomalib_2(tmp_path / "m.onnx")
    out = tmp_path / "x.bundle"
    runner = CliRunner()
    told = ["import", str(model), "--images", str(frames / "test" / "good"), "--out", str(out)]
    told += ["--engine", "onnxruntime", "--threads", "1", "--precision", "fp32", "--reference", str(frames / "cut")]
    assert runner.invoke(app, [*told, "--tiles", "many"]).exit_code == 2
    found = runner.invoke(app, [*told, "--tiles", "2x2", "--tile-overlap", "0", "--mask", str(frames / "mask.png")])
    assert found.exit_code == 0, found.output
    with load_inspector(out, ENGINE, "development") as inspector:
        spec = inspector.bundle.input_spec
        assert spec.tiles is not None
        assert (spec.tiles.rows, spec.tiles.columns, spec.tiles.overlap) == (2, 2, 0)
        assert spec.mask == "mask.png"
