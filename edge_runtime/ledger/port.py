"""The ledger as the record stage sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from edge_runtime.domain.records import EventRecord, Outbox, SeenFiles, VerdictRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.domain.records import OutboxRow
    from edge_runtime.ledger.retention import Retention

LedgerEntry: TypeAlias = VerdictRecord | EventRecord

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

        On return they survive a power cut.

        Raises:
            LedgerFullError: nothing was committed, the disk is full.
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

    def note(self, key: str) -> str | None:
        """What was last noted under `key`, across restarts; None before the first time."""

    def set_note(self, key: str, text: str) -> None:
        """Remember `text` under `key`. No record: neither hashed nor published. For the record stage's thread."""

    def close(self) -> None:
        """Checkpoint and close. Idempotent."""
