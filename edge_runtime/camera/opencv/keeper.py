"""Keeps a source open: starts sessions, notices loss, leaves hanging ones behind, opens again."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol

from edge_runtime.camera.opencv.session import CaptureSession
from edge_runtime.camera.opencv.source import OPEN_TIMEOUT_MS, SourceKind
from edge_runtime.domain.errors import CameraError

if TYPE_CHECKING:
    from edge_runtime.camera.opencv.source import VideoSource
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)

MAX_LEFT_BEHIND = 4
"""Threads that may hang in a driver before no more are started."""

_GRACE_NS = 1_500_000_000
"""FFmpeg's own timeouts get the chance to return before a thread is given up."""
_CLOSE_GRACE_S = 1.0


class PictureSink(Protocol):
    """Takes pictures in the session's thread; returns soon after `stopping` is set."""

    def __call__(self, exposure: Exposure, read_ns: int, stopping: threading.Event) -> None:
        """One picture."""


class SessionKeeper:
    """Owns the sessions of one source. Nothing happens by itself: `look_after` has to be called now and then."""

    def __init__(self, source: VideoSource, clock: Clock, sink: PictureSink) -> None:
        self._source = source
        self._clock = clock
        self._sink = sink
        self._is_file = source.kind is SourceKind.FILE
        self._lost_after_ns = source.settings.lost_after_ms * 1_000_000
        self._lock = threading.Lock()
        self._session: CaptureSession | None = None
        self._left_behind: list[CaptureSession] = []
        self._reopen_ns = 0
        self._picture_ns: int | None = None
        self._delivered_sessions = 0
        self._trouble = "waiting for the first picture"
        self._closed = False
        self.exhausted = False
        """A file was played to its end."""

    @property
    def reopened(self) -> int:
        """How often pictures came again after a loss."""
        return max(0, self._delivered_sessions - 1)

    @property
    def detail(self) -> str:
        """The last trouble, in words."""
        return self._trouble

    def is_lost(self) -> bool:
        """Whether a live source has not delivered for too long."""
        if self._is_file:
            return False
        return self._picture_ns is None or self._clock.monotonic_ns() - self._picture_ns > self._lost_after_ns

    def open(self) -> None:
        """Start the first session; for a file, wait until it proves to be a video.

        Raises:
            CameraError: the file is no video.
        """
        with self._lock:
            session = self._start()
        if not self._is_file:
            return
        deadline_s = time.monotonic() + OPEN_TIMEOUT_MS / 1e3
        while not session.opened.wait(0.01) and not session.ended.is_set() and time.monotonic() < deadline_s:
            pass
        if not session.opened.is_set():
            self.close()
            raise CameraError(
                f"{self._source.label} cannot be opened as a video", "check the file, or convert it to MJPEG in AVI"
            )

    def look_after(self) -> None:
        """Notice what happened to the session and act on it."""
        with self._lock:
            if self._closed or self.exhausted:
                return
            now_ns = self._clock.monotonic_ns()
            self._left_behind = [session for session in self._left_behind if session.is_alive()]
            session = self._session
            if session is None:
                if now_ns >= self._reopen_ns and len(self._left_behind) < MAX_LEFT_BEHIND:
                    self._start()
            elif session.ended.is_set():
                self._on_end(session, now_ns)
            elif not self._is_file and now_ns - session.progress_ns > self._patience_ns(session):
                self._leave_behind(session, now_ns)

    def close(self) -> None:
        """End every session; waits a bounded time for those that hang."""
        with self._lock:
            self._closed = True
            sessions = [*self._left_behind, *([self._session] if self._session is not None else [])]
            self._session, self._left_behind = None, []
        for session in sessions:
            session.stop()
        deadline_s = time.monotonic() + self._lost_after_ns / 1e9 + _CLOSE_GRACE_S
        for session in sessions:
            if not session.join(max(0.0, deadline_s - time.monotonic())):
                _log.error("%s hangs in the driver: its thread is left behind", self._source.label)

    def _start(self) -> CaptureSession:
        session = CaptureSession(self._source, self._clock, self._on_picture)
        self._session = session
        session.start()
        return session

    def _on_picture(self, session: CaptureSession, exposure: Exposure, read_ns: int) -> None:
        if session is not self._session:
            return  # given up earlier, came back to life
        if session.frames == 1:
            self._delivered_sessions += 1
            _log.info("%s delivers", self._source.label)
        self._picture_ns = read_ns
        self._trouble = "no picture came in time"
        self._sink(exposure, read_ns, session.stopping)

    def _on_end(self, session: CaptureSession, now_ns: int) -> None:
        self._session = None
        if not self._is_file:
            self._report(session.failure)
            self._reopen_ns = now_ns + self._source.settings.reopen_interval_ms * 1_000_000
            return
        self.exhausted = True
        self._trouble = "the video has been played to its end"
        if session.frames < session.expected_frames:
            self._report(f"the video ended after {session.frames} of {session.expected_frames} pictures: it is damaged")

    def _leave_behind(self, session: CaptureSession, now_ns: int) -> None:
        session.stop()
        self._session = None
        self._left_behind.append(session)
        self._reopen_ns = now_ns + self._source.settings.reopen_interval_ms * 1_000_000
        if len(self._left_behind) < MAX_LEFT_BEHIND:
            self._report("the driver hangs: opening again beside it")
        else:
            self._report(f"the driver hangs {MAX_LEFT_BEHIND} times over: replug or power-cycle the camera")

    def _patience_ns(self, session: CaptureSession) -> int:
        if session.opened.is_set():
            return self._lost_after_ns + _GRACE_NS
        return OPEN_TIMEOUT_MS * 1_000_000 + _GRACE_NS

    def _report(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.warning("%s: %s", self._source.label, trouble)
        self._trouble = trouble
