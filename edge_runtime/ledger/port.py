"""The ledger as the record stage sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from edge_runtime.domain.records import EventRecord, Outbox, SeenFiles, VerdictRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LedgerEntry: TypeAlias = VerdictRecord | EventRecord

Encoder: TypeAlias = "Callable[[LedgerEntry, int], bytes]"
"""Turns an entry and its record sequence into the published JSON; the ledger itself knows no wire format."""


class Ledger(Outbox, SeenFiles, Protocol):
    """Verdicts, events and outbox in one database."""

    def append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        """Commit all entries with their outbox rows in one transaction (group commit); returns their sequences.

        On return they survive a power cut.

        Raises:
            LedgerError: nothing was committed (disk full, database damaged).
        """

    def last_part_sequence(self) -> int:
        """Highest-numbered newest part committed; 0 in a new ledger. Numbering goes on from here."""

    def prune(self, keep_rows: int) -> int:
        """Drop the oldest sent records beyond `keep_rows`; returns how many went. Never drops unsent ones."""

    def close(self) -> None:
        """Checkpoint and close. Idempotent."""
