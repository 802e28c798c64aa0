"""A candidate in a process of its own, as the rollout sees it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.app.inspection import inspector_of, load_inspector
from edge_runtime.app.shadow_wire import FrameMemory, decode
from edge_runtime.bundles.archive import open_release
from edge_runtime.config.engine import EngineSettings
from edge_runtime.services.shadow import Lost

if TYPE_CHECKING:
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.services.shadow import News

_END_S = 1.0
_DYING: list[subprocess.Popen[bytes]] = []
"""Killed, but even for its end a process at idle priority may have to wait until somebody leaves it some time."""
_NOT_ITS_OWN = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
"""What systemd tells the daemon alone."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Which bundle, and on what."""

    path: Path
    digest: str | None
    """Of its `release.json` where it stands in the device's store; None: a bundle for development."""
    engine: EngineSettings
    priority: str = "idle"
    """What it asks of the operating system: "idle", "low" or "normal"."""

    def order(self) -> dict[str, Any]:
        """For the process."""
        engine = self.engine.model_dump(mode="json", exclude_unset=True)  # what is unset a bundle may decide
        return {"path": str(self.path), "digest": self.digest, "engine": engine, "priority": self.priority}

    @classmethod
    def from_order(cls, order: dict[str, Any]) -> Candidate:
        """What `order` made."""
        return cls(
            Path(order["path"]), order["digest"], EngineSettings.model_validate(order["engine"]), order["priority"]
        )


def shadow_engine(settings: EngineSettings, threads: int) -> EngineSettings:
    """The line's engine on few threads of the processor: an accelerator knows no priorities and stays the line's."""
    return settings.model_copy(update={"threads": threads, "provider": "cpu", "device": "CPU"})


def load_candidate(candidate: Candidate) -> Inspector:
    """Open, load and warm up.

    Raises:
        EdgeError: it cannot run here.
    """
    if candidate.digest is None:
        return load_inspector(candidate.path, candidate.engine, "development")
    return inspector_of(open_release(candidate.path, digest=candidate.digest), candidate.engine)


class ShadowProcess:
    """See `services.shadow.Onlooker`."""

    def __init__(self, candidate: Candidate) -> None:
        """Start the process; it loads meanwhile."""
        ours, theirs = socket.socketpair()
        self._memory = FrameMemory(os.memfd_create("edge-runtime-shadow", os.MFD_CLOEXEC))
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_ITS_OWN}
        with theirs:
            handed = (theirs.fileno(), self._memory.descriptor)
            # -P: the working directory may be one that others write to; nothing is imported from there.
            command = [sys.executable, "-P", "-m", "edge_runtime.app.shadow_process", *map(str, handed)]
            self._process = subprocess.Popen(  # noqa: S603  (our own module)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                pass_fds=handed,
                process_group=0,  # Ctrl-C is for the daemon, which ends it
            )
        self._connection = Connection(ours.detach())
        self._send(candidate.order())

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def begin(self, exposures: tuple[Exposure, ...]) -> None:
        """See `Onlooker`."""
        self._send(self._memory.lay_down(exposures))

    def poll(self, timeout_s: float) -> News | None:
        """See `Onlooker`."""
        try:
            if not self._connection.poll(timeout_s):
                return None
            return decode(self._connection.recv_bytes())
        except (EOFError, OSError):
            return Lost(f"the candidate's process ended: {self._ended()}", crashed=True)
        except (ValueError, KeyError, TypeError) as error:
            return Lost(f"the candidate's process talks nonsense: {error}", crashed=True)

    def close(self) -> None:
        """See `Onlooker`."""
        self._connection.close()
        self._memory.close()
        if self._process.poll() is None:
            self._process.kill()  # it holds nothing that could be lost
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            _DYING.append(self._process)
        _DYING[:] = [process for process in _DYING if process.poll() is None]

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # it is gone: the next poll says so
            self._connection.send_bytes(json.dumps(message).encode())

    def _ended(self) -> str:
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        return f"exit code {code}" if code >= 0 else f"signal {-code}"
