"""SIGKILL of the daemon and of the broker in the middle: no committed verdict is missing at a subscriber."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from line_process import DEMO_BUNDLE, DaemonProcess, PlcProcess, SubscriberProcess, free_port, wait_until

from edge_runtime.camera.sim_scene import render_part
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mosquitto import Mosquitto

PARTS = 60
KILL_AFTER = (8, 24, 40)
"""How many verdicts the subscriber has when the next kill comes."""


class KillableLine:
    """A folder with all parts in it, and a daemon that is killed and started again."""

    def __init__(self, work: Path, broker: Mosquitto, stack: ExitStack, images: Sequence[bytes]) -> None:
        self.work = work
        self.broker = broker
        self.stack = stack
        folder = work / "in"
        folder.mkdir()
        for number, image in enumerate(images):
            (folder / f"part-{number:04d}.png").write_bytes(image)
        port = free_port()
        self.plc = PlcProcess(work / "plc.jsonl", "--tcp", str(port))
        stack.callback(self.plc.close)
        self.config = work / "line.toml"
        self.config.write_text(
            f"""
            [device]
            name = "line"
            state_dir = "{work / "state"}"
            [bundle]
            path = "{DEMO_BUNDLE}"
            [camera]
            kind = "folder"
            path = "{folder}"
            [recipe]
            decision_deadline_ms = 5000
            reject.delay_ms = 8000
            [plc]
            kind = "modbus_tcp"
            host = "127.0.0.1"
            port = {port}
            [mqtt]
            port = {broker.port}
            [ops]
            metrics_port = 0
            """,
            encoding="utf-8",
        )
        self.subscriber = SubscriberProcess(broker.port, "edge/line/inspection", work / "messages.jsonl")
        stack.callback(self.subscriber.close)
        saved = work / "mosquitto-0" / "mosquitto.db"
        wait_until(lambda: saved.exists() and b"auditor" in saved.read_bytes(), "the subscriber's session is saved")

    def start(self) -> DaemonProcess:
        """Start the daemon and wait until it is ready."""
        daemon = DaemonProcess(self.config, self.work / "daemon.log")
        self.stack.callback(daemon.close)
        daemon.wait_ready()
        return daemon

    def received(self) -> int:
        """Distinct verdicts at the subscriber."""
        return len(self.subscriber.distinct())

    def committed(self) -> dict[int, str]:
        """Record sequence → part id, straight from the ledger's file."""
        with sqlite3.connect(self.work / "state" / "ledger.sqlite") as database:
            return dict(database.execute("SELECT sequence, part_id FROM inspections").fetchall())

    def wait_committed(self) -> None:
        """Until every image has its record."""
        images = {f"part-{n:04d}.png" for n in range(PARTS)}
        wait_until(lambda: images <= set(self.committed().values()), "all images committed", 60)

    def settle(self) -> list[dict[str, Any]]:
        """Wait until every committed verdict is at the subscriber, then stop."""
        wait_until(lambda: set(self.committed()) <= self.sequences(), "every committed verdict delivered", 60)
        return list(self.subscriber.distinct().values())

    def sequences(self) -> set[int]:
        """Record sequences at the subscriber."""
        return {sequence for _, sequence in self.subscriber.distinct()}


@pytest.fixture(scope="module")
def images() -> Sequence[bytes]:
    """All parts, drawn once."""
    drawn = (render_part(3, number, defective=number % 9 == 4, width_px=320, height_px=240) for number in range(PARTS))
    return [encode_png(pixels) for pixels in drawn]


@pytest.fixture
def line(tmp_path, mosquitto, images) -> Iterator[KillableLine]:
    """A line whose processes all end with the test."""
    with ExitStack() as stack:
        yield KillableLine(tmp_path, mosquitto, stack, images)


def _assert_books_agree(line: KillableLine, messages: list[dict[str, Any]]) -> None:
    committed = line.committed()
    assert set(committed) == {m["sequence"] for m in messages}
    images = [m for m in messages if m["reason"] != "interrupted"]
    assert sorted(m["part_id"] for m in images) == [f"part-{n:04d}.png" for n in range(PARTS)]
    for result in line.plc.results():
        known = [m for m in messages if m["part_sequence"] == result["part_sequence"]]
        assert known, f"the PLC acted upon part {result['part_sequence']} and no record tells of it"


@pytest.mark.needs_mosquitto
def test_killing_the_daemon_loses_no_committed_verdict(line) -> None:
    """Three SIGKILLs among 60 parts: ledger, subscriber and PLC agree afterwards; no image has two records."""
    for threshold in KILL_AFTER:
        daemon = line.start()
        wait_until(lambda threshold=threshold: line.received() >= threshold, f"{threshold} verdicts", 60)
        daemon.kill()
    daemon = line.start()
    line.wait_committed()
    messages = line.settle()
    assert daemon.terminate() == 0
    _assert_books_agree(line, messages)


@pytest.mark.needs_mosquitto
def test_killing_the_broker_loses_no_committed_verdict(line) -> None:
    """Three SIGKILLs of Mosquitto while verdicts flow: everything arrives after it is back."""
    daemon = line.start()
    for threshold in KILL_AFTER:
        wait_until(lambda threshold=threshold: line.received() >= threshold, f"{threshold} verdicts", 60)
        line.broker.kill()
        line.broker.start()
    line.wait_committed()
    messages = line.settle()
    assert daemon.terminate() == 0
    _assert_books_agree(line, messages)


@pytest.mark.needs_mosquitto
def test_a_dead_broker_delays_no_verdict(line) -> None:
    """With the broker gone the line goes on, the PLC gets every result, and the records wait."""
    line.broker.kill()
    daemon = line.start()
    wait_until(lambda: len(line.plc.results()) >= PARTS, "all results at the PLC", 60)
    line.wait_committed()
    line.broker.start()
    messages = line.settle()
    assert daemon.terminate() == 0
    assert {m["reason"] for m in messages} <= {"below_limit", "between_limits", "above_limit"}
    _assert_books_agree(line, messages)
