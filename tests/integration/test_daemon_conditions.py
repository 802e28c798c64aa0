"""The degrade ladder as seen from outside: a real daemon as a process, made to suffer, asked over its local page."""

from __future__ import annotations

import http.client
import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from heavy_bundle import write_heavy_bundle
from line_process import DEMO_BUNDLE, DaemonProcess, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = 240
CALM = {"recipe": "decision_deadline_ms = 20000\nreject.delay_ms = 25000", "simulation": "parts_per_s = 2"}
"""A line that is never late, however busy the machine: other reasons are the subject."""


class AskedLine:
    """A simulated line as a process, with its local page."""

    def __init__(self, work: Path, bundle: Path, broker: int | None = None, **tables: str) -> None:
        self.work = work
        self.port = free_port()
        self.config = work / "line.toml"
        self._tables = {
            "device": f'name = "asked"\nstate_dir = "{work / "state"}"',
            "bundle": f'path = "{bundle}"',
            "camera": 'kind = "sim"',
            "mqtt": "enabled = false" if broker is None else f"port = {broker}",
            "ops": f"metrics_port = {self.port}",
        }
        self.write(**tables)
        self._daemon: DaemonProcess | None = None

    def write(self, **tables: str) -> None:
        """The configuration, with these lines added to its tables."""
        for name, lines in tables.items():
            self._tables[name] = f"{self._tables.get(name, '')}\n{lines}"
        text = "".join(f"[{name}]\n{lines}\n" for name, lines in self._tables.items())
        self.config.write_text(text, encoding="utf-8")

    def start(self) -> DaemonProcess:
        """Start it and wait until it is ready."""
        self._daemon = DaemonProcess(self.config, self.work / "daemon.log")
        self._daemon.wait_ready()
        return self._daemon

    @property
    def daemon(self) -> DaemonProcess:
        """Its process, once it was started."""
        assert self._daemon is not None
        return self._daemon

    def health(self) -> dict[str, Any]:
        """What `/health` answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/health")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return found

    def log(self) -> str:
        """What the daemon logged so far."""
        return (self.work / "daemon.log").read_text(encoding="utf-8")

    def reasons(self) -> set[str]:
        """The names of the reasons that hold."""
        return {reason["name"] for reason in self.health()["reasons"]}

    def books(self) -> list[tuple[int, str, float]]:
        """Part, reason and latency in ms of every record, straight from the ledger's file."""
        with sqlite3.connect(self.work / "state" / "ledger.sqlite") as database:
            rows = database.execute("SELECT part_sequence, reason, latency_ns / 1e6 FROM inspections").fetchall()
        return [(int(part), str(reason), float(latency)) for part, reason, latency in rows]

    def close(self) -> None:
        """End the process."""
        if self._daemon is not None:
            self._daemon.close()


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[AskedLine]:
    """A line with the demo bundle, not started."""
    line = AskedLine(tmp_path, DEMO_BUNDLE, recipe=CALM["recipe"])
    yield line
    line.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskedLine]:
    """Such a line that runs, for the tests that leave it as it was."""
    line = AskedLine(tmp_path_factory.mktemp("running"), DEMO_BUNDLE, **CALM)
    daemon = line.start()
    yield line
    assert daemon.terminate() == 0


