from __future__ import annotations

import socket
import sqlite3
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, REPOSITORY, DaemonProcess, free_port

from edge_runtime.app.own_broker import with_its_broker
from edge_runtime.app.running import LineSource
from edge_runtime.config.line import LineConfig

if TYPE_CHECKING:
    from pathlib import Path

LINE = f"""
[device]
name = "line"
state_dir = "state"
[bundle]
path = "{REPOSITORY / "models" / "demo_fast.bundle"}"
[camera]
kind = "sim"
[plc]
kind = "sim"
[simulation]
parts = 3
parts_per_s = 20.0
[recipe]
decision_deadline_ms = 250.0
reject.delay_ms = 300.0
[mqtt]
embedded = true
port = 0
"""


def config(**mqtt: object) -> LineConfig:
    """Of a simulated line with these settings of its broker."""
    return LineConfig.model_validate(
        {
            "device": {"name": "line", "state_dir": "state"},
            "bundle": {"path": str(DEMO_BUNDLE)},
            "camera": {"kind": "sim"},
            "plc": {"kind": "sim"},
            "mqtt": mqtt,
        }
    )


def accepts(port: int) -> bool:
    """Whether anybody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.needs_mosquitto
@pytest.mark.usefixtures("no_leaks")
def test_a_line_with_an_embedded_broker_brings_it_along() -> None:
    """On the port that is asked for, for as long as the line lives; loaded anew nothing has changed."""
    asked = config(embedded=True, port=free_port())
    changed = config(embedded=True, port=free_port(), topic_root="other")
    loaded = [asked, changed]
    with ExitStack() as at_the_end:
        source = with_its_broker(LineSource(asked, lambda: loaded.pop(0)), at_the_end.callback)
        assert source.config.mqtt.port == asked.mqtt.port
        assert accepts(asked.mqtt.port)
        assert source.reload() == source.config
        assert source.reload() == changed  # a person did that: it waits for the next start, and is told
    assert not accepts(asked.mqtt.port)


@pytest.mark.parametrize("mqtt", [{"enabled": False, "embedded": True, "port": 0}, {"host": "broker", "port": 1883}])
def test_no_broker_is_started_for_others(mqtt: dict[str, object]) -> None:
    """A line that sends nothing, or to a broker of its own."""
    source = LineSource(config(**mqtt), lambda: config(**mqtt))
    assert with_its_broker(source, lambda _: pytest.fail("something was started")) is source


@pytest.mark.needs_mosquitto
def test_the_daemon_of_a_demonstration_delivers_its_records(tmp_path: Path) -> None:
    """`edge-runtime run` on such a configuration starts the broker that `check` and `doctor` speak of."""
    file = tmp_path / "line.toml"
    file.write_text(LINE)
    daemon = DaemonProcess(file, tmp_path / "daemon.log")
    try:
        assert daemon.process.wait(60) == 0, daemon.log.read_text()
    finally:
        daemon.close()
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM records").fetchone()[0] >= 3
        assert ledger.execute("SELECT upto = (SELECT max(sequence) FROM records) FROM delivery").fetchone() == (1,)
