"""From a verdict to the gate: what is to happen, and when the part is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.reject import RejectCommand
from edge_runtime.domain.verdict import Disposition, Verdict

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Trigger
    from edge_runtime.domain.recipe import Recipe

ENCODER_WAIT_NS = 600_000_000_000
"""A belt may stand still; after ten minutes a part is no longer expected at the gate."""


def gate_action(verdict: Verdict, recipe: Recipe) -> GateAction:
    """What the gate does: PASS passes, REJECT is ejected, REVIEW as the recipe says. A fault is always ejected."""
    if verdict.reason.is_fault:
        return GateAction.EJECT
    match verdict.disposition:
        case Disposition.PASS:
            return GateAction.LET_PASS
        case Disposition.REVIEW:
            return recipe.review_action
        case Disposition.REJECT:
            return GateAction.EJECT


def plan_reject(verdict: Verdict, trigger: Trigger, recipe: Recipe) -> RejectCommand:
    """Plan the gate action, counted from the original trigger.

    With an encoder plan and a trigger without encoder position (a lost frame), the part's place on the belt is
    unknown: the command then only serves `permit` gates, which need no position.
    """
    timing = recipe.timing
    fire_at_ns = None if timing.delay_ns is None else trigger.triggered_ns + timing.delay_ns
    fire_at_ticks = None
    if timing.encoder_ticks is not None and trigger.encoder_ticks is not None:
        fire_at_ticks = trigger.encoder_ticks + timing.encoder_ticks
    return RejectCommand(
        part_id=verdict.part_id,
        part_sequence=verdict.part_sequence,
        action=gate_action(verdict, recipe),
        verdict=verdict,
        fire_at_ns=fire_at_ns,
        fire_at_ticks=fire_at_ticks,
        expires_ns=trigger.triggered_ns + ENCODER_WAIT_NS if fire_at_ns is None else fire_at_ns + timing.pulse_ns,
        pulse_ns=timing.pulse_ns,
        expires_ticks=None if fire_at_ticks is None else fire_at_ticks + timing.window_ticks,
    )


@dataclass(frozen=True, slots=True)
class Due:
    """A command whose part is at the gate now, or already past it."""

    command: RejectCommand
    missed: bool


class GateFifo:
    """The parts between camera and gate, in the order in which they get there. Pure: time and ticks are arguments."""

    def __init__(self) -> None:
        self._waiting: list[RejectCommand] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, command: RejectCommand) -> None:
        """Put a part on the belt. Verdicts may come out of order; the belt does not."""
        self._waiting.append(command)
        self._waiting.sort(key=_position)

    def due(self, now_ns: int, encoder_ticks: int | None) -> list[Due]:
        """Take off the belt every part that is at the gate or past it."""
        gone = [command for command in self._waiting if _arrived(command, now_ns, encoder_ticks)]
        self._waiting = [command for command in self._waiting if not _arrived(command, now_ns, encoder_ticks)]
        return [Due(command, missed=_passed(command, now_ns, encoder_ticks)) for command in gone]

    def clear(self) -> list[RejectCommand]:
        """Take everything off the belt, first part first."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def next_instant_ns(self) -> int | None:
        """When the next part that is planned by time gets to the gate."""
        return min((c.fire_at_ns for c in self._waiting if c.fire_at_ns is not None), default=None)


def _position(command: RejectCommand) -> tuple[int, int]:
    return (command.fire_at_ns or 0, command.fire_at_ticks or 0)


def _arrived(command: RejectCommand, now_ns: int, encoder_ticks: int | None) -> bool:
    if command.fire_at_ns is not None:
        return now_ns >= command.fire_at_ns
    if command.fire_at_ticks is not None and encoder_ticks is not None and encoder_ticks >= command.fire_at_ticks:
        return True
    return now_ns > command.expires_ns


def _passed(command: RejectCommand, now_ns: int, encoder_ticks: int | None) -> bool:
    if command.expires_ticks is not None and encoder_ticks is not None:
        return encoder_ticks > command.expires_ticks
    return now_ns > command.expires_ns
