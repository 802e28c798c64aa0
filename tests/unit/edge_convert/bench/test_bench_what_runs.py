from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from altered_engine import Masked
from brightest import write_brightest
from typer.testing import CliRunner

from edge_convert.bench.engine_tool import stated_precision
from edge_convert.bench.peers import Peer
from edge_convert.bench.timed import EngineWatch, Stopwatch
from edge_convert.cli import app
from edge_runtime import engine as engines
from edge_runtime.app.inspection import BF16_WHERE_IT_IS, load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.writer import draft_of_manifest, write_bundle
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError, EngineError
from edge_runtime.ops.clock import SystemClock

FAST = Path(__file__).resolve().parents[4] / "models" / "demo_fast.bundle"
OPENVINO = EngineSettings(name="openvino", threads=1)
QUICK = ["--engine", "onnxruntime", "--threads", "1", "--rounds", "1", "--per-round", "2", "--frame", "240x320"]


def test_the_engine_that_runs_the_bundle_is_timed(tmp_path: Path) -> None:
    """Not the one that was given up for it: its graphs would be missing from the figures, and from benchmark_app's."""
    try:
        engines.create(OPENVINO.model_copy(update={"precision": "bf16"}))
    except EngineError:
        pytest.skip("this processor does not compute in bf16")
    stopwatch = Stopwatch(SystemClock())
    watch = EngineWatch(stopwatch)
    bundle = write_brightest(tmp_path / "p.bundle", golden_px=None, precision=BF16_WHERE_IT_IS)
    with load_inspector(bundle, OPENVINO, "development", lambda engine: watch(Masked(engine))) as inspector:
        stopwatch.take()
        inspector.inspect((np.zeros((8, 8), np.uint8),))
        assert len(watch.runs.models) == 1
        assert list(stopwatch.take()) == [0]
        assert watch.runs.description == inspector.engine_description
        assert stated_precision(watch.runs.description) == "f32"


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_the_engines_tool_is_told_the_precision_that_the_bundle_runs_in(precision: str) -> None:
    """The bundle may have chosen another than the settings: a ratio of bf16 to float32 would flatter."""
    settings = OPENVINO.model_copy(update={"precision": precision})
    try:
        assert stated_precision(engines.create(settings).description) == precision
    except EngineError:
        pytest.skip(f"this processor does not compute in {precision}")


def test_a_part_of_several_exposures_is_measured(tmp_path: Path) -> None:
    """As the daemon sees it, every exposure prepared and inspected: the same frame so many times."""
    two, figures = tmp_path / "two.bundle", tmp_path / "b.json"
    with open_bundle(FAST, trust="development") as opened:
        manifest = opened.manifest
        draft = replace(draft_of_manifest(manifest), parameters={**manifest.parameters, "exposures": 2.0})
        write_bundle(two, draft, {name: opened.payloads.read(name) for name in manifest.payloads})
    done = CliRunner().invoke(app, ["bench", str(two), *QUICK, "--json", str(figures)])
    assert done.exit_code == 0, done.output
    assert json.loads(figures.read_text())["verdict"]["count"] == 2


def test_a_file_that_cannot_be_written_costs_no_measurement(tmp_path: Path) -> None:
    """The table is printed before the error that ends the command."""
    done = CliRunner().invoke(app, ["bench", str(FAST), *QUICK, "--json", str(tmp_path / "none" / "b.json")])
    assert done.exit_code == 2
    assert "frame to score" in done.output
    assert "cannot write" in done.output


@pytest.mark.parametrize(
    "flags",
    [
        ["bench", str(FAST), "--frame", "0x0"],
        ["bench", str(FAST), "--frame", "100000x100000"],
        ["bench", str(FAST), "--frame", "²x4"],
        ["bench", str(FAST), *QUICK, "--peer", ""],
        ["bench", str(FAST), *QUICK, "--peer", "echo {}"],
        ["bench", str(FAST), *QUICK, "--peer", "echo {torn"],
        ["bench", "search", "--sizes", "0"],
        ["bench", "search", "--channels", "4,-1"],
    ],
)
def test_what_makes_no_sense_is_refused_in_words(flags: list[str]) -> None:
    """With exit code 2 and what to do, never with Python's own complaint."""
    done = CliRunner().invoke(app, flags)
    assert done.exit_code == 2, done.output
    assert "→" in done.output


def test_a_peer_that_has_ended_says_why(tmp_path: Path, no_leaks: None) -> None:
    """Also where it was gone before it could read what it was asked."""
    speaks = "import sys; print('{\"name\": \"p\"}', flush=True); sys.exit('out of memory')"
    with Peer([sys.executable, "-c", speaks], tmp_path / "log") as peer:
        peer._process.wait(60)
        with pytest.raises(ConfigError, match="out of memory"):
            peer.run(tmp_path / "frame.npy", 3)


def test_a_peer_that_answers_for_fewer_parts_is_refused(tmp_path: Path, no_leaks: None) -> None:
    """Its rounds would be cut at the wrong places."""
    speaks = (
        'print(\'{"name": "p"}\', flush=True); input(); print(\'{"ns": [5], "cpu_ns": 5, "score": 1}\', flush=True)'
    )
    with (
        Peer([sys.executable, "-c", speaks], tmp_path / "log") as peer,
        pytest.raises(ConfigError, match="1 durations for 3 parts"),
    ):
        peer.run(tmp_path / "frame.npy", 3)
