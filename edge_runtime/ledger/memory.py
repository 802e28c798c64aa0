"""The ledger's twin: the same behaviour in memory, for tests and for lines that need no record."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.records import EventRecord, OutboxRow, VerdictRecord
from edge_runtime.ledger.chain import Genesis, record_hash
from edge_runtime.ledger.opening import Opening
from edge_runtime.ledger.parts import newest_part
from edge_runtime.ledger.port import Head, Room
from edge_runtime.ledger.pruning import LEAST_ROWS
from edge_runtime.ledger.retention import older_than, pruned_event
from edge_runtime.ledger.rows import channel_of, file_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.errors import LedgerDamagedError
    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.ledger.port import Encoder, LedgerEntry
    from edge_runtime.ledger.retention import Retention


class MemoryLedger:
    """See `ledger.port.Ledger`; nothing survives the process. `fail` makes it a full disk."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._changing = threading.Lock()
        self._rows: dict[int, OutboxRow] = {}
        self._unsent: set[int] = set()
        self._apart: dict[int, OutboxRow] = {}
        self._files: set[tuple[str, int, int, str]] = set()
        self._notes: dict[str, str] = {}
        self._part = 0
        self._closed = False
        self._failure: LedgerError | None = None
        self.opening = Opening(is_new=True)
        self.head = Head(0, Genesis("memory", "0" * 32, 0).hash())

    def fail(self, why: LedgerError | str | None) -> None:
        """Every append raises from now on; None mends it."""
        self._failure = LedgerError(why, "This ledger was told to fail.") if isinstance(why, str) else why

    def append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        """See `Ledger`."""
        with self._changing:
            self._usable()
            if self._failure is not None:
                raise self._failure
            return self._commit(entries)

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
            for number in sequences:
                self._apart.pop(number, None)

    def set_apart(self, sequences: Sequence[int]) -> None:
        """See `Outbox`."""
        with self._changing:
            self._usable()
            self._unsent.difference_update(sequences)
            self._apart.update((number, self._rows[number]) for number in sequences)

    def apart(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """See `Outbox`."""
        with self._changing:
            self._usable()
            return [self._apart[number] for number in sorted(self._apart) if number > after][:limit]

    def newest(self) -> int:
        """See `Outbox`."""
        return self.head.sequence

    def delivered_upto(self) -> int:
        """See `Outbox`."""
        with self._changing:
            self._usable()
            return min(self._unsent, default=self.head.sequence + 1) - 1

    def backlog(self) -> int:
        """See `Outbox`."""
        with self._changing:
            self._usable()
            return len(self._unsent) + len(self._apart)

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

    def rows(self, first: int, last: int, limit: int) -> Sequence[OutboxRow]:
        """See `Ledger`."""
        with self._changing:
            self._usable()
            return [self._rows[number] for number in sorted(self._rows) if first <= number <= last][:limit]

    def prune(self, retention: Retention, wall_ns: int) -> int:
        """See `Ledger`. Bytes are not counted here."""
        with self._changing:
            self._usable()
            first, why = min(self._rows, default=1), "rows"
            through = self.head.sequence - retention.rows
            if retention.since_wall_ns is not None:
                old = older_than(retention.since_wall_ns, ((n, self._rows[n].payload) for n in sorted(self._rows)))
                if len(old) >= LEAST_ROWS and old[-1] > through:
                    through, why = old[-1], "age"
            through = min(through, self.head.sequence - 1, min(self._unsent, default=through + 1) - 1)
            if through < first:
                return 0
            dropped = [self._rows.pop(number) for number in range(first, through + 1)]
            self._commit([pruned_event(through, dropped[-1].hash, len(dropped), why, wall_ns)])
            return len(dropped)

    def look_after_room(self) -> Room:
        """See `Ledger`. There is always room."""
        return Room(0, 0, 0, is_low=False)

    def note(self, key: str) -> str | None:
        """See `Ledger`."""
        return self._notes.get(key)

    def begin_anew(self, damage: LedgerDamagedError, wall_ns: int) -> EventRecord:
        """See `Ledger`. The records stay; a failure that was asked for is mended."""
        self._failure = None
        self.opening = Opening(is_new=True, first_after=self.head.sequence, set_aside="memory", damage=damage.what)
        return self.opening.damage_event(wall_ns)

    def close(self) -> None:
        """See `Ledger`."""
        self._closed = True

    def _commit(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        head, batch = self.head, list[OutboxRow]()
        for entry in entries:
            sequence, channel = head.sequence + 1, channel_of(entry)
            payload = self._encoder(entry, sequence)
            head = Head(sequence, record_hash(head.hash, sequence, channel.value, payload))
            batch.append(OutboxRow(sequence, channel, payload, head.hash))
        for entry in entries:
            if isinstance(entry, VerdictRecord):
                self._part = newest_part(self._part, entry.verdict.part_sequence)
                if entry.file is not None:
                    self._files.add(file_key(entry.file))
            elif isinstance(entry, EventRecord):
                self._notes.update(entry.notes)
        sequences = range(self.head.sequence + 1, head.sequence + 1)
        self._rows.update((row.sequence, row) for row in batch)
        self._unsent.update(sequences)
        self.head = head
        return sequences

    def _usable(self) -> None:
        if self._closed:
            raise LedgerError("the ledger is closed", "Open it again before use.")
