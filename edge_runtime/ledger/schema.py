"""The ledger's file: how it is made, how a connection is set up, and whether a file found on disk is ours."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerDamagedError, LedgerError
from edge_runtime.ledger.chain import Genesis, read_genesis
from edge_runtime.ledger.migrate import last_sequence_v1, migrate_v1
from edge_runtime.ledger.salvage import put_in
from edge_runtime.ledger.tables import CHAIN, FILES, META, RECORDS, REFUSED, SCHEMA_VERSION, statements
from edge_runtime.ops.durable import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.ledger.salvage import Salvage

APPLICATION_ID = 0x45444745
"""Written into the file's header: SQLite files of other programs are never touched."""
BUSY_TIMEOUT_S = 5.0
"""A connection waits so long for another one's commit; ours last milliseconds."""
CHECK_UP_TO_BYTES = 64 * 1024 * 1024
"""Files up to this size are checked page by page at the start (about 0.1 s); larger ones show damage where it is."""


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


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Everything in it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def new_genesis(device: str, after: int) -> Genesis:
    """The beginning of a chain that no other ledger has."""
    return Genesis(device, secrets.token_hex(16), after)


def pin_shared_memory(path: Path) -> int:
    """Allocate every block of the `-shm` file, which SQLite maps: on a full disk a hole in it kills the process.

    SQLite writes one byte per 4 KiB page of it; where blocks are smaller, or copied on write, the first touch of the
    rest needs room on the disk, and without it comes SIGBUS instead of an error.

    Returns:
        A descriptor to be closed after the last connection: closing it earlier would drop SQLite's locks.

    Raises:
        OSError: there is no room for it.
    """
    descriptor = os.open(path.with_name(path.name + "-shm"), os.O_RDWR | os.O_CLOEXEC)
    try:
        os.posix_fallocate(descriptor, 0, max(1, os.fstat(descriptor).st_size))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            os.close(descriptor)  # nothing has been written yet that a lock would have to protect
            raise
    return descriptor


def ensure_exists(path: Path, device: str, first_after: int, found: Salvage) -> bool:
    """Create an empty ledger if there is none; the file appears complete or not at all.

    Args:
        path: the database file.
        device: the device that the sequences belong to.
        first_after: the first sequence of a new ledger is one higher.
        found: what a new ledger takes over from a damaged one.

    Returns:
        True if it was created.

    Raises:
        LedgerError: the file there belongs to another program; it is not touched.
        sqlite3.Error: the disk does not let us.
        OSError: the disk does not let us.
    """
    if path.exists():
        _refuse_foreign(path)
        return False
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements(META, RECORDS, FILES, CHAIN, REFUSED):
            connection.execute(statement)
        genesis = new_genesis(device, first_after)
        connection.execute(
            "INSERT INTO meta VALUES ('device', ?), ('genesis', ?), ('last_part_sequence', '0')",
            (device, genesis.text()),
        )
        connection.execute("INSERT INTO delivery VALUES (?)", (first_after,))
        connection.execute("INSERT INTO chain_base VALUES (?, ?)", (first_after, genesis.hash()))
        put_in(connection, found, first_after)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    replace_file(draft, path)
    return True


def check(connection: sqlite3.Connection, path: Path, device: str) -> bool:
    """Make sure that the ledger is sound and this device's, and bring an older schema to this version's.

    Returns:
        True if it was of an older schema.

    Raises:
        LedgerError: another device's ledger, a newer schema, or damage; says what to do.
        sqlite3.Error: the file is damaged so badly that it cannot be read.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    refuse_newer(path, version)
    if path.stat().st_size <= CHECK_UP_TO_BYTES:
        finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            raise damaged(path, finding)
    owner = connection.execute("SELECT value FROM meta WHERE key = 'device'").fetchone()
    if owner is None or owner[0] != device:
        raise LedgerError(
            f"{path} is the ledger of device {owner[0] if owner else '?'!r}, not of {device!r}",
            "Restore device.name, or give this device a device.state_dir of its own: sequences belong to one device.",
        )
    if version < SCHEMA_VERSION:
        with transaction(connection):
            migrate_v1(connection, new_genesis(device, last_sequence_v1(connection)))
    connection.execute(REFUSED)  # the first ledgers of this schema lack it
    return bool(version < SCHEMA_VERSION)


def refuse_newer(path: Path, version: int) -> None:
    """Leave alone what a later version of this software wrote.

    Raises:
        LedgerError: it did.
    """
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"{path} was written by a newer edge_runtime (ledger schema {version}, this one knows {SCHEMA_VERSION})",
            "Install that version again, or give this one a device.state_dir of its own. The file is unchanged.",
        )


def genesis_of(connection: sqlite3.Connection, path: Path) -> Genesis:
    """Where the ledger's chain begins.

    Raises:
        LedgerDamagedError: that is not there, or cannot be read.
        sqlite3.Error: the file cannot be read.
    """
    stored = connection.execute("SELECT value FROM meta WHERE key = 'genesis'").fetchone()
    try:
        return read_genesis("" if stored is None else stored[0])
    except (ValueError, KeyError) as error:
        raise damaged(path, f"the beginning of its chain cannot be read ({error})") from error


def damaged(path: Path, why: object) -> LedgerDamagedError:
    """The error for a file that SQLite cannot work with."""
    return LedgerDamagedError(
        f"the ledger {path} is damaged: {why}",
        f"The daemon sets it aside at its next start and begins a new one; keep {path.name}.aside-… for an audit, and "
        "look at the disk: a memory card that does this is to be replaced.",
    )


def _refuse_foreign(path: Path) -> None:
    """Looks at the bytes: opening it as a database could already change another program's file."""
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != b"SQLite format 3\x00" or len(header) < 100:  # noqa: PLR2004  (SQLite's header)
        raise damaged(path, "it is not an SQLite database")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise LedgerError(
            f"{path} is the database of another program",
            "Point device.state_dir at a folder of its own. The file is unchanged.",
        )
