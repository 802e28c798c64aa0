from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.camera.opencv.freeze import FreezeWatch
from edge_runtime.camera.opencv.mailbox import EachPicture, NewestPicture, Picture
from edge_runtime.camera.opencv.source import SourceKind, VideoSource, classify
from edge_runtime.config.camera import OpenCvCameraSettings


def _picture(shade: int, size: int = 40) -> np.ndarray:
    return np.full((size, size), shade, np.uint8)


def test_identical_pictures_are_frozen_only_after_the_interval():
    """A short repetition is normal, a long one is a fault, and the first other picture ends it."""
    watch = FreezeWatch(100)
    assert [watch.observe(_picture(1), now) for now in (0, 50, 99, 100, 150)] == [False, False, False, True, True]
    assert not watch.observe(_picture(2), 160)
    assert not watch.observe(_picture(2), 259)
    assert watch.observe(_picture(2), 260)


@given(row=st.integers(0, 39), column=st.integers(0, 39))
def test_one_different_pixel_anywhere_is_life(row, column):
    """The quick look at a sample never calls two different pictures the same."""
    watch = FreezeWatch(100)
    watch.observe(_picture(7), 0)
    alive = _picture(7)
    alive[row, column] += 1
    assert not watch.observe(alive, 1_000)


def test_another_size_or_depth_is_another_picture():
    """A camera that changed its mode is not frozen."""
    watch = FreezeWatch(100)
    watch.observe(_picture(7), 0)
    assert not watch.observe(_picture(7, size=41), 1_000)
    assert not watch.observe(_picture(7, size=41).astype(np.uint16), 2_000)


def test_the_newest_picture_displaces_older_ones():
    """A live camera is never behind; what was displaced is counted."""
    box, stop = NewestPicture(), threading.Event()
    for number in range(3):
        box.put(Picture(_picture(number), number, frozen=False), stop)
    assert box.take(0.0).read_ns == 2
    assert box.dropped == 2
    assert box.take(0.0) is None
    assert box.is_empty()


def test_each_picture_waits_for_its_turn():
    """The writer waits for room instead of dropping, and gives up when it is told to stop."""
    box, stop = EachPicture(), threading.Event()

    def write() -> None:
        for number in range(50):
            box.put(Picture(_picture(0), number, frozen=False), stop)

    writer = threading.Thread(target=write)
    writer.start()
    assert [box.take(10.0).read_ns for _ in range(20)] == list(range(20))
    stop.set()
    writer.join(10)
    assert not writer.is_alive()
    assert box.dropped == 0


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (0, SourceKind.DEVICE),
        ("2", SourceKind.DEVICE),
        ("/dev/v4l/by-id/usb-cam", SourceKind.DEVICE),
        ("rtsp://camera/stream", SourceKind.STREAM),
        ("http://camera/video.mjpg", SourceKind.STREAM),
    ],
)
def test_what_a_source_is(source, kind):
    """An index or device path is V4L2, a URL is a stream."""
    assert classify(OpenCvCameraSettings(kind="opencv", source=source)).kind is kind


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:p@ss@camera:554/s?x=1", "rtsp://…@camera:554/s?x=1"),
        ("rtsp://camera/s", "rtsp://camera/s"),
        (0, "0"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_credentials_are_not_shown(address, shown):
    """What is logged and shown names the camera without its password."""
    settings = OpenCvCameraSettings(kind="opencv", source=address)
    assert VideoSource(SourceKind.STREAM, address, settings).label == shown


def test_waiting_for_a_picture_is_bounded():
    """Both mailboxes return about when they were asked to."""
    began_s = time.monotonic()
    assert EachPicture().take(0.02) is None
    assert NewestPicture().take(0.02) is None
    assert EachPicture().take(-1.0) is None
    assert 0.03 < time.monotonic() - began_s < 5.0
