"""Other software on the same frames, each in a process of its own: with its own Python, libraries and environment.

A worker prints one line of JSON when it is ready: `{"name": …, "detail": …, "load_s": …}`. Then for every line that it
reads, `{"frame": FILE, "count": N}`, it takes FILE N times to its verdict and prints
`{"ns": [N durations], "cpu_ns": processor time of all N, "score": the last score, "rss_bytes": …}`. FILE is `.npy`
(pixels, H×W or H×W×3 RGB: loaded once, which is not timed) or `.jpg` (read and decoded each time, which is). A worker
ends when its input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from edge_convert.bench.frames import BenchFrame

_MESSAGE_END: Final = 400


@dataclass(slots=True)
class PeerRuns:
    """What a peer took."""

    ns: list[int] = field(default_factory=list)
    cpu_ns: int = 0
    scores: list[float] = field(default_factory=list)
    rss_bytes: int = 0


class Peer:
    """One worker. A context manager: its process ends with it."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it is ready.

        Args:
            command: of the worker.
            log: what it writes to its standard error goes here.
            environment: on top of ours.

        Raises:
            ConfigError: it cannot be started, ends instead of getting ready, or says something else.
        """
        if not command:
            raise ConfigError("a peer without a command", "Check --peer.")
        self._log = log
        self._command = command[0]
        try:
            with log.open("wb") as errors:
                self._process = subprocess.Popen(  # noqa: S603  (the user names the command)
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, **(environment or {})},
                )
        except OSError as error:
            raise ConfigError(f"{command[0]} cannot be started: {error.strerror}", "Check --peer.") from error
        try:
            ready = self._answer()
            with self._understood():
                self.name = str(ready["name"])
                self.detail = str(ready.get("detail", ""))
                self.load_s = float(ready.get("load_s", 0.0))
        except ConfigError:
            self.close()
            raise
        self.runs = PeerRuns()

    def run(self, frame: Path, count: int, *, counted: bool = True) -> None:
        """Have it take a frame to its verdict `count` times; what is not `counted` only brings its caches back.

        Raises:
            ConfigError: it ended, or its answer is none.
        """
        if self._process.stdin is None:
            raise AssertionError  # it was asked for
        try:
            self._process.stdin.write(json.dumps({"frame": str(frame), "count": count}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        answer = self._answer()
        if not counted:
            return
        with self._understood():
            self.runs.ns += _durations(answer["ns"], count)
            self.runs.cpu_ns += int(answer["cpu_ns"])
            self.runs.scores.append(float(answer["score"]))
            self.runs.rss_bytes = int(answer.get("rss_bytes", 0))

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def forget(self) -> None:
        """What it has taken so far was warming up."""
        self.runs = PeerRuns()

    def close(self) -> None:
        """End it. Idempotent."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # it has ended, and never read what it was asked
                    stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise AssertionError  # it was asked for
        while line := self._process.stdout.readline():
            if line.startswith(b"{"):  # libraries chat on standard output, too
                with self._understood():
                    answer: dict[str, Any] = json.loads(line)
                return answer
        raise self._ended()

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """While what it says is read."""
        try:
            yield
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self._command} does not answer as a worker does: {type(error).__name__}: {error}",
                "Look at tools/bench/worker.py, which workers are made with.",
            ) from error

    def _ended(self) -> ConfigError:
        said = self._log.read_text("utf-8", errors="replace").strip()[-_MESSAGE_END:]
        return ConfigError(f"the peer ended: {said or 'it said nothing'}", "Run its command by hand to see why.")


def _durations(found: Sequence[int], count: int) -> list[int]:
    if len(found) != count:
        message = f"{len(found)} durations for {count} parts"
        raise ValueError(message)
    return [int(value) for value in found]


def write_frames(frames: Sequence[BenchFrame], folder: Path) -> list[Path]:
    """The frames as files for `Peer.run`: JPEG where they come so, else `.npy`."""
    files = []
    for number, frame in enumerate(frames):
        if frame.jpeg is not None:
            file = folder / f"{number}.jpg"
            file.write_bytes(frame.jpeg)
        else:
            file = folder / f"{number}.npy"
            np.save(file, frame.pixels)
        files.append(file)
    return files
