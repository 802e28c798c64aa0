"""What a simulated run leaves behind: the books, and the lives of the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from release_books import ReleaseFacts

if TYPE_CHECKING:
    from schedule import Schedule
    from trouble import TimedBelt

    from edge_runtime.plc.model import SimulatedPlcModel


@dataclass(slots=True)
class Life:
    """One life of the daemon, in simulated time."""

    ready_ns: int
    ended_ns: int | None = None
    """None: it was stopped in an orderly way."""


@dataclass(slots=True)
class Outcome:
    """Everything that the books are made of."""

    schedule: Schedule
    belt: TimedBelt
    plc: SimulatedPlcModel
    lives: list[Life] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    """Every committed message, as published; those of ledgers that were damaged as they were before."""
    delivered: list[dict[str, Any]] = field(default_factory=list)
    """Every message at the subscriber, duplicates included."""
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    """When the PLC took over a result, and of which part."""
    damages: int = 0
    """How often the ledger's file was damaged."""
    destroyed: frozenset[int] = frozenset()
    """Records whose every copy on the disk was."""
    dropped: dict[str, int] = field(default_factory=dict)
    lost_records: int = 0
    left_behind: list[str] = field(default_factory=list)
    """Stages that did not end when the daemon was stopped."""
    gate: dict[str, int] = field(default_factory=dict)
    releases: ReleaseFacts = field(default_factory=ReleaseFacts)
    states: list[str] = field(default_factory=list)
    switches: int = 0
