"""The daemon, a simulated PLC and a subscriber as real processes, for tests that kill them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
DEMO_BUNDLE = REPOSITORY / "models" / "demo.bundle"
START_TIMEOUT_S = 100.0


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Poll until true; the test fails with `what` if it never is."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            message = f"not within {timeout_s:.0f} s: {what}"
            raise AssertionError(message)
        time.sleep(0.01)  # polling another process; nothing to wait on


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DaemonProcess:
    """`edge-runtime run` as a process of its own, with a notification socket as systemd would give it."""

    def __init__(self, config: Path, log: Path, wrapper: Sequence[str] = (), others: Sequence[Path] = ()) -> None:
        """Start it, through the command `wrapper` (a tracer) if one is given, with `others` as further lines."""
        self._folder = tempfile.TemporaryDirectory(prefix="edge-notify-")
        address = str(Path(self._folder.name) / "notify")
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(address)
        self._notify.settimeout(START_TIMEOUT_S)
        self.log = log
        self._log_stream = log.open("ab")
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "edge_runtime", "run", "--config", str(config), *map(str, others)],
            env=os.environ | {"NOTIFY_SOCKET": address},
            stdout=self._log_stream,
            stderr=self._log_stream,
        )

    def wait_ready(self) -> None:
        """Until READY=1."""
        while True:
            try:
                message = self._notify.recv(4096)
            except TimeoutError:
                raise AssertionError(f"the daemon did not get ready:\n{self.log.read_text()}") from None
            if b"READY=1" in message:
                return

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self.process.kill()
        self._end()

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def close(self) -> None:
        """Make sure that nothing is left behind."""
        if self.process.poll() is None:
            self.process.kill()
        self._end()

    def _end(self) -> int:
        code = self.process.wait(30)
        self._notify.close()
        self._log_stream.close()
        self._folder.cleanup()
        return code


class SubscriberProcess:
    """`mosquitto_sub` with a persistent session, writing each payload as a line into a file."""

    def __init__(self, port: int, topic: str, output: Path, client_id: str = "auditor") -> None:
        self._output = output
        self._read = 0
        self._messages: list[dict[str, Any]] = []
        self._stream = output.open("ab")
        self._arguments = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-V", "mqttv5", "-q", "1", "-c"]
        self._arguments += ["-x", "86400", "-i", client_id, "-t", topic, "-F", "%p"]
        self._process = subprocess.Popen(self._arguments, stdout=self._stream, stderr=subprocess.STDOUT)

    def messages(self) -> list[dict[str, Any]]:
        """Everything received so far, duplicates included; what the client says about itself is left out."""
        with self._output.open("rb") as stream:  # only what is new: tests ask a hundred times per second
            stream.seek(self._read)
            whole, newline, _ = stream.read().rpartition(b"\n")
        self._read += len(whole + newline)
        self._messages += [json.loads(line) for line in whole.splitlines() if line[:1] + line[-1:] == b"{}"]
        return list(self._messages)

    def distinct(self) -> dict[tuple[str, int], dict[str, Any]]:
        """One message per (device, sequence), as a consumer keeps them."""
        return {(m["device"], m["sequence"]): m for m in self.messages()}

    def close(self) -> None:
        """End the client."""
        self._process.terminate()
        self._process.wait(10)
        self._stream.close()


class PlcProcess:
    """The simulated PLC behind a real Modbus server; logs every result and coil write."""

    def __init__(self, log: Path, *endpoint: str) -> None:
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_runtime.plc.server", *endpoint, "--json-log", str(log)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "simulated PLC on" in line, line

    def entries(self) -> list[dict[str, Any]]:
        """What arrived. A line that is still being written does not count yet."""
        whole, _, _ = self.log.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def results(self) -> list[dict[str, Any]]:
        """Results of parts, repetitions included."""
        return [entry for entry in self.entries() if entry["event"] == "result"]

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
