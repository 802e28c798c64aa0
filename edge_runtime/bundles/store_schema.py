"""The store's database: how it is made, how a connection is set up, and whether a file found on disk is ours."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import UpdateError
from edge_runtime.ops.durable import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID: Final = 0x45445550
"""Written into the file's header: SQLite files of other programs are never touched."""
SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 5.0
HISTORY_ROWS: Final = 1_000
"""Older entries of the history go."""

_TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE products (
        product TEXT PRIMARY KEY,
        known_good TEXT NOT NULL DEFAULT '',
        min_counter INTEGER NOT NULL DEFAULT 0,
        newest_counter INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE releases (
        digest TEXT PRIMARY KEY,
        product TEXT NOT NULL,
        counter INTEGER NOT NULL,
        min_counter INTEGER NOT NULL,
        hardware TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        revision INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('staged', 'armed', 'trial', 'confirmed', 'rolled_back')),
        attempts INTEGER NOT NULL DEFAULT 0,
        installed_ns INTEGER NOT NULL,
        reason TEXT NOT NULL DEFAULT '',
        pinned INTEGER NOT NULL DEFAULT 0,
        confirmed INTEGER NOT NULL DEFAULT 0,
        stored INTEGER NOT NULL DEFAULT 1
    ) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX one_to_take_up ON releases (product) WHERE state IN ('armed', 'trial')",
    "CREATE UNIQUE INDEX one_pinned ON releases (product) WHERE pinned",
    """CREATE TABLE history (
        id INTEGER PRIMARY KEY,
        at_ns INTEGER NOT NULL,
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT""",
)


def connect(path: Path) -> sqlite3.Connection:
    """One connection in autocommit mode; a commit is on the disk when it returns.

    Not with a write-ahead log: that cannot even be read on a full disk (its index has to be made), and a line must be
    able to start there. The rollback journal stays where it is between commits, so small commits go on without room.

    Raises:
        sqlite3.Error: the file cannot be opened or is no database.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=PERSIST")
        connection.execute("PRAGMA synchronous=EXTRA")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def create(path: Path) -> None:
    """Make an empty database; it appears complete or not at all, with the owner of its folder.

    Raises:
        sqlite3.Error: the disk does not let us.
        OSError: the disk does not let us.
    """
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('revision', 1), ('trust_generation', -1), ('confirmations', 0)")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    give_to_owner(draft)
    draft.replace(path)
    sync_folder(path.parent)


def flaw(connection: sqlite3.Connection, path: Path) -> str | None:
    """Why the database cannot be relied on; None: it is sound.

    Raises:
        UpdateError: it was written by a newer version of this software: it is to be left alone.
        sqlite3.Error: it is damaged so badly that it cannot be read.
    """
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != APPLICATION_ID:
        return "it is the database of another program"
    if version > SCHEMA_VERSION:
        raise UpdateError(
            f"{path} was written by a newer edge_runtime (schema {version}, this one knows {SCHEMA_VERSION})",
            "Install that version again. The file is unchanged.",
        )
    finding = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if finding != "ok":
        return finding
    keys = {row[0] for row in connection.execute("SELECT key FROM meta")}
    return None if {"revision", "trust_generation", "confirmations"} <= keys else "its marks are missing"


def give_to_owner(path: Path) -> None:
    """What root makes in the daemon's folder belongs to the daemon, which could not change it otherwise.

    Raises:
        OSError: the file is not there.
    """
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def told(path: Path, doing: str) -> Iterator[None]:
    """Failures of the database or of the disk leave as an UpdateError; `doing` is a verb."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise UpdateError(
            f"cannot {doing} the store of releases {path}: {error}",
            "Look at device.state_dir: its disk, its free space and its permissions. What runs goes on running.",
        ) from error
