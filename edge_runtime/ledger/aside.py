"""A damaged ledger is set aside, kept for an audit, and a new one begins in its place; its numbers go on above."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerDamagedError
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ledger.failures import explained
from edge_runtime.ledger.schema import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.ledger.port import Encoder


def open_or_begin_anew(path: Path, device: str, encoder: Encoder) -> SqliteLedger:
    """The ledger at `path`; in the place of a damaged one a new one, which says so (`opening`).

    Raises:
        LedgerError: it cannot be used for another reason than damage, or not be set aside.
    """
    try:
        return SqliteLedger(path, device, encoder)
    except LedgerDamagedError as error:
        kept = set_aside(path)
        ledger = SqliteLedger(path, device, encoder)
        ledger.opening = replace(ledger.opening, set_aside=kept.name, damage=error.what)
        return ledger


def set_aside(path: Path) -> Path:
    """Keep a ledger that cannot be used beside a new one. The sequence floor stays.

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
        sync_folder(path.parent)
    except OSError as error:
        raise explained(path, "set aside", error) from error
    return target
