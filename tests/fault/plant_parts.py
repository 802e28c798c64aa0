"""The processes and places of a plant that can be put in trouble: PLC, disk, daemon."""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stopped_thread import StoppedThread, threads_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).resolve().parent
STATE_MB = 96
FAR_AWAY_NS = 2**62


class PlantPlc:
    """`belt_plc.py` as a process."""

    def __init__(self, belt: Path, link: int | Path, log: Path) -> None:
        """Behind a TCP port, or a serial device."""
        self._arguments = [sys.executable, str(HERE / "belt_plc.py"), str(belt), str(link), str(log)]
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Serve; the belt is where it is by now."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == "ready\n"

    def inject(self, command: str) -> None:
        """See `belt_plc`."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(command + "\n")
                self._process.stdin.flush()

    def pause(self, number: int) -> None:
        """SIGSTOP or SIGCONT."""
        if self._process is not None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL: it forgets everything."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def close(self) -> None:
        """A clean end, with everything in its log."""
        if self._process is not None:
            self.pause(signal.SIGCONT)
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._end()

    def passed(self) -> set[int]:
        """Parts that went past the gate, in any of its lives."""
        lines = self._log.read_text("utf-8").splitlines() if self._log.exists() else []
        return {record["part"] for line in lines if line.endswith("}") and (record := json.loads(line))["passed"]}

    def _end(self) -> None:
        assert self._process is not None
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process = None


class PlantDisk:
    """Where the daemon keeps its state: a small file system of its own where we may mount one."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True)
        options = f"size={STATE_MB}m,mode=0755"
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "edge-fault", str(place)], check=False, capture_output=True
        )
        self.is_small = made.returncode == 0
        self._ballast = place / "ballast"

    def fill(self) -> None:
        """Somebody else's file takes every byte."""
        if self.is_small:
            descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o644)
            with contextlib.suppress(OSError):
                for _ in range(STATE_MB * 16):
                    os.write(descriptor, bytes(65_536))
            os.close(descriptor)

    def free(self) -> None:
        """It is gone."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if self.is_small:
            subprocess.run(["umount", "-l", str(self.place)], check=False)


class Shim:
    """The numbers that `fault_shim.c` reads inside the daemon; without a compiler none of its faults can be had."""

    SLOW_MS, ERRNO, AHEAD_S, DEVICE = range(4)

    def __init__(self, folder: Path) -> None:
        self._control = folder / "shim"
        self._control.write_bytes(bytes(32))
        with self._control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 32)
        library = folder / "fault_shim.so"
        compiler = shutil.which("cc") or shutil.which("gcc")
        arguments = [compiler or "", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "fault_shim.c"), "-ldl"]
        self.works = compiler is not None and subprocess.run(arguments, check=False).returncode == 0
        self.environment = {"LD_PRELOAD": str(library), "EDGE_FAULT_SHIM": str(self._control)} if self.works else {}

    def set(self, place: int, value: int) -> None:
        """From now on."""
        struct.pack_into("<q", self._map, 8 * place, value)

    def close(self) -> None:
        """Nobody reads it any more."""
        self._map.close()


class PlantDaemon:
    """The daemon, started again by whoever looks after it, as systemd would."""

    def __init__(self, config: Path, log: Path, environment: dict[str, str]) -> None:
        self._config = config
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"\0edge-plant-{os.getpid()}-{id(self)}")
        self._notify.setblocking(False)
        self._stopped: list[StoppedThread] = []
        self.not_before_ns = 0
        """It is not started again before this instant."""
        self.starts = 0
        self.kills = 0
        self.up_ns: list[tuple[int, int]] = []
        """When it was up: from READY to its end, monotonic. The last one is open: its end is far away."""

    def look_after(self) -> None:
        """Start it if it does not run; note when it gets ready."""
        self._hear()
        if time.monotonic_ns() < self.not_before_ns:
            return
        if self._process is None or self._process.poll() is not None:
            self._note_end()
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "edge_runtime", "run", "--config", str(self._config)],
                    env=os.environ
                    | self._environment
                    | {"NOTIFY_SOCKET": "@" + self._notify.getsockname()[1:].decode()},
                    stdout=log,
                    stderr=log,
                )
            self.starts += 1

    def signal(self, number: int) -> None:
        """To the process, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self.let_go()
                self.kills += 1
                self._process.wait()
                self._hear()
                self._note_end()

    def stop_thread(self, choose: Callable[[Sequence[int]], int]) -> None:
        """One of its threads stands still until `let_go`."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(OSError, IndexError):  # it ended just now, or has no other thread yet
                self._stopped.append(StoppedThread(choose(threads_of(self._process.pid))))

    def let_go(self) -> None:
        """All threads go on."""
        while self._stopped:
            self._stopped.pop().go()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                if b"READY=1" in self._notify.recv(4_096) and not self._is_up():
                    self.up_ns.append((time.monotonic_ns(), FAR_AWAY_NS))

    def _is_up(self) -> bool:
        return bool(self.up_ns) and self.up_ns[-1][1] == FAR_AWAY_NS

    def _note_end(self) -> None:
        if self._is_up():
            self.up_ns[-1] = (self.up_ns[-1][0], time.monotonic_ns())

    def limit_memory(self, spare_mb: int | None) -> None:
        """Let it allocate only so much more; None: as much as it likes."""
        if self._process is None or self._process.poll() is not None:
            return
        most = resource.RLIM_INFINITY
        if spare_mb is not None:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + spare_mb * 1_000_000
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self._process.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

    def stop(self) -> int:
        """SIGTERM; its exit code. Idempotent."""
        if self._process is None:
            return 0
        self._notify.close()
        self.let_go()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


ERRNOS = {"read_only": errno.EROFS, "failing": errno.EIO}
