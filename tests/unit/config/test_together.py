from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from edge_runtime.cli.main import app
from edge_runtime.config.problems import InvalidConfigError
from edge_runtime.config.together import read_together

if TYPE_CHECKING:
    from pathlib import Path

LINE = """
[device]
name = "{name}"
state_dir = "{name}"
[bundle]
path = "some.bundle"
[camera]
kind = "sim"
[ops]
metrics_port = {port}
"""


def write(folder: Path, name: str, port: int, more: str = "") -> Path:
    """The configuration of a line."""
    path = folder / f"{name}.toml"
    path.write_text(LINE.format(name=name, port=port) + more, encoding="utf-8")
    return path


def test_lines_of_their_own_go_together(tmp_path: Path) -> None:
    """In the order given; no port and any port are nobody's."""
    paths = [write(tmp_path, "exit", 9_109), write(tmp_path, "entry", 0), write(tmp_path, "oven", 0)]
    assert [one.config.device.name for one in read_together(paths)] == ["exit", "entry", "oven"]


def test_a_line_that_looks_at_several_parts_at_once_runs_alone(tmp_path: Path) -> None:
    """By itself it is fine; lines that share a process take turns, and it would take those of the others."""
    alone = write(tmp_path, "exit", 9_109, "[engine]\nat_once = 2\n")
    assert read_together([alone])[0].config.engine.at_once == 2
    with pytest.raises(InvalidConfigError) as caught:
        read_together([write(tmp_path, "entry", 0), alone])
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [(12, "engine.at_once")]


def test_a_name_a_folder_or_a_port_is_taken_once(tmp_path: Path) -> None:
    """Every clash of a file at once, with its line and the other file."""
    first = write(tmp_path, "exit", 9_109)
    (tmp_path / "copy.toml").write_text(first.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InvalidConfigError) as caught:
        read_together([first, tmp_path / "copy.toml"])
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (3, "device.name"),
        (4, "device.state_dir"),
        (10, "ops.metrics_port"),
    ]
    assert str(first) in caught.value.what
    assert "copy.toml" in caught.value.what


@pytest.mark.parametrize(
    ("one", "other", "key"),
    [
        ('plc = {kind="modbus_rtu", device="/dev/a"}', 'plc = {kind="serial_relay", device="/dev/a"}', "plc.device"),
        ('plc = {kind="modbus_tcp", host="h"}', 'plc = {kind="modbus_tcp", host="h"}', "plc.result_address"),
        (
            'plc = {kind="modbus_tcp", host="h"}',
            'plc = {kind="modbus_tcp", host="h", result_address=110, status_address=300}',
            "plc.result_address",
        ),
        (
            'plc = {kind="modbus_tcp", host="h", result_address=300, status_address=400}',
            'plc = {kind="modbus_tcp", host="h", result_address=500, status_address=301}',
            "plc.status_address",
        ),
        (
            'plc = {kind="modbus_tcp", host="h", product_address=300}',
            'plc = {kind="modbus_tcp", host="h", result_address=500, status_address=600, product_address=301}',
            "plc.product_address",
        ),
        (
            'plc = {kind="modbus_tcp", host="h", ejector_coil=3}',
            'plc = {kind="modbus_tcp", host="h", result_address=500, status_address=600, ejector_coil=3}',
            "plc.ejector_coil",
        ),
        ('mqtt = {client_id="me"}', 'mqtt = {client_id="me"}', "mqtt.client_id"),
        ("mqtt = {embedded=true, port=9000}", "mqtt = {embedded=true, port=9000}", "mqtt.port"),
        ('plc = {kind="gpio", line=4}', 'updates.signal = {kind="gpio", line=4}', "updates.signal.line"),
    ],
)
def test_so_is_a_device(tmp_path: Path, one: str, other: str, key: str) -> None:
    """Whatever two lines would both speak to."""
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path, more, port in zip(paths, (one, other), (0, 0), strict=True):
        path.write_text(more + LINE.format(name=path.stem, port=port), encoding="utf-8")
    with pytest.raises(InvalidConfigError) as caught:
        read_together(paths)
    assert key in [problem.key for problem in caught.value.problems]


@pytest.mark.parametrize("source", ['"/dev/video0"', '"0"'])
def test_a_camera_is_the_same_by_number_and_by_device(tmp_path: Path, source: str) -> None:
    """Two lines that open one V4L2 device take the frames from each other."""
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path, taken in zip(paths, ("0", source), strict=True):
        text = LINE.format(name=path.stem, port=0).replace('kind = "sim"', f'kind = "opencv"\nsource = {taken}')
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidConfigError) as caught:
        read_together(paths)
    assert [problem.key for problem in caught.value.problems] == ["camera.source"]


def test_lines_share_a_plc_and_a_broker_where_each_has_its_own_place(tmp_path: Path) -> None:
    """Blocks that do not touch, another unit, an identity of its own."""
    lines = [
        'plc = {kind="modbus_tcp", host="h"}',
        'plc = {kind="modbus_tcp", host="h", result_address=132, status_address=232}',
        'plc = {kind="modbus_tcp", host="h", unit=2}',
    ]
    paths = [tmp_path / f"{number}.toml" for number in range(3)]
    for path, more in zip(paths, lines, strict=True):
        path.write_text(more + LINE.format(name=f"line{path.stem}", port=0), encoding="utf-8")
    assert len(read_together(paths)) == 3


def test_check_says_so_before_the_daemon_is_started(tmp_path: Path) -> None:
    """`edge-runtime check` with the files of one process; machines get each line's summary."""
    good = [str(write(tmp_path, "exit", 9_109)), str(write(tmp_path, "entry", 9_110))]
    told = CliRunner().invoke(app, ["check", *good])
    assert told.exit_code == 0
    assert told.stdout.count("sound. The line:") == 2
    found = json.loads(CliRunner().invoke(app, ["check", "--json", *good]).stdout)
    assert [one["summary"]["device"].split(",")[0] for one in found["lines"]] == ["exit", "entry"]
    refused = CliRunner().invoke(app, ["check", good[0], str(write(tmp_path, "oven", 9_109))])
    assert refused.exit_code == 2
    assert "ops.metrics_port" in refused.stderr
    assert "exit.toml" in refused.stderr
