"""What the operating system asks for: SIGTERM and SIGINT stop, SIGHUP reloads, SIGUSR1 acknowledges."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Signals:
    """Requests as flags. While the daemon is still starting, a stop ends it at once, with exit code 0.

    The handlers only set flags: taking a lock in a handler could deadlock with the wait that it interrupts.
    """

    def __init__(self) -> None:
        self.stop_asked = False
        self.reload_asked = False
        self.acknowledge_asked = False
        self._starting = True

    def install(self) -> None:
        """Take over the signals. Main thread only; early, so that a signal during the start kills nobody."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        signal.signal(signal.SIGUSR1, self._on_acknowledge)

    def started(self) -> None:
        """From now on somebody looks at the flags."""
        self._starting = False

    def _on_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop_asked = True
        if self._starting:
            raise SystemExit(0)  # loading a model may take minutes: whoever stops the daemon need not wait for it

    def _on_reload(self, _signal: int, _frame: FrameType | None) -> None:
        self.reload_asked = True

    def _on_acknowledge(self, _signal: int, _frame: FrameType | None) -> None:
        self.acknowledge_asked = True
