"""`edge-convert eval` as it is called: files, summary, errors, and the daemon's own scores."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import typer
from eval_parts import ENGINE, brightness_bundle, mvtec_set
from typer.testing import CliRunner

from edge_convert.evaluate.command import register
from edge_runtime.app.inspection import load_inspector
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The brightness bundle."""
    return brightness_bundle(tmp_path / "b.bundle")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Good 50 and 120, spot 180 and 250, scratch 60 (grey levels)."""
    return mvtec_set(tmp_path / "set")


def call(*arguments: object) -> Result:
    """Run the command on onnxruntime with one thread."""
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)  # with a callback a single command keeps its name
    words = ["eval", *map(str, arguments), "--engine", "onnxruntime", "--threads", "1"]
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, words, catch_exceptions=False)


def test_report_and_json_are_written(bundle: Path, dataset: Path, tmp_path: Path) -> None:
    """Both files appear, in folders that need not exist before; nothing temporary stays."""
    report, document = tmp_path / "out" / "report", tmp_path / "out" / "deep" / "e.json"
    result = call(bundle, dataset, "--report", report, "--json", document)
    assert result.exit_code == 0
    assert [path.name for path in report.iterdir()] == ["index.html"]
    assert [path.name for path in document.parent.iterdir()] == ["e.json"]
    assert "</html>" in (report / "index.html").read_text(encoding="utf-8")
    assert json.loads(document.read_text(encoding="utf-8"))["figures"]["image_auroc"] == pytest.approx(5 / 6)


def test_summary_fits_one_screen_and_says_the_essential(bundle: Path, dataset: Path) -> None:
    """Without any file the terminal still has figures, confusion, trust and warnings, on at most 40 lines."""
    result = call(bundle, dataset)
    assert result.exit_code == 0
    for said in ("image_auroc", "0.8333", "aupro", "DEVELOPMENT", "REVIEW", "golden images", "1 of 1 hold", "Only 2"):
        assert said in result.stdout
    assert len(result.stdout.splitlines()) <= 40


def test_scores_equal_those_of_the_daemons_inspector(bundle: Path, dataset: Path, tmp_path: Path) -> None:
    """Every score in the JSON is the one that the daemon's own inspector gives, bit for bit."""
    assert call(bundle, dataset, "--json", tmp_path / "e.json").exit_code == 0
    rows = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["images"]
    assert len(rows) == 5
    with load_inspector(bundle, ENGINE, "development") as inspector:
        for row in rows:
            exposure = decode_image((dataset / row["file"]).read_bytes()).array
            assert row["score"] == inspector.inspect((exposure,)).score


def test_failed_golden_image_is_shown_not_hidden(dataset: Path, tmp_path: Path) -> None:
    """A bundle that this machine does not reproduce is evaluated, and summary, report and JSON say it."""
    wrong = brightness_bundle(tmp_path / "w.bundle", golden_score=0.4)
    result = call(wrong, dataset, "--report", tmp_path, "--json", tmp_path / "e.json")
    assert result.exit_code == 0
    assert "0 of 1 hold" in result.stdout
    assert "does not reproduce the model" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["golden"][0]["passed"] is False


def test_wrong_dataset_says_what_to_do(bundle: Path, tmp_path: Path) -> None:
    """A folder that is no dataset ends with code 2 and the layout that is expected; an old result stays."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "e.json").write_text("old", encoding="utf-8")
    result = call(bundle, tmp_path / "empty", "--json", tmp_path / "e.json")
    assert result.exit_code == 2
    assert "test/good and test/<defect>" in result.stderr
    assert (tmp_path / "e.json").read_text(encoding="utf-8") == "old"


def test_file_that_is_no_bundle_says_what_to_do(dataset: Path, tmp_path: Path) -> None:
    """Something else in the bundle's place ends with code 2 and a sentence, not a traceback."""
    (tmp_path / "x.bundle").write_bytes(b"not a bundle")
    result = call(tmp_path / "x.bundle", dataset)
    assert result.exit_code == 2
    assert "x.bundle" in result.stderr


def test_output_that_cannot_be_written_is_found_before_the_work(bundle: Path, dataset: Path, tmp_path: Path) -> None:
    """A file where the report's folder should be is an error before anything is inspected."""
    (tmp_path / "taken").write_bytes(b"")
    result = call(bundle, dataset, "--report", tmp_path / "taken")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("rate", ["0", "-1", "1.01", "nan"])
def test_senseless_fpr_limit_is_refused(bundle: Path, dataset: Path, rate: str) -> None:
    """AUPRO needs a rate above 0 and up to 1."""
    result = call(bundle, dataset, "--aupro-fpr", rate)
    assert result.exit_code == 2
    assert "--aupro-fpr" in result.stderr
