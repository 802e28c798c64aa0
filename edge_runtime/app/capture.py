"""Saving good frames from the line's own camera, losslessly, for `edge-convert teach`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_runtime.camera.port import CameraState
from edge_runtime.domain.errors import CameraError, EdgeError
from edge_runtime.domain.frame import Frame
from edge_runtime.ops.durable import put_in_place
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.camera.port import Camera
    from edge_runtime.ops.clock import Clock

_POLL_S = 0.2
_GIVE_UP_NS = 30_000_000_000
_RESERVE_BYTES = 100_000_000
"""Room that is left on the disk whatever the limit says: the daemon's ledger may be on it."""


class CaptureError(EdgeError):
    """Frames cannot be saved."""


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """What to save."""

    folder: Path
    count: int | None
    """Stop after so many frames; None: no end."""
    interval_ns: int
    """Least time between two saved frames."""
    limit_bytes: int
    """Stop before the saved files exceed this."""


@dataclass(slots=True)
class CaptureTally:
    """What was saved."""

    frames: int = 0
    files: int = 0
    bytes: int = 0
    lost: int = 0
    """Triggers without a usable image."""
    ended: str = ""
    """Why it ended: "count", "limit", "exhausted" or "stopped"."""


def capture(
    camera: Camera,
    plan: CapturePlan,
    clock: Clock,
    stop: threading.Event,
    on_frame: Callable[[CaptureTally], None],
) -> CaptureTally:
    """Save frames until the plan is fulfilled, the source is exhausted or `stop` is set. The camera stays open.

    Raises:
        CameraError: the camera was gone for half a minute.
        CaptureError: the folder cannot be written, or the disk is full.
    """
    tally = CaptureTally()
    next_ns, heard_ns = clock.monotonic_ns(), clock.monotonic_ns()
    while not tally.ended:
        arrival = camera.next_frame(_POLL_S)
        now_ns = clock.monotonic_ns()
        if stop.is_set():
            tally.ended = "stopped"
        elif arrival is None:
            heard_ns = _look_after(camera, tally, heard_ns, now_ns)
        elif not isinstance(arrival, Frame):
            tally.lost += 1
        elif arrival.captured_ns >= next_ns:
            next_ns = arrival.captured_ns + plan.interval_ns
            heard_ns = now_ns
            _save(arrival, plan, tally)
            on_frame(tally)
    return tally


def _look_after(camera: Camera, tally: CaptureTally, heard_ns: int, now_ns: int) -> int:
    """No frame came: is that the end, a loss, or only a quiet line? Returns when the camera was last well."""
    status = camera.status()
    if status.state is CameraState.EXHAUSTED:
        tally.ended = "exhausted"
    if status.state not in {CameraState.LOST, CameraState.FROZEN}:
        return now_ns
    if now_ns - heard_ns > _GIVE_UP_NS:
        raise CameraError(
            f"{camera.name} delivers nothing: {status.detail or status.state}",
            "Check cable and power, and that no other program (the daemon?) uses the camera.",
        )
    return heard_ns


def _save(frame: Frame, plan: CapturePlan, tally: CaptureTally) -> None:
    images = [encode_png(exposure) for exposure in frame.exposures]
    size = sum(len(image) for image in images)
    if tally.bytes + size > plan.limit_bytes:
        tally.ended = "limit"
        return
    taken = datetime.fromtimestamp(frame.trigger.triggered_wall_ns // 1_000 / 1e6, UTC)
    stem = f"{taken:%Y%m%dT%H%M%S}{taken.microsecond // 1_000:03d}Z-{frame.trigger.sequence:06d}"
    try:
        if shutil.disk_usage(plan.folder).free < size + _RESERVE_BYTES:
            raise CaptureError(f"the disk of {plan.folder} is full", "Make room, or name another folder with --out.")
        for number, image in enumerate(images, start=1):
            _write(plan.folder / (f"{stem}.png" if len(images) == 1 else f"{stem}-e{number}.png"), image)
    except OSError as error:
        raise CaptureError(f"cannot write in {plan.folder}: {error.strerror}", "Check its permissions.") from error
    tally.frames, tally.files, tally.bytes = tally.frames + 1, tally.files + len(images), tally.bytes + size
    if tally.frames == plan.count:
        tally.ended = "count"


def _write(path: Path, content: bytes) -> None:
    """All of the file or none of it, and never over another one."""
    if path.exists():
        raise CaptureError(f"{path} exists already", "The clock has jumped: name an empty folder with --out.")
    temporary = path.with_suffix(".part")
    try:
        put_in_place(path, content, temporary)
    finally:
        temporary.unlink(missing_ok=True)
