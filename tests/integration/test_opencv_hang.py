from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from camera_rigs import SeenSet, wait_until

from edge_runtime.camera import create
from edge_runtime.camera.opencv.keeper import MAX_LEFT_BEHIND
from edge_runtime.camera.port import CameraState
from edge_runtime.config.camera import OpenCvCameraSettings
from edge_runtime.ops.clock import SimulatedClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.camera.port import Camera


def _readers() -> int:
    return sum(thread.name == "capture-hanging" for thread in threading.enumerate())


def _release(pipe: Path) -> None:
    """Let every open() of the pipe return, and every read() end."""
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def _pass_time(camera: Camera, clock: SimulatedClock) -> None:
    clock.advance(20_000_000_000)
    camera.next_frame(0.0)


def test_a_driver_that_never_returns_is_left_behind_a_bounded_number_of_times(tmp_path):
    """A pipe without a writer blocks inside OpenCV for ever, as some drivers do: others take over, but not too many.

    When the driver returns at last the threads end, and the camera is tried again.
    """
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    clock = SimulatedClock()
    settings = OpenCvCameraSettings(kind="opencv", name="hanging", source=str(pipe), lost_after_ms=100)
    camera = create(settings, clock, SeenSet(), None)
    camera.open()
    try:
        for _ in range(4 * MAX_LEFT_BEHIND):
            _pass_time(camera, clock)
        assert _readers() == MAX_LEFT_BEHIND
        assert camera.status().state is CameraState.LOST
        assert "power-cycle" in camera.status().detail

        def all_returned() -> bool:
            _release(pipe)
            return _readers() == 0

        wait_until(all_returned, "the driver returns")
        _pass_time(camera, clock)
        assert _readers() == 1
    finally:
        closing = threading.Thread(target=camera.close)
        closing.start()

        def closed() -> bool:
            _release(pipe)
            return not closing.is_alive() and _readers() == 0

        wait_until(closed, "everything ends")
        closing.join()


def test_closing_does_not_wait_for_a_driver_that_hangs(tmp_path):
    """The daemon stops inside its bound even with a reader stuck in the driver."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    settings = OpenCvCameraSettings(kind="opencv", name="hanging", source=str(pipe), lost_after_ms=100)
    camera = create(settings, SimulatedClock(), SeenSet(), None)
    camera.open()
    camera.close()
    assert _readers() == 1
    assert camera.next_frame(0.0) is None

    def returned() -> bool:
        _release(pipe)
        return _readers() == 0

    wait_until(returned, "the reader ends by itself once the driver returns")
