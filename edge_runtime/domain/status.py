"""The state of the line and the reasons for it, as status message, ready bit and health page tell them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


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


class LineReason(StrEnum):
    """Why the line is not as it should be. What each does to the line: `decision.line_rules`."""

    STAGE_ENDED = "stage_ended"
    STAGE_HUNG = "stage_hung"
    ENGINE_HUNG = "engine_hung"
    ENGINE_FAILING = "engine_failing"
    MODEL_SUSPENDED = "model_suspended"
    CAMERA_LOST = "camera_lost"
    CAMERA_FROZEN = "camera_frozen"
    NOTHING_JUDGED = "nothing_judged"
    EJECTOR_LOST = "ejector_lost"
    REJECT_MISSED = "reject_missed"
    RECORDS_LOST = "records_lost"
    PLC_LOST = "plc_lost"
    GATE_LATE = "gate_late"
    OVERLOAD = "overload"
    TOO_SLOW = "too_slow"
    CAMERA_HALF_FRAMES = "camera_half_frames"
    FRAMES_MISSING = "frames_missing"
    LEDGER_DAMAGED = "ledger_damaged"
    LEDGER_FULL = "ledger_full"
    LEDGER_REFUSING = "ledger_refusing"
    LEDGER_SLOW = "ledger_slow"
    STAGE_STALLED = "stage_stalled"
    BROKER_DOWN = "broker_down"
    BROKER_REFUSING = "broker_refusing"
    EVIDENCE_FULL = "evidence_full"
    MEMORY_LOW = "memory_low"
    CLOCK_UNSET = "clock_unset"
    CLOCK_JUMPED = "clock_jumped"
    CONFIG_REFUSED = "config_refused"
    RELEASES_UNAVAILABLE = "releases_unavailable"
    UPDATE_REFUSED = "update_refused"
    UPDATE_TAKEN = "update_taken"
    UPDATE_RUNNING = "update_running"
    TRUST_DEVELOPMENT = "trust_development"
    MODEL_ON_TRIAL = "model_on_trial"


class Weight(IntEnum):
    """What a reason does to the state; the heaviest decides."""

    NOTICE = 1
    """Said everywhere; the line is READY all the same."""
    DEGRADED = 2
    FAULT = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """A reason that holds now."""

    reason: LineReason
    weight: Weight
    detail: str
    """For a person: what was seen last."""
    since_ns: int
    """Monotonic."""
    present: bool
    """Its cause was there at the last look; false while the reason is only held."""
    latched: bool
    """Stays until somebody acknowledges it, even though its cause may be gone."""

    @property
    def text(self) -> str:
        """Name and detail."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(frozen=True, slots=True)
class LineHealth:
    """The verdict on the line itself."""

    state: LineState
    reasons: tuple[Standing, ...] = ()
    """Worst first."""

    @property
    def can_judge(self) -> bool:
        """Whether parts get sound verdicts now: the PLC's ready bit."""
        return self.state in {LineState.READY, LineState.DEGRADED}

    @property
    def text(self) -> str:
        """All reasons in one line; empty where there is none."""
        return "; ".join(standing.text for standing in self.reasons)

    @property
    def worst(self) -> LineReason | None:
        """The one reason that is told where there is room for one."""
        return self.reasons[0].reason if self.reasons else None
