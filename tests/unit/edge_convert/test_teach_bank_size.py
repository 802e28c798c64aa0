from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_teaching import drawn_options, taught
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_convert.coreset import CoresetSize
from edge_convert.teaching.bank_size import SizeTrial, _judge, _trials
from edge_convert.teaching.contamination import Contamination
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.report import TeachReport


def run(folder: Path, **changes: object) -> TeachReport:
    """Teach 20 drawn parts and let the figures choose the bank's size."""
    fixed = {"coreset": CoresetSize(), "auto_size": True, "contamination": Contamination(0.0)}
    return taught(drawn_options(folder, 20, **(fixed | changes)))


def trial(size: int, behind: float, noise: float, search_ms: float = 1.0) -> SizeTrial:
    """A size that is so far behind the best by separation."""
    return SizeTrial(size, 1.0, (0.0, 0.0), 5.0 - behind, (behind, noise), search_ms)


def test_the_chosen_size_is_in_the_bundle_with_what_was_tried(tmp_path: Path) -> None:
    """The bank has the chosen size; sizes, accuracy and search times are reported, and no time is in the bundle."""
    report = run(tmp_path)
    assert [entry.size for entry in report.bank_sizes] == [250, 500, 960]
    assert report.bank in {entry.size for entry in report.bank_sizes}
    assert all(0.5 <= entry.auroc <= 1 and entry.search_ms > 0 for entry in report.bank_sizes)
    with open_bundle(tmp_path / "part.bundle", trust="development") as bundle:
        note = bundle.manifest.notes["bank_size"]
        held_out = bundle.manifest.calibration.good_scores
    assert note.startswith(f"{report.bank} patches")
    assert "ms" not in note
    assert len(held_out) == 20
    assert run(tmp_path, out=tmp_path / "again.bundle").digest == report.digest


def test_the_smallest_within_noise_is_taken() -> None:
    """A smaller bank is taken as long as it is no farther behind than one standard error."""
    trials = [trial(250, 0.9, 0.3), trial(500, 0.2, 0.3), trial(1_000, 0.0, 0.0)]
    assert _judge(trials, None).size == 500
    assert _judge([trial(250, 0.0, 0.0), trial(500, 0.1, 0.2)], None).size == 250


def test_a_time_limit_is_kept_and_its_price_is_told() -> None:
    """Under a limit that excludes every good enough size the largest allowed one is taken, with a warning."""
    trials = [trial(250, 2.0, 0.1, 1.0), trial(500, 1.0, 0.1, 2.0), trial(1_000, 0.0, 0.0, 4.0)]
    limited = _judge(trials, 2.5)
    assert limited.size == 500
    assert "1.00 behind the best" in limited.warnings[0]
    assert _judge(trials, 0.5).size == 250
    assert "longer than --max-search-ms" in _judge(trials, 0.5).warnings[0]
    assert _judge(trials, 8.0).warnings == ()


def test_a_bank_that_separates_better_is_worth_its_size() -> None:
    """Where defects clearly rise over the good parts only with many patches, the small bank is not within noise."""
    draw = np.random.default_rng(1)
    good = np.log(draw.uniform(1.0, 1.2, (40, 1))) * np.array([[1.0, 0.5]])
    bad = np.log(draw.uniform(1.1, 1.6, (40, 2, 1))) * np.array([[[1.0, 1.0]]])
    trials = _trials([250, 500], good, bad, [1.0, 2.0])
    assert trials[1].separation > trials[0].separation
    assert not trials[0].within_noise
    assert trials[1].within_noise


def test_a_time_limit_alone_is_refused(tmp_path: Path) -> None:
    """--max-search-ms without --coreset auto would choose nothing, and --coreset takes shares or auto."""
    with pytest.raises(ConfigError, match="--max-search-ms"):
        run(tmp_path, auto_size=False, max_search_ms=5.0)
    fixed = ["teach", str(tmp_path), "--backbone", str(tmp_path / "b.onnx"), "--out", str(tmp_path / "p.bundle")]
    result = CliRunner().invoke(app, [*fixed, "--coreset", "large"])
    assert result.exit_code == 2
    assert "--coreset" in result.stderr
