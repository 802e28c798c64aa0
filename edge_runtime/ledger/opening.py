"""What was found when a ledger was opened, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.records import EventRecord

if TYPE_CHECKING:
    from collections.abc import Sequence


ASIDE_NOTE = "set_aside"
"""Noted with the record of a damaged ledger: which of those set aside are told of."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found when the ledger was opened."""

    is_new: bool = False
    """It was made just now."""
    migrated: bool = False
    """It was of an older schema: its chain starts behind the records that were there."""
    first_after: int = 0
    """The first record of its chain is one higher."""
    set_aside: str | None = None
    """Name of the damaged file in whose place it was made."""
    damage: str | None = None
    """What was wrong with that."""
    salvaged: int = 0
    """Undelivered records that were taken over from it."""

    def events(self, wall_ns: int) -> Sequence[EventRecord]:
        """The records of it; none for a ledger that was simply opened again."""
        if self.set_aside is not None:
            return (self.damage_event(wall_ns),)
        after = {"first_after": self.first_after}
        if self.migrated:
            text = f"the ledger is of an older version: its hash chain begins behind record {self.first_after}"
            return (EventRecord("ledger_migrated", "info", text, wall_ns, after),)
        if self.is_new:
            text = f"a new ledger: its hash chain begins behind record {self.first_after}"
            return (EventRecord("ledger_begun", "info", text, wall_ns, after),)
        return ()

    def damage_event(self, wall_ns: int) -> EventRecord:
        """The record of a damaged ledger in whose place this one was made."""
        text = (
            f"{self.damage}. It was set aside as {self.set_aside}, a new ledger goes on behind record "
            f"{self.first_after}; {self.salvaged} undelivered records were taken over. Keep the file for an audit "
            "(`edge-runtime ledger verify` and `export` read it as far as it goes) and look at the disk."
        )
        attributes: dict[str, str | int | float | bool] = {
            "first_after": self.first_after,
            "set_aside": self.set_aside or "",
            "damage": self.damage or "",
            "salvaged": self.salvaged,
        }
        return EventRecord("ledger_damaged", "error", text, wall_ns, attributes, {ASIDE_NOTE: self.set_aside or ""})
