"""The degrade ladder: from what is seen of a line to its state. Pure: one table, one function.

    STARTING ──started──▶ READY ◀──sound── DEGRADED ◀──burdened── FAULT
                            └────burdened────▶ └────broken────▶
    any of them ──stopping──▶ STOPPING ──ended──▶ OFFLINE

What counts as sound, burdened or broken follows from the heaviest reason that holds (`line_rules`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeAlias

from edge_runtime.decision.line_rules import RANK, RULES
from edge_runtime.domain.status import LineHealth, LineReason, LineState, Standing, Weight

if TYPE_CHECKING:
    from collections.abc import Mapping


class Change(Enum):
    """What moves a line from state to state."""

    STARTED = auto()
    SOUND = auto()
    """No reason heavier than a notice holds."""
    BURDENED = auto()
    BROKEN = auto()
    STOPPING = auto()
    ENDED = auto()


_RUNNING: Final = {
    Change.STARTED: None,
    Change.SOUND: LineState.READY,
    Change.BURDENED: LineState.DEGRADED,
    Change.BROKEN: LineState.FAULT,
    Change.STOPPING: LineState.STOPPING,
    Change.ENDED: LineState.OFFLINE,
}
TRANSITIONS: Final[Mapping[LineState, Mapping[Change, LineState | None]]] = {
    LineState.STARTING: {
        Change.STARTED: LineState.READY,
        Change.SOUND: None,
        Change.BURDENED: None,
        Change.BROKEN: None,
        Change.STOPPING: LineState.STOPPING,
        Change.ENDED: LineState.OFFLINE,
    },
    LineState.READY: _RUNNING,
    LineState.DEGRADED: _RUNNING,
    LineState.FAULT: _RUNNING,
    LineState.STOPPING: {
        Change.STARTED: None,
        Change.SOUND: None,
        Change.BURDENED: None,
        Change.BROKEN: None,
        Change.STOPPING: None,
        Change.ENDED: LineState.OFFLINE,
    },
    LineState.OFFLINE: dict.fromkeys(Change),
}
"""State → change → next state; None: stays. Complete: every pair is there."""


@dataclass(frozen=True, slots=True)
class Started:
    """Every stage runs."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The line was looked at, all of it."""

    now_ns: int
    seen: Mapping[LineReason, str]
    """Every reason that there is at this moment, with its detail; what is not in it was looked for and is not there."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A person has seen the latched reasons: those whose cause is gone go."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The line is to be stopped."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Every stage has ended."""


Event: TypeAlias = Started | Observed | Acknowledged | StopAsked | Ended


@dataclass(frozen=True, slots=True)
class Noted:
    """A reason that is or was seen."""

    detail: str
    since_ns: int
    """First seen."""
    seen_ns: int
    """Last seen."""
    present: bool
    """Seen the last time that the line was looked at."""
    counts: bool
    """Seen for long enough to count."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where the line stands. Immutable; `step` gives the next one."""

    state: LineState
    noted: Mapping[LineReason, Noted]

    @property
    def health(self) -> LineHealth:
        """The reasons that count, worst first; none once the line stops."""
        if self.state in {LineState.STOPPING, LineState.OFFLINE}:
            return LineHealth(self.state)
        counting = sorted((reason for reason, noted in self.noted.items() if noted.counts), key=RANK.__getitem__)
        return LineHealth(self.state, tuple(_standing(reason, self.noted[reason]) for reason in counting))


START: Final = Ladder(LineState.STARTING, {})


def step(ladder: Ladder, event: Event) -> Ladder:
    """The line after an event.

    A reason counts from `raise_after_ns` of uninterrupted sight until `hold_ns` after it was seen last; a latched one
    until it is acknowledged and no longer seen. Instants must not go back.
    """
    match event:
        case Started():
            return _weighed(_moved(ladder, Change.STARTED))
        case Observed(now_ns, seen):
            return _weighed(replace(ladder, noted=_noted(ladder.noted, seen, now_ns)))
        case Acknowledged():
            left = {r: noted for r, noted in ladder.noted.items() if noted.present or not RULES[r].latched}
            return _weighed(replace(ladder, noted=left))
        case StopAsked():
            return _moved(ladder, Change.STOPPING)
        case Ended():
            return _moved(ladder, Change.ENDED)


def _noted(
    before: Mapping[LineReason, Noted], seen: Mapping[LineReason, str], now_ns: int
) -> Mapping[LineReason, Noted]:
    after: dict[LineReason, Noted] = {}
    for reason, detail in seen.items():
        known = before.get(reason)
        since_ns = known.since_ns if known is not None and (known.present or known.counts) else now_ns
        counts = (known is not None and known.counts) or now_ns - since_ns >= RULES[reason].raise_after_ns
        after[reason] = Noted(detail, since_ns, now_ns, present=True, counts=counts)
    for reason, known in before.items():
        if reason not in seen and _lasts(reason, known, now_ns):
            after[reason] = replace(known, present=False)
    return after


def _lasts(reason: LineReason, noted: Noted, now_ns: int) -> bool:
    rule = RULES[reason]
    return noted.counts and (rule.latched or now_ns - noted.seen_ns < rule.hold_ns)


def _weighed(ladder: Ladder) -> Ladder:
    heaviest = max((RULES[reason].weight for reason, noted in ladder.noted.items() if noted.counts), default=None)
    if heaviest is Weight.FAULT:
        return _moved(ladder, Change.BROKEN)
    return _moved(ladder, Change.BURDENED if heaviest is Weight.DEGRADED else Change.SOUND)


def _moved(ladder: Ladder, change: Change) -> Ladder:
    target = TRANSITIONS[ladder.state][change]
    return ladder if target is None else replace(ladder, state=target)


def _standing(reason: LineReason, noted: Noted) -> Standing:
    rule = RULES[reason]
    return Standing(reason, rule.weight, noted.detail, noted.since_ns, present=noted.present, latched=rule.latched)
