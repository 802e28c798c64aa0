"""What systemd hears of all lines of the process: ready when all have started, the worst in the status line."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.status import LineState
from edge_runtime.services.vitals import HUNG_AFTER_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.domain.status import LineHealth
    from edge_runtime.ops.clock import Clock
    from edge_runtime.ops.notify import Notifier

_WORST_FIRST: Final = (LineState.FAULT, LineState.STARTING, LineState.STOPPING, LineState.DEGRADED, LineState.READY)


class Herald:
    """Called by the supervisors of the lines, each in its own thread."""

    def __init__(self, notifier: Notifier, lines: int, text: Callable[[], str]) -> None:
        """Nothing has started.

        Args:
            notifier: to systemd.
            lines: how many there are.
            text: the status line, as of now.
        """
        self._notifier = notifier
        self._waiting = lines
        self._reloading = 0
        self._text = text
        self._lock = threading.Lock()

    def started(self) -> None:
        """One more line runs; with the last of them the service is ready."""
        with self._lock:
            self._waiting -= 1
            if self._waiting == 0:
                self._notifier.ready(self._text())

    def reloading(self) -> None:
        """A line loads its limits anew; nothing is told of it before all have started."""
        with self._lock:
            self._reloading += 1
            if self._reloading == 1 and self._waiting == 0:
                self._notifier.reloading()

    def reloaded(self) -> None:
        """It has."""
        with self._lock:
            self._reloading -= 1
            if self._reloading == 0 and self._waiting == 0:
                self._notifier.ready(self._text())

    def status(self) -> None:
        """Something may have changed."""
        self._notifier.status(self._text())

    def stopping(self) -> None:
        """Parts in flight get their verdicts."""
        self._notifier.stopping("draining")


class JointProgress:
    """Feeds the watchdog while the deadline paths of all lines make progress: one that hangs is mended by no other."""

    def __init__(self, lines: int, progress: Callable[[], None], clock: Clock) -> None:
        """No line has made progress.

        Args:
            lines: how many there are.
            progress: feeds the watchdog; called by any of their inspect stages.
            clock: for how long ago it was.
        """
        self._seen_ns: list[int | None] = [None] * lines
        self._progress = progress
        self._clock = clock

    def of(self, line: int) -> Callable[[], None]:
        """What line number `line` calls in every round while its deadline path is alive."""

        def progress() -> None:
            now_ns = self._clock.monotonic_ns()
            self._seen_ns[line] = now_ns
            if all(seen_ns is not None and now_ns - seen_ns <= HUNG_AFTER_NS for seen_ns in self._seen_ns):
                self._progress()

        return progress


def joint_text(lines: Sequence[tuple[str, LineHealth, str]]) -> str:
    """One line for `systemctl status`: how many judge, and the worst by name.

    Args:
        lines: of each its name, how it does, and its own line of text.
    """
    if len(lines) == 1:
        return lines[0][2]
    name, _, text = min(lines, key=lambda line: _WORST_FIRST.index(line[1].state))
    judging = sum(health.can_judge for _, health, _ in lines)
    return f"{judging} of {len(lines)} lines judge · {name}: {text}"
