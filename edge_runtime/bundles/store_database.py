"""The store's one connection: reads and durable commits of several threads, one after the other."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_runtime.bundles import store_books as books
from edge_runtime.bundles import store_schema as schema
from edge_runtime.domain.update import HistoryEntry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.ops.clock import Clock


class StoreDatabase:
    """Transactions on the store's database. Thread-safe; other processes may have it open too."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open a database that is there.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._connection = schema.connect(path)

    def flaw(self) -> str | None:
        """See `store_schema.flaw`."""
        with self._lock:
            try:
                found = schema.flaw(self._connection, self._path)
                if found is None:
                    books.check(self._connection)
            except UnicodeDecodeError as error:  # also SQLite's own words, when they quote what is damaged
                return f"text in it cannot be read: {error}"
            return found

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent look.

        Raises:
            UpdateError: the database cannot be read.
        """
        with self._lock, schema.told(self._path, "read"):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable commit at the end; nothing of it where an error leaves the block.

        Raises:
            UpdateError: the database cannot be written.
        """
        with self._lock, schema.told(self._path, "write"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                books.set_mark(self._connection, "revision", books.mark(self._connection, "revision") + 1)
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def tell(self, connection: sqlite3.Connection, kind: str, digest: str, text: str) -> None:
        """Write into the history, inside the caller's transaction."""
        books.write_history(connection, HistoryEntry(self._clock.wall_ns(), kind, digest, text))

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            self._connection.close()
