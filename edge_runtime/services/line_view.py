"""What the activation of one model's releases needs of its line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.audit import Attribution
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.events import Events
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.monitor import LineMonitor
    from edge_runtime.services.seat import Seat


@dataclass(frozen=True, slots=True)
class LineView:
    """A place on the line at which a model looks, and what is seen of it."""

    seat: Seat
    monitor: LineMonitor
    hangs: Callable[[], bool]
    """Whether the inspect stage makes no progress, and it is this place's model that does not end."""
    events: Events
    clock: Clock
    place: int = 0
    """Among the models that are combined; 0 is the line's own."""
    beside: Callable[[Model, Attribution], EventRecord | None] | None = None
    """The record of a change at a place beside the line's own; None: it is the line's own."""
