"""The ledger's file: its tables, how a connection is set up, and whether a file found on disk is ours."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerDamagedError, LedgerError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID = 0x45444745
"""Written into the file's header: SQLite files of other programs are never touched."""
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
"""A connection waits so long for another one's commit; ours last milliseconds."""
CHECK_UP_TO_BYTES = 64 * 1024 * 1024
"""Files up to this size are checked page by page at the start (about 0.1 s); larger ones show damage where it is."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE inspections (
    sequence INTEGER PRIMARY KEY,
    wall_ns INTEGER NOT NULL,
    part_id TEXT NOT NULL,
    part_sequence INTEGER NOT NULL,
    frame_sequence INTEGER NOT NULL,
    disposition TEXT NOT NULL,
    reason TEXT NOT NULL,
    score REAL,
    review_limit REAL NOT NULL,
    reject_limit REAL NOT NULL,
    bundle_name TEXT NOT NULL,
    bundle_version TEXT NOT NULL,
    bundle_digest TEXT NOT NULL,
    bundle_trust TEXT NOT NULL,
    latency_ns INTEGER NOT NULL,
    camera TEXT NOT NULL,
    recipe TEXT NOT NULL,
    file_path TEXT,
    evidence TEXT,
    detail TEXT NOT NULL
);
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    wall_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    message TEXT NOT NULL,
    attributes TEXT NOT NULL
);
-- AUTOINCREMENT: SQLite itself remembers the highest sequence ever given, whatever is deleted.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    payload BLOB NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX outbox_unsent ON outbox (sequence) WHERE sent = 0;
CREATE INDEX outbox_sent ON outbox (sequence) WHERE sent = 1;
-- Identities outlive their records (see prune): a file that stays in its folder stays inspected.
CREATE TABLE files (
    path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (path, size_bytes, mtime_ns, digest)
) WITHOUT ROWID;
CREATE INDEX files_sequence ON files (sequence);
"""


def connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    """One connection to an existing ledger, in autocommit mode.

    It may be handed to another thread (SQLite serialises the calls), but no two threads write through one.

    Args:
        path: the database file.
        durable: a commit is on the disk when it returns (synchronous=FULL); else it may be forgotten in a power cut,
            without harm to those before it.

    Raises:
        sqlite3.Error: the file cannot be opened or is no database.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA journal_size_limit={CHECK_UP_TO_BYTES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def ensure_exists(path: Path, device: str, first_after: int) -> None:
    """Create an empty ledger if there is none; the file appears complete or not at all.

    Args:
        path: the database file.
        device: the device that the sequences belong to.
        first_after: the first sequence of a new ledger is one higher.

    Raises:
        LedgerError: the file there belongs to another program; it is not touched.
        sqlite3.Error: the disk does not let us.
        OSError: the disk does not let us.
    """
    if path.exists():
        _refuse_foreign(path)
        return
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('device', ?), ('last_part_sequence', '0')", (device,))
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (first_after,))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    draft.replace(path)
    sync_folder(path.parent)


def check(connection: sqlite3.Connection, path: Path, device: str) -> None:
    """Make sure that the ledger is sound, of our schema, and this device's.

    Raises:
        LedgerError: another device's ledger, a newer schema, or damage; says what to do.
        sqlite3.Error: the file is damaged so badly that it cannot be read.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"{path} was written by a newer edge_runtime (ledger schema {version}, this one knows {SCHEMA_VERSION})",
            "Install that version again, or give this one a device.state_dir of its own. The file is unchanged.",
        )
    if path.stat().st_size <= CHECK_UP_TO_BYTES:
        finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            raise damaged(path, sqlite3.DatabaseError(finding))
    owner = connection.execute("SELECT value FROM meta WHERE key = 'device'").fetchone()
    if owner is None or owner[0] != device:
        raise LedgerError(
            f"{path} is the ledger of device {owner[0] if owner else '?'!r}, not of {device!r}",
            "Restore device.name, or give this device a device.state_dir of its own: sequences belong to one device.",
        )


def damaged(path: Path, error: Exception) -> LedgerError:
    """The error for a file that SQLite cannot work with."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # without the extension of the code
    kind = LedgerDamagedError if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} else LedgerError
    return kind(
        f"the ledger {path} cannot be used: {error}",
        f"Check the disk (space, mount, permissions). If the file itself is damaged, stop the daemon, move {path.name} "
        f"and {path.name}-wal to a safe place and start again: a new ledger begins and its sequences go on.",
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_foreign(path: Path) -> None:
    """Looks at the bytes: opening it as a database could already change another program's file."""
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != b"SQLite format 3\x00" or len(header) < 100:  # noqa: PLR2004  (SQLite's header)
        raise damaged(path, ValueError("it is not an SQLite database"))
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise LedgerError(
            f"{path} is the database of another program",
            "Point device.state_dir at a folder of its own. The file is unchanged.",
        )
