"""Where a rollout touches the line: the inspect stage asks who decides a part, and says what was decided.

Both cost microseconds and never wait: what the rollout does with it, it does in its own thread and process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from edge_runtime.decision.rollout_share import is_candidates
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.shadow import Seen

if TYPE_CHECKING:
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.shadow import Shadow

_CAPACITY: Final = 4_096
"""Verdicts that wait to be counted: 20 s at 200 parts/s."""


@dataclass(frozen=True, slots=True, eq=False)
class Canary:
    """A candidate that decides a share of the parts of one active model."""

    model: Model
    share: float
    active: str
    """Digest of the model beside which it decides."""


@dataclass(frozen=True, slots=True)
class FellBack:
    """A part of the candidate's that it could not judge and the active model could."""

    why: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What a part got, and from whom."""

    verdict: Verdict
    model: Model


Result: TypeAlias = Decided | FellBack


class Beside:
    """What the inspect stage knows of a rollout. It replaces nothing: without a rollout every part is the active's."""

    def __init__(self) -> None:
        self.canary: Canary | None = None
        """Set by the rollout's thread, read by the inspect stage's (assignment is atomic)."""
        self.shadow: Shadow | None = None
        """Likewise."""
        self.results: BoundedQueue[Result] = BoundedQueue("rollout", _CAPACITY)
        """While there is a canary: what became of the parts, of either model."""

    def decider(self, part: Part, active: Model) -> Model:
        """Who decides this part; nobody where nothing may (another product's model is not there yet)."""
        canary = self.canary
        if canary is None or canary.active != active.digest or active.is_stand_in:
            return active
        return canary.model if is_candidates(part.part_sequence, canary.model.digest, canary.share) else active

    def fell_back(self, why: str) -> None:
        """The candidate could not judge its part; the active one did."""
        self.results.try_put(FellBack(why))

    def judged(self, part: Part, verdict: Verdict, model: Model, duration_ns: int) -> None:
        """A part was judged by `model`."""
        if self.canary is not None:
            # Without its frame: only the verdict is counted, and thousands of frames would fill the memory.
            self.results.try_put(Decided(verdict, model))
        elif (shadow := self.shadow) is not None:
            shadow.offer(Seen(part, verdict, model, duration_ns))
