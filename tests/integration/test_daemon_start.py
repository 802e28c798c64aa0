from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, DaemonProcess, wait_until

from edge_runtime.app.daemon import Daemon
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import ConfigError, EdgeError, LedgerError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator


def _config(work: Path, **sections: object) -> LineConfig:
    return LineConfig.model_validate(
        {
            "device": {"name": "line", "state_dir": str(work / "state")},
            "bundle": {"path": str(DEMO_BUNDLE)},
            "camera": {"kind": "sim"},
            "plc": {"kind": "sim"},
            "simulation": {"parts": 5, "parts_per_s": 50},
            "mqtt": {"enabled": False},
            "ops": {"metrics_port": 0},
        }
        | sections
    )


def _daemon(config: LineConfig) -> Daemon:
    return Daemon(config, lambda: config, SystemClock())


@pytest.fixture
def process(tmp_path) -> Iterator[DaemonProcess]:
    """A daemon that is just being started."""
    (tmp_path / "in").mkdir()
    file = tmp_path / "line.toml"
    file.write_text(
        f'[device]\nname = "line"\nstate_dir = "state"\n[bundle]\npath = "{DEMO_BUNDLE}"\n'
        '[camera]\nkind = "folder"\npath = "in"\n[mqtt]\nenabled = false\n[ops]\nmetrics_port = 0\n'
    )
    daemon = DaemonProcess(file, tmp_path / "daemon.log")
    yield daemon
    daemon.close()


def _wait_for_handlers(daemon: DaemonProcess) -> None:
    """Until the process no longer dies of SIGHUP: it has installed its handlers, and loads its model now."""

    def caught() -> bool:
        status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="utf-8")
        mask = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(mask.split()[1], 16) >> (signal.SIGHUP - 1) & 1)

    wait_until(caught, "signal handlers")


def test_a_stop_during_the_start_is_a_clean_end(process) -> None:
    """`systemctl stop` while the model loads: exit code 0, and the model does not have to be ready first."""
    _wait_for_handlers(process)
    assert not (process.log.parent / "state" / "ledger.sqlite").exists()
    assert process.terminate() == 0
    assert "Traceback" not in process.log.read_text()


def test_a_reload_during_the_start_is_carried_out_after_it(process) -> None:
    """It does not kill the daemon, and it is not forgotten."""
    _wait_for_handlers(process)
    process.process.send_signal(signal.SIGHUP)
    process.wait_ready()
    wait_until(lambda: "limits_unchanged" in process.log.read_text(), "the reload")
    assert process.terminate() == 0


def test_a_state_folder_that_cannot_be_made_is_told_in_two_lines(tmp_path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(ConfigError, match="state"):
        _daemon(_config(tmp_path))


@pytest.mark.usefixtures("no_leaks")
def test_a_daemon_that_cannot_be_built_leaves_nothing_open(tmp_path) -> None:
    """Ledger and bundle are free again: a second attempt in the same process works."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "evidence").write_text("not a folder")
    with pytest.raises(LedgerError):
        _daemon(_config(tmp_path))
    (tmp_path / "state" / "evidence").unlink()
    daemon = _daemon(_config(tmp_path))
    daemon.request_stop()
    daemon.run()


@pytest.mark.usefixtures("no_leaks")
def test_a_daemon_whose_line_cannot_start_leaves_nothing_open(tmp_path) -> None:
    """The watched folder has gone since the check."""
    folder = tmp_path / "in"
    folder.mkdir()
    daemon = _daemon(_config(tmp_path, camera={"kind": "folder", "path": str(folder)}))
    folder.rmdir()
    with pytest.raises(EdgeError):
        daemon.run()


def test_a_ledger_that_fails_to_answer_does_not_end_the_daemon(tmp_path, monkeypatch) -> None:
    """Backlog figures are a convenience; the parts go on."""
    daemon = _daemon(_config(tmp_path, mqtt={"port": 1}))

    def refuse() -> int:
        raise LedgerError("the disk answers no more", "replace it")

    monkeypatch.setattr(daemon.devices.ledger, "backlog", refuse)
    daemon.run()
    assert daemon.line.monitor.snapshot().parts == 5


def test_the_status_says_stopping_before_it_says_offline(tmp_path) -> None:
    """A dashboard sees the drain."""
    daemon = _daemon(_config(tmp_path))
    daemon.line.announce_stop()
    assert daemon.line.health.state.value == "stopping"
    assert b'"state":"stopping"' in daemon.lines[0]._reporter.payload()
    daemon.request_stop()
    daemon.run()


def test_a_signed_bundle_is_demanded_in_production(tmp_path) -> None:
    """A file, signed or not, has not gone through the store: the configuration is refused, and says what to do."""
    (tmp_path / "in").mkdir()
    file = tmp_path / "line.toml"
    file.write_text(
        f'[device]\nname = "line"\nstate_dir = "state"\n[bundle]\npath = "{DEMO_BUNDLE}"\ntrust = "production"\n'
        '[camera]\nkind = "folder"\npath = "in"\n[mqtt]\nenabled = false\n[ops]\nmetrics_port = false\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime", "run", "--config", str(file)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("→") == 1
    assert "product" in done.stderr
    assert "Traceback" not in done.stderr
