from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from typer.testing import CliRunner

from edge_convert.bench.search import EXACT, run_case
from edge_convert.bench.search_patches import drawn
from edge_convert.cli import app
from edge_convert.progress import Silent
from edge_runtime.config.engine import EngineSettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = EngineSettings(name="onnxruntime", threads=1)


def test_every_way_names_the_same_patch_and_the_exact_one_equals_brute_force() -> None:
    """All ways see the same pictures; the exact search is compared with float32 brute force bit for bit."""
    result = run_case(drawn(300, 16, 30, 4), ENGINE, 2, 4, SystemClock(), Silent())
    assert (result.pictures, result.checked, result.equal) == (4, 4, 4)
    assert result.ways[0].way == EXACT
    assert len(result.ways) == 4
    assert all(way.same_patch == 4 and way.spread.count == 8 and way.ratio.median > 0 for way in result.ways)
    assert all(way.beside_ms > 0 for way in result.ways)


def test_drawn_defects_stand_out() -> None:
    """Every other drawn picture has patches that the bank does not know."""
    case = drawn(500, 32, 40, 4)
    far = [np.linalg.norm(one[:, None] - case.rows, axis=2).min(axis=1).max() for one in case.pictures]
    assert min(far[1::2]) > max(far[::2])


def test_the_command_writes_a_table_and_json(tmp_path: Path) -> None:
    """A list of sizes gives a case each; a list that is none, or a bundle without pictures, is an error in words."""
    flags = ["bench", "search", "--sizes", "50,60", "--channels", "8", "--patches", "12", "--pictures", "2"]
    flags += ["--rounds", "1", "--engine", "onnxruntime", "--threads", "1", "--json", str(tmp_path / "found.json")]
    found = CliRunner().invoke(app, flags)
    assert found.exit_code == 0, found.output
    cases = json.loads((tmp_path / "found.json").read_text())["cases"]
    assert [case["name"] for case in cases] == ["drawn, 50×8", "drawn, 60×8"]
    assert found.output.count("2 of 2 equal") == 2
    for wrong, word in ((["--sizes", "many"], "no list"), ([str(tmp_path / "x.bundle")], "--images")):
        refused = CliRunner().invoke(app, ["bench", "search", *wrong])
        assert refused.exit_code != 0
        assert word in refused.output
