"""The daemon: one line, supervised, with its signals, its notifications and its local pages."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING

from edge_runtime.app.audit import attribution
from edge_runtime.app.devices import Devices, open_devices
from edge_runtime.app.lamp import LampDriver, make_lamp
from edge_runtime.app.line import build_line
from edge_runtime.app.metrics import LineMetrics
from edge_runtime.app.preview import PreviewFeed, PreviewPages
from edge_runtime.app.recipe import limits_in_force
from edge_runtime.app.signals import Signals
from edge_runtime.app.status import StatusReporter
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.health import health_route, metrics_route
from edge_runtime.ops.metrics import Registry
from edge_runtime.ops.notify import Notifier, Watchdog, watchdog_timeout_ns
from edge_runtime.ops.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.line import Line

_log = logging.getLogger(__name__)
TICK_NS = 200_000_000
STATUS_EVERY_TICKS = 10
EXHAUSTED_TICKS = 3
"""A finite source counts as finished after so many ticks without anything left: the last part may be between stages."""


class Daemon:
    """Runs one line until a signal, or until a finite source is exhausted.

    SIGTERM and SIGINT drain and stop within `ops.drain_timeout_s`; SIGHUP loads the limits anew; SIGUSR1 acknowledges
    latched reasons.
    """

    def __init__(
        self, config: LineConfig, reload: Callable[[], LineConfig], clock: Clock, signals: Signals | None = None
    ) -> None:
        """Open every device and wire the line.

        Args:
            reload: reads the configuration again; raises ConfigError if it cannot be used.
            signals: already installed; None where nobody listens to signals.

        Raises:
            EdgeError: what cannot work as configured; nothing is left open.
        """
        self._config = config
        self._reload = reload
        self._clock = clock
        self._wake = threading.Event()
        self._signals = Signals() if signals is None else signals
        self._feed = PreviewFeed(clock)
        with contextlib.ExitStack() as undo:
            self._notifier = Notifier.from_environment(os.environ, clock)
            undo.callback(self._notifier.close)
            watchdog = Watchdog(self._notifier, watchdog_timeout_ns(os.environ), clock)
            _make_state_dir(config.device.state_dir)
            self.devices: Devices = open_devices(config, clock)
            undo.callback(self.devices.close)
            self.line: Line = build_line(config, self.devices, clock, self._show, watchdog.progress)
            self._reporter = StatusReporter(self.line, config.device.name, clock)
            self._lamp = LampDriver(make_lamp(config.updates.signal, clock), clock)
            registry = Registry()
            self._metrics = LineMetrics(registry)
            self._server = self._local_pages(registry)
            undo.pop_all()
        self._pages_port = None if self._server is None else self._server.port

    @property
    def pages_port(self) -> int | None:
        """Where `/metrics`, `/health` and `/preview` are on 127.0.0.1."""
        return self._pages_port

    def request_stop(self) -> None:
        """As SIGTERM does. Callable from any thread."""
        self._signals.stop_asked = True
        self._wake.set()

    def run(self, on_tick: Callable[[], None] | None = None, finished: Callable[[], bool] | None = None) -> None:
        """Run until stopped, or until a finite source is finished; returns after a clean stop.

        Args:
            on_tick: called a few times per second.
            finished: what else has to be true before an exhausted source ends the line.

        Raises:
            EdgeError: the line could not be started.
        """
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self._notifier.close)
            at_the_end.callback(self.devices.close_model)
            if self._server is not None:
                at_the_end.callback(self._server.close)
            at_the_end.callback(self._lamp.close)
            at_the_end.callback(self.line.stop, self._config.ops.drain_timeout_s)
            at_the_end.callback(self._announce_stop)
            self._signals.started()
            self.line.start()
            self.line.tick()
            self._notifier.ready(self._reporter.one_line())
            self._supervise(on_tick, finished)

    def _announce_stop(self) -> None:
        self._notifier.stopping("draining")
        self.line.announce_stop()
        if self.line.broker is not None:
            self.line.broker.set_status(self._reporter.payload())

    def _supervise(self, on_tick: Callable[[], None] | None, finished: Callable[[], bool] | None) -> None:
        exhausted, ticks, state = 0, 0, None
        while not self._signals.stop_asked and exhausted < EXHAUSTED_TICKS:
            health = self.line.tick()
            self._lamp.show(health)
            self._metrics.refresh(self.line)
            if ticks % STATUS_EVERY_TICKS == 0 or health.state is not state:
                self._announce()
            state, ticks = health.state, ticks + 1
            done = self.line.is_exhausted() and (finished is None or finished())
            exhausted = exhausted + 1 if done else 0
            if on_tick is not None:
                on_tick()
            self._clock.wait(self._wake, TICK_NS)
            self._wake.clear()
            if self._signals.reload_asked:
                self._signals.reload_asked = False
                self._reload_limits()
            if self._signals.acknowledge_asked:
                self._signals.acknowledge_asked = False
                self.line.acknowledge()

    def _announce(self) -> None:
        if self.line.broker is not None:
            self.line.broker.set_status(self._reporter.payload())
        self._notifier.status(self._reporter.one_line())

    def _reload_limits(self) -> None:
        self._notifier.reloading()
        try:
            config = self._reload()
        except ConfigError as error:
            self.line.events("reload_refused", "error", f"{error.diagnostics()}\nthe limits stay as they were")
            self.line.reload.refused = error.what
        else:
            self.line.reload.refused = None
            if self._config.bundle.product is None:  # else they are the release's
                limits = limits_in_force(config.recipe, self.line.models.current.bundle.calibration.limits)
                self.line.set_limits(limits, attribution(config))
            self._tell_what_waits(config)
        self._notifier.ready(self._reporter.one_line())

    def _tell_what_waits(self, config: LineConfig) -> None:
        """All but the limits takes effect at the next start; silence would let a technician believe otherwise."""
        limits_aside = {"limits": None}
        changed = [
            name
            for name in LineConfig.model_fields
            if name not in {"recipe", "change"} and getattr(config, name) != getattr(self._config, name)
        ]
        if config.recipe.model_copy(update=limits_aside) != self._config.recipe.model_copy(update=limits_aside):
            changed.append("recipe (beyond its limits)")
        if changed:
            text = f"changed as well, and in force only after a restart: {', '.join(changed)}"
            self.line.events("restart_needed", "warning", text)

    def _local_pages(self, registry: Registry) -> LocalServer | None:
        port = self._config.ops.metrics_port
        if port is None:
            return None
        preview = PreviewPages(
            self._feed,
            self._clock,
            lambda: self.line.models.current.bundle,
            lambda: f"{self.devices.camera.name}: {self.devices.camera.status().state}",
        )
        routes = {
            "/metrics": metrics_route(registry),
            "/health": health_route(self._reporter.health),
            **preview.routes(),
        }
        try:
            return LocalServer(port, routes)
        except OSError as error:
            # Metrics are a convenience; the line runs without them, and says so.
            _log.warning("metrics are off: 127.0.0.1:%d cannot be used (%s); set ops.metrics_port", port, error)
            return None

    def _show(self, frame: Frame, anomaly_map: MapSource | None, verdict: Verdict) -> None:
        bundle = self.line.models.manifest(verdict.bundle.digest)
        self._feed.offer(frame.exposures[0], anomaly_map, bundle, verdict.combined)


def _make_state_dir(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"device.state_dir {path} cannot be made: {error.strerror or error}",
            "Name a folder in [device] state_dir that this user may write.",
        ) from error