def test_a_configuration_that_is_torn_leaves_the_last_good_one_in_force_and_says_so(running) -> None:
    """Reload of half a file: the limits stay, the reason is told until a sound file is loaded."""
    asked, daemon = running, running.daemon
    whole = asked.config.read_text(encoding="utf-8")
    asked.config.write_text(whole[: len(whole) // 2], encoding="utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "config_refused" in asked.reasons(), "the torn file is refused")
    weights = {reason["name"]: reason["weight"] for reason in asked.health()["reasons"]}
    assert weights["config_refused"] == "degraded"
    command = [sys.executable, "-m", "edge_runtime", "health", "--port", str(asked.port)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "degraded: config_refused" in told.stdout
    asked.config.write_text(whole, encoding="utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "config_refused" not in asked.reasons(), "the sound file is in force")


def test_a_person_acknowledges_with_a_signal_and_that_is_recorded(running) -> None:
    """SIGUSR1: an event in the log and in the ledger."""
    running.daemon.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "operator_override" in running.log(), "the event is logged")


@pytest.mark.needs_mosquitto
def test_the_status_message_names_every_reason(tmp_path, mosquitto) -> None:
    """Retained, with weight and detail: a PLC that nobody answers for, and an unsigned bundle."""
    plc = f'kind = "modbus_tcp"\nhost = "127.0.0.1"\nport = {free_port()}'
    line = AskedLine(tmp_path, DEMO_BUNDLE, plc=plc, broker=mosquitto.port, **CALM)
    status = tmp_path / "status.jsonl"
    try:
        line.start()
        with status.open("wb") as stream:
            command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(mosquitto.port), "-t", "edge/asked/status"]
            subscriber = subprocess.Popen(command, stdout=stream)
            try:
                wait_until(lambda: "plc_lost" in status.read_text(encoding="utf-8"), "the status says so")
            finally:
                subscriber.terminate()
                subscriber.wait(10)
        told = json.loads(status.read_text(encoding="utf-8").splitlines()[-1])
        assert (told["state"], told["ready"]) == ("degraded", True)
        weights = {reason["name"]: reason["weight"] for reason in told["reasons"]}
        assert weights | {"gate_late": "degraded"} == {
            "plc_lost": "degraded",
            "gate_late": "degraded",
            "trust_development": "notice",
        }
        assert "plc_lost: " in told["detail"]
    finally:
        line.close()


def test_the_command_shows_the_state_every_reason_and_what_to_do(running, asked) -> None:
    """As JSON and as text; its exit code says whether parts are judged."""
    wait_until(lambda: running.health()["state"] == "ready", "nothing is the matter")
    command = [sys.executable, "-m", "edge_runtime", "health", str(running.config)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("READY")
    assert "notice: trust_development" in told.stdout
    assert "→ A signed bundle" in told.stdout
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(as_json.stdout)["reasons"][0]["name"] == "trust_development"
    nobody = [*command[:-1], str(asked.config)]
    silent = subprocess.run(nobody, capture_output=True, text=True, timeout=60, check=False)
    assert silent.returncode == 1
    assert "no daemon answers" in silent.stderr


def test_with_memory_low_evidence_goes_and_verdicts_stay(asked) -> None:
    """A reserve larger than any machine: degraded, parts judged and recorded, no image kept."""
    asked.write(ops="memory_reserve_mb = 1000000000", simulation="parts_per_s = 5\ndefect_rate = 0.9")
    daemon = asked.start()
    wait_until(lambda: "memory_low" in asked.reasons(), "memory is low")
    before = asked.health()["parts"]
    wait_until(lambda: asked.health()["parts"] > before + 20, "parts are judged")
    assert asked.health()["ready"]
    assert daemon.terminate() == 0
    kept = [int(path.name.split("-")[1]) for path in (asked.work / "state" / "evidence").rglob("*.jpg")]
    assert max(kept, default=0) <= before + 16  # a few were waiting to be rendered
    assert len(asked.books()) > before + 20


def test_at_ten_times_its_speed_every_part_has_one_verdict_in_time(tmp_path) -> None:
    """A real daemon, some 0.2 s per inspection, 60 parts per second: the books are complete and say why."""
    deadline_ms = 1_500.0
    line = AskedLine(
        tmp_path,
        write_heavy_bundle(tmp_path / "heavy.bundle", repeat=64),
        camera="width_px = 64\nheight_px = 64",
        engine="threads = 1",
        recipe=f"decision_deadline_ms = {deadline_ms}\nreject.delay_ms = 2500",
        plc='kind = "sim"',
        simulation=f"parts = {PARTS}\nparts_per_s = 60\ntravel_ms = 2500\ndropped_trigger_rate = 0.0",
    )
    daemon = line.start()
    wait_until(lambda: "overload" in line.reasons(), "the overload is told")
    assert line.health()["state"] in {"degraded", "fault"}
    assert daemon.process.wait(60) == 0  # the belt has an end
    line.close()
    books = line.books()
    assert sorted(part for part, _, _ in books) == list(range(1, PARTS + 1))
    reasons = Counter(reason for _, reason, _ in books)
    assert reasons["below_limit"] >= 1
    assert reasons["overload"] > PARTS / 2
    assert reasons["overload"] + reasons["below_limit"] + reasons["deadline_missed"] == PARTS
    assert max(latency for _, _, latency in books) < deadline_ms + 500  # a busy machine wakes late
