"""Reading a ledger that a daemon may be writing: read-only, in short transactions, without its lock.

A long read would keep the daemon's write-ahead log from being emptied, so records come in chunks, each a transaction of
its own; what is pruned between two of them is noticed by the chain's base.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger import schema
from edge_runtime.ledger.port import Head
from edge_runtime.ledger.rows import SELECT_ROW
from edge_runtime.ledger.tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.ledger.chain import Genesis

CHUNK_ROWS = 1_000
"""Records per transaction: about a megabyte in memory, some milliseconds of the daemon's patience."""

StoredRecord = tuple[int, str, bytes, bytes]
"""sequence, channel, payload, hash as they are stored, nothing checked; an empty hash where there is none."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a ledger holds at one moment."""

    genesis: Genesis
    base: Head
    """The record before the oldest that is kept; its hash is empty where there was no chain yet."""
    newest: int
    """Number of the newest record; `base.sequence` in an empty ledger."""


class LedgerReader:
    """A ledger's file, read-only. Used by one thread."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            LedgerDamagedError: it is no ledger that can be read.
            LedgerError: it is not there, may not be read, or another version wrote it.
        """
        self.path = path
        with self.told():
            self._connection = _open(path)
            try:
                _refuse_other_version(path, self._connection.execute("PRAGMA user_version").fetchone()[0])
                self.extent()
            except BaseException:
                self._connection.close()
                raise

    def extent(self) -> Extent:
        """What it holds now.

        Raises:
            LedgerDamagedError: it cannot be read.
        """
        with self.told():
            genesis = schema.genesis_of(self._connection, self.path)
            sequence, digest = self._connection.execute("SELECT sequence, hash FROM chain_base").fetchone()
            newest = self._connection.execute("SELECT max(sequence) FROM records").fetchone()[0]
        return Extent(genesis, Head(sequence, digest), sequence if newest is None else newest)

    def records(self, first: int, last: int) -> Iterator[StoredRecord]:
        """The records from `first` to `last`, ascending; memory is bounded by `CHUNK_ROWS`.

        A gap is for the caller to judge: see `Extent.base`.

        Raises:
            LedgerDamagedError: the next record cannot be read.
        """
        query = f"{SELECT_ROW} WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT {CHUNK_ROWS}"
        while first <= last:
            count = 0
            with self.told():
                cursor = self._connection.execute(query, (first, last))
            while (row := self._next(cursor)) is not None:
                count += 1
                first = row[0] + 1
                yield row
            if count < CHUNK_ROWS:
                return

    def close(self) -> None:
        """Idempotent."""
        self._connection.close()

    @contextmanager
    def told(self) -> Iterator[None]:
        """What SQLite reports leaves as a LedgerError; unreadable content is damage."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if not _is_damage(error):
                raise LedgerError(
                    f"the ledger {self.path} cannot be read: {error}", "Check that it is there and may be read."
                ) from error
            raise schema.damaged(self.path, error) from error
        except (sqlite3.Error, TypeError) as error:
            raise schema.damaged(self.path, error) from error

    def _next(self, cursor: sqlite3.Cursor) -> StoredRecord | None:
        with self.told():
            row = cursor.fetchone()
        if row is None:
            return None
        sequence, channel, payload, digest = row
        if not isinstance(payload, bytes) or not isinstance(digest, bytes):  # a hand wrote them
            return sequence, str(channel), str(payload).encode(), b""
        return sequence, str(channel), payload, digest


def _refuse_other_version(path: Path, version: int) -> None:
    schema.refuse_newer(path, version)
    if version < SCHEMA_VERSION:
        raise LedgerError(
            f"{path} is of edge_runtime 0.2 or older: its records have no hash chain",
            "Start the daemon of this version on it once: it begins the chain behind these records.",
        )


def _is_damage(error: sqlite3.OperationalError) -> bool:
    return str(error).startswith(("no such", "malformed")) or "disk I/O" in str(error)


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise LedgerError(
            f"there is no ledger {path}", "Name the line's configuration, its state_dir or ledger.sqlite."
        )
    uri = path.resolve().as_uri()
    # On a read-only copy there is neither a log nor a place to make one: then nobody writes to it either.
    alone = not path.with_name(path.name + "-wal").exists() and not os.access(path.parent, os.W_OK)
    return sqlite3.connect(f"{uri}?mode=ro{'&immutable=1' if alone else ''}", uri=True, timeout=schema.BUSY_TIMEOUT_S)
