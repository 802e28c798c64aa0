"""The recipe: what the line does with a score."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.domain.verdict import Disposition, Limits


class GateMode(StrEnum):
    """How the gate is worked."""

    PERMIT = "permit"
    """The PLC passes a part only on a valid PASS with a fresh heartbeat and the right part sequence."""
    FIRE = "fire"
    """We drive the ejector at the planned instant. Not fail-safe: a dead daemon ejects nothing."""


class GateAction(StrEnum):
    """What is to happen at the gate."""

    LET_PASS = "pass"  # noqa: S105  (an action, not a password)
    EJECT = "eject"


@dataclass(frozen=True, slots=True)
class RejectTiming:
    """Where the gate is, seen from the trigger. Exactly one of the two measures is set."""

    delay_ns: int | None
    """Travel time from the trigger to the gate."""
    encoder_ticks: int | None
    """Travel in encoder ticks from the trigger to the gate."""
    pulse_ns: int
    """How long the ejector stays on (fire mode), and how late it may still start."""
    window_ticks: int = 20
    """How many ticks past the gate position a command may still be carried out."""

    def __post_init__(self) -> None:
        if (self.delay_ns is None) == (self.encoder_ticks is None):
            message = "a reject plan needs either a delay or encoder ticks, not both"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that turns a score into a gate action."""

    name: str
    limits: Limits
    review_action: GateAction
    """What the gate does with REVIEW. Default: EJECT (reject lane)."""
    fail_safe: Disposition
    """Disposition of faults and late verdicts. Default: REJECT. PASS is not allowed by the configuration."""
    gate_mode: GateMode
    timing: RejectTiming
    decision_deadline_ns: int
    """A verdict later than this after the trigger is DEADLINE_MISSED. Leaves the PLC time to act."""
