"""The state of the line, as status message, ready bit and health page tell it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LineState(StrEnum):
    """How the line does."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """Parts are judged, but something beside that path is broken (broker, disk, PLC link)."""
    FAULT = "fault"
    """Parts cannot be judged: everything gets the fail-safe disposition, the PLC's ready bit is off."""
    STOPPING = "stopping"
    OFFLINE = "offline"
    """Stopped on purpose, or (as last will) gone without a goodbye."""


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What is known about the stages and devices at one moment; None means "all is well"."""

    dead_stage: str | None
    """Name of a stage on the deadline path whose thread has ended."""
    hung_stage: str | None
    """Name of a stage on the deadline path that has made no progress for too long."""
    stalled_stage: str | None
    """Name of a stage beside that path (PLC link, recorder, evidence, publisher) that has ended or hangs."""
    camera: str | None
    """Why the camera cannot deliver."""
    plc: str | None
    """Why the PLC cannot be reached."""
    ledger: str | None
    """Why nothing can be committed."""
    broker: str | None
    """Why nothing can be published."""


@dataclass(frozen=True, slots=True)
class LineHealth:
    """The verdict on the line itself."""

    state: LineState
    reasons: tuple[str, ...]
    """For a person, worst first; empty when READY."""

    @property
    def can_judge(self) -> bool:
        """Whether parts get sound verdicts now: the PLC's ready bit."""
        return self.state in {LineState.READY, LineState.DEGRADED}
