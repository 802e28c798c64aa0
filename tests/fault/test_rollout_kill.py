from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, REPOSITORY, DaemonProcess, free_port, wait_until
from rollout_parts import FAST_BUNDLE, rollout_config

from edge_runtime.app.rollout import books_file
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.services.rollout_books import Books

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_ONE = f"""
import time
from pathlib import Path
from edge_runtime.app.shadow import Candidate, ShadowProcess, shadow_engine
from edge_runtime.config.engine import EngineSettings
process = ShadowProcess(Candidate(Path({str(FAST_BUNDLE)!r}), None, shadow_engine(EngineSettings(), 1)))
print(process.pid, flush=True)
time.sleep(120)
"""


def _identity(bundle: Path):
    with open_bundle(bundle, trust="development") as opened:
        return opened.manifest.identity


@pytest.fixture
def daemon(tmp_path) -> Iterator:
    """Starts lives of a daemon whose candidate already decides its share."""
    more = f"""
        mqtt = {{ enabled = false }}
        simulation = {{ parts_per_s = 5 }}
        ops = {{ metrics_port = {free_port()} }}
        """
    config, state = rollout_config(tmp_path, more)
    books = Books(_identity(FAST_BUNDLE), "", _identity(DEMO_BUNDLE), RolloutStage.CANARY, RolloutStage.CANARY)
    books_file(state).save(books)
    started: list[DaemonProcess] = []

    def start() -> DaemonProcess:
        started.append(DaemonProcess(config, tmp_path / "log"))
        started[-1].wait_ready()
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_kill_9_under_a_canary_is_counted_and_a_clean_stop_is_not(tmp_path, daemon) -> None:
    """What the books said before its first part is there after the kill; the candidate goes on, with one life less."""
    file = books_file(tmp_path / "state")
    first = daemon()
    wait_until(lambda: not file.load().is_clean, "the candidate decides", 60)
    first.kill()
    second = daemon()
    wait_until(lambda: file.load().attempts == 1 and not file.load().is_clean, "it decides again", 60)
    assert second.terminate() == 0
    books = file.load()
    assert (books.stage, books.attempts, books.is_clean) == (RolloutStage.CANARY, 1, True)


def test_a_killed_daemon_leaves_no_candidate_behind() -> None:
    """Also one that loads at idle priority and would listen only in minutes."""
    parent = subprocess.Popen([sys.executable, "-c", START_ONE], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    command = f"/proc/{pid}/cmdline"
    # It asks to be ended with its parent in its first lines: once it stands back, it has.
    wait_until(lambda: os.sched_getscheduler(pid) == os.SCHED_IDLE, "the candidate's process stands back", 60)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    wait_until(lambda: not _lives(command), "the candidate's process is gone", 60)


def _lives(command: str) -> bool:
    try:
        with open(command, "rb") as file:  # noqa: PTH123
            return b"shadow_process" in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False
