"""Every camera adapter with something in front of it, and the real servers and files that the camera tests need."""

from __future__ import annotations

import http.server
import socketserver
import threading
import time
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from edge_runtime.camera import create
from edge_runtime.config.camera import FolderCameraSettings, OpenCvCameraSettings, SimulatedCameraSettings
from edge_runtime.ops.belt import BeltPlan
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.camera.port import Arrival, Camera
    from edge_runtime.domain.frame import FileIdentity

BOUND_S = 60.0
"""Far beyond what anything here takes; only a failure waits so long."""


class SeenSet:
    """The ledger as a folder sees it."""

    def __init__(self) -> None:
        self.files: set[FileIdentity] = set()

    def is_seen(self, file: FileIdentity) -> bool:
        """See `SeenFiles`."""
        return file in self.files

    def commit(self, arrival: Arrival) -> None:
        """A verdict on the arrival is committed."""
        assert arrival.file is not None
        self.files.add(arrival.file)


def png(shade: int = 0, *, side_px: int = 24) -> bytes:
    """A small colour image; another shade is another content."""
    pixels = np.full((side_px, side_px, 3), shade % 256, np.uint8)
    pixels[: side_px // 2, :, 0] = (shade // 256) % 256
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition within the bound."""
    deadline_s = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline_s, f"never happened: {what}"
        time.sleep(0.002)


def next_arrival(camera: Camera) -> Arrival:
    """The next arrival within the bound."""
    deadline_s = time.monotonic() + BOUND_S
    while time.monotonic() < deadline_s:
        arrival = camera.next_frame(0.2)
        if arrival is not None:
            return arrival
    message = f"no frame came: {camera.status()}"
    raise AssertionError(message)


def write_video(path: Path, count: int, *, frames_per_s: float = 25.0) -> None:
    """An MJPG video whose picture number n has red = 10 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), frames_per_s, (64, 48))
    for number in range(count):
        writer.write(np.full((48, 64, 3), (0, 0, 10 * number), np.uint8))
    writer.release()


class MjpegServer:
    """A network camera on loopback that can be told to hang, to freeze, to turn grey, and to die."""

    def __init__(self) -> None:
        self.hanging = threading.Event()
        self.frozen = threading.Event()
        self.grey = threading.Event()
        self._down = threading.Event()
        self._stop = threading.Event()
        self._number = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._serve(self)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = False
            block_on_close = True

            def handle_error(self, *_: object) -> None:
                """The camera hung up."""

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/video.mjpg"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def set_down(self, *, down: bool) -> None:
        """Down: every connection is cut and new ones get nothing."""
        (self._down.set if down else self._down.clear)()

    def close(self) -> None:
        """End every thread."""
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        while not self._stop.is_set() and not self._down.is_set():
            if not self.hanging.is_set():
                data = self._picture()
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                handler.wfile.write(head + data + b"\r\n")
            self._stop.wait(0.01)

    def _picture(self) -> bytes:
        if not self.frozen.is_set():
            self._number += 1
        pixels = np.random.default_rng(self._number).integers(0, 255, (48, 64, 3), np.uint8)
        _, data = cv2.imencode(".jpg", pixels[:, :, 0] if self.grey.is_set() else pixels)
        return data.tobytes()


class Rig(Protocol):
    """A camera and a way to make it deliver."""

    camera: Camera

    def produce(self) -> None:
        """Cause at least one more frame, unless frames come by themselves."""

    def close(self) -> None:
        """Close the camera and what is in front of it."""


class FolderRig:
    """A watched folder."""

    def __init__(self, folder: Path, *, polling: bool) -> None:
        self._folder = folder / "watched"
        self._folder.mkdir()
        self._count = 0
        settings = FolderCameraSettings(
            kind="folder", path=self._folder, polling=polling, poll_interval_ms=20, rescan_interval_ms=200
        )
        self.camera = create(settings, SystemClock(), SeenSet(), None)

    def produce(self) -> None:
        """See `Rig`."""
        self._count += 1
        (self._folder / f"part{self._count:03d}.png").write_bytes(png(self._count))

    def close(self) -> None:
        """See `Rig`."""
        self.camera.close()


class VideoRig:
    """A video file, every frame in turn or played at its own rate."""

    def __init__(self, folder: Path, *, every_frame: bool) -> None:
        path = folder / "belt.avi"
        write_video(path, 20)
        settings = OpenCvCameraSettings(
            kind="opencv", source=str(path), every_frame=every_frame, frames_per_s=100 if every_frame else 25
        )
        self.camera = create(settings, SystemClock(), SeenSet(), None)

    def produce(self) -> None:
        """See `Rig`."""

    def close(self) -> None:
        """See `Rig`."""
        self.camera.close()


class StreamRig:
    """A network camera."""

    def __init__(self) -> None:
        self.server = MjpegServer()
        settings = OpenCvCameraSettings(
            kind="opencv",
            source=self.server.url,
            lost_after_ms=200,
            reopen_interval_ms=100,
            frozen_after_ms=150,
        )
        self.camera = create(settings, SystemClock(), SeenSet(), None)

    def produce(self) -> None:
        """See `Rig`."""

    def close(self) -> None:
        """See `Rig`."""
        self.camera.close()
        self.server.close()


class ConveyorRig:
    """The simulated conveyor."""

    def __init__(self) -> None:
        clock = SystemClock()
        belt = BeltPlan(
            seed=3,
            start_ns=clock.monotonic_ns(),
            parts_per_s=100.0,
            defect_rate=0.3,
            dropped_trigger_rate=0.1,
            travel_ns=100_000_000,
            ticks_per_s=1_000,
        )
        settings = SimulatedCameraSettings(kind="sim", width_px=96, height_px=64)
        self.camera = create(settings, clock, SeenSet(), belt)

    def produce(self) -> None:
        """See `Rig`."""

    def close(self) -> None:
        """See `Rig`."""
        self.camera.close()


def build_rig(kind: str, folder: Path) -> Rig:
    """The rig of that name."""
    builders: dict[str, Callable[[], Rig]] = {
        "folder": lambda: FolderRig(folder, polling=False),
        "polled folder": lambda: FolderRig(folder, polling=True),
        "video, every frame": lambda: VideoRig(folder, every_frame=True),
        "video, newest frame": lambda: VideoRig(folder, every_frame=False),
        "network camera": StreamRig,
        "conveyor": ConveyorRig,
    }
    return builders[kind]()


RIG_KINDS = ["folder", "polled folder", "video, every frame", "video, newest frame", "network camera", "conveyor"]
