"""One opening of a source: a thread that reads until the source ends, fails, or is given up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.camera.opencv.source import SourceKind, is_mono
from edge_runtime.ops.threads import of_this_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.camera.opencv.source import VideoSource
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.ops.clock import Clock

_DEFAULT_FILE_RATE = 25.0


class CaptureSession:
    """Reads one source in a thread of its own and hands each picture to `sink`.

    A driver may hang for ever inside a call; the thread can then be left behind with `stop` and delivers nothing more
    if it ever returns.

    Args:
        source: what to open.
        clock: stamps pictures and paces files.
        sink: called in the session's thread with an exposure (read-only, RGB or mono) and its instant; blocks at will,
            but has to return soon after `stopping` is set.
    """

    def __init__(
        self, source: VideoSource, clock: Clock, sink: Callable[[CaptureSession, Exposure, int], None]
    ) -> None:
        self._source = source
        self._clock = clock
        self._sink = sink
        self._mono = False
        self.stopping = threading.Event()
        self.opened = threading.Event()
        self.ended = threading.Event()
        self.failure = ""
        """Why it ended, once `ended` is set."""
        self.frames = 0
        self.expected_frames = 0
        """What a file says that it holds; 0 where nothing is said."""
        self.progress_ns = clock.monotonic_ns()
        """When the driver last returned from a call."""
        self._thread = threading.Thread(
            target=self._run, name=of_this_line(f"capture-{source.settings.name}"), daemon=True
        )

    def start(self) -> None:
        """Begin to open and read."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        self.stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; true if it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def is_alive(self) -> bool:
        """Whether the thread still runs, or hangs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            capture = self._source.open()
            try:
                self._read_all(capture)
            finally:
                capture.release()
        except cv2.error as error:
            self.failure = f"OpenCV: {error}"
        finally:
            self.ended.set()

    def _read_all(self, capture: Any) -> None:
        if not capture.isOpened():
            self.failure = "it cannot be opened"
            return
        self._mono = is_mono(capture)
        interval_ns = self._file_interval_ns(capture)
        self.progress_ns = next_ns = self._clock.monotonic_ns()
        self.opened.set()
        while not self.stopping.is_set():
            good, raw = capture.read()
            now_ns = self._clock.monotonic_ns()
            if not good:
                self.failure = "no more pictures came"
                return
            if interval_ns is not None:
                self._clock.wait(self.stopping, next_ns - now_ns)
                now_ns = self._clock.monotonic_ns()
                next_ns = max(next_ns + interval_ns, now_ns)
            self.progress_ns = now_ns
            self.frames += 1
            self._sink(self, self._to_exposure(raw), now_ns)

    def _file_interval_ns(self, capture: Any) -> int | None:
        """Time between pictures of a file; None for a live source, which sets its own pace."""
        if self._source.kind is not SourceKind.FILE:
            return None
        self.expected_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        rate = self._source.settings.frames_per_s or capture.get(cv2.CAP_PROP_FPS)
        return round(1e9 / (rate if rate and rate > 0 else _DEFAULT_FILE_RATE))

    def _to_exposure(self, raw: Any) -> Exposure:
        pixels: Exposure
        if raw.ndim == 2 or raw.shape[2] == 1:  # noqa: PLR2004  (H×W)
            pixels = np.ascontiguousarray(raw.reshape(raw.shape[:2]))
        elif self._mono:
            pixels = np.ascontiguousarray(raw[:, :, 0])
        else:
            pixels = cv2.cvtColor(raw, cv2.COLOR_BGR2RGB)
        pixels.flags.writeable = False
        return pixels
