"""Frame sources: a watched folder, OpenCV cameras, the simulated conveyor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.errors import CameraError

if TYPE_CHECKING:
    from edge_runtime.camera.port import Camera
    from edge_runtime.config.camera import CameraSettings
    from edge_runtime.domain.records import SeenFiles
    from edge_runtime.ops.belt import BeltPlan
    from edge_runtime.ops.clock import Clock


def create(settings: CameraSettings, clock: Clock, seen: SeenFiles, belt: BeltPlan | None) -> Camera:
    """The camera that the settings describe, not yet open.

    Args:
        settings: `[camera]`; `kind` chooses the adapter.
        clock: time of triggers.
        seen: which files have a committed verdict (folder only).
        belt: the simulated belt (simulation only).

    Raises:
        CameraError: settings that no adapter can work with.
    """
    # Adapters are imported where they are chosen: a line loads only the libraries that it uses.
    if settings.kind == "opencv":
        from edge_runtime.camera.opencv.camera import OpenCvCamera  # noqa: PLC0415

        return OpenCvCamera(settings, clock)
    if settings.kind == "folder":
        from edge_runtime.camera.folder.camera import FolderCamera  # noqa: PLC0415

        return FolderCamera(settings, clock, seen)
    if belt is None:
        raise CameraError("the simulated conveyor has no belt", "add [simulation] to the configuration")
    from edge_runtime.camera.sim import ConveyorCamera  # noqa: PLC0415

    return ConveyorCamera(settings, clock, belt)


__all__ = ["create"]
