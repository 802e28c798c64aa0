"""The frame source as the line sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from edge_runtime.domain.frame import Frame, LostFrame

Arrival: TypeAlias = Frame | LostFrame
"""What a trigger led to."""


class CameraState(StrEnum):
    """Health of a frame source."""

    CONNECTED = "connected"
    LOST = "lost"
    """Cannot deliver; the adapter keeps trying to reopen it."""
    FROZEN = "frozen"
    """Delivers the same image again and again, or stale ones."""
    EXHAUSTED = "exhausted"
    """A finite source (video file, simulation with a part count) has delivered everything."""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """A snapshot of a frame source's health."""

    state: CameraState
    detail: str
    """For a person; empty when all is well."""
    dropped: int
    """Frames that were overwritten by newer ones before anybody took them."""
    reopened: int
    """How often the source was opened again after a loss."""


class Camera(Protocol):
    """One frame source. `next_frame` is called by one thread only; `settle` and `status` by any."""

    @property
    def name(self) -> str:
        """The configured name, used in part ids and records."""

    def open(self) -> None:
        """Start delivering. A device that is merely absent at the moment is not an error: status says LOST.

        Raises:
            CameraError: the source can never work as configured (no such folder, no permission).
        """

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """The next trigger in order; None if none came in time. Never raises for what a device or a file does."""

    def settle(self, arrival: Arrival) -> None:
        """The verdict on this arrival is committed: a folder now keeps, moves or deletes the file."""

    def status(self) -> CameraStatus:
        """Current health."""

    def close(self) -> None:
        """Stop delivering and end every thread of the adapter. Idempotent."""
