from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_teaching import drawn_options, taught
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_backbone import draw_part, write_backbone, write_parts
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_convert.coreset import CandidatePatches
from edge_convert.teaching import screening
from edge_convert.teaching.contamination import Contamination, fit_ruler, outliers
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.domain.errors import ConfigError
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path


def contaminate(folder: Path, count: int, *, whole: bool = False) -> list[str]:
    """Slip parts into the folder whose face, or whole picture, is spoilt, each another way; their file names."""
    names = []
    for seed in range(900, 900 + count):
        names.append(f"slipped-{seed}.png")
        draw = np.random.default_rng(seed)
        part = draw_part(seed)
        block = part if whole else part[24:72, 36:92]
        colour = 255 * draw.integers(0, 2, 3)
        block[draw.random(block.shape[:2]) < 0.35 + 0.1 * (seed % 5)] = colour
        (folder / names[-1]).write_bytes(encode_png(part))
    return names


def test_defects_among_the_good_parts_are_left_out_by_name(tmp_path: Path) -> None:
    """Three defective parts among forty good ones are named in report and bundle, and nothing else is."""
    write_parts(tmp_path / "good", 40)
    names = contaminate(tmp_path / "good", 3)
    report = taught(drawn_options(tmp_path))
    assert sorted(suspect.file for suspect in report.left_out) == names
    assert report.images == 40
    assert all(suspect.excess > 1 for suspect in report.left_out)
    with open_bundle(tmp_path / "part.bundle", trust="development") as bundle:
        manifest = bundle.manifest
    assert all(name in manifest.notes["contamination"] for name in names)
    assert any(names[0] in warning for warning in manifest.calibration.warnings)
    assert len(manifest.calibration.good_scores) == 40


def test_without_them_the_bundle_is_that_of_the_clean_folder(tmp_path: Path) -> None:
    """Leaving defects out gives the limits of a folder that never held them; keeping them stretches the limits."""
    write_parts(tmp_path / "good", 40)
    clean = taught(drawn_options(tmp_path))
    contaminate(tmp_path / "good", 3)
    screened, kept = taught(drawn_options(tmp_path)), taught(drawn_options(tmp_path, contamination=Contamination(0.0)))
    assert clean.left_out == kept.left_out == ()
    assert screened.review_limit == pytest.approx(clean.review_limit, rel=0.05)
    assert kept.review_limit > 1.3 * screened.review_limit


def test_a_stated_share_is_left_out_whatever_the_scores_say(tmp_path: Path) -> None:
    """With 0.1 of thirty clean parts three go, the most unusual ones."""
    write_parts(tmp_path / "good", 30)
    report = taught(drawn_options(tmp_path, contamination=Contamination(0.1)))
    assert len(report.left_out) == 3
    assert report.images == 27


def test_never_more_than_the_stated_share_goes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more images look suspicious than may go unseen, only the worst go, and a person is told to look."""
    monkeypatch.setattr(screening, "LARGEST_SHARE", 0.06)
    write_parts(tmp_path / "good", 27)
    contaminate(tmp_path / "good", 3)
    report = taught(drawn_options(tmp_path))
    assert len(report.left_out) == 1  # two of thirty would be 6.7 %
    assert any("more than 6% of the images look suspicious" in text for text in report.warnings)


def test_many_images_are_judged_too(tmp_path: Path) -> None:
    """Where one share of the images is enough for the limits, the others are looked at all the same."""
    write_parts(tmp_path / "good", 110)
    names = contaminate(tmp_path / "good", 2, whole=True)
    report = taught(drawn_options(tmp_path, false_reject_rate=0.2, holdout=0.3))
    assert report.held_out < 40
    assert sorted(suspect.file for suspect in report.left_out) == names


def test_a_large_share_goes_from_all_of_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few images are held out, the others still give as many as are to go, not just a tenth of them."""
    monkeypatch.setattr(screening, "_RULER_IMAGES", 8)
    write_parts(tmp_path / "good", 40)
    names = contaminate(tmp_path / "good", 20, whole=True)
    options = drawn_options(
        tmp_path, false_reject_rate=0.2, holdout=0.2, contamination=Contamination(0.35), int8=False, golden=1
    )
    left_out = {suspect.file for suspect in taught(options).left_out}
    assert len(left_out) == 21
    assert len(left_out.intersection(names)) >= 18


