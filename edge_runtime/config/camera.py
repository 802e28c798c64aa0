"""`[camera]`: where frames come from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge_runtime.config.base import Settings


class Overflow(StrEnum):
    """What the capture stage does when the inspect queue is full."""

    REJECT = "reject"
    """The displaced part gets its verdict at once: fail-safe, reason overload."""
    WAIT = "wait"
    """The source waits (a folder: the files stay where they are)."""


class AfterInspection(StrEnum):
    """What happens to a watched file once its verdict is committed."""

    KEEP = "keep"
    MOVE = "move"
    DELETE = "delete"


class FolderCameraSettings(Settings):
    """A watched folder."""

    kind: Literal["folder"]
    """Frames are the images that appear in a folder."""
    name: str = "folder"
    """Name of the camera in records and messages."""
    path: Path
    """The folder that is watched; it must exist."""
    recursive: bool = False
    """Watch its subfolders, too; symbolic links to folders are not followed."""
    patterns: tuple[str, ...] = ("*.png", "*.jpg", "*.jpeg", "*.bmp", "*.tif", "*.tiff", "*.webp")
    """File names that are images, case-insensitive."""
    existing: bool = True
    """Inspect what was in the folder before the start (and is not in the ledger)."""
    after: AfterInspection = AfterInspection.KEEP
    """What happens to an image once its verdict is committed: `move` takes it to `done_path`."""
    done_path: Path | None = None
    """Where inspected files go with `after = "move"`. Default: `<path>/../<name>-done`."""
    faulty_path: Path | None = None
    """Where corrupt and truncated files are kept aside. Default: `<path>/../<name>-faulty`."""
    polling: bool = False
    """For network shares (NFS, SMB, FUSE), where the kernel reports no changes."""
    poll_interval_ms: int = Field(default=500, ge=10, le=60_000)
    """Polling interval, and how long a file must stay unchanged before it is taken when polling."""
    rescan_interval_ms: int = Field(default=5_000, ge=100, le=600_000)
    """Safety net beside events: whatever was missed is found by this rescan."""
    part_sequence_pattern: str | None = None
    """Regular expression with one group: the PLC's part sequence in the file name."""
    overflow: Overflow = Overflow.WAIT
    """When inspection cannot keep up: `wait` holds the source, `reject` gives the displaced part the fail-safe."""


class OpenCvCameraSettings(Settings):
    """V4L2 index, RTSP/HTTP URL or a video file, through OpenCV. Free-running: every new frame is a trigger."""

    kind: Literal["opencv"]
    """Frames come from a camera, a stream or a video file."""
    name: str = "camera"
    """Name of the camera in records and messages."""
    source: str | int
    """V4L2 index (0), device path, URL, or path of a video file."""
    width_px: int | None = Field(default=None, gt=0)
    """Asked of a V4L2 device, which may deliver another width. Unset: its own choice."""
    height_px: int | None = Field(default=None, gt=0)
    """Asked of a V4L2 device, which may deliver another height. Unset: its own choice."""
    frames_per_s: float | None = Field(default=None, gt=0)
    """Asked of a V4L2 device; for a video file the playback rate. Unset: its own."""
    every_frame: bool = False
    """Video files only: deliver each frame in turn instead of only the newest."""
    minimum_interval_ms: int = Field(default=0, ge=0)
    """Frames closer together than this are skipped (not triggers)."""
    frozen_after_ms: int = Field(default=5_000, ge=100)
    """Bit-identical frames for this long mean that the camera is frozen."""
    lost_after_ms: int = Field(default=3_000, ge=100)
    """No frame for this long means that the camera is lost: it is reopened."""
    reopen_interval_ms: int = Field(default=1_000, ge=100)
    """A lost camera is opened again this often, for ever."""
    overflow: Overflow = Overflow.REJECT
    """When inspection cannot keep up: `wait` holds the source, `reject` gives the displaced part the fail-safe."""


class SimulatedCameraSettings(Settings):
    """The simulated conveyor; its belt is described in `[simulation]`."""

    kind: Literal["sim"]
    """Frames are drawn: a demonstration without a camera."""
    name: str = "conveyor"
    """Name of the camera in records and messages."""
    width_px: int = Field(default=320, ge=32, le=4096)
    """Width of the drawn frames."""
    height_px: int = Field(default=240, ge=32, le=4096)
    """Height of the drawn frames."""
    illumination_drift: float = Field(default=0.05, ge=0, le=0.9)
    """Relative amplitude of the slow brightness drift."""
    overflow: Overflow = Overflow.REJECT
    """When inspection cannot keep up: `wait` holds the source, `reject` gives the displaced part the fail-safe."""


CameraSettings = Annotated[
    FolderCameraSettings | OpenCvCameraSettings | SimulatedCameraSettings, Field(discriminator="kind")
]


class SimulationSettings(Settings):
    """`[simulation]`: the belt that the simulated camera and the simulated PLC share."""

    seed: int = 1
    """The same number gives the same belt, part for part."""
    parts: int | None = Field(default=None, gt=0)
    """Ends after so many parts; unset: runs for ever."""
    parts_per_s: float = Field(default=5.0, gt=0, le=1_000)
    """Speed of the belt."""
    defect_rate: float = Field(default=0.15, ge=0, le=1)
    """Share of the parts that are defective; with `dropped_trigger_rate` at most 1."""
    dropped_trigger_rate: float = Field(default=0.01, ge=0, le=1)
    """Parts that the PLC counts but the camera misses."""
    travel_ms: int = Field(default=800, gt=0)
    """From the trigger to the gate."""
    ticks_per_s: int = Field(default=1_000, gt=0)
    """Encoder resolution."""

    @model_validator(mode="after")
    def _rates_leave_good_parts(self) -> SimulationSettings:
        if self.defect_rate + self.dropped_trigger_rate > 1:
            message = "defect_rate + dropped_trigger_rate must not exceed 1"
            raise ValueError(message)
        return self
