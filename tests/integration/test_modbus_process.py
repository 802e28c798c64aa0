from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from plc_rigs import make_command

from edge_runtime.config.plc import ModbusRtuSettings, ModbusTcpSettings
from edge_runtime.domain.recipe import GateAction
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc import create

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.config.plc import PlcSettings

PARTS = 1_000


def _start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """The simulated PLC as a process, and the line with which it says where it is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_runtime.plc.server", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _deliver_all(settings: PlcSettings) -> list[float]:
    """1,000 results, each acknowledged before the next; milliseconds from publishing to the visible acknowledgement."""
    plc = create(settings, SystemClock())
    plc.connect()
    latencies = []
    for part in range(1, PARTS + 1):
        begun = time.perf_counter()
        plc.publish_result(make_command(part, GateAction.EJECT if part % 3 == 0 else GateAction.LET_PASS))
        assert plc.read().acknowledged_sequence == part
        latencies.append((time.perf_counter() - begun) * 1e3)
    plc.close()
    return sorted(latencies)


@pytest.mark.parametrize("wire", ["tcp", "rtu"])
def test_thousand_results_over_a_wire_are_each_acknowledged_and_logged(wire: str, tmp_path, record_property) -> None:
    """Every result reaches a PLC in another process once, in order, and is acknowledged by its part sequence."""
    log: Path = tmp_path / "results.jsonl"
    link: Path = tmp_path / "plc"
    where = ("--tcp", "0") if wire == "tcp" else ("--pty", str(link))
    process, greeting = _start(*where, "--json-log", str(log))
    try:
        settings: PlcSettings
        if wire == "tcp":
            port = int(greeting.rpartition(":")[2])
            settings = ModbusTcpSettings(kind="modbus_tcp", host="127.0.0.1", port=port, timeout_ms=2_000)
        else:
            settings = ModbusRtuSettings(kind="modbus_rtu", device=link, parity="N", timeout_ms=2_000)
        latencies = _deliver_all(settings)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 0
    record_property("publish_to_ack_p50_ms", round(latencies[PARTS // 2], 3))
    record_property("publish_to_ack_p99_ms", round(latencies[PARTS * 99 // 100], 3))
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [entry["part_sequence"] for entry in entries] == list(range(1, PARTS + 1))
    assert {entry["takeover"] for entry in entries} == {"taken"}
    assert [entry["part_sequence"] for entry in entries if entry["gate"] == "reject"] == list(range(3, PARTS + 1, 3))
    assert not link.exists()


def test_log_describes_results_and_coils(tmp_path) -> None:
    """A line of the log says what came and when, in words."""
    log: Path = tmp_path / "results.jsonl"
    process, greeting = _start("--tcp", "0", "--json-log", str(log), "--ejector-coil", "4")
    try:
        port = int(greeting.rpartition(":")[2])
        settings = ModbusTcpSettings(kind="modbus_tcp", host="127.0.0.1", port=port, timeout_ms=2_000, ejector_coil=4)
        plc = create(settings, SystemClock())
        plc.connect()
        before_ns = time.monotonic_ns()
        plc.publish_result(make_command(7))
        plc.set_ejector(on=True)
        after_ns = time.monotonic_ns()
        plc.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    off, result, on, off_again = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    assert [entry["on"] for entry in (off, on, off_again)] == [False, True, False]
    assert on["address"] == 4
    assert before_ns < result["monotonic_ns"] < on["monotonic_ns"] < after_ns
    assert result["event"] == "result"
    assert (result["reason"], result["disposition"], result["gate"]) == ("above_limit", "not_ok", "reject")
    assert result["score"] == 2.5


def test_process_that_cannot_serve_ends_with_advice(tmp_path) -> None:
    """A device that is not there ends the process with a message instead of a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime.plc.server", "--rtu", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot serve" in done.stderr
    assert "Traceback" not in done.stderr
