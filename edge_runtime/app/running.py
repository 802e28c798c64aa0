"""One line as the daemon runs it: supervised, with its lamp, its local pages and the limits it loads anew."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.app.audit import attribution
from edge_runtime.app.devices import open_devices
from edge_runtime.app.lamp import LampDriver, make_lamp
from edge_runtime.app.line import build_line
from edge_runtime.app.metrics import LineMetrics
from edge_runtime.app.preview import PreviewFeed, PreviewPages, Said
from edge_runtime.app.recipe import limits_in_force
from edge_runtime.app.side_by_side import line_inspector
from edge_runtime.app.status import StatusReporter
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.health import health_route, metrics_route
from edge_runtime.ops.metrics import Registry
from edge_runtime.ops.server import LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.app.devices import Devices
    from edge_runtime.app.herald import Herald
    from edge_runtime.app.sharing import Shared
    from edge_runtime.app.signals import Signals
    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.line import Line

_log = logging.getLogger(__name__)
TICK_NS = 200_000_000
STATUS_EVERY_TICKS = 10
METRICS_EVERY_TICKS = 5
"""Once per second: taking over all counters costs a tenth of an inspection."""
EXHAUSTED_TICKS = 3
"""A finite source counts as finished after so many ticks without anything left: the last part may be between stages."""


@dataclass(frozen=True, slots=True)
class LineSource:
    """Where a line comes from."""

    config: LineConfig
    reload: Callable[[], LineConfig]
    """Reads the configuration again; raises ConfigError if it cannot be used."""


class RunningLine:
    """A line with all that stands around it. `run` belongs to one thread, its supervisor's."""

    def __init__(
        self, source: LineSource, clock: Clock, progress: Callable[[], None], shared: Shared | None = None
    ) -> None:
        """Open every device and wire the line.

        Args:
            source: its configuration.
            clock: its time.
            progress: see `build_line`.
            shared: what it shares with others of this process; None: it is alone.

        Raises:
            EdgeError: what cannot work as configured; nothing is left open.
        """
        config = source.config
        self._config = config
        self._reload = source.reload
        self._clock = clock
        self.wake = threading.Event()
        """Set by whoever has asked something of it."""
        self._feed = PreviewFeed(clock)
        with contextlib.ExitStack() as undo:
            _make_state_dir(config.device.state_dir)
            assemble = line_inspector if shared is None else shared.assemble
            self.devices: Devices = open_devices(config, clock, assemble)
            undo.callback(self.devices.close)
            self.line: Line = build_line(config, self.devices, clock, self._show, progress, shared)
            self._reporter = StatusReporter(self.line, config.device.name, clock)
            self._lamp = LampDriver(make_lamp(config.updates.signal, clock), clock)
            registry = Registry()
            self._metrics = LineMetrics(registry)
            self._server = self._local_pages(registry)
            undo.pop_all()
        self.pages_port = None if self._server is None else self._server.port
        """Where `/metrics`, `/health` and `/preview` are on 127.0.0.1."""

    @property
    def name(self) -> str:
        """Of its device."""
        return self._config.device.name

    @property
    def drain_timeout_s(self) -> float:
        """So long parts in flight may take for their verdicts."""
        return self._config.ops.drain_timeout_s

    def one_line(self) -> str:
        """For `systemctl status`."""
        return self._reporter.one_line()

    def run(
        self,
        signals: Signals,
        herald: Herald,
        on_tick: Callable[[], None] | None = None,
        finished: Callable[[], bool] | None = None,
    ) -> None:
        """Run until stopped, or until a finite source is finished; returns after a clean stop.

        Args:
            signals: what is asked of it.
            herald: is told how it goes.
            on_tick: called a few times per second.
            finished: what else has to be true before an exhausted source ends the line.

        Raises:
            EdgeError: the line could not be started.
        """
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self.close)
            at_the_end.callback(self.line.stop, self.drain_timeout_s)
            at_the_end.callback(self._announce_stop, herald)
            self.line.start()
            self.line.tick()
            herald.started()
            self._supervise(signals, herald, on_tick, finished)

    def close(self) -> None:
        """Release what stands around a line that has stopped or never ran. Idempotent."""
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self.devices.close_model)
            if self._server is not None:
                at_the_end.callback(self._server.close)
            at_the_end.callback(self._lamp.close)

    def abandon(self) -> None:
        """Release everything of a line that never ran."""
        self.close()
        self.devices.close()

    def _announce_stop(self, herald: Herald) -> None:
        herald.stopping()
        self.line.announce_stop()
        if self.line.broker is not None:
            self.line.broker.set_status(self._reporter.payload())

    def _supervise(
        self,
        signals: Signals,
        herald: Herald,
        on_tick: Callable[[], None] | None,
        finished: Callable[[], bool] | None,
    ) -> None:
        exhausted, ticks, state = 0, 0, None
        while not signals.stop_asked and exhausted < EXHAUSTED_TICKS:
            health = self.line.tick()
            self._lamp.show(health)
            if self._server is not None and ticks % METRICS_EVERY_TICKS == 0:
                self._metrics.refresh(self.line)
            if ticks % STATUS_EVERY_TICKS == 0 or health.state is not state:
                self._announce(herald)
            state, ticks = health.state, ticks + 1
            done = self.line.is_exhausted() and (finished is None or finished())
            exhausted = exhausted + 1 if done else 0
            if on_tick is not None:
                on_tick()
            self._clock.wait(self.wake, TICK_NS)
            self.wake.clear()
            if signals.reload_asked:
                signals.reload_asked = False
                self._reload_limits(herald)
            if signals.acknowledge_asked:
                signals.acknowledge_asked = False
                self.line.acknowledge()

    def _announce(self, herald: Herald) -> None:
        if self.line.broker is not None:
            self.line.broker.set_status(self._reporter.payload())
        herald.status()

    def _reload_limits(self, herald: Herald) -> None:
        herald.reloading()
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
        herald.reloaded()

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
            lambda: f"{self.name} · {self.devices.camera.name}: {self.devices.camera.status().state}",
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
        said = Said(verdict.disposition, verdict.reason, verdict.score)
        self._feed.offer(frame.exposures[0], anomaly_map, bundle, verdict.combined, said)


def _make_state_dir(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"device.state_dir {path} cannot be made: {error.strerror or error}",
            "Name a folder in [device] state_dir that this user may write.",
        ) from error
