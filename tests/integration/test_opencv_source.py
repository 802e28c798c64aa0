from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from camera_rigs import MjpegServer, SeenSet, next_arrival, wait_until, write_video

from edge_runtime.camera import create
from edge_runtime.camera.port import CameraState
from edge_runtime.config.camera import OpenCvCameraSettings
from edge_runtime.domain.errors import CameraError
from edge_runtime.domain.frame import Frame, LostFrame
from edge_runtime.domain.verdict import Reason
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.camera.port import Camera


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    """A network camera."""
    running = MjpegServer()
    yield running
    running.close()


@pytest.fixture
def open_camera() -> Iterator[Callable[..., Camera]]:
    """Opens cameras with short intervals and closes them."""
    opened = []

    def build(source: object, **settings: object) -> Camera:
        intervals = {"lost_after_ms": 200, "reopen_interval_ms": 100, "frozen_after_ms": 150}
        merged = OpenCvCameraSettings.model_validate({"kind": "opencv", "source": str(source), **intervals, **settings})
        camera = create(merged, SystemClock(), SeenSet(), None)
        opened.append(camera)
        camera.open()
        return camera

    yield build
    for camera in opened:
        camera.close()


def _wait_for_state(camera: Camera, state: CameraState) -> None:
    def reached() -> bool:
        camera.next_frame(0.02)  # the line never stops asking
        return camera.status().state is state

    wait_until(reached, f"{state}, but {camera.status()}")


def test_opening_never_waits_for_a_camera(server, open_camera):
    """A camera that is missing, or that accepts the connection and says nothing, is LOST; the start goes on."""
    server.hanging.set()
    began_s = time.monotonic()
    for source in (server.url, "http://127.0.0.1:9/none.mjpg", "63", "/dev/video63"):
        camera = open_camera(source)
        assert camera.status().state is CameraState.LOST
        assert source in camera.status().detail
    assert time.monotonic() - began_s < 10.0  # OpenCV's own limit is 30 s


def test_a_camera_that_appears_later_is_found(server, open_camera):
    """What was missing at the start delivers as soon as it is there, and that is no reopening after a loss."""
    server.set_down(down=True)
    camera = open_camera(server.url)
    assert camera.next_frame(0.3) is None
    server.set_down(down=False)
    assert isinstance(next_arrival(camera), Frame)
    assert (camera.status().state, camera.status().reopened) == (CameraState.CONNECTED, 0)


@pytest.mark.parametrize("failure", ["hangs", "dies"])
def test_a_lost_camera_is_reopened(server, open_camera, failure):
    """A camera that hangs or cuts the connection is LOST in time, and delivers again by itself when it is back."""
    camera = open_camera(server.url)
    last = next_arrival(camera).trigger.sequence
    if failure == "hangs":
        server.hanging.set()
    else:
        server.set_down(down=True)
    _wait_for_state(camera, CameraState.LOST)
    # A short hang heals without reopening: wait until the reader has given up.
    wait_until(
        lambda: camera.next_frame(0.02) is None and "in time" not in camera.status().detail, "a reader that ends"
    )
    server.hanging.clear()
    server.set_down(down=False)
    _wait_for_state(camera, CameraState.CONNECTED)
    assert next_arrival(camera).trigger.sequence > last
    assert camera.status().reopened == 1


def test_after_a_pause_the_newest_picture_comes(server, open_camera):
    """Pictures that nobody took are dropped and counted, so that a verdict is never about a part that is long gone."""
    camera = open_camera(server.url)
    next_arrival(camera)
    wait_until(lambda: camera.status().dropped >= 20, "pictures pass by")
    arrival = next_arrival(camera)
    assert arrival.trigger.sequence == 2
    assert time.monotonic_ns() - arrival.trigger.triggered_ns < 150_000_000


def test_a_frozen_camera_loses_its_triggers(server, open_camera):
    """Bit-identical pictures are not inspected as if they were parts; when the picture moves again, all is well."""
    camera = open_camera(server.url)
    next_arrival(camera)
    server.frozen.set()
    _wait_for_state(camera, CameraState.FROZEN)
    arrival = next_arrival(camera)
    assert isinstance(arrival, LostFrame)
    assert arrival.reason is Reason.CAMERA_FROZEN
    server.frozen.clear()
    _wait_for_state(camera, CameraState.CONNECTED)
    wait_until(lambda: isinstance(camera.next_frame(0.1), Frame), "parts are seen again")


