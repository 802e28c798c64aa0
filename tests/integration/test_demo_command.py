from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, REPOSITORY

from edge_runtime.app.demo import demo_config
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

PARTS = 12


def _demo(python_path: Path, work: Path, *, path: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as a newcomer does, somewhere else."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "edge_runtime", "demo", "--parts", str(PARTS), "--json"],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(python_path), "PATH": path, "TMPDIR": str(work)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def installed(tmp_path) -> Path:
    """What a wheel puts into site-packages: the package, and the demo's two files inside it."""
    site = tmp_path / "site"
    shutil.copytree(REPOSITORY / "edge_runtime", site / "edge_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    packaged = site / "edge_runtime" / "_demo"
    packaged.mkdir()
    shutil.copy(REPOSITORY / "configs" / "demo.toml", packaged)
    shutil.copy(DEMO_BUNDLE, packaged)
    return site


def test_an_installed_package_has_its_own_demo(installed, tmp_path) -> None:
    """From any folder, exit code 0, every part in the summary, and nothing written into the package."""
    before = {path for path in installed.rglob("*") if "__pycache__" not in path.parts}
    done = _demo(installed, tmp_path, path=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["parts"] == summary["gate_passed"] + summary["gate_rejected"] == PARTS
    assert {path for path in installed.rglob("*") if "__pycache__" not in path.parts} == before


def _screen(command: list[str], work: Path, env: dict[str, str], *, lines: int, columns: int) -> tuple[int, str]:
    """Run in a terminal of this size: the exit code, and all that was written to it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    try:
        with subprocess.Popen(command, cwd=work, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            written = bytearray()
            try:
                while block := os.read(ours, 65_536):
                    written += block
            except OSError:  # how a terminal says that nobody holds its other end any more
                pass
            return process.wait(60), written.decode()
    finally:
        os.close(ours)


def test_a_small_terminal_still_shows_how_to_subscribe(installed, tmp_path) -> None:
    """80 × 24 is what a serial console and many a window have: nothing of the view may be cut off."""
    env = os.environ | {"PYTHONPATH": str(installed), "TMPDIR": str(tmp_path), "TERM": "xterm-256color"}
    env = {key: value for key, value in env.items() if key not in {"LINES", "COLUMNS", "NO_COLOR"}}
    command = [sys.executable, "-P", "-m", "edge_runtime", "demo", "--parts", str(PARTS)]
    code, text = _screen(command, tmp_path, env, lines=24, columns=80)
    assert code == 0, text
    while_running = text.rpartition("Ctrl-C ends it.")[0]
    assert "mosquitto_sub" in while_running, text
    assert "/preview" in while_running
    assert "..." not in while_running, "rich says with an ellipsis that it cut the view"


def test_a_package_without_demo_says_what_to_do(tmp_path) -> None:
    """No traceback about a path that nobody knows."""
    with pytest.raises(ConfigError) as caught:
        demo_config(tmp_path / "none.toml", tmp_path / "neither.toml")
    assert "install" in caught.value.action
