from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from edge_runtime.app.fleet import side_by_side
from edge_runtime.app.herald import Herald, JointProgress, joint_text
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.status import LineHealth, LineState
from edge_runtime.engine.feeds import usable_cores
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.ops.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECOND_NS = 1_000_000_000


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[Notifier, Callable[[], list[str]]]]:
    """A notifier, and what arrived so far."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.setblocking(False)

        def heard() -> list[str]:
            messages = []
            while True:
                try:
                    messages.append(receiver.recv(4_096).decode().splitlines()[0])
                except BlockingIOError:
                    return messages

        notifier = Notifier(address, SimulatedClock())
        yield notifier, heard
        notifier.close()


def test_ready_is_told_when_the_last_line_has_started_and_reloaded(systemd) -> None:
    """Not before, and a reload lasts until the last line has its limits."""
    notifier, heard = systemd
    herald = Herald(notifier, 2, lambda: "two lines")
    herald.started()
    assert heard() == []
    herald.started()
    assert heard() == ["READY=1"]
    herald.reloading()
    herald.reloading()
    herald.reloaded()
    assert heard() == ["RELOADING=1"]
    herald.reloaded()
    assert heard() == ["READY=1"]


def test_a_reload_while_another_line_still_starts_makes_nobody_believe_that_all_run(systemd) -> None:
    """SIGHUP may come while a camera takes its time to open."""
    notifier, heard = systemd
    herald = Herald(notifier, 2, lambda: "two lines")
    herald.started()
    herald.reloading()
    herald.reloaded()
    assert heard() == []
    herald.started()
    assert heard() == ["READY=1"]


def test_the_watchdog_is_fed_while_all_lines_make_progress() -> None:
    """One that hangs, or has never begun, starves it, however lively the others are."""
    clock, fed = SimulatedClock(), []
    joint = JointProgress(2, lambda: fed.append(clock.monotonic_ns()), clock)
    exit_line, entry = joint.of(0), joint.of(1)
    exit_line()
    assert fed == []
    entry()
    assert len(fed) == 1
    clock.advance(3 * SECOND_NS)
    exit_line()
    assert len(fed) == 2
    clock.advance(1)
    exit_line()
    assert len(fed) == 2
    entry()
    assert len(fed) == 3


def test_the_status_line_names_the_worst() -> None:
    """And says how many judge; of one line it says what it always said."""
    lines = [
        ("exit", LineHealth(LineState.DEGRADED), "degraded · 9 parts"),
        ("entry", LineHealth(LineState.FAULT), "fault (camera_lost) · 7 parts"),
        ("oven", LineHealth(LineState.READY), "ready · 8 parts"),
    ]
    assert joint_text(lines) == "2 of 3 lines judge · entry: fault (camera_lost) · 7 parts"
    assert joint_text(lines[2:]) == "ready · 8 parts"


def test_inspections_run_side_by_side_where_the_cores_have_room() -> None:
    """The line with most threads counts, and 0 threads are all cores."""
    cores = usable_cores()
    one, all_of_them = EngineSettings(threads=1), EngineSettings()
    assert side_by_side([one, one]) == cores
    assert side_by_side([one, all_of_them]) == 1
    assert side_by_side([EngineSettings(threads=cores + 1)]) == 1
