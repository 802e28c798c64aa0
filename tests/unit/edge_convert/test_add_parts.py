from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_teaching import ENGINE, drawn_options, taught
from tiny_backbone import draw_part, write_parts
from typer.testing import CliRunner

from edge_convert.adding.add import AddOptions, add
from edge_convert.cli import app
from edge_convert.coreset import CoresetSize
from edge_convert.exact_search import read_rows
from edge_convert.progress import Silent
from edge_convert.search_graph import read_bank
from edge_convert.teaching.area import AreaOptions
from edge_convert.teaching.contamination import Contamination
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.bundles.writer import draft_of_manifest, write_bundle
from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import BundleError, ConfigError
from edge_runtime.domain.model_bundle import DetectorKind
from edge_runtime.domain.verdict import Disposition
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edge_convert.adding.add import AddReport


def labelled_part(seed: int) -> npt.NDArray[np.uint8]:
    """A good part of a new batch: it carries a dark label that no part carried when the bundle was taught."""
    part = draw_part(seed)
    part[8:20, 8:40] = np.random.default_rng(seed).normal(40, 3, (12, 32, 3)).clip(0, 255)
    return part


def write_labelled(folder: Path, seeds: range) -> Path:
    """A folder of labelled parts."""
    folder.mkdir()
    for seed in seeds:
        (folder / f"label-{seed}.png").write_bytes(encode_png(labelled_part(seed)))
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 24 drawn parts, its bank searched exactly."""
    return make_bundle(tmp_path_factory.mktemp("before"), search="exact")


def make_bundle(folder: Path, **changes: object) -> Path:
    """Teach 24 drawn parts; keyword arguments replace options."""
    fixed = {"coreset": CoresetSize(0.05, 100, 200), "golden": 2, "contamination": Contamination(0.0)}
    options = drawn_options(folder, **(fixed | changes))
    taught(options)
    return options.out


def run(bundle: Path, images: Path, out: Path, **changes: object) -> AddReport:
    """Add with nobody watching."""
    options = AddOptions(bundle, images, out, ENGINE)
    return add(dataclasses.replace(options, **changes), Silent(), SystemClock())  # type: ignore[arg-type]


def judge(bundle: Path, frames: list[npt.NDArray[np.uint8]]) -> tuple[list[float], list[Disposition]]:
    """Scores and dispositions of frames under a bundle."""
    with load_inspector(bundle, ENGINE, "development") as inspector:
        scores = [inspector.inspect((frame,)).score for frame in frames]
        limits = inspector.bundle.calibration.limits
    return scores, [classify(score, limits)[0] for score in scores]


def test_parts_that_were_falsely_rejected_pass_and_defects_do_not(bundle: Path, tmp_path: Path) -> None:
    """After four labelled parts were added, others of their kind pass too, and every defect is still stopped."""
    unseen = [labelled_part(seed) for seed in range(300, 312)]
    defects = [draw_part(seed, defect=True) for seed in range(400, 412)]
    before, defects_before = judge(bundle, unseen)[1], judge(bundle, defects)[1]
    report = run(bundle, write_labelled(tmp_path / "new", range(200, 204)), tmp_path / "grown.bundle")
    after, defects_after = judge(tmp_path / "grown.bundle", unseen)[1], judge(tmp_path / "grown.bundle", defects)[1]
    assert before.count(Disposition.PASS) == 0
    assert after.count(Disposition.PASS) >= 10
    assert defects_after.count(Disposition.PASS) <= defects_before.count(Disposition.PASS)
    assert [part.disposition_after for part in report.parts] == ["PASS"] * 4
    assert all(part.before > part.unseen >= part.after - 1e-4 for part in report.parts)
    assert report.seconds < 30


def test_no_score_rises_and_no_number_of_the_old_bank_changes(bundle: Path, tmp_path: Path) -> None:
    """The grown bank has every patch of the old one bit for bit, so that whatever passed still passes."""
    frames = [draw_part(seed, defect=seed % 2 == 0) for seed in range(500, 512)]
    before = judge(bundle, frames)[0]
    report = run(bundle, write_labelled(tmp_path / "new", range(200, 202)), tmp_path / "grown.bundle")
    after = judge(tmp_path / "grown.bundle", frames)[0]
    assert all(new <= old * (1 + 1e-5) for old, new in zip(before, after, strict=True))
    banks = []
    for path in (bundle, tmp_path / "grown.bundle"):
        with open_bundle(path, trust="development") as opened:
            banks.append(read_rows(opened.payloads.read("bank.npy")))
    one, other = ({row.tobytes() for row in rows} for rows in banks)
    assert one < other
    assert [len(rows) for rows in banks] == [report.bank_before, report.bank_after]


def test_a_small_bank_in_a_graph_gives_the_same_scores_and_grows_as_a_graph(bundle: Path, tmp_path: Path) -> None:
    """What teach writes for a small bank, and wrote for all up to 0.2, differs by rounding; it grows as it is."""
    old = make_bundle(tmp_path)
    frames = [draw_part(seed, defect=seed % 2 == 0) for seed in range(500, 506)]
    before = judge(old, frames)[0]
    np.testing.assert_allclose(before, judge(bundle, frames)[0], rtol=1e-4, atol=1e-4)
    report = run(old, write_labelled(tmp_path / "new", range(200, 202)), tmp_path / "grown.bundle")
    after = judge(tmp_path / "grown.bundle", frames)[0]
    assert all(new <= old * (1 + 1e-5) for old, new in zip(before, after, strict=True))
    banks = []
    for path in (old, tmp_path / "grown.bundle"):
        with open_bundle(path, trust="development") as opened:
            banks.append(read_bank(opened.payloads.read("search.onnx")))
    one, other = banks
    np.testing.assert_array_equal(other.columns[:, : one.size], one.columns)
    np.testing.assert_array_equal(other.norms[: one.size], one.norms)
    assert (one.size, other.size) == (report.bank_before, report.bank_after)


def test_a_bundle_that_reweights_is_taught_again(tmp_path: Path) -> None:
    """New patches change the neighbours, so nothing is added to such a bundle; its scores are below the distances."""
    (tmp_path / "weighted").mkdir()
    (tmp_path / "plain").mkdir()
    weighted, plain = make_bundle(tmp_path / "weighted", neighbours=5), make_bundle(tmp_path / "plain")
    frames = [draw_part(seed, defect=True) for seed in range(500, 504)]
    assert all(one < other for one, other in zip(judge(weighted, frames)[0], judge(plain, frames)[0], strict=True))
    with pytest.raises(ConfigError, match="reweights"):
        run(weighted, write_labelled(tmp_path / "new", range(200, 202)), tmp_path / "grown.bundle")


def test_the_bundle_says_what_was_added_and_proves_itself(bundle: Path, tmp_path: Path) -> None:
    """Version, notes and limits tell the addition; golden images and what is left of the reference are reproduced."""
    new = write_labelled(tmp_path / "new", range(200, 203))
    run(bundle, new, tmp_path / "one.bundle")
    run(tmp_path / "one.bundle", write_labelled(tmp_path / "more", range(210, 212)), tmp_path / "two.bundle")
    with open_bundle(bundle, trust="development") as opened:
        before = opened.manifest
    with load_inspector(tmp_path / "two.bundle", ENGINE, "development") as inspector:
        manifest = inspector.bundle
        outcome = golden_self_test(inspector.detector, manifest, inspector.payloads)
    assert outcome.passed, outcome.summary
    assert manifest.identity.version == f"{before.identity.version}+2"
    assert "3 good parts" in manifest.notes["added_1"]
    assert "2 good parts" in manifest.notes["added_2"]
    assert manifest.calibration.limits == before.calibration.limits
    assert before.reference is not None
    assert manifest.reference is not None
    assert len(manifest.reference.images) < len(before.reference.images)
    assert manifest.reference.good_median == before.reference.good_median


def test_same_inputs_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """Adding the same parts to the same bundle gives the same bundle, in place too."""
    new = write_labelled(tmp_path / "new", range(200, 203))
    first = run(bundle, new, tmp_path / "one.bundle")
    (tmp_path / "copy.bundle").write_bytes(bundle.read_bytes())
    second = run(tmp_path / "copy.bundle", new, tmp_path / "copy.bundle")
    assert first.digest == second.digest


def test_a_golden_defect_never_passes(bundle: Path, tmp_path: Path) -> None:
    """Whoever adds the golden defect itself as a good part is refused, and nothing is written."""
    images = tmp_path / "new"
    images.mkdir()
    with open_bundle(bundle, trust="development") as opened:
        golden = next(golden for golden in opened.manifest.golden if golden.disposition != "PASS")
        (images / "not-good.png").write_bytes(opened.payloads.read(golden.payload))
    with pytest.raises(ConfigError, match=f"{golden.payload} would pass"):
        run(bundle, images, tmp_path / "grown.bundle")
    assert not (tmp_path / "grown.bundle").exists()


def test_a_sample_of_production_draws_new_limits(bundle: Path, tmp_path: Path) -> None:
    """With --sample the limits come from the old held-out scores and from each part's score without itself."""
    report = run(bundle, write_labelled(tmp_path / "new", range(200, 212)), tmp_path / "grown.bundle", sample=True)
    with open_bundle(tmp_path / "grown.bundle", trust="development") as opened:
        calibration = opened.manifest.calibration
    assert len(calibration.good_scores) == 24 + 12
    assert set(np.round([part.unseen for part in report.parts], 9)) <= set(np.round(calibration.good_scores, 9))
    assert report.limits_after == calibration.limits
    with pytest.raises(ConfigError, match="--sample"):
        run(bundle, write_labelled(tmp_path / "few", range(200, 203)), tmp_path / "grown.bundle", sample=True)


