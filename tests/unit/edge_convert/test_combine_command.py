from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from makers import BUNDLE, make_recipe
from typer.testing import CliRunner

from edge_convert.cli import app
from edge_convert.combining.measure import Contestant, Judged, judged_by, measure, other_doubts, standings
from edge_convert.evaluate.dataset import open_dataset
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.decision.combine import look_of
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.combination import Combination, Doubt, Rule, Terms
from edge_runtime.domain.inspection import Inspection
from edge_runtime.domain.verdict import BundleIdentity, Limits
from edge_runtime.ops.clock import SystemClock

MODELS = Path(__file__).parents[3] / "models"
LINE = f"""
device = {{name = "line", state_dir = "state"}}
bundle = {{path = "{MODELS / "demo_fast.bundle"}"}}
camera = {{kind = "sim"}}
"""
COMBINE = f"""[recipe.combine]
rule = "cascade"
doubt_from_percent = 60
[[recipe.combine.members]]
bundle = "{MODELS / "demo.bundle"}"
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """The golden images of the demo as a labelled folder: those that pass are good."""
    folder = tmp_path_factory.mktemp("parts")
    with open_bundle(MODELS / "demo_fast.bundle", trust="development") as bundle:
        for image in bundle.manifest.golden:
            label = folder / ("good" if image.disposition == "PASS" else "bad")
            label.mkdir(exist_ok=True)
            (label / Path(image.payload).name).write_bytes(bundle.payloads.read(image.payload))
    return folder


def _run(tmp_path: Path, text: str, parts: Path):
    (tmp_path / "line.toml").write_text(text, encoding="utf-8")
    out = tmp_path / "figures.json"
    return CliRunner().invoke(app, ["combine", str(tmp_path / "line.toml"), str(parts), "--json", str(out)]), out


def test_every_model_is_measured_alone_and_all_together(tmp_path, parts) -> None:
    """The figures of a cascade name how often the second model is asked; every look is in the file."""
    result, out = _run(tmp_path, LINE + COMBINE, parts)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    fast, slow, together = figures["standings"]
    assert (fast["name"], slow["name"], together["name"]) == ("1 demo-fast 1", "2 demo 1", "cascade")
    asked = [image["asked"] for image in figures["images"]]
    assert set(asked) == {1, 2}  # bad parts are clear, good ones stand in doubt
    assert together["looked_percent"] == slow["looked_percent"] == pytest.approx(100 * asked.count(2) / len(asked))
    assert fast["looked_percent"] == 100
    used_ms = [sum(image["took_ms"][: image["asked"]]) for image in figures["images"]]
    assert together["mean_ms"] == pytest.approx(sum(used_ms) / len(used_ms))
    assert (together["auroc"], together["bad_passed"], together["good_rejected"]) == (1.0, 0, 0)
    assert "doubt from 60 %" in result.output


def test_a_line_with_one_model_is_no_combination(tmp_path, parts) -> None:
    """Said with what to add, and exit code 2."""
    result, out = _run(tmp_path, LINE, parts)
    assert result.exit_code == 2
    assert "combines no models" in result.output
    assert not out.exists()


def test_an_image_that_cannot_be_decoded_is_named(tmp_path, parts) -> None:
    """Exit code 2, with the file that has to be taken out or recorded again."""
    folder = shutil.copytree(parts, tmp_path / "parts")
    (folder / "good" / "torn.png").write_bytes(b"torn")
    result, _ = _run(tmp_path, LINE + COMBINE, folder)
    assert result.exit_code == 2
    assert "torn.png" in result.output


def test_figures_that_cannot_be_written_are_said_in_words(tmp_path, parts) -> None:
    """A path that is a folder: exit code 2, and no traceback."""
    (tmp_path / "figures.json").mkdir()
    result, _ = _run(tmp_path, LINE + COMBINE, parts)
    assert result.exit_code == 2
    assert "--json: cannot write" in result.output


def _rows(scores: dict[str, tuple[float, float]], limits: Limits, combination: Combination) -> list[Judged]:
    rows = []
    for name, each in scores.items():
        looks = tuple(
            look_of(Inspection(name, score, None, BundleIdentity(who, "1", who, "development"), 0, took), limits)
            for who, score, took in zip(("fast", "slow"), each, (1_000_000, 9_000_000), strict=True)
        )
        rows.append(Judged(name, name != "good", looks, judged_by(combination, make_recipe(), looks)))
    return rows


def test_other_doubts_are_told_from_the_same_looks() -> None:
    """A bad part that the first model passes at 90 % of its limit is found from 85 % on, for one more look in three."""
    scores = {"good": (0.2, 0.2), "bad": (0.9, 3.0), "worse": (9.0, 9.0)}
    combination = Combination(Rule.CASCADE, (Terms(doubt=Doubt()), Terms()))
    rows = _rows(scores, Limits(1.0, 2.0), combination)
    assert standings(rows, combination)[-1].bad_passed == 1
    by_name = {standing.name: standing for standing in other_doubts(rows, combination, make_recipe())}
    assert by_name["doubt from 95 %"].bad_passed == 1
    wide = by_name["doubt from 85 %"]
    assert (wide.bad_passed, wide.looked_percent, wide.mean_ms) == (0, pytest.approx(100 / 3), pytest.approx(4.0))


@pytest.mark.parametrize(("rule", "review"), [(Rule.CASCADE, -1.0), (Rule.CASCADE, 0.0), (Rule.MAJORITY, 1.0)])
def test_no_other_doubt_is_offered_that_no_line_may_have(rule, review) -> None:
    """A share of a limit of 0 or less is refused by the line, and a vote has no doubt: no figures are made up."""
    combination = Combination(rule, (Terms(doubt=Doubt()), Terms()))
    rows = _rows({"good": (-3.0, -3.0), "bad": (9.0, 9.0)}, Limits(review, 2.0), combination)
    assert other_doubts(rows, combination, make_recipe()) == []


def test_a_model_that_breaks_on_an_image_is_measured_as_the_line_would_have_it(parts) -> None:
    """Whatever it throws is a fault of that image, and all images are looked at."""

    class BreaksOnce:
        bundle = SimpleNamespace(identity=BUNDLE)
        looked = 0

        def inspect(self, exposures) -> Detection:
            self.looked += 1
            if self.looked == 1:
                raise RuntimeError("out of bounds")
            return Detection(0.5, None)

    dataset, limits = open_dataset(parts), Limits(1.0, 2.0)
    combination = Combination(Rule.ANY, (Terms(),))
    rows = measure([Contestant(BreaksOnce(), limits)], combination, make_recipe(), dataset, SystemClock(), lambda: None)
    assert [row.looks[0].score for row in rows] == [None] + [0.5] * (len(rows) - 1)
    assert rows[0].looks[0].detail == "RuntimeError: out of bounds"
    assert (rows[0].verdict.disposition, rows[0].verdict.reason) == ("REJECT", "engine_error")
