"""What SQLite and the operating system report, as errors that say what to do."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError, LedgerFullError
from edge_runtime.ledger.schema import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_ROOM_BYTES = 64 * 1024
"""SQLite reports a full disk as an I/O error where it meets it outside a write: so little free space is the cause."""


@contextmanager
def told(path: Path, doing: str) -> Iterator[None]:
    """Failures of the database at `path` leave as a LedgerError; `doing` is a verb."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise explained(path, doing, error) from error


def explained(path: Path, doing: str, error: Exception) -> LedgerError:
    """The LedgerError that `error` means."""
    if _is_full(path, error):
        return LedgerFullError(
            f"the disk of the ledger {path} is full: nothing was written",
            "Free space on that disk; recording goes on by itself. Lower evidence.quota_mb, ledger.quota_mb or "
            "ledger.keep_rows.",
        )
    code = _primary_code(error)
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or _is_not_ours_any_more(error):
        return damaged(path, error)
    if code == sqlite3.SQLITE_READONLY or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return LedgerError(
            f"the ledger {path} cannot be written: the disk is mounted read-only, or the file is ({error})",
            "Look at the system's log for errors of that disk, then remount it writable; recording goes on by itself.",
        )
    return LedgerError(
        f"cannot {doing} the ledger {path}: {error}", "Check device.state_dir, its disk and permissions."
    )


def _primary_code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF if isinstance(error, sqlite3.Error) else 0


def _is_not_ours_any_more(error: Exception) -> bool:
    """A missing table or column: the file is sound SQLite, and not the ledger that its header says."""
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith(("no such table", "no such column"))


def _is_full(path: Path, error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    code = _primary_code(error)
    if code != sqlite3.SQLITE_IOERR:
        return code == sqlite3.SQLITE_FULL
    try:
        return shutil.disk_usage(path.parent).free < _NO_ROOM_BYTES
    except OSError:
        return False
