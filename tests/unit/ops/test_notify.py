from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.ops.notify import Notifier, Watchdog, watchdog_timeout_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The receiving end of the notification socket, and its address as systemd gives it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0", 1))
        receiver.settimeout(2)
        yield receiver, address


def test_systemd_hears_the_whole_life_of_the_daemon(systemd: tuple[socket.socket, str]) -> None:
    """Ready, reload with its time stamp, status, watchdog and stopping, in the protocol's own words."""
    receiver, address = systemd
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address}, SimulatedClock(start_monotonic_ns=5_000_999))
    heard = []
    for send in (
        lambda: notifier.ready("200 parts\nno rejects"),
        notifier.reloading,
        lambda: notifier.status("x"),
        notifier.watchdog,
        lambda: notifier.stopping("draining"),
    ):
        assert send()
        heard.append(receiver.recv(4_096).decode())
    notifier.close()
    notifier.close()
    assert heard == [
        "READY=1\nSTATUS=200 parts no rejects",
        "RELOADING=1\nMONOTONIC_USEC=5000",
        "STATUS=x",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=draining",
    ]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_systemd_nothing_is_sent(environment: dict[str, str]) -> None:
    """The same daemon runs in a terminal."""
    assert not Notifier.from_environment(environment, SimulatedClock()).ready("x")


def test_a_dead_or_deaf_systemd_does_not_stop_the_line(tmp_path: Path) -> None:
    """No listener, and a listener whose queue is full: the call returns at once and says that it was not heard."""
    path = str(tmp_path / "notify")
    notifier = Notifier(path, SimulatedClock())
    assert not notifier.watchdog()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        assert any(not notifier.watchdog() for _ in range(10_000))
    notifier.close()
    assert not notifier.watchdog()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 10_000_000_000),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "42"}, 10_000_000_000),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_timeout_is_read_from_the_environment(environment: dict[str, str], expected: int | None) -> None:
    """Only where systemd watches this very process."""
    assert watchdog_timeout_ns(environment, pid=42) == expected


def test_the_watchdog_is_fed_by_progress_and_by_nothing_else(systemd: tuple[socket.socket, str]) -> None:
    """However often the stage comes round, a quarter of the timeout lies between two messages; no progress, none."""
    receiver, address = systemd
    clock = SimulatedClock()
    notifier = Notifier(address, clock)
    watchdog = Watchdog(notifier, 8_000_000_000, clock)
    for _ in range(100):  # 10 s of parts, one every 100 ms
        watchdog.progress()
        clock.advance(100_000_000)
    clock.advance(60_000_000_000)  # the stage hangs
    receiver.setblocking(False)
    assert [receiver.recv(100) for _ in range(5)] == [b"WATCHDOG=1"] * 5
    with pytest.raises(BlockingIOError):
        receiver.recv(100)
    notifier.close()


def test_nobody_watching_costs_nothing(tmp_path: Path) -> None:
    """Without WatchdogSec= nothing is sent, even where systemd listens."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.setblocking(False)
        notifier = Notifier(path, SimulatedClock())
        Watchdog(notifier, None, SimulatedClock()).progress()
        with pytest.raises(BlockingIOError):
            receiver.recv(100)
        notifier.close()
