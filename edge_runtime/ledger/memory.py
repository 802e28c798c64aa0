"""The ledger's twin: the same behaviour in memory, for tests and for lines that need no record."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.records import Channel, OutboxRow, VerdictRecord
from edge_runtime.ledger.parts import newest_part
from edge_runtime.ledger.rows import file_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.ledger.port import Encoder, LedgerEntry


class MemoryLedger:
    """See `ledger.port.Ledger`; nothing survives the process. `fail` makes it a full disk."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._changing = threading.Lock()
        self._rows: dict[int, OutboxRow] = {}
        self._unsent: set[int] = set()
        self._files: set[tuple[str, int, int, str]] = set()
        self._last = 0
        self._part = 0
        self._closed = False
        self._failure: str | None = None

    def fail(self, why: str | None) -> None:
        """Every append raises from now on; None mends it."""
        self._failure = why

    def append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        """See `Ledger`."""
        with self._changing:
            self._usable()
            if self._failure is not None:
                raise LedgerError(self._failure, "This ledger was told to fail.")
            sequences = range(self._last + 1, self._last + 1 + len(entries))
            batch = [self._row(entry, number) for number, entry in zip(sequences, entries, strict=True)]
            self._rows.update((row.sequence, row) for row in batch)
            self._unsent.update(sequences)
            self._last += len(batch)
            for record in entries:
                if isinstance(record, VerdictRecord):
                    self._part = newest_part(self._part, record.verdict.part_sequence)
                    if record.file is not None:
                        self._files.add(file_key(record.file))
            return sequences

    def last_part_sequence(self) -> int:
        """See `Ledger`."""
        return self._part

    def unsent(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """See `Outbox`."""
        with self._changing:
            self._usable()
            return [self._rows[number] for number in sorted(self._unsent) if number > after][:limit]

    def mark_sent(self, sequences: Sequence[int]) -> None:
        """See `Outbox`."""
        with self._changing:
            self._usable()
            self._unsent.difference_update(sequences)

    def backlog(self) -> int:
        """See `Outbox`."""
        with self._changing:
            self._usable()
            return len(self._unsent)

    def recent(self, limit: int) -> Sequence[OutboxRow]:
        """The newest messages, newest first, sent or not."""
        with self._changing:
            self._usable()
            return [self._rows[number] for number in sorted(self._rows, reverse=True)[:limit]]

    def is_seen(self, file: FileIdentity) -> bool:
        """See `SeenFiles`."""
        with self._changing:
            self._usable()
            return file_key(file) in self._files

    def prune(self, keep_rows: int) -> int:
        """See `Ledger`."""
        with self._changing:
            self._usable()
            doomed = [
                number for number in self._rows if number <= self._last - keep_rows and number not in self._unsent
            ]
            for number in doomed:
                del self._rows[number]
            return len(doomed)

    def close(self) -> None:
        """See `Ledger`."""
        self._closed = True

    def _row(self, entry: LedgerEntry, sequence: int) -> OutboxRow:
        channel = Channel.INSPECTION if isinstance(entry, VerdictRecord) else Channel.EVENT
        return OutboxRow(sequence, channel, self._encoder(entry, sequence))

    def _usable(self) -> None:
        if self._closed:
            raise LedgerError("the ledger is closed", "Open it again before use.")