@settings(max_examples=40, deadline=None)
@given(st.integers(10, 400), st.integers(0, 2**32 - 1), st.floats(0.02, 0.5))
def test_the_limit_lies_above_the_usual_and_scales_with_the_scores(count: int, seed: int, scale: float) -> None:
    """Whatever the unit of the scores, the same images are suspects, and fewer than a quarter of them ever are."""
    scores = np.exp(np.random.default_rng(seed).gumbel(1.0, scale, count))
    found = outliers(dict(enumerate(scores)), fit_ruler(scores), count)
    scaled = outliers(dict(enumerate(scores * 1_000)), fit_ruler(scores * 1_000), count)
    assert found == scaled
    assert len(found) < count / 4
    assert fit_ruler(scores).limit(count) > np.median(scores)


def test_good_parts_alone_are_rarely_suspected() -> None:
    """Over 400 folders of 100 Gumbel scores no more than the stated family-wise error lose an image."""
    draw = np.random.default_rng(5)
    lost = 0
    for _ in range(400):
        scores = np.exp(draw.gumbel(0.0, 0.1, 100))
        lost += bool(outliers(dict(enumerate(scores)), fit_ruler(scores), 100))
    assert lost <= 0.05 * 400


def test_forgetting_images_keeps_rows_and_origins_together() -> None:
    """After `keep_only` every row still is the patch that its origin names, under the image's new number."""
    patches = {image: np.random.default_rng(image).random((20, 4), dtype=np.float32) for image in range(6)}
    candidates = CandidatePatches(6, 20, 4, 60, seed=1)
    for image, rows in patches.items():
        candidates.add(image, rows)
    candidates.keep_only([1, 2, 5])
    chosen = np.array([0, 7, 29, 12])
    rows = candidates.rows()[chosen]
    for (image, view), (positions, places) in candidates.origins(chosen).items():
        assert view == 0
        np.testing.assert_array_equal(rows[positions], patches[[1, 2, 5][image]][places])
    assert len(candidates.rows()) == 30
    assert len(candidates.rows_of([0, 2])) == 20


@pytest.mark.parametrize("text", ["maybe", "0.5", "-0.1", "nan"])
def test_a_share_that_makes_no_sense_is_refused(text: str) -> None:
    """What can be written is said."""
    with pytest.raises(ConfigError, match="--contamination"):
        Contamination.parse(text)


def test_the_command_lists_what_was_left_out(tmp_path: Path) -> None:
    """`--json` has every file with how far out it is; the terminal names them."""
    write_parts(tmp_path / "good", 24)
    names = contaminate(tmp_path / "good", 1)
    write_backbone(tmp_path / "b.onnx")
    fixed = [
        "teach",
        str(tmp_path / "good"),
        "--backbone",
        str(tmp_path / "b.onnx"),
        "--out",
        str(tmp_path / "p.bundle"),
    ]
    fixed += ["--engine", "onnxruntime", "--threads", "1", "--size", "64x96", "--coreset-min", "80", "--no-int8"]
    result = CliRunner().invoke(app, [*fixed, "--contamination", "0.04", "--json", str(tmp_path / "s.json")])
    assert result.exit_code == 0, result.stderr
    left_out = json.loads((tmp_path / "s.json").read_text())["left_out"]
    assert [entry["file"] for entry in left_out] == names
    assert math.isfinite(left_out[0]["excess"])
    assert names[0] in result.stderr