def test_a_grey_camera_stays_grey(server, open_camera):
    """A mono stream arrives as H×W, not as three equal channels."""
    server.grey.set()
    exposure = next_arrival(open_camera(server.url)).exposures[0]
    assert (exposure.shape, exposure.dtype) == ((48, 64), np.dtype(np.uint8))


def test_pictures_closer_than_the_minimum_interval_are_no_triggers(server, open_camera):
    """A fast camera can be thinned out without counting what was skipped as dropped."""
    camera = open_camera(server.url, minimum_interval_ms=100)
    stamps = [next_arrival(camera).trigger.triggered_ns for _ in range(4)]
    assert all(later - earlier >= 100_000_000 for earlier, later in itertools.pairwise(stamps))
    assert camera.status().dropped == 0


def test_a_password_in_the_address_is_never_shown(open_camera):
    """Status and log name the camera without the credentials that its URL carries."""
    camera = open_camera("http://operator:secret@127.0.0.1:9/video.mjpg")
    detail = camera.status().detail
    assert "127.0.0.1:9/video.mjpg" in detail
    assert "secret" not in detail
    assert "operator" not in detail


def test_every_frame_of_a_video_in_order_then_exhausted(tmp_path, open_camera):
    """With `every_frame` a slow line sees every picture, in colour order RGB, and the end is a state of its own."""
    write_video(tmp_path / "belt.avi", 12)
    camera = open_camera(tmp_path / "belt.avi", every_frame=True, frames_per_s=500)
    arrivals = []
    while camera.status().state is not CameraState.EXHAUSTED:
        arrival = camera.next_frame(0.2)
        if arrival is not None:
            arrivals.append(arrival)
            threading.Event().wait(0.02)  # slower than the video
    reds = [int(arrival.exposures[0][24, 32, 0]) for arrival in arrivals]
    assert len(reds) == 12
    assert all(abs(red - 10 * number) <= 4 for number, red in enumerate(reds))
    assert int(arrivals[-1].exposures[0][24, 32, 2]) <= 4
    assert camera.status().dropped == 0
    assert camera.next_frame(0.0) is None


def test_a_video_is_played_at_its_rate(tmp_path, open_camera):
    """Without `every_frame` a file behaves like a camera: real time, and what nobody takes is dropped."""
    write_video(tmp_path / "belt.avi", 30)
    camera = open_camera(tmp_path / "belt.avi", frames_per_s=100)
    began_s = time.monotonic()
    next_arrival(camera)
    wait_until(lambda: camera.status().dropped >= 20, "the video plays on")
    assert time.monotonic() - began_s >= 0.19


def test_a_still_video_is_not_a_frozen_camera(tmp_path, open_camera):
    """A recording may repeat a picture rightly: files cannot freeze."""
    writer = cv2.VideoWriter(str(tmp_path / "still.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for _ in range(30):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    camera = open_camera(tmp_path / "still.avi", every_frame=True, frames_per_s=100)
    assert all(isinstance(next_arrival(camera), Frame) for _ in range(30))


def test_a_damaged_video_says_how_far_it_got(tmp_path, open_camera):
    """A video that breaks off ends with a detail instead of looking complete."""
    write_video(tmp_path / "whole.avi", 20)
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) * 3 // 4])
    camera = open_camera(tmp_path / "cut.avi", every_frame=True, frames_per_s=500)
    _wait_for_state(camera, CameraState.EXHAUSTED)
    assert "of 20 pictures" in camera.status().detail


def test_sources_that_can_never_work(tmp_path, server, open_camera):
    """A missing video, a folder, a text file, and `every_frame` of a live source are errors with an action."""
    (tmp_path / "text.avi").write_bytes(b"no video at all")
    wrong = [
        (tmp_path / "missing.avi", {}),
        (tmp_path, {}),
        (tmp_path / "text.avi", {}),
        (server.url, {"every_frame": True}),
    ]
    for source, settings in wrong:
        with pytest.raises(CameraError) as caught:
            open_camera(source, **settings)
        assert caught.value.what
        assert caught.value.action
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("capture-")]