def test_a_sample_cannot_redraw_limits_that_no_rate_set(bundle: Path, tmp_path: Path) -> None:
    """Limits from defects or costs that stop no good part: what to do is said before anything is written."""
    with open_bundle(bundle, trust="development") as opened:
        draft = draft_of_manifest(opened.manifest)
        payloads = {name: opened.payloads.read(name) for name in opened.manifest.payloads}
    calibration = dataclasses.replace(draft.calibration, false_reject_rate=0.0)
    write_bundle(tmp_path / "by_defects.bundle", dataclasses.replace(draft, calibration=calibration), payloads)
    new = write_labelled(tmp_path / "new", range(200, 206))
    with pytest.raises(ConfigError, match="not drawn for a false-reject rate") as refused:
        run(tmp_path / "by_defects.bundle", new, tmp_path / "grown.bundle", sample=True)
    assert "Leave --sample out" in refused.value.action


def test_a_bundle_without_a_golden_defect_is_told_so(bundle: Path, tmp_path: Path) -> None:
    """It never had one: that fewer parts be added would mend nothing."""
    with open_bundle(bundle, trust="development") as opened:
        draft = draft_of_manifest(opened.manifest)
        payloads = {name: opened.payloads.read(name) for name in opened.manifest.payloads}
    good = tuple(golden for golden in draft.golden if golden.disposition == Disposition.PASS.value)
    write_bundle(tmp_path / "blind.bundle", dataclasses.replace(draft, golden=good), payloads)
    with pytest.raises(ConfigError, match="has no golden defect"):
        run(tmp_path / "blind.bundle", write_labelled(tmp_path / "new", range(200, 202)), tmp_path / "grown.bundle")


