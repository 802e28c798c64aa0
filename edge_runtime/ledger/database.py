"""The ledger in SQLite: WAL, synchronous=FULL, one transaction per append, a hash chain over the records.

Three connections, so that no thread waits for another's statement: the record thread writes through one, the publish
thread reads and marks through another, and the third answers everybody else.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.ledger import delivery, rows, schema
from edge_runtime.ledger.chain import HASH_BYTES, record_hash
from edge_runtime.ledger.failures import explained, told
from edge_runtime.ledger.floor import SequenceFloor
from edge_runtime.ledger.parts import newest_part
from edge_runtime.ledger.port import Head, Opening
from edge_runtime.ledger.pruning import PRUNE_ROWS, prune_some
from edge_runtime.ledger.retention import pruned_event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.domain.records import OutboxRow
    from edge_runtime.ledger.port import Encoder, LedgerEntry
    from edge_runtime.ledger.retention import Retention

PRUNE_TRANSACTIONS = 10
"""Most transactions of one `prune`, so that the record thread is soon back at its queue."""


class SqliteLedger:
    """See `ledger.port.Ledger`. One process at a time holds a ledger."""

    def __init__(self, path: Path, device: str, encoder: Encoder) -> None:
        """Open or create the ledger at `path`, and bring one of an older version to this one's schema.

        Raises:
            LedgerDamagedError: the file is damaged; it is left as it is.
            LedgerError: it cannot be used for another reason; it is left as it is.
        """
        self._path = path
        self._encoder = encoder
        self._open: list[sqlite3.Connection] = []
        self._lock = _hold(path)
        try:
            with told(path, "open"):
                self._floor = SequenceFloor(path)
                is_new = schema.ensure_exists(path, device, self._floor.reserved)
                self._writer = self._connect(durable=True)
                migrated = schema.check(self._writer, path, device)
                # Marks may be forgotten in a power cut (the row is sent again): no wait for the disk on every PUBACK.
                self._publisher = self._connect(durable=False)
                self._reader = self._connect(durable=False)
                genesis = schema.genesis_of(self._writer, path)
                self._head, self._part = self._read_head(Head(genesis.after, genesis.hash()))
        except BaseException:
            self.close()
            raise
        self.opening = Opening(is_new, migrated, genesis.after)

    @property
    def head(self) -> Head:
        """See `Ledger`."""
        return self._head

    def append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        """See `Ledger`."""
        if not entries:
            return ()
        with told(self._path, "write"), _transaction(self._writer) as connection:
            head, part = self._insert(connection, entries)
        first = self._head.sequence + 1
        self._head, self._part = head, part
        return range(first, head.sequence + 1)

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
        with told(self._path, "write"), _transaction(self._publisher) as connection:
            delivery.mark(connection, sequences)

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
            dropped = self._prune_some(retention, wall_ns)
            total += dropped
            if dropped < PRUNE_ROWS:
                break
        return total

    def note(self, key: str) -> str | None:
        """See `Ledger`."""
        with told(self._path, "read"):
            stored = self._reader.execute("SELECT value FROM meta WHERE key = ?", (f"note:{key}",)).fetchone()
        return None if stored is None else str(stored[0])

    def set_note(self, key: str, text: str) -> None:
        """See `Ledger`."""
        with told(self._path, "write"):
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"note:{key}", text))

    def close(self) -> None:
        """See `Ledger`. SQLite checkpoints when the last connection goes."""
        while self._open:
            self._open.pop().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _prune_some(self, retention: Retention, wall_ns: int) -> int:
        with told(self._path, "write"), _transaction(self._writer) as connection:
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


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _hold(path: Path) -> int:
    """The file descriptor of this process's claim on the ledger; the kernel drops it even after SIGKILL."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explained(path, "open", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LedgerError(
            f"the ledger {path} is in use by another process",
            "Stop the other edge_runtime, or give this one a device.name and a device.state_dir of its own.",
        ) from error
    return descriptor
