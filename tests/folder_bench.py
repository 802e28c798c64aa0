"""A watched folder with cameras on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camera_rigs import SeenSet, next_arrival

from edge_runtime.camera import create
from edge_runtime.config.camera import FolderCameraSettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.camera.port import Camera
    from edge_runtime.domain.records import SeenFiles
    from edge_runtime.ops.clock import Clock

QUIET_S = 0.25
"""Long enough for anything that is wrongly delivered to arrive: several poll and rescan intervals."""


class FolderBench:
    """Opens cameras on `folder` with short intervals; closes them all."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "watched"
        self.folder.mkdir()
        self._opened: list[Camera] = []

    def open(self, seen: SeenFiles | None = None, clock: Clock | None = None, **settings: object) -> Camera:
        """An open camera; keyword arguments are settings."""
        intervals = {"poll_interval_ms": 30, "rescan_interval_ms": 100}
        merged = FolderCameraSettings.model_validate({"kind": "folder", "path": self.folder, **intervals, **settings})
        camera = create(merged, clock or SystemClock(), seen or SeenSet(), None)
        self._opened.append(camera)
        camera.open()
        return camera

    def close(self) -> None:
        """Close every camera."""
        for camera in self._opened:
            camera.close()


def paths_of(camera: Camera, count: int) -> list[str]:
    """Files of the next arrivals."""
    return [arrival.file.path for arrival in (next_arrival(camera) for _ in range(count)) if arrival.file is not None]


def is_quiet(camera: Camera) -> bool:
    """Whether nothing comes for a while."""
    return camera.next_frame(QUIET_S) is None
