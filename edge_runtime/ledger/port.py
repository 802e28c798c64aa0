"""The ledger as the record stage sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from edge_runtime.domain.records import EventRecord, Outbox, RolloutRecord, SeenFiles, VerdictRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.domain.errors import LedgerDamagedError
    from edge_runtime.domain.records import OutboxRow
    from edge_runtime.ledger.opening import Opening
    from edge_runtime.ledger.retention import Retention

LedgerEntry: TypeAlias = VerdictRecord | EventRecord | RolloutRecord

Encoder: TypeAlias = "Callable[[LedgerEntry, int], bytes]"
"""Turns an entry and its record sequence into the published JSON; the ledger itself knows no wire format."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record: whoever keeps this outside the device can prove later that nothing before it was changed."""

    sequence: int
    """0 (or where numbering begins) before the first record."""
    hash: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class Room:
    """How the ledger stands with its disk."""

    used_bytes: int
    """Of the database."""
    spare_bytes: int
    """Free inside its file: new records go there first."""
    reserve_bytes: int
    """Kept for verdicts, and not yet needed."""
    is_low: bool
    """Half of the reserve or more is gone: delivered records make place for new ones."""
    lost: str | None = None
    """Its file is not at its place any more, and what to do; records still go into it."""


class Ledger(Outbox, SeenFiles, Protocol):
    """Verdicts, events and outbox in one database."""

    @property
    def opening(self) -> Opening:
        """What was found when it was opened."""

    @property
    def head(self) -> Head:
        """The newest committed record. Thread-safe."""

    def append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        """Commit all entries with their outbox rows in one transaction (group commit); returns their sequences.

        On return they survive a power cut. On a full disk the reserve is given up for them.

        Raises:
            LedgerFullError: nothing was committed, the disk is full and the reserve is used up.
            LedgerDamagedError: nothing was committed, the file is damaged.
            LedgerError: nothing was committed (read-only, not to be reached).
        """

    def last_part_sequence(self) -> int:
        """Highest-numbered newest part committed; 0 in a new ledger. Numbering goes on from here."""

    def rows(self, first: int, last: int, limit: int) -> Sequence[OutboxRow]:
        """At most `limit` records from `first` to `last`, delivered or not, ascending. Thread-safe."""

    def prune(self, retention: Retention, wall_ns: int) -> int:
        """Drop the oldest delivered records beyond `retention`; returns how many went.

        Stops before the first that is not delivered. What went is itself recorded (`records_pruned`).
        """

    def look_after_room(self) -> Room:
        """Hold the reserve anew where the disk has room again; how it stands. For the record stage's thread."""

    def note(self, key: str) -> str | None:
        """What the newest record with such a note (`EventRecord.notes`) noted under `key`; None if there was none."""

    def begin_anew(self, damage: LedgerDamagedError, wall_ns: int) -> EventRecord:
        """Set the damaged ledger aside and begin another one in its place, while the line runs.

        Returns:
            The record of it, for the caller to append.

        Raises:
            LedgerError: that is not possible; everything is as before.
        """

    def close(self) -> None:
        """Checkpoint and close. Idempotent."""
