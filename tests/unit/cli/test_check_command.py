from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_runtime import __version__
from edge_runtime.cli.main import app

CONFIGS = Path(__file__).parents[3] / "configs"


def test_a_sound_configuration_is_told_in_words() -> None:
    """Exit code 0; camera, trust, gate mode with its meaning, and where messages go."""
    result = CliRunner().invoke(app, ["check", str(CONFIGS / "line-pc.toml")])
    assert result.exit_code == 0
    for words in (
        "rtsp://192.168.10.20/stream1",
        "development trust",
        "when this program is dead, every part is rejected",
        "broker.plant.example:8883",
        "plant/hall-2/press-4-exit/inspection",
        "warning: ",
    ):
        assert words in result.stdout
    assert result.stderr == ""


def test_an_unusable_one_exits_2_with_every_error(tmp_path: Path) -> None:
    """Errors go to stderr, one on each line, and nothing is said to work."""
    file = tmp_path / "line.toml"
    file.write_text("[device]\nnam = 'x'\n[camera]\nkind = 'foldr'\n")
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 2
    assert result.stdout == ""
    for words in (":2: device.nam: unknown key; did you mean `name`?", "camera.kind", "bundle: is missing"):
        assert words in result.stderr


def test_machines_get_json_either_way(tmp_path: Path) -> None:
    """With line, key and message of every error, or with the summary."""
    good = json.loads(CliRunner().invoke(app, ["check", str(CONFIGS / "demo.toml"), "--json"]).stdout)
    assert good["ok"] is True
    assert set(good["summary"]) >= {"camera", "bundle", "gate", "messages"}
    file = tmp_path / "line.toml"
    file.write_text("x = 1\n")
    result = CliRunner().invoke(app, ["check", str(file), "--json"])
    bad = json.loads(result.stdout)
    assert result.exit_code == 2
    assert {"line": 1, "key": "x"}.items() <= bad["errors"][-1].items()


def test_what_is_not_there_is_a_warning_and_no_mistake(tmp_path: Path) -> None:
    """Sound is the file; that the line cannot work here is said, with the line of each key, and costs no exit code."""
    file = tmp_path / "line.toml"
    file.write_text("device={name='a',state_dir='s'}\nbundle.path='b.bundle'\ncamera={kind='folder',path='frames'}\n")
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 0, result.output
    assert f"{file}:2: bundle.path: {tmp_path / 'b.bundle'} is not there" in result.stdout
    assert f"{file}:3: camera.path: {tmp_path / 'frames'} is not there" in result.stdout
    found = json.loads(CliRunner().invoke(app, ["check", str(file), "--json"]).stdout)
    assert {"bundle.path", "camera.path"} <= {warning["key"] for warning in found["warnings"]}
    (tmp_path / "frames").mkdir()
    (tmp_path / "b.bundle").touch()
    assert "is not there" not in CliRunner().invoke(app, ["check", str(file)]).stdout


def test_the_summary_repeats_no_secret(tmp_path: Path) -> None:
    """It may be pasted into a ticket."""
    file = tmp_path / "line.toml"
    file.write_text(
        "device={name='a',state_dir='s'}\nbundle.path='b'\ncamera={kind='opencv',source='rtsp://me:hunter2@cam/s?k=hunter2'}\n"
    )
    for arguments in (["check", str(file)], ["check", str(file), "--json"]):
        assert "hunter2" not in CliRunner().invoke(app, arguments).output


def test_every_command_explains_itself() -> None:
    """`--help` names them all; each has a help text of its own."""
    overview = CliRunner().invoke(app, ["--help"]).stdout
    for command in ("run", "demo", "check", "doctor", "capture", "preview"):
        assert command in overview
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0
    assert CliRunner().invoke(app, ["--version"]).stdout == f"edge-runtime {__version__}\n"


@pytest.mark.parametrize("arguments", [["run", "--config", "no.toml"], ["doctor", "no.toml"], ["preview", "no.toml"]])
def test_commands_leave_an_unusable_configuration_to_the_last_resort(arguments: list[str]) -> None:
    """They do not print it themselves: main() turns it into text and exit code, the same for all."""
    result = CliRunner().invoke(app, arguments)
    assert "no.toml does not exist" in str(result.exception).replace(":", "")
