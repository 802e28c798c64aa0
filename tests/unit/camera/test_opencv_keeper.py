from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from camera_rigs import BOUND_S, wait_until

from edge_runtime.camera.opencv.keeper import SessionKeeper
from edge_runtime.camera.opencv.source import OPEN_TIMEOUT_MS, SourceKind
from edge_runtime.config.camera import OpenCvCameraSettings
from edge_runtime.ops.clock import SimulatedClock

SECOND_NS = 1_000_000_000


class ScriptedCapture:
    """A driver that returns from `read` when the test says so."""

    def __init__(self) -> None:
        self.shades: queue.Queue[int | None] = queue.Queue()
        self.released = threading.Event()

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        """See `cv2.VideoCapture`."""
        return True

    def get(self, _: int) -> float:
        """See `cv2.VideoCapture`."""
        return 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        """See `cv2.VideoCapture`."""
        shade = self.shades.get(timeout=BOUND_S)
        return (False, None) if shade is None else (True, np.full((8, 8, 3), shade, np.uint8))

    def release(self) -> None:
        """See `cv2.VideoCapture`."""
        self.released.set()


@dataclass
class ScriptedSource:
    """Hands out one scripted driver after another."""

    settings: OpenCvCameraSettings = field(
        default_factory=lambda: OpenCvCameraSettings(
            kind="opencv", source="scripted", lost_after_ms=1_000, reopen_interval_ms=500
        )
    )
    kind: SourceKind = SourceKind.STREAM
    label: str = "scripted"
    captures: list[ScriptedCapture] = field(default_factory=list)

    def open(self) -> ScriptedCapture:
        """See `VideoSource`."""
        self.captures.append(ScriptedCapture())
        return self.captures[-1]


class Bench:
    """A keeper whose time and driver are in the test's hands."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.source = ScriptedSource()
        self.shades: list[int] = []
        self.keeper = SessionKeeper(self.source, self.clock, self._take)

    def _take(self, exposure: np.ndarray, read_ns: int, stopping: threading.Event) -> None:
        self.shades.append(int(exposure[0, 0, 0]))

    def deliver(self, driver: int, shade: int) -> None:
        """Let a driver return a picture, and wait until the keeper's thread has it."""
        count = len(self.shades)
        self.source.captures[driver].shades.put(shade)
        wait_until(lambda: len(self.shades) > count, "the picture arrives")

    def has_drivers(self, count: int) -> bool:
        """Look after the source; whether so many drivers were opened by now."""
        self.keeper.look_after()
        return len(self.source.captures) == count

    def close(self) -> None:
        """Let every driver return and end."""
        for capture in self.source.captures:
            capture.shades.put(None)
        self.keeper.close()


@pytest.fixture
def bench():
    """An open keeper with its first driver."""
    built = Bench()
    built.keeper.open()
    wait_until(lambda: built.has_drivers(1), "the first opening")
    yield built
    built.close()


def test_silence_is_loss_after_the_interval(bench):
    """A source is lost until its first picture, and whenever none came for `lost_after_ms`."""
    assert bench.keeper.is_lost()
    bench.deliver(0, 1)
    assert not bench.keeper.is_lost()
    bench.clock.advance(SECOND_NS)
    assert not bench.keeper.is_lost()
    bench.clock.advance(1)
    assert bench.keeper.is_lost()


def test_a_driver_that_fails_is_opened_again_after_the_interval(bench):
    """Not before `reopen_interval_ms`, so that a dead camera is not hammered; then pictures count as reopened."""
    bench.deliver(0, 1)
    bench.source.captures[0].shades.put(None)
    assert bench.source.captures[0].released.wait(BOUND_S)
    wait_until(lambda: bench.has_drivers(1) and "no more" in bench.keeper.detail, "the failure is noticed")
    bench.clock.advance(SECOND_NS // 2 - 1)
    assert bench.has_drivers(1)
    bench.clock.advance(1)
    wait_until(lambda: bench.has_drivers(2), "the second opening")
    assert bench.keeper.reopened == 0
    bench.deliver(1, 2)
    assert bench.keeper.reopened == 1
    assert bench.shades == [1, 2]


def test_a_driver_that_comes_back_to_life_delivers_nothing_more(bench):
    """Once another thread has taken over, a picture of the one left behind would be a trigger from the past."""
    bench.deliver(0, 1)
    bench.clock.advance(3 * SECOND_NS)
    bench.keeper.look_after()
    bench.clock.advance(SECOND_NS)
    wait_until(lambda: bench.has_drivers(2), "the second opening")
    bench.source.captures[0].shades.put(99)
    assert bench.source.captures[0].released.wait(BOUND_S)
    bench.deliver(1, 2)
    assert bench.shades == [1, 2]


def test_opening_gets_more_patience_than_reading(bench):
    """A network camera may take seconds to its first picture; it is given up only after the time for opening."""
    slow = Bench()
    gate = threading.Event()
    real_open = slow.source.open

    def open_slowly() -> ScriptedCapture:
        gate.wait(BOUND_S)
        return real_open()

    slow.source.open = open_slowly
    slow.keeper.open()
    slow.clock.advance(OPEN_TIMEOUT_MS * 1_000_000)
    slow.keeper.look_after()
    gate.set()
    wait_until(lambda: slow.has_drivers(1), "the patient opening")
    slow.deliver(0, 5)
    assert slow.shades == [5]
    slow.close()
