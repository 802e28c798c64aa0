"""The ledger in SQLite: WAL, synchronous=FULL, one transaction per append, a hash chain over the records.

Three connections, so that no thread waits for another's statement: the record thread writes through one, the publish
thread reads and marks through another, and the third answers everybody else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from edge_runtime.domain.errors import LedgerFullError
from edge_runtime.domain.records import EventRecord, VerdictRecord
from edge_runtime.ledger import delivery, rows, schema
from edge_runtime.ledger.aside import newest_aside, put_orphaned_log_aside, set_aside
from edge_runtime.ledger.chain import HASH_BYTES, record_hash
from edge_runtime.ledger.claim import claim
from edge_runtime.ledger.failures import told
from edge_runtime.ledger.floor import SequenceFloor
from edge_runtime.ledger.opening import ASIDE_NOTE, Opening
from edge_runtime.ledger.parts import newest_part
from edge_runtime.ledger.place import Place
from edge_runtime.ledger.port import Head, Room
from edge_runtime.ledger.pruning import PRUNE_ROWS, prune_some
from edge_runtime.ledger.reserve import Reserve
from edge_runtime.ledger.retention import pruned_event, used_and_spare_bytes
from edge_runtime.ledger.salvage import NOTHING, salvage
from edge_runtime.ledger.schema import transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.domain.errors import LedgerDamagedError
    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.domain.records import OutboxRow
    from edge_runtime.ledger.port import Encoder, LedgerEntry
    from edge_runtime.ledger.retention import Retention
    from edge_runtime.ledger.salvage import Salvage

_log = logging.getLogger(__name__)
T = TypeVar("T")
LOG_FRAMES = 64
"""A write-ahead log of fewer pages is not worth emptying: there must be another reason for the lack of room."""
PRUNE_TRANSACTIONS = 10
"""Most transactions of one `prune`, so that the record thread is soon back at its queue."""


class SqliteLedger:
    """See `ledger.port.Ledger`. One process at a time holds a ledger."""

    def __init__(
        self, path: Path, device: str, encoder: Encoder, reserve_bytes: int = 0, salvaged: Salvage = NOTHING
    ) -> None:
        """Open or create the ledger at `path`, and bring one of an older version to this one's schema.

        Args:
            reserve_bytes: room on the disk that is kept for records.
            salvaged: what a ledger that is created takes over from a damaged one.

        Raises:
            LedgerDamagedError: the file is damaged; it is left as it is.
            LedgerError: it cannot be used for another reason; it is left as it is.
        """
        self._path = path
        self._device = device
        self._encoder = encoder
        self._open: list[sqlite3.Connection] = []
        self._abandoned: list[sqlite3.Connection] = []
        self._pins: list[int] = []
        self._head, self._part = Head(0, b""), 0
        self._lock = claim(path)
        self._reserve = Reserve(path, reserve_bytes)
        try:
            self.opening = self._with_room(lambda: self._start(salvaged))
        except BaseException:
            self.close()
            raise
        self._reserve.hold()
        aside = newest_aside(path)
        if aside is not None and self.note(ASIDE_NOTE) != aside:  # killed before the record of it was committed
            self.opening = replace(self.opening, set_aside=aside, damage="an earlier ledger was damaged")

    @property
    def head(self) -> Head:
        """See `Ledger`."""
        return self._head

    def append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        """See `Ledger`."""
        return self._with_room(lambda: self._append(entries)) if entries else ()

    def last_part_sequence(self) -> int:
        """See `Ledger`."""
        return self._part

    def unsent(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """See `Outbox`."""
        with told(self._path, "read"):
            return delivery.unsent(self._publisher, after, limit)

    def mark_sent(self, sequences: Sequence[int]) -> None:
        """See `Outbox`."""
        if not sequences:
            return
        with told(self._path, "write"), transaction(self._publisher) as connection:
            delivery.mark(connection, sequences)

    def set_apart(self, sequences: Sequence[int]) -> None:
        """See `Outbox`."""
        with told(self._path, "write"), transaction(self._publisher) as connection:
            delivery.set_apart(connection, sequences)

    def apart(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """See `Outbox`."""
        with told(self._path, "read"):
            return delivery.apart(self._publisher, after, limit)

    def newest(self) -> int:
        """See `Outbox`."""
        return self._head.sequence

    def delivered_upto(self) -> int:
        """See `Outbox`."""
        with told(self._path, "read"):
            return delivery.delivered_upto(self._publisher)

    def backlog(self) -> int:
        """See `Outbox`. Thread-safe."""
        with told(self._path, "read"):
            return delivery.backlog(self._reader)

    def recent(self, limit: int) -> Sequence[OutboxRow]:
        """The newest messages, newest first, sent or not. Thread-safe."""
        query = f"{rows.SELECT_ROW} ORDER BY sequence DESC LIMIT ?"
        with told(self._path, "read"):
            return [rows.outbox_row(row) for row in self._reader.execute(query, (limit,)).fetchall()]

    def rows(self, first: int, last: int, limit: int) -> Sequence[OutboxRow]:
        """See `Ledger`."""
        query = f"{rows.SELECT_ROW} WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"
        with told(self._path, "read"):
            return [rows.outbox_row(row) for row in self._reader.execute(query, (first, last, limit)).fetchall()]

    def is_seen(self, file: FileIdentity) -> bool:
        """See `SeenFiles`."""
        query = "SELECT 1 FROM files WHERE path = ? AND size_bytes = ? AND mtime_ns = ? AND digest = ?"
        with told(self._path, "read"):
            return self._reader.execute(query, rows.file_key(file)).fetchone() is not None

    def prune(self, retention: Retention, wall_ns: int) -> int:
        """See `Ledger`. At most 20 000 records go per call; identities of files outlive their records tenfold."""
        total = 0
        for _ in range(PRUNE_TRANSACTIONS):
            dropped = self._with_room(lambda: self._prune_some(retention, wall_ns))
            total += dropped
            if dropped < PRUNE_ROWS:
                break
        return total

    def look_after_room(self) -> Room:
        """See `Ledger`."""
        self._reserve.hold()
        self._floor.keep()
        with told(self._path, "read"):
            used, spare = used_and_spare_bytes(self._reader)
        return Room(used, spare, self._reserve.held_bytes, self._reserve.is_low(), self._place.lost())

    def note(self, key: str) -> str | None:
        """See `Ledger`."""
        with told(self._path, "read"):
            stored = self._reader.execute("SELECT value FROM meta WHERE key = ?", (f"note:{key}",)).fetchone()
        return None if stored is None else str(stored[0])

    def begin_anew(self, damage: LedgerDamagedError, wall_ns: int) -> EventRecord:
        """See `Ledger`."""
        kept = set_aside(self._path)
        # Another thread may be in the middle of a statement: they stay open, on the file that was moved, to the end.
        self._abandoned += self._open
        self._open = []
        found = salvage(kept, self._head.sequence + 1)
        opening = self._with_room(lambda: self._start(found))
        self.opening = replace(opening, set_aside=kept.name, damage=damage.what)
        return self.opening.damage_event(wall_ns)

    def close(self) -> None:
        """See `Ledger`. SQLite checkpoints when the last connection goes."""
        if self._open and self._head.hash:
            _log.info("the ledger is closed; its head is %d:%s", self._head.sequence, self._head.hash.hex())
        for connection in (*self._open, *self._abandoned):
            connection.close()
        self._open, self._abandoned = [], []
        while self._pins:  # after the connections: closing one would drop SQLite's locks on that file
            os.close(self._pins.pop())
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _with_room(self, work: Callable[[], T]) -> T:
        """On a full disk once more, as long as the log can be used again or there is a reserve to give up."""
        while True:
            try:
                return work()
            except LedgerFullError:
                if self._empty_log():
                    continue
                if not self._reserve.release():
                    raise
                self._empty_log()  # the room that came free is better spent on the database than on a longer log

    def _empty_log(self) -> bool:
        """Move the write-ahead log into the database, whose free pages may hold it; true if it begins anew now."""
        if not self._open:
            return False
        try:
            busy, frames, moved = self._writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except sqlite3.Error:  # no room for that either
            return False
        return bool(not busy and frames == moved and frames >= LOG_FRAMES)

    def _start(self, salvaged: Salvage) -> Opening:
        while self._open:  # of an attempt that found the disk full
            self._open.pop().close()
        with told(self._path, "open"):
            self._floor = SequenceFloor(self._path)
            put_orphaned_log_aside(self._path)
            is_new = schema.ensure_exists(self._path, self._device, self._floor.reserved, salvaged)
            self._writer = self._connect(durable=True)
            migrated = schema.check(self._writer, self._path, self._device)
            # Marks may be forgotten in a power cut (the row is sent again): no wait for the disk on every PUBACK.
            self._publisher = self._connect(durable=False)
            self._reader = self._connect(durable=False)
            self._pins.append(schema.pin_shared_memory(self._path))
            self._place = Place(self._path)
            genesis = schema.genesis_of(self._writer, self._path)
            self._head, self._part = self._read_head(Head(genesis.after, genesis.hash()))
        return Opening(is_new, migrated, genesis.after, salvaged=len(salvaged.rows) + len(salvaged.apart))

    def _append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        # SQLite makes a transaction of a single statement by itself, with a third of the calls.
        alone = len(entries) == 1 and rows.is_one_statement(entries[0])
        begin = contextlib.nullcontext if alone else transaction
        with told(self._path, "write"), begin(self._writer) as connection:
            head, part = self._insert(connection, entries)
        first = self._head.sequence + 1
        self._head, self._part = head, part
        return range(first, head.sequence + 1)

    def _prune_some(self, retention: Retention, wall_ns: int) -> int:
        with told(self._path, "write"), transaction(self._writer) as connection:
            done = prune_some(connection, retention, self._head.sequence)
            if done is None:
                return 0
            event = pruned_event(done.through, done.digest, done.records, done.why, wall_ns)
            head, _ = self._insert(connection, [event])
        self._head = head
        return done.records

    def _insert(self, connection: sqlite3.Connection, entries: Sequence[LedgerEntry]) -> tuple[Head, int]:
        """Insert inside the caller's transaction; the head and the newest part once it is committed."""
        sequence, previous, part = self._head.sequence, self._head.hash, self._part
        self._floor.reserve(sequence + len(entries))
        for entry in entries:
            sequence += 1
            channel, payload = rows.channel_of(entry).value, self._encoder(entry, sequence)
            previous = record_hash(previous, sequence, channel, payload)
            if isinstance(entry, VerdictRecord):
                part = newest_part(part, entry.verdict.part_sequence)
                if entry.file is not None:
                    connection.execute(rows.INSERT_FILE, (*rows.file_key(entry.file), sequence))
            elif isinstance(entry, EventRecord):
                connection.executemany(rows.INSERT_NOTE, ((f"note:{key}", text) for key, text in entry.notes.items()))
            connection.execute(rows.INSERT_RECORD, (sequence, channel, payload, previous, part))
        return Head(sequence, previous), part

    def _read_head(self, genesis: Head) -> tuple[Head, int]:
        query = "SELECT sequence, hash, newest_part FROM records ORDER BY sequence DESC LIMIT 1"
        newest = self._writer.execute(query).fetchone()
        if newest is None or newest[0] <= genesis.sequence:  # nothing has been written since the chain began
            stored = self._writer.execute("SELECT value FROM meta WHERE key = 'last_part_sequence'").fetchone()
            return genesis, int(stored[0])
        if len(newest[1]) != HASH_BYTES:
            raise schema.damaged(self._path, f"record {newest[0]} has no hash")
        return Head(newest[0], newest[1]), newest[2]

    def _connect(self, *, durable: bool) -> sqlite3.Connection:
        connection = schema.connect(self._path, durable=durable)
        self._open.append(connection)
        return connection
