from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from line_process import wait_until

from edge_runtime.ops.clock import SystemClock
from edge_runtime.services.stage import StageThread

if TYPE_CHECKING:
    import pytest


class Broken:
    """Fails in every step."""

    name = "broken"

    def __init__(self) -> None:
        self.finished = threading.Event()

    def step(self) -> None:
        """Fail."""
        raise ValueError("always the same")

    def finish(self) -> None:
        """Come to the end all the same."""
        self.finished.set()


def test_a_stage_that_always_fails_lives_and_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure is told with its traceback; the same one again is only counted."""
    stage = Broken()
    thread = StageThread(stage, SystemClock())
    thread.start()
    wait_until(lambda: thread.failures >= 20, "twenty failures")
    assert thread.alive
    thread.stop()
    assert thread.join(60.0)
    assert stage.finished.is_set()
    assert [record.message for record in caplog.records] == ["stage broken failed and goes on"]


class Onlooker:
    """Notes the priority of the thread that it runs in."""

    name = "onlooker"

    def __init__(self) -> None:
        self.seen = threading.Event()
        self.niceness = 0

    def step(self) -> None:
        """Look."""
        self.niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        self.seen.set()

    def finish(self) -> None:
        """Nothing to end."""


def test_only_the_stage_that_is_told_to_stands_back() -> None:
    """What nobody waits for does not take the processor from the deadline path; the other threads stay as they are."""
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found = []
    for niceness in (0, 3):
        stage = Onlooker()
        thread = StageThread(stage, SystemClock(), niceness)
        thread.start()
        assert stage.seen.wait(60.0)
        thread.stop()
        assert thread.join(60.0)
        found.append(stage.niceness)
    assert found == [before, min(before + 3, 19)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
