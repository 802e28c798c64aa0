"""A camera that OpenCV can read: newest picture first, watched for loss and freezing, reopened for ever."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import cv2

from edge_runtime.camera.opencv.freeze import FreezeWatch
from edge_runtime.camera.opencv.keeper import SessionKeeper
from edge_runtime.camera.opencv.mailbox import EachPicture, Mailbox, NewestPicture, Picture
from edge_runtime.camera.opencv.source import SourceKind, classify
from edge_runtime.camera.part_ids import run_stamp
from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.domain.frame import Frame, LostFrame, Trigger
from edge_runtime.domain.verdict import Reason

if TYPE_CHECKING:
    import threading

    from edge_runtime.camera.port import Arrival
    from edge_runtime.config.camera import OpenCvCameraSettings
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.ops.clock import Clock

_LOOK_S = 0.1
"""How often a waiting `next_frame` looks after the source."""


class OpenCvCamera:
    """See `Camera`. Every picture of a live source is a trigger, stamped when it arrived in memory.

    Live sources (V4L2, network streams): the newest picture wins, older ones are counted as dropped. When none has come
    for `lost_after_ms` the state is LOST and the source is opened again every `reopen_interval_ms`, for ever; a thread
    that hangs in the driver is left behind, at most `keeper.MAX_LEFT_BEHIND` of them. Bit-identical pictures for
    `frozen_after_ms` mean FROZEN: each further one is a LostFrame.

    Video files are played at their own rate or at `frames_per_s`, to the end: EXHAUSTED. They cannot freeze, for a
    recording may repeat pictures rightly. With `every_frame` none is skipped, and a picture's trigger is its delivery.

    Threads: one reader, plus those left behind. The source is looked after by `next_frame`.
    """

    def __init__(self, settings: OpenCvCameraSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._source = source = classify(settings)
        self._can_freeze = source.kind is not SourceKind.FILE
        self._freeze = FreezeWatch(settings.frozen_after_ms * 1_000_000)
        self._frozen = False
        self._accepted_ns: int | None = None
        self._mailbox: Mailbox = EachPicture() if settings.every_frame else NewestPicture()
        self._keeper = SessionKeeper(source, clock, self._on_picture)
        self._closed = False
        self._run = ""
        self._sequence = 0

    @property
    def name(self) -> str:
        """See `Camera`."""
        return self._settings.name

    def open(self) -> None:
        """See `Camera`."""
        # OpenCV and FFmpeg write to the terminal at every attempt to reopen; the status says it once and better.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        self._run = run_stamp(self._clock)
        self._keeper.open()

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """See `Camera`."""
        deadline_s = time.monotonic() + max(timeout_s, 0.0)
        while not self._closed:
            remaining_s = deadline_s - time.monotonic()
            picture = self._mailbox.take(max(0.0, min(_LOOK_S, remaining_s)))
            self._keeper.look_after()
            if picture is not None:
                return self._arrival(picture)
            if remaining_s <= 0 or self._keeper.exhausted:
                return None
        return None

    def settle(self, arrival: Arrival) -> None:
        """See `Camera`."""

    def status(self) -> CameraStatus:
        """See `Camera`."""
        source = self._source.label
        state, detail = CameraState.CONNECTED, ""
        if self._keeper.exhausted and self._mailbox.is_empty():
            state, detail = CameraState.EXHAUSTED, self._keeper.detail
        elif self._keeper.is_lost():
            state, detail = CameraState.LOST, f"{source}: {self._keeper.detail}; check power, cable and address"
        elif self._frozen:
            state, detail = CameraState.FROZEN, f"{source} repeats the same picture: power-cycle the camera"
        return CameraStatus(state, detail, self._mailbox.dropped, self._keeper.reopened)

    def close(self) -> None:
        """See `Camera`."""
        self._closed = True
        self._keeper.close()

    def _on_picture(self, exposure: Exposure, read_ns: int, stopping: threading.Event) -> None:
        """Called by the reader thread."""
        self._frozen = self._can_freeze and self._freeze.observe(exposure, read_ns)
        interval_ns = self._settings.minimum_interval_ms * 1_000_000
        if self._accepted_ns is not None and read_ns - self._accepted_ns < interval_ns:
            return
        self._accepted_ns = read_ns
        self._mailbox.put(Picture(exposure, read_ns, self._frozen), stopping)

    def _arrival(self, picture: Picture) -> Arrival:
        self._sequence += 1
        now_ns = self._clock.monotonic_ns()
        triggered_ns = now_ns if self._settings.every_frame else picture.read_ns
        trigger = Trigger(
            sequence=self._sequence,
            part_id=f"{self.name}-{self._run}-{self._sequence:06d}",
            triggered_ns=triggered_ns,
            triggered_wall_ns=self._clock.wall_ns() - (now_ns - triggered_ns),
        )
        if picture.frozen:
            repeated_ms = self._settings.frozen_after_ms
            return LostFrame(trigger, Reason.CAMERA_FROZEN, f"the same picture for more than {repeated_ms} ms")
        return Frame(trigger, (picture.exposure,), triggered_ns)
