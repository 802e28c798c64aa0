from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_teaching import ENGINE, Notices, drawn_options, taught
from tiny_backbone import draw_part, write_backbone, write_parts

from edge_convert.coreset import CoresetSize
from edge_convert.images import list_images, load_image
from edge_convert.teach import teach
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import ConfigError, EngineError, ImageError
from edge_runtime.domain.verdict import Disposition
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from edge_convert.options import TeachOptions
    from edge_convert.report import TeachReport


def make_options(folder: Path, **changes: object) -> TeachOptions:
    """Teach 16 drawn parts; keyword arguments replace fields."""
    return drawn_options(folder, 16, **({"false_reject_rate": 0.05, "golden": 2} | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[TeachOptions, TeachReport]:
    """One bundle for the tests that only look at it."""
    options = make_options(tmp_path_factory.mktemp("taught"))
    return options, taught(options)


def test_it_tells_good_from_bad(finished: tuple[TeachOptions, TeachReport]) -> None:
    """New good parts pass, and parts with a mark across them do not."""
    options, _ = finished
    with load_inspector(options.out, ENGINE, "development") as inspector:
        limits = inspector.bundle.calibration.limits
        good = [inspector.inspect((draw_part(seed),)).score for seed in range(100, 120)]
        bad = [inspector.inspect((draw_part(seed, defect=True),)).score for seed in range(100, 120)]
    assert max(good) < min(bad)
    assert sum(classify(score, limits)[0] is Disposition.PASS for score in good) >= 18
    assert all(classify(score, limits)[0] is not Disposition.PASS for score in bad)


def test_every_loading_gives_the_same_bits(finished: tuple[TeachOptions, TeachReport]) -> None:
    """Two independent loadings score the same images bit for bit, maps included."""
    options, _ = finished
    frames = [draw_part(seed, defect=seed % 2 == 0) for seed in range(200, 206)]
    runs = []
    for _ in range(2):
        with load_inspector(options.out, ENGINE, "development") as inspector:
            runs.append([inspector.inspect((frame,)) for frame in frames])
    for one, other in zip(*runs, strict=True):
        assert one.score == other.score
        assert one.anomaly_map is not None
        assert other.anomaly_map is not None
        np.testing.assert_array_equal(one.anomaly_map, other.anomaly_map)


def test_the_manifest_says_what_was_done(finished: tuple[TeachOptions, TeachReport]) -> None:
    """Input, held-out scores, limits, provenance and warnings are in the bundle, and the report agrees with it."""
    options, report = finished
    with open_bundle(options.out, trust="development") as bundle:
        manifest = bundle.manifest
    assert (manifest.input_spec.height_px, manifest.input_spec.width_px) == (64, 96)
    assert manifest.input_spec.dtype == "uint8"
    assert len(manifest.calibration.good_scores) == 16
    assert list(manifest.calibration.good_scores) == sorted(manifest.calibration.good_scores)
    assert manifest.calibration.limits.review == report.review_limit
    assert manifest.calibration.map_range[0] < manifest.calibration.map_range[1]
    assert "19 could" in manifest.calibration.warnings[0]
    assert "b.onnx" in manifest.notes["backbone"]
    assert manifest.identity.digest == report.digest
    assert report.bank == 100
    assert report.peak_rss_mb > 0


def test_the_report_names_each_engine_beside_its_figures(finished: tuple[TeachOptions, TeachReport]) -> None:
    """One line per engine that was held against float32: which is which is to be seen."""
    _, report = finished
    names = [str(cell) for cell in report.table().columns[0].cells]
    assert len(report.figures) == 2
    assert [name for name in names if name.startswith("against float32")] == [
        f"against float32, {figures.engine}" for figures in report.figures
    ]


def test_golden_images_prove_the_bundle(finished: tuple[TeachOptions, TeachReport]) -> None:
    """Good and defective golden images are reproduced; a tolerance never reaches over a limit."""
    options, report = finished
    with load_inspector(options.out, ENGINE, "development") as inspector:
        manifest, limits = inspector.bundle, inspector.bundle.calibration.limits
        outcome = golden_self_test(inspector.detector, manifest, inspector.payloads)
    assert outcome.passed, outcome.summary
    assert report.golden == len(manifest.golden) == 4
    assert [golden.disposition for golden in manifest.golden][:2] == ["PASS", "PASS"]
    assert "PASS" not in [golden.disposition for golden in manifest.golden][2:]
    for golden in manifest.golden:
        for score in (golden.expected_score - golden.tolerance, golden.expected_score + golden.tolerance):
            assert classify(score, limits)[0].value == golden.disposition


def test_same_inputs_same_bundle(finished: tuple[TeachOptions, TeachReport], tmp_path: Path) -> None:
    """Taught again from the same files and seed, the bundle has the same digest; another seed gives another."""
    options, report = finished
    again = taught(dataclasses.replace(options, out=tmp_path / "again.bundle"))
    other = taught(dataclasses.replace(options, out=tmp_path / "other.bundle", seed=1))
    assert again.digest == report.digest
    assert other.digest != report.digest


def test_int8_is_repeatable_too(tmp_path: Path) -> None:
    """Quantized or fallen back, two runs that chose alike give the same bytes."""
    first = taught(make_options(tmp_path, int8=True))
    second = taught(make_options(tmp_path, int8=True, out=tmp_path / "again.bundle"))
    if first.precision == "int8":
        assert first.parity is not None
        assert first.parity.holds
    if first.precision == second.precision:  # the choice itself rests on a timing
        assert first.digest == second.digest


def test_limits_come_from_parts_that_the_bank_had_not_seen(finished: tuple[TeachOptions, TeachReport]) -> None:
    """The final bank knows every training image, so they score lower than when they were held out."""
    options, _ = finished
    with load_inspector(options.out, ENGINE, "development") as inspector:
        known = [inspector.inspect((load_image(path),)).score for path in list_images(options.images)]
        held_out = inspector.bundle.calibration.good_scores
    assert np.median(known) < np.median(held_out)


def test_a_region_is_all_that_counts(tmp_path: Path) -> None:
    """With --region a mark outside it changes nothing, one inside does; golden frames keep the frame's size."""
    options = make_options(tmp_path, region=(24, 8, 80, 80))
    taught(options)
    clean, marked = draw_part(300), draw_part(300).copy()
    marked[:, 110:] = 255
    with load_inspector(options.out, ENGINE, "development") as inspector:
        assert inspector.inspect((marked,)).score == inspector.inspect((clean,)).score
        assert inspector.inspect((draw_part(300, defect=True),)).score > inspector.inspect((clean,)).score
        frame = decode_image(inspector.payloads.read(inspector.bundle.golden[0].payload)).array
    assert frame.shape == (96, 128, 3)


def test_large_frames_give_reduced_golden_images(tmp_path: Path) -> None:
    """A frame of two megapixels is carried as one of at most one, and still proves the bundle."""
    images = tmp_path / "good"
    images.mkdir()
    for seed in range(6):
        (images / f"{seed}.png").write_bytes(encode_png(np.kron(draw_part(seed), np.ones((13, 13, 1), dtype=np.uint8))))
    write_backbone(tmp_path / "b.onnx")
    options = make_options(tmp_path, golden=1)
    taught(options)
    with load_inspector(options.out, ENGINE, "development") as inspector:
        frame = decode_image(inspector.payloads.read(inspector.bundle.golden[0].payload)).array
        assert golden_self_test(inspector.detector, inspector.bundle, inspector.payloads).passed
    assert frame.shape[0] * frame.shape[1] <= 1 << 20
    assert frame.shape[1] / frame.shape[0] == pytest.approx(128 / 96, rel=0.01)


def test_sixteen_bit_mono_parts_can_be_taught(tmp_path: Path) -> None:
    """16-bit grey images are taught and inspected like any other."""
    images = tmp_path / "good"
    images.mkdir()
    for seed in range(8):
        grey = np.ascontiguousarray(draw_part(seed)[:, :, 0]).astype(np.uint16) * 257
        (images / f"{seed}.png").write_bytes(encode_png(grey))
    write_backbone(tmp_path / "b.onnx")
    options = make_options(tmp_path)
    taught(options)
    deep = np.ascontiguousarray(draw_part(2)[:, :, 0]).astype(np.uint16) * 257
    with load_inspector(options.out, ENGINE, "development") as inspector:
        assert np.isfinite(inspector.inspect((deep,)).score)


def test_what_is_odd_is_said_at_once_and_kept(tmp_path: Path) -> None:
    """A corrupt image is noticed while teaching runs and stays in the bundle's warnings."""
    options = make_options(tmp_path)
    victim = options.images / "part-003.png"
    victim.write_bytes(victim.read_bytes()[:-100])
    notices = Notices()
    report = teach(options, notices, SystemClock())
    assert any("part-003.png" in text for text in notices.texts)
    assert any("part-003.png" in text for text in report.warnings)
    assert report.images == 15


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": "a b"}, "--name"),
        ({"height_px": 8}, "--size"),
        ({"false_reject_rate": 0.0}, "--false-reject-rate"),
        ({"holdout": 0.9}, "--holdout"),
        ({"golden": 0}, "--golden"),
        ({"coreset": CoresetSize(0.0)}, "coreset"),
        ({"region": (0, 0, 0, 5)}, "--region"),
        ({"out": Path("/absent/part.bundle")}, "--out"),
    ],
)
def test_impossible_options_are_refused_at_once(tmp_path: Path, changes: dict[str, object], word: str) -> None:
    """Each impossible option is named before any image is read."""
    with pytest.raises(ConfigError, match=word):
        taught(make_options(tmp_path, **changes))


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    """Four parts are no training set."""
    write_parts(tmp_path / "good", 4)
    write_backbone(tmp_path / "b.onnx")
    with pytest.raises(ConfigError, match="4 usable images"):
        taught(make_options(tmp_path))


def test_an_image_that_is_far_too_small_is_named(tmp_path: Path) -> None:
    """One sliver among good parts: which file it is, and that it may simply go."""
    options = make_options(tmp_path)
    (options.images / "sliver.png").write_bytes(encode_png(draw_part(3)[:3, :3]))
    with pytest.raises(ImageError, match=r"^sliver\.png: an image of 3×3 pixels is far too small") as caught:
        taught(options)
    assert caught.value.action.startswith("Take sliver.png out of the folder; or ")


def test_a_backbone_without_sense_is_refused(tmp_path: Path) -> None:
    """Weights that overflow give no features; the previous bundle at --out stays."""
    write_parts(tmp_path / "good", 6)
    write_backbone(tmp_path / "b.onnx", gain=1e30)
    (tmp_path / "part.bundle").write_bytes(b"the old one")
    with pytest.raises((ConfigError, EngineError)):
        taught(make_options(tmp_path))
    assert (tmp_path / "part.bundle").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.onnx", "good", "part.bundle"]
