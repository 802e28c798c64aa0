"""The ledger in SQLite: WAL, synchronous=FULL, one transaction per append.

Three connections, so that no thread waits for another's statement: the record thread writes through one, the publish
thread reads and marks through another, and the third answers `is_seen`, `backlog` and `recent` for anyone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError, LedgerFullError
from edge_runtime.domain.records import Channel, OutboxRow, VerdictRecord
from edge_runtime.ledger import rows, schema
from edge_runtime.ledger.floor import SequenceFloor
from edge_runtime.ledger.parts import newest_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.ledger.port import Encoder, LedgerEntry

PRUNE_ROWS = 2_000
"""Rows dropped in one transaction: the publish thread's marks wait at most some 0.1 s for it."""
PRUNE_TRANSACTIONS = 10
"""Most transactions of one `prune`, so that the record thread is soon back at its queue."""
FILES_PER_ROW = 10
"""File identities are kept for so many times as many records as `prune` keeps."""


class SqliteLedger:
    """See `ledger.port.Ledger`. One process at a time holds a ledger."""

    def __init__(self, path: Path, device: str, encoder: Encoder) -> None:
        """Open or create the ledger at `path`.

        Raises:
            LedgerError: it cannot be used; an existing file is left as it is.
        """
        self._path = path
        self._encoder = encoder
        self._open: list[sqlite3.Connection] = []
        self._lock = _hold(path)
        try:
            with self._errors("open"):
                self._floor = SequenceFloor(path)
                schema.ensure_exists(path, device, self._floor.reserved)
                self._writer = self._connect(durable=True)
                schema.check(self._writer, path, device)
                # Marks may be forgotten in a power cut (the row is sent again): no wait for the disk on every PUBACK.
                self._publisher = self._connect(durable=False)
                self._reader = self._connect(durable=False)
                stored = self._writer.execute("SELECT value FROM meta WHERE key = 'last_part_sequence'").fetchone()
                self._part = int(stored[0])
        except BaseException:
            self.close()
            raise

    def append(self, entries: Sequence[LedgerEntry]) -> Sequence[int]:
        """See `Ledger`."""
        if not entries:
            return ()
        with self._errors("write"), self._transaction(self._writer) as connection:
            last = _last_sequence(connection)
            sequences = range(last + 1, last + 1 + len(entries))
            self._floor.reserve(sequences[-1])
            part = self._part
            for sequence, entry in zip(sequences, entries, strict=True):
                self._insert(connection, sequence, entry)
                if isinstance(entry, VerdictRecord):
                    part = newest_part(part, entry.verdict.part_sequence)
            if part != self._part:
                connection.execute("UPDATE meta SET value = ? WHERE key = 'last_part_sequence'", (str(part),))
        self._part = part
        return sequences

    def last_part_sequence(self) -> int:
        """See `Ledger`."""
        return self._part

    def unsent(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """See `Outbox`."""
        query = (
            "SELECT sequence, channel, payload FROM outbox WHERE sent = 0 AND sequence > ? ORDER BY sequence LIMIT ?"
        )
        with self._errors("read"):
            return [_outbox_row(row) for row in self._publisher.execute(query, (after, limit)).fetchall()]

    def mark_sent(self, sequences: Sequence[int]) -> None:
        """See `Outbox`."""
        if not sequences:
            return
        with self._errors("write"), self._transaction(self._publisher) as connection:
            connection.executemany("UPDATE outbox SET sent = 1 WHERE sequence = ?", [(number,) for number in sequences])

    def backlog(self) -> int:
        """See `Outbox`. Thread-safe."""
        with self._errors("read"):
            return int(self._reader.execute("SELECT count(*) FROM outbox WHERE sent = 0").fetchone()[0])

    def recent(self, limit: int) -> Sequence[OutboxRow]:
        """The newest messages, newest first, sent or not. Thread-safe."""
        query = "SELECT sequence, channel, payload FROM outbox ORDER BY sequence DESC LIMIT ?"
        with self._errors("read"):
            return [_outbox_row(row) for row in self._reader.execute(query, (limit,)).fetchall()]

    def is_seen(self, file: FileIdentity) -> bool:
        """See `SeenFiles`."""
        query = "SELECT 1 FROM files WHERE path = ? AND size_bytes = ? AND mtime_ns = ? AND digest = ?"
        with self._errors("read"):
            return self._reader.execute(query, rows.file_key(file)).fetchone() is not None

    def prune(self, keep_rows: int) -> int:
        """See `Ledger`. At most 20 000 records go per call; identities of files outlive their records tenfold."""
        total = 0
        for _ in range(PRUNE_TRANSACTIONS):
            with self._errors("write"):
                dropped = self._prune_some(keep_rows)
            total += dropped
            if dropped < PRUNE_ROWS:
                break
        return total

    def close(self) -> None:
        """See `Ledger`. SQLite checkpoints when the last connection goes."""
        while self._open:
            self._open.pop().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _prune_some(self, keep_rows: int) -> int:
        with self._transaction(self._writer) as connection:
            newest = _last_sequence(connection)
            doomed = connection.execute(
                "SELECT sequence FROM outbox WHERE sent = 1 AND sequence <= ? ORDER BY sequence LIMIT ?",
                (newest - keep_rows, PRUNE_ROWS),
            ).fetchall()
            for table in ("outbox", "inspections", "events"):
                connection.executemany(f"DELETE FROM {table} WHERE sequence = ?", doomed)  # noqa: S608  (our own names)
            connection.execute("DELETE FROM files WHERE sequence <= ?", (newest - FILES_PER_ROW * keep_rows,))
        return len(doomed)

    def _connect(self, *, durable: bool) -> sqlite3.Connection:
        connection = schema.connect(self._path, durable=durable)
        self._open.append(connection)
        return connection

    def _insert(self, connection: sqlite3.Connection, sequence: int, entry: LedgerEntry) -> None:
        if isinstance(entry, VerdictRecord):
            channel = Channel.INSPECTION
            connection.execute(rows.INSERT_INSPECTION, rows.inspection_row(sequence, entry))
            if entry.file is not None:
                connection.execute(rows.INSERT_FILE, (*rows.file_key(entry.file), sequence))
        else:
            channel = Channel.EVENT
            connection.execute(rows.INSERT_EVENT, rows.event_row(sequence, entry))
        connection.execute(
            "INSERT INTO outbox (sequence, channel, payload) VALUES (?, ?, ?)",
            (sequence, channel.value, self._encoder(entry, sequence)),
        )

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _explained(self._path, doing, error) from error
        except OSError as error:
            raise _explained(self._path, doing, error) from error


def set_aside(path: Path) -> Path:
    """Keep a ledger that cannot be used beside a new one; for the caller to decide on. The sequence floor stays.

    Args:
        path: the database file; no ledger may be open on it.

    Returns:
        The new place: `<name>.aside-1`, or the next free number. A write-ahead log goes with it.

    Raises:
        LedgerError: it cannot be moved.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    try:
        for suffix in ("-wal", "-shm", ""):  # the database last: until then the ledger is still whole
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(target.with_name(target.name + suffix))
        schema.sync_folder(path.parent)
    except OSError as error:
        raise _explained(path, "set aside", error) from error
    return target


def _hold(path: Path) -> int:
    """The file descriptor of this process's claim on the ledger; the kernel drops it even after SIGKILL."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _explained(path, "open", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LedgerError(
            f"the ledger {path} is in use by another process",
            "Stop the other edge_runtime, or give this one a device.name and a device.state_dir of its own.",
        ) from error
    return descriptor


def _last_sequence(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()[0])


def _outbox_row(row: tuple[int, str, bytes]) -> OutboxRow:
    sequence, channel, payload = row
    return OutboxRow(sequence, Channel(channel), payload)


def _explained(path: Path, doing: str, error: Exception) -> LedgerError:
    full = (isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL) or (
        isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    )
    if full:
        return LedgerFullError(
            f"the disk of the ledger {path} is full: nothing was written",
            "Free space on that disk; recording goes on by itself. Lower evidence.quota_mb or ledger.keep_rows.",
        )
    if isinstance(error, OSError):
        return LedgerError(f"cannot {doing} the ledger {path}: {error}", "Check device.state_dir and its permissions.")
    return schema.damaged(path, error)