def test_tiles_and_masks_are_those_of_the_bundle(tmp_path: Path) -> None:
    """A bundle of two masked tiles learns what it inspects, and nothing of what its mask leaves out."""
    mask = np.full((96, 128), 255, dtype=np.uint8)
    mask[:, 100:] = 0
    (tmp_path / "mask.png").write_bytes(encode_png(mask))
    area = AreaOptions(tiles="1x2", mask=tmp_path / "mask.png")
    tiled = make_bundle(tmp_path, area=area, golden=1)
    report = run(tiled, write_labelled(tmp_path / "new", range(200, 203)), tmp_path / "grown.bundle")
    assert report.bank_after > report.bank_before
    assert [part.disposition_after for part in report.parts] == ["PASS"] * 3
    outside = tmp_path / "outside"
    outside.mkdir()
    part = draw_part(7).copy()
    part[:, 104:] = 255
    (outside / "part.png").write_bytes(encode_png(part))
    unchanged = run(tiled, outside, tmp_path / "same.bundle")
    assert unchanged.bank_after - unchanged.bank_before <= 3


def test_parts_that_the_bank_knows_change_nothing(bundle: Path, tmp_path: Path) -> None:
    """Good parts that pass anyway add few patches or none."""
    report = run(bundle, write_parts(tmp_path / "known", 3), tmp_path / "grown.bundle")
    assert report.bank_after - report.bank_before <= 0.1 * report.bank_before


def test_what_has_no_memory_bank_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Another kind of bundle, or a search graph of another maker, is named."""
    with open_bundle(bundle, trust="development") as opened:
        payloads = {name: opened.payloads.read(name) for name in opened.manifest.payloads}
        draft = draft_of_manifest(opened.manifest)
    other = dataclasses.replace(
        draft, kind=DetectorKind.GENERIC, graphs={"model": "features.onnx"}, outputs={"anomaly_map": "patches"}
    )
    write_bundle(tmp_path / "other.bundle", other, payloads)
    new = write_labelled(tmp_path / "new", range(200, 202))
    with pytest.raises(ConfigError, match="no memory bank"):
        run(tmp_path / "other.bundle", new, tmp_path / "grown.bundle")
    with pytest.raises(BundleError, match="no memory bank"):
        read_bank(payloads["features.onnx"])


def test_the_command_tells_before_and_after(bundle: Path, tmp_path: Path) -> None:
    """A line for each part, the growth, and the same as JSON; a missing folder is an error with words."""
    new = write_labelled(tmp_path / "new", range(200, 202))
    fixed = ["add", str(bundle), str(new), "--engine", "onnxruntime", "--threads", "1"]
    out = tmp_path / "grown.bundle"
    result = CliRunner().invoke(app, [*fixed, "--out", str(out), "--json", str(tmp_path / "s.json")])
    assert result.exit_code == 0, result.stderr
    assert "label-200.png" in result.stdout
    assert "memory bank" in result.stdout
    summary = json.loads((tmp_path / "s.json").read_text())
    assert [part["disposition_after"] for part in summary["parts"]] == ["PASS", "PASS"]
    result = CliRunner().invoke(app, [*fixed, "--out", str(tmp_path / "absent" / "x.bundle")])
    assert result.exit_code == 2
    assert "--out" in result.stderr
