"""One thread per stage, and the proof that it is alive."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

from edge_runtime.ops.priority import stand_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)
TELL_AGAIN_NS = 10_000_000_000
"""The same failure again is logged after this, not a hundred times per second."""


class Stage(Protocol):
    """A part of the shell that runs in a thread of its own."""

    @property
    def name(self) -> str:
        """The thread's name."""

    def step(self) -> None:
        """Do one bounded piece of work; return within a fraction of a second when there is none."""

    def finish(self) -> None:
        """Called in the stage's thread after the last step."""


class StageThread:
    """Runs a stage until it is stopped. A step that raises is logged, counted, and the stage goes on."""

    def __init__(self, stage: Stage, clock: Clock, niceness: int = 0, label: str = "") -> None:
        """Not started yet.

        Args:
            stage: what runs.
            clock: for its progress.
            niceness: how far its thread stands back behind the others.
            label: goes before the stage's name in that of its thread.
        """
        self.stage = stage
        self._niceness = niceness
        self.failures = 0
        self._clock = clock
        self._stop = threading.Event()
        self._progress_ns = clock.monotonic_ns()
        self._told = ""
        self._tell_again_ns = 0
        self._thread = threading.Thread(
            target=self._run, name=f"{label}/{stage.name}" if label else stage.name, daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the stage to end after its current step."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; false if the thread still runs (it hangs in its step)."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def progress_ns(self) -> int:
        """Monotonic instant of the last finished step: the watchdog looks at this."""
        return self._progress_ns

    @property
    def started(self) -> bool:
        """Whether `start` has been called and went well."""
        return self._thread.ident is not None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        if self._niceness:
            stand_back(self._niceness)
        while not self._stop.is_set():
            self._guarded(self.stage.step)
            self._progress_ns = self._clock.monotonic_ns()
        self._guarded(self.stage.finish)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  (see below)
            # A defect of ours must not silence the line: the part it concerned runs into its deadline and is rejected.
            self.failures += 1
            self._tell(f"{type(error).__name__}: {error}")
            self._stop.wait(0.01)

    def _tell(self, failure: str) -> None:
        now_ns = self._clock.monotonic_ns()
        if failure != self._told or now_ns >= self._tell_again_ns:
            self._told, self._tell_again_ns = failure, now_ns + TELL_AGAIN_NS
            _log.exception("stage %s failed and goes on", self.stage.name)
