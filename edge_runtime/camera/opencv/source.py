"""What `[camera] source` means, and how OpenCV is told to open it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from edge_runtime.domain.errors import CameraError

if TYPE_CHECKING:
    from edge_runtime.config.camera import OpenCvCameraSettings

OPEN_TIMEOUT_MS = 10_000
"""Network cameras may take some seconds until their first picture can be decoded."""

_MONO_FORMATS = {"GREY", "Y800", "Y8  ", "Y16 "}


class SourceKind(StrEnum):
    """How a source behaves."""

    DEVICE = "device"
    """V4L2."""
    STREAM = "stream"
    """Network stream or named pipe: live, through FFmpeg."""
    FILE = "file"
    """A video file: it has an end and cannot be lost or frozen."""


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A source and the settings that it is opened with."""

    kind: SourceKind
    address: str | int
    settings: OpenCvCameraSettings

    @property
    def label(self) -> str:
        """The address as it may be shown: without the password that a URL may carry."""
        address = str(self.address)
        if "://" not in address or "@" not in address:
            return address
        scheme, rest = address.split("://", 1)
        return f"{scheme}://…@{rest.rsplit('@', 1)[1]}"

    def open(self) -> Any:
        """A `cv2.VideoCapture`, open or not; may block for `OPEN_TIMEOUT_MS`, and for ever where the driver hangs."""
        if self.kind is SourceKind.DEVICE:
            capture = cv2.VideoCapture(self.address, cv2.CAP_V4L2)
            if capture.isOpened():
                self._configure_device(capture)
            return capture
        timeouts = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, self.settings.lost_after_ms
        ]  # fmt: skip
        return cv2.VideoCapture(str(self.address), cv2.CAP_FFMPEG, timeouts)

    def _configure_device(self, capture: Any) -> None:
        """A device takes what it can and ignores the rest; the frames show what it took."""
        wishes = (
            (cv2.CAP_PROP_FRAME_WIDTH, self.settings.width_px),
            (cv2.CAP_PROP_FRAME_HEIGHT, self.settings.height_px),
            (cv2.CAP_PROP_FPS, self.settings.frames_per_s),
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        )
        for setting, wish in wishes:
            if wish is not None:
                capture.set(setting, wish)
        if _format_of(capture, cv2.CAP_PROP_FOURCC) in _MONO_FORMATS:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)  # else 8 and 16 bit grey arrive as 8 bit colour


def classify(settings: OpenCvCameraSettings) -> VideoSource:
    """What kind of source the settings name.

    Raises:
        CameraError: it is a video file that does not exist, or a directory, or `every_frame` is asked of a live source.
    """
    source = settings.source
    if isinstance(source, int) or source.isdecimal():
        found = VideoSource(SourceKind.DEVICE, int(source), settings)
    elif "://" in source:
        found = VideoSource(SourceKind.STREAM, source, settings)
    elif source.startswith("/dev/"):
        found = VideoSource(SourceKind.DEVICE, source, settings)
    else:
        found = VideoSource(_kind_of_path(Path(source)), source, settings)
    if settings.every_frame and found.kind is not SourceKind.FILE:
        raise CameraError(
            f"every_frame is set, but {source} is live: it cannot be asked to wait",
            "remove every_frame, or name a video file",
        )
    return found


def is_mono(capture: Any) -> bool:
    """Whether the stream carries grey pictures, which FFmpeg hands over as three equal channels."""
    return _format_of(capture, cv2.CAP_PROP_CODEC_PIXEL_FORMAT) in _MONO_FORMATS


def _kind_of_path(path: Path) -> SourceKind:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CameraError(
            f"the video file {path} cannot be read: {error.strerror}", "correct [camera] source"
        ) from error
    if stat.S_ISREG(mode):
        return SourceKind.FILE
    if stat.S_ISDIR(mode):
        raise CameraError(f"{path} is a folder, not a video", 'use kind = "folder" for a folder of images')
    return SourceKind.STREAM


def _format_of(capture: Any, setting: int) -> str:
    return (int(capture.get(setting)) & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
