"""Two lines in one real process: one engine, two ledgers, two names at one broker."""

from __future__ import annotations

import signal
import sqlite3
from typing import TYPE_CHECKING

import pytest
from line_process import REPOSITORY, DaemonProcess, SubscriberProcess, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mosquitto import Mosquitto

pytestmark = pytest.mark.needs_mosquitto
RATES = {"exit": 100, "entry": 10}
"""Parts per second: one line floods the processor."""


def write(folder: Path, name: str, broker: int) -> Path:
    """The configuration of a simulated line."""
    path = folder / f"{name}.toml"
    path.write_text(
        f"""
device = {{ name = "{name}", state_dir = "{name}" }}
bundle = {{ path = "{REPOSITORY / "models" / "demo_fast.bundle"}" }}
camera = {{ kind = "sim" }}
plc = {{ kind = "sim" }}
simulation = {{ parts_per_s = {RATES[name]}, travel_ms = 800 }}
mqtt = {{ port = {broker} }}
engine = {{ threads = 1 }}
evidence = {{ enabled = false }}
ops = {{ metrics_port = {free_port()} }}
""",
        encoding="utf-8",
    )
    return path


def rows(folder: Path, name: str, table: str) -> list[int]:
    """Record sequences in the line's ledger."""
    with sqlite3.connect(folder / name / "ledger.sqlite") as database:
        return [int(row[0]) for row in database.execute(f"SELECT sequence FROM {table} ORDER BY sequence")]  # noqa: S608


@pytest.fixture
def start(tmp_path: Path, mosquitto: Mosquitto) -> Callable[[], DaemonProcess]:
    """Starts both lines in one process and waits until it is ready."""
    exit_line, entry = (write(tmp_path, name, mosquitto.port) for name in RATES)

    def begin() -> DaemonProcess:
        daemon = DaemonProcess(exit_line, tmp_path / "daemon.log", others=[entry])
        daemon.wait_ready()
        return daemon

    return begin


def test_the_books_of_both_lines_agree_after_a_power_cut(start, tmp_path: Path, mosquitto: Mosquitto) -> None:
    """Killed in the middle and started again: each line's ledger has no gap, and the subscriber has every record."""
    heard = SubscriberProcess(mosquitto.port, "edge/+/inspection", tmp_path / "heard.jsonl")
    daemon = start()
    try:
        for name in RATES:
            wait_until(lambda name=name: len(rows(tmp_path, name, "inspections")) > 10, f"{name} inspects")
        daemon.kill()
        before = {name: len(rows(tmp_path, name, "inspections")) for name in RATES}
        daemon = start()
        for name in RATES:
            wanted = before[name] + 10
            wait_until(lambda name=name, n=wanted: len(rows(tmp_path, name, "inspections")) > n, f"{name} goes on")
        assert daemon.terminate() == 0
        books = {name: rows(tmp_path, name, "inspections") for name in RATES}
        told = {(name, sequence) for name, sequences in books.items() for sequence in sequences}
        wait_until(lambda: told <= heard.distinct().keys(), "every record was delivered")
        assert {key for key in heard.distinct() if key not in told} == set()
    finally:
        daemon.close()
        heard.close()
    for name, sequences in books.items():
        events = rows(tmp_path, name, "events")
        assert sorted(sequences + events) == list(range(1, len(sequences) + len(events) + 1))
    assert (tmp_path / "daemon.log").read_text(encoding="utf-8").count("its engine is shared") == 2


def test_a_signal_reaches_every_line(start, tmp_path: Path) -> None:
    """SIGHUP loads the limits of each anew, SIGUSR1 acknowledges on each, SIGTERM drains them all."""
    daemon = start()
    log = tmp_path / "daemon.log"

    def told(what: str) -> int:
        lines = log.read_text(encoding="utf-8").splitlines()
        return sum(f"{what}: " in line and f'"line": "{name}"' in line for name in RATES for line in lines)

    try:
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told("limits_unchanged") == 2, "both have loaded their limits")
        daemon.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: told("operator_override") == 2, "both are acknowledged")
        assert daemon.terminate() == 0
    finally:
        daemon.close()
    assert log.read_text(encoding="utf-8").count("the ledger is closed") == 2


def test_a_line_that_cannot_start_is_named(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """And no line runs without it: nobody believes that all is well."""
    exit_line, entry = (write(tmp_path, name, mosquitto.port) for name in RATES)
    entry.write_text(entry.read_text(encoding="utf-8").replace("demo_fast.bundle", "none.bundle"), encoding="utf-8")
    daemon = DaemonProcess(exit_line, tmp_path / "daemon.log", others=[entry])
    try:
        assert daemon.process.wait(60) == 1
    finally:
        daemon.close()
    assert "line entry: " in (tmp_path / "daemon.log").read_text(encoding="utf-8")
