"""The preview on its own: opens the line's camera while the daemon does not run, and serves the live view."""

from __future__ import annotations

import http.client
import logging
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from edge_runtime.app.preview import PreviewFeed, PreviewPages, Said
from edge_runtime.app.recipe import limits_in_force
from edge_runtime.app.source import Source, open_source
from edge_runtime.camera.port import CameraState
from edge_runtime.decision.judge import classify
from edge_runtime.domain.errors import CameraError, EdgeError
from edge_runtime.domain.frame import Frame
from edge_runtime.ops.server import LocalServer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.camera.port import Camera
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)
_POLL_S = 0.2
_PROBE_S = 1.0


def running_preview(config: LineConfig) -> str | None:
    """Address of the live view of the daemon that runs this line already; None if none answers."""
    port = config.ops.metrics_port
    if not port:
        return None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_S)
    try:
        connection.request("GET", "/preview")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return f"http://127.0.0.1:{port}/preview" if answer.status == HTTPStatus.OK else None


@dataclass(frozen=True, slots=True)
class Watch:
    """A preview that runs until `stop` is set."""

    config: LineConfig
    port: int
    """0 takes a free one."""
    with_heatmap: bool
    clock: Clock
    stop: threading.Event

    def run(self, on_ready: Callable[[str, str], None]) -> None:
        """Serve until stopped.

        Args:
            on_ready: gets the address, and why there is no heatmap (empty if there is one).

        Raises:
            CameraError: the camera can never work as configured, or the port is taken.
        """
        inspector, why_not = self._inspector()
        camera = open_source(Source(self.config.camera, self.config.simulation), self.clock)
        feed = PreviewFeed(self.clock)
        try:
            server = self._serve(camera, feed, inspector)
            try:
                on_ready(f"http://127.0.0.1:{server.port}/preview", why_not)
                self._watch(camera, feed, inspector)
            finally:
                server.close()
        finally:
            camera.close()
            if inspector is not None:
                inspector.close()

    def _serve(self, camera: Camera, feed: PreviewFeed, inspector: Inspector | None) -> LocalServer:
        pages = PreviewPages(
            feed,
            self.clock,
            lambda: None if inspector is None else inspector.bundle,
            lambda: _state(camera),
        )
        try:
            return LocalServer(self.port, pages.routes())
        except OSError as error:
            raise CameraError(
                f"the preview cannot use port {self.port}: {error.strerror or error}", "Name another one with --port."
            ) from error

    def _inspector(self) -> tuple[Inspector | None, str]:
        if not self.with_heatmap:
            return None, "switched off"
        from edge_runtime.app.activation import open_active  # noqa: PLC0415  (loads an engine)
        from edge_runtime.app.inspection import inspector_of  # noqa: PLC0415

        try:
            return inspector_of(open_active(self.config, self.clock), self.config.engine), ""
        except EdgeError as error:  # a camera is aimed before there is a bundle
            return None, error.what

    def _watch(self, camera: Camera, feed: PreviewFeed, inspector: Inspector | None) -> None:
        while not self.stop.is_set():
            arrival = camera.next_frame(_POLL_S)
            if not isinstance(arrival, Frame):
                continue
            anomaly_map = said = None
            if inspector is not None:
                try:
                    detection = inspector.detector.inspect(arrival.exposures)
                    anomaly_map, said = detection.anomaly_map, self._said(detection.score, inspector.bundle)
                except EdgeError as error:
                    _log.warning("no heatmap: %s", error.what)
            feed.offer(arrival.exposures[0], anomaly_map, None if inspector is None else inspector.bundle, said=said)

    def _said(self, score: float, bundle: ModelBundle) -> Said | None:
        """What the line would say of a part with this score."""
        limits = limits_in_force(self.config.recipe, bundle.calibration.limits)
        return Said(*classify(score, limits), score) if math.isfinite(score) else None


def _state(camera: Camera) -> str:
    status = camera.status()
    if status.state is CameraState.CONNECTED:
        return camera.name
    return f"{camera.name} {status.state}: {status.detail}".rstrip(": ")
