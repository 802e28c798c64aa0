"""A damaged ledger is set aside, kept for an audit, and a new one begins in its place; its numbers go on above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.ledger.failures import explained
from edge_runtime.ops.durable import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


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
