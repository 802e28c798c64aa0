"""The plant around the daemon: its configuration, the PLC with its gate, and the daemon as a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from edge_runtime.app.soak.belt import FILE_PATTERN
from edge_runtime.domain.recipe import GateMode
from edge_runtime.plc.modbus_server import PlcServer, TcpEndpoint
from edge_runtime.plc.model import SimulatedPlcModel

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.app.soak.belt import PictureBelt
    from edge_runtime.app.soak.plan import SoakPlan
    from edge_runtime.ops.clock import Clock

DEVICE = "soak"
GATE_LOG = 100_000
"""Parts between two looks at the gate's book."""
DEADLINE_MS = 1_000
STOP_TIMEOUT_S = 30.0


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gate:
    """The simulated PLC behind Modbus TCP, and what went past its gate. One thread: the server's."""

    def __init__(self, belt: PictureBelt, clock: Clock, port: int) -> None:
        self._model = SimulatedPlcModel(belt, mode=GateMode.PERMIT, keep=GATE_LOG)
        self._server = PlcServer(self._model, clock, TcpEndpoint(port))
        self._read_upto = 0
        self.parts = 0
        """Parts at the gate so far."""
        self.passed = bytearray()
        """1 for each part that passed."""

    def start(self) -> None:
        """Serve.

        Raises:
            PlcError: the port cannot be used.
        """
        self._server.start()

    def read(self) -> None:
        """Take over what happened at the gate since the last call."""
        for record in self._model.gate_log:
            if record.sequence > self._read_upto:
                self._read_upto = record.sequence
                self.parts += 1
                self.passed.extend(bytes(max(0, record.sequence + 1 - len(self.passed))))
                self.passed[record.sequence] = int(record.passed)

    def stop(self) -> None:
        """End the server. Idempotent."""
        self._server.stop()


class DaemonUnderTest:
    """`edge-runtime run` on the watched folder."""

    def __init__(self, config: Path, log: Path) -> None:
        self._stream = log.open("ab")
        self._process = subprocess.Popen(  # noqa: S603  (ourselves)
            [sys.executable, "-m", "edge_runtime", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=self._stream,
            start_new_session=True,  # Ctrl-C at the terminal is for the soak, which then stops the daemon itself
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL if that does not end it; returns the exit code. Idempotent."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._stream.close()
        return code


def write_config(plan: SoakPlan, plc_port: int, broker: tuple[str, int, str]) -> Path:
    """The configuration of the line under test; returns its path.

    Args:
        plan: where everything of the run lies (the watched folder is `in`), what inspects, and how.
        plc_port: of the simulated PLC on loopback.
        broker: host, port and MQTT version.
    """
    work = plan.work
    host, port, version = broker
    sections: dict[str, dict[str, object]] = {
        "device": {"name": DEVICE, "state_dir": str(work / "state")},
        "bundle": {"path": str(plan.bundle.resolve())},
        "engine": {"threads": plan.engine_threads},
        "camera": {
            "kind": "folder",
            "path": str(work / "in"),
            "after": "delete",
            "part_sequence_pattern": FILE_PATTERN,
            "overflow": "reject",
        },
        "recipe": {"decision_deadline_ms": DEADLINE_MS},
        "recipe.reject": {"delay_ms": plan.travel_ms},
        "plc": {"kind": "modbus_tcp", "host": "127.0.0.1", "port": plc_port},
        "plc_link": {"acknowledge_timeout_ms": 200},
        "mqtt": {"host": host, "port": port, "version": version},
        "ledger": {"keep_rows": 100_000_000},
        "evidence": {"enabled": plan.evidence, "quota_mb": 100},
        "ops": {"metrics_port": False, "log_level": "warning", "inspect_queue": 64},
    }
    path = work / "line.toml"
    path.write_text("\n".join(_table(name, keys) for name, keys in sections.items()), encoding="utf-8")
    return path


def _table(name: str, keys: dict[str, object]) -> str:
    # What JSON calls strings, numbers and truth values, TOML calls so too.
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
