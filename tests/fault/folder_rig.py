"""A line of real processes around a folder: daemon, Mosquitto, simulated PLC, subscriber. For tests that kill them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from typing import TYPE_CHECKING

from dice import dice
from line_process import DEMO_BUNDLE, DaemonProcess, PlcProcess, SubscriberProcess, free_port, wait_until
from mosquitto import Mosquitto

from edge_runtime.camera.sim_scene import render_part
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

POOL = 24
"""Different pictures; a part is told apart by its file's name."""


class FolderRig:
    """Everything in one folder, so that a run can be taken up again after its harness was ended."""

    def __init__(self, work: Path, seed: int, stack: contextlib.ExitStack, options: str = "") -> None:
        self.work = work
        self.random = dice(f"folder/{seed}")
        self.folder = work / "in"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._pool = [
            encode_png(render_part(3, number, defective=number % 6 == 4, width_px=320, height_px=240))
            for number in range(POOL)
        ]
        self._fed = work / "fed.txt"
        self.fed = self._fed.read_text().split() if self._fed.exists() else []
        plc_port = free_port()
        self.plc = PlcProcess(work / "plc.jsonl", "--tcp", str(plc_port))
        stack.callback(self.plc.close)
        self.broker = Mosquitto(work / "mosquitto").start()
        stack.callback(self.broker.stop)
        self.subscriber = SubscriberProcess(self.broker.port, "edge/line/inspection", work / "messages.jsonl")
        stack.callback(self.subscriber.close)
        saved = work / "mosquitto" / "mosquitto.db"
        wait_until(lambda: saved.exists() and b"auditor" in saved.read_bytes(), "the subscriber's session is saved")
        self.config = work / "line.toml"
        self.config.write_text(
            _CONFIG.format(
                work=work,
                bundle=DEMO_BUNDLE,
                folder=self.folder,
                plc=plc_port,
                broker=self.broker.port,
                options=options,
            ),
            encoding="utf-8",
        )
        self._stack = stack

    @property
    def ledger(self) -> Path:
        """The daemon's ledger."""
        return self.work / "state" / "ledger.sqlite"

    def spawn(self, wrapper: Sequence[str] = ()) -> DaemonProcess:
        """Start the daemon; it is ended with the rig."""
        daemon = DaemonProcess(self.config, self.work / "daemon.log", wrapper)
        self._stack.callback(daemon.close)
        return daemon

    def feed(self, count: int) -> None:
        """More parts, as a camera's software would put them there."""
        with self._fed.open("a") as book:
            for _ in range(count):
                name = f"part-{len(self.fed):06d}.png"
                partial = self.folder / f"{name}.part"
                partial.write_bytes(self.random.choice(self._pool))
                self.fed.append(name)
                book.write(name + "\n")
                partial.rename(self.folder / name)

    def waiting(self) -> int:
        """Parts that are still in the folder."""
        return sum(1 for _ in self.folder.glob("*.png"))

    def committed(self) -> dict[int, tuple[str, int, str]]:
        """Record sequence → part, part sequence, reason; from a copy, so that the daemon's own recovery is tested."""
        with tempfile.TemporaryDirectory(prefix="edge-copy-") as copy:
            if not self.ledger.exists():
                return {}
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{self.ledger}{suffix}", f"{copy}/ledger.sqlite{suffix}")
            with contextlib.closing(sqlite3.connect(f"{copy}/ledger.sqlite")) as database:
                rows = database.execute("SELECT sequence, part_id, part_sequence, reason FROM inspections").fetchall()
        return {sequence: (part, number, reason) for sequence, part, number, reason in rows}

    def delivered(self) -> set[int]:
        """Record sequences of the verdicts at the subscriber."""
        return {sequence for _, sequence in self.subscriber.distinct()}

    def settle(self, timeout_s: float = 120.0) -> None:
        """Until every part is recorded and every record is at the subscriber."""
        wait_until(lambda: self.waiting() == 0, "every part taken out of the folder", timeout_s)
        wait_until(lambda: set(self.committed()) <= self.delivered(), "every committed verdict delivered", timeout_s)

    def disagreements(self) -> list[str]:
        """What does not agree once everything has settled; empty: all is well."""
        committed, delivered = self.committed(), self.delivered()
        parts = sorted(part for part, _, reason in committed.values() if reason != "interrupted")
        findings = []
        if parts != sorted(self.fed):
            missing, twice = set(self.fed) - set(parts), len(parts) - len(set(parts))
            findings.append(f"{len(missing)} parts without verdict {sorted(missing)[:5]}, {twice} with more than one")
        if set(committed) != delivered:
            lost, invented = set(committed) - delivered, delivered - set(committed)
            findings.append(
                f"not delivered: {sorted(lost)[:10]}; delivered and not in the ledger: {sorted(invented)[:10]}"
            )
        known = {number for _, number, _ in committed.values()}
        if acted := {entry["part_sequence"] for entry in self.plc.results()} - known:
            findings.append(f"the PLC acted upon parts of which no record tells: {sorted(acted)[:10]} ({len(acted)})")
        return findings


_CONFIG = """
[device]
name = "line"
state_dir = "{work}/state"
[bundle]
path = "{bundle}"
[camera]
kind = "folder"
path = "{folder}"
after = "delete"
[recipe]
decision_deadline_ms = 5000
reject.delay_ms = 8000
[plc]
kind = "modbus_tcp"
host = "127.0.0.1"
port = {plc}
[mqtt]
port = {broker}
[ops]
metrics_port = 0
{options}
"""
