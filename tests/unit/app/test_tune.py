from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from brightest import write_brightest
from heard import heard
from typer.testing import CliRunner

from edge_runtime.app.inspection import load_inspector
from edge_runtime.app.tune import Trial, candidates, ranked, tune
from edge_runtime.app.tuned import Choice, device_key, keep_choice, read_choices, tuned
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.cli.main import app
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import BundleError, ConfigError, EngineError
from edge_runtime.engine.feeds import usable_cores
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundles.archive import OpenBundle

MS = 1_000_000
ONE = EngineSettings(name="onnxruntime", threads=1, precision="f32")


def write(path: Path, *, expected: float = 0.2, golden: bool = True) -> Path:
    """A bundle whose score is the brightest pixel, 0.2 in its golden image."""
    return write_brightest(path, (8, 8) if golden else None, expected=expected)


def opener(path: Path):
    """Opens it anew."""

    def opened() -> OpenBundle:
        return open_bundle(path, trust="development")

    return opened


def trial(threads: int, ms: float) -> Trial:
    """One that took so long."""
    return Trial(EngineSettings(threads=threads), spent_ns=[round(ms * MS)] * 3)


def test_about_as_fast_with_fewer_threads_is_better() -> None:
    """Within a twentieth the camera gets the core; beyond it speed decides."""
    alike = ranked([trial(4, 10.0), trial(2, 10.4), trial(1, 11.0)])
    assert [one.settings.threads for one in alike] == [2, 4, 1]


def test_what_is_configured_is_not_tried_otherwise() -> None:
    """Engine, threads and precision that a person set stay; all threads are tried where none are set."""
    fixed = candidates(ONE)
    assert [(one.name, one.threads, one.precision) for one in fixed] == [("onnxruntime", 1, "f32")]
    free = candidates(EngineSettings(name="onnxruntime"))
    assert {one.threads for one in free} >= {1, usable_cores()}


def test_only_what_gives_the_golden_scores_may_win(tmp_path: Path, no_leaks: None) -> None:
    """A sound engine is timed; one that departs is refused however fast it is, and then there is nothing to choose."""
    trials = tune(opener(write(tmp_path / "p.bundle")), ONE, SystemClock())
    assert [one.refused for one in trials] == [""]
    assert trials[0].p50_ms > 0
    with pytest.raises(EngineError, match=r"expected 0\.3"):
        tune(opener(write(tmp_path / "wrong.bundle", expected=0.3)), ONE, SystemClock())


def test_without_golden_images_nothing_is_tuned(tmp_path: Path) -> None:
    """There would be no condition."""
    with pytest.raises(BundleError, match="golden"):
        tune(opener(write(tmp_path / "p.bundle", golden=False)), ONE, SystemClock())


def test_the_line_runs_what_was_chosen_for_it(tmp_path: Path) -> None:
    """For this bundle on this device, and only there; what the configuration sets is never overruled."""
    bundle, file = write(tmp_path / "p.bundle"), tmp_path / "tuned.json"
    settings = EngineSettings(name="onnxruntime", tuned=file)
    with open_bundle(bundle, trust="development") as opened:
        digest = opened.manifest.identity.digest
    keep_choice(file, Choice(digest, device_key(settings), {"threads": 1}, 1.0, "2026-01-01T00:00:00Z"))
    with load_inspector(bundle, settings, "development") as inspector:
        assert "1 thread(s)" in inspector.engine_description
    assert tuned(settings, "another").threads == 0
    fixed = EngineSettings(name="onnxruntime", threads=2, tuned=file)
    assert tuned(fixed, digest).threads == 2
    elsewhere = Choice(digest, "another device", {"threads": 7}, 1.0, "2026-01-01T00:00:00Z")
    keep_choice(file, elsewhere)
    assert tuned(settings, digest).threads == 1
    assert len(read_choices(file)) == 2
    keep_choice(file, dataclasses.replace(elsewhere, settings={"threads": 3}))
    assert len(read_choices(file)) == 2


@pytest.mark.parametrize(
    "settings", [{"name": "tensorflow"}, {"threads": -1}, {"threads": "1"}, {"threads": True}, {"precision": "f64"}]
)
def test_a_choice_that_no_configuration_may_have_only_costs_speed(tmp_path: Path, settings: dict[str, object]) -> None:
    """Whoever edits the file by hand does not keep the line from starting."""
    file = tmp_path / "tuned.json"
    configured = EngineSettings(tuned=file)
    choice = Choice("digest", device_key(configured), settings, 1.0, "")
    keep_choice(file, choice)
    with heard("edge_runtime.app.tuned") as told:
        assert tuned(configured, "digest") == configured
    assert any(f"tuned.json is not used: {next(iter(settings))}: " in line for line in told)


@pytest.mark.parametrize(
    "settings", [{"name": "openvino", "device": "GPU.77"}, {"name": "onnxruntime", "precision": "bf16"}]
)
def test_a_choice_that_this_device_has_no_more_only_costs_speed(tmp_path: Path, settings: dict[str, str | int]) -> None:
    """An accelerator's driver may be gone after an update: the line runs as configured, and says why."""
    file = tmp_path / "tuned.json"
    configured = EngineSettings(tuned=file)
    keep_choice(file, Choice("digest", device_key(configured), settings, 1.0, ""))
    with heard("edge_runtime.app.tuned") as told:
        assert tuned(configured, "digest") == configured
    assert any("what was tuned on this device is not used" in line for line in told)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"format": 2, "choices": []}',
        '{"format": 1, "choices": [{}]}',
        '{"format": 1, "choices": [{"bundle": "b", "device": "d", "settings": [], "p50_ms": 1, "measured": "m"}]}',
    ],
    ids=["empty", "torn", "list", "deep", "format", "nothing", "settings"],
)
def test_a_damaged_file_only_costs_speed(tmp_path: Path, content: str) -> None:
    """The line starts with what is configured, and says so."""
    file = tmp_path / "tuned.json"
    file.write_text(content)
    settings = EngineSettings(name="onnxruntime", threads=1, tuned=file)
    with heard("edge_runtime.app.tuned") as told:
        assert tuned(settings, "digest") == settings
    assert any("tuned.json is not used" in line for line in told)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Instead of a choice that nobody ever uses."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        keep_choice(tmp_path / "file" / "tuned.json", Choice("d", "k", {}, 1.0, ""))


def test_the_command_keeps_its_choice_where_the_line_looks(tmp_path: Path) -> None:
    """What it prints, it has measured; `--dry-run` keeps nothing."""
    write(tmp_path / "p.bundle")
    config = tmp_path / "line.toml"
    config.write_text(
        '[device]\nname = "d"\nstate_dir = "state"\n[bundle]\npath = "p.bundle"\n'
        '[engine]\nname = "onnxruntime"\nthreads = 1\ntuned = "state/tuned.json"\n'
        '[camera]\nkind = "sim"\n[simulation]\nparts = 1\n'
    )
    file = tmp_path / "state" / "tuned.json"
    tried = CliRunner().invoke(app, ["tune", str(config), "--dry-run"])
    assert tried.exit_code == 0, tried.output
    assert not file.exists()
    kept = CliRunner().invoke(app, ["tune", str(config)])
    assert "golden scores reproduced" in kept.output
    assert [choice.settings["precision"] for choice in read_choices(file)] == ["f32"]
