"""One place on a line at which a model looks at parts, and the change of that model between two frames."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.ops.cell import LatestValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.records import EventRecord
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.events import Events
    from edge_runtime.services.model_swap import Model


@dataclass(slots=True, eq=False)
class Swap:
    """A model that is to decide from the next part on."""

    model: Model
    record: EventRecord | None
    """Put into the ledger's queue in the moment of the change, before the first verdict of the new model."""
    asked_ns: int
    """Monotonic."""
    done: threading.Event = field(default_factory=threading.Event)
    """Set once it decides, or once a newer proposal has taken its place."""
    took_ns: int = 0
    """From the proposal to the change; of use once it is done."""


class Seat:
    """`current` may be read by any thread; it changes in the inspect stage's thread alone."""

    def __init__(self, model: Model, clock: Clock, events: Events | None, changed: Callable[[Model], None]) -> None:
        """Begin with `model`.

        Args:
            changed: told of another model in the moment before it looks at parts.
        """
        self.current = model
        """The one that looks."""
        self.swaps = 0
        """How often it was changed since the start."""
        self._clock = clock
        self._events = events
        self._changed = changed
        self._proposed: LatestValue[Swap] = LatestValue()
        self._renewals_before = 0

    @property
    def renewals(self) -> int:
        """How often an engine was loaded anew here since the start."""
        return self._renewals_before + self.current.keeper.renewals

    def propose(self, model: Model, record: EventRecord | None = None) -> Swap:
        """Have `model` look from the next part on; never waits. One thread at a time proposes."""
        swap = Swap(model, record, self._clock.monotonic_ns())
        if (overtaken := self._proposed.take(0)) is not None:
            overtaken.done.set()
        self._proposed.put(swap)
        return swap

    @property
    def is_to_change(self) -> bool:
        """Whether another model is proposed."""
        return self._proposed.peek() is not None

    def between_frames(self, *, may_change: bool = True) -> Model:
        """Called by the inspect stage in every round: takes over what is proposed; returns who looks now.

        Args:
            may_change: otherwise what is proposed waits: somebody still looks at a part.
        """
        if may_change and self.is_to_change and (swap := self._proposed.take(0)) is not None:
            self._take_over(swap)
        self.current.keeper.look_after()
        return self.current

    def _take_over(self, swap: Swap) -> None:
        model = swap.model
        if model is not self.current:
            self._renewals_before += self.current.keeper.renewals - model.keeper.renewals
            self._changed(model)
            self.current = model
            self.swaps += 1
        swap.took_ns = self._clock.monotonic_ns() - swap.asked_ns
        if swap.record is not None and self._events is not None:
            self._events.record(swap.record)
        swap.done.set()
