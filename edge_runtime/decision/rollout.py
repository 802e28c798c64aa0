"""The way of a candidate to deciding every part. Pure: one table, one function.

    SHADOW ──promoted──▶ CANARY ──promoted──▶ FULL
       ▲ └─tripped──▶ ROLLED_BACK ◀─tripped─┘  │
       │ └─dropped──▶ WITHDRAWN ◀──dropped──┘  └─▶ its trial, like any other release
       └──────── the active model changed ─────┘

From the three on the right nothing leads back: another candidate begins a rollout of its own.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.rollout import RolloutStage

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ATTEMPTS: Final = 3
"""A daemon that dies more often than this while the candidate decides rolls it back: a crash loop."""


class Change(Enum):
    """What moves a candidate."""

    PROMOTED = auto()
    """By a person, or by rule."""
    TRIPPED = auto()
    """A guardrail."""
    DROPPED = auto()
    """A person withdrew it, or it is gone."""
    ACTIVE_CHANGED = auto()
    """It was compared with a model that no longer decides."""


_ENDED: Final = dict[Change, RolloutStage | None].fromkeys(Change)
TRANSITIONS: Final[Mapping[RolloutStage, Mapping[Change, RolloutStage | None]]] = {
    RolloutStage.SHADOW: {
        Change.PROMOTED: RolloutStage.CANARY,
        Change.TRIPPED: RolloutStage.ROLLED_BACK,
        Change.DROPPED: RolloutStage.WITHDRAWN,
        Change.ACTIVE_CHANGED: RolloutStage.SHADOW,
    },
    RolloutStage.CANARY: {
        Change.PROMOTED: RolloutStage.FULL,
        Change.TRIPPED: RolloutStage.ROLLED_BACK,
        Change.DROPPED: RolloutStage.WITHDRAWN,
        Change.ACTIVE_CHANGED: RolloutStage.SHADOW,
    },
    RolloutStage.FULL: _ENDED,
    RolloutStage.ROLLED_BACK: _ENDED,
    RolloutStage.WITHDRAWN: _ENDED,
}
"""Stage → change → next stage; None: the change means nothing there. Complete: every pair is there."""


def step(stage: RolloutStage, change: Change) -> RolloutStage:
    """The next stage; the same one where the change means nothing. Stages that begin anew begin without evidence."""
    following = TRANSITIONS[stage][change]
    return stage if following is None else following
