"""The daemon: one or several lines, with its signals and its notifications to systemd."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from edge_runtime.app.herald import Herald, joint_text
from edge_runtime.app.running import LineSource, RunningLine
from edge_runtime.app.signals import Signals
from edge_runtime.ops.notify import Notifier, Watchdog, watchdog_timeout_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.app.devices import Devices
    from edge_runtime.config.line import LineConfig
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.line import Line


class Daemon:
    """Runs its lines until a signal, or until a finite source is exhausted.

    SIGTERM and SIGINT drain and stop within `ops.drain_timeout_s`; SIGHUP loads the limits anew; SIGUSR1 acknowledges
    latched reasons: each line by itself.
    """

    def __init__(
        self,
        config: LineConfig,
        reload: Callable[[], LineConfig],
        clock: Clock,
        signals: Signals | None = None,
        others: Sequence[LineSource] = (),
    ) -> None:
        """Open every device and wire the lines.

        Args:
            config: of the line, or of the first.
            reload: reads the configuration again; raises ConfigError if it cannot be used.
            clock: of all lines.
            signals: already installed; None where nobody listens to signals.
            others: further lines of this process.

        Raises:
            EdgeError: what cannot work as configured; nothing is left open.
        """
        self._signals = Signals() if signals is None else signals
        self._clock = clock
        sources = (LineSource(config, reload), *others)
        with contextlib.ExitStack() as undo:
            self._notifier = Notifier.from_environment(os.environ, clock)
            undo.callback(self._notifier.close)
            watchdog = Watchdog(self._notifier, watchdog_timeout_ns(os.environ), clock)
            self.lines: Sequence[RunningLine]
            if others:
                from edge_runtime.app.fleet import open_fleet  # noqa: PLC0415  (most daemons have one line)

                self.lines = open_fleet(sources, clock, watchdog.progress)
            else:
                self.lines = (RunningLine(sources[0], clock, watchdog.progress),)
            undo.pop_all()
        self._herald = Herald(self._notifier, len(self.lines), self._text)

    @property
    def line(self) -> Line:
        """The line, or the first."""
        return self.lines[0].line

    @property
    def devices(self) -> Devices:
        """Of the line, or of the first."""
        return self.lines[0].devices

    @property
    def pages_port(self) -> int | None:
        """Where `/metrics`, `/health` and `/preview` of the line, or of the first, are on 127.0.0.1."""
        return self.lines[0].pages_port

    def request_stop(self) -> None:
        """As SIGTERM does. Callable from any thread."""
        self._signals.stop_asked = True
        for line in self.lines:
            line.wake.set()

    def run(self, on_tick: Callable[[], None] | None = None, finished: Callable[[], bool] | None = None) -> None:
        """Run until stopped, or until every line's source is finished; returns after a clean stop.

        Args:
            on_tick: called a few times per second.
            finished: what else has to be true before exhausted sources end the lines.

        Raises:
            EdgeError: a line could not be started.
        """
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self._notifier.close)
            self._signals.started()
            if len(self.lines) == 1:
                self.lines[0].run(self._signals, self._herald, on_tick, finished)
            else:
                from edge_runtime.app.fleet import run_fleet  # noqa: PLC0415

                run_fleet(self.lines, self._signals, self._herald, self._clock, on_tick, finished)

    def _text(self) -> str:
        return joint_text([(line.name, line.line.health, line.one_line()) for line in self.lines])
