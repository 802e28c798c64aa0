"""A damaged ledger is set aside, kept for an audit, and a new one begins in its place; its numbers go on above."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.ledger.failures import explained
from edge_runtime.ops.durable import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


def newest_aside(path: Path) -> str | None:
    """Name of the ledger that was set aside last from `path`; None if none was."""
    prefix = f"{path.name}.aside-"
    ends = [found.name.removeprefix(prefix) for found in path.parent.glob(f"{prefix}*")]
    numbers = [int(end) for end in ends if end.isdigit()]
    return f"{prefix}{max(numbers)}" if numbers else None


def set_aside(path: Path) -> Path:
    """Keep a ledger that cannot be used beside a new one. The sequence floor stays.

    Args:
        path: the database file. What still has it open can read it, and is refused to write.

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
        sync_folder(path.parent)
    except OSError as error:
        raise explained(path, "set aside", error) from error
    return target


def put_orphaned_log_aside(path: Path) -> None:
    """Where the database file is gone and its write-ahead log is not: SQLite would play that into the next file there.

    It holds the newest records of the file that was moved away or deleted without it, so it is kept, as the log of
    `<name>.gone-1` or the next free number.

    Raises:
        OSError: it cannot be moved.
    """
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    if path.exists() or not log.exists():
        return
    number = 1
    while (target := path.with_name(f"{path.name}.gone-{number}-wal")).exists():
        number += 1
    _log.warning("%s is gone without its log, which is kept as %s; a new ledger begins", path, target.name)
    index.unlink(missing_ok=True)  # made anew from the log by whoever reads it
    log.rename(target)
    sync_folder(path.parent)
