"""What can still be read of a damaged ledger and was not delivered goes into the new one, under its old numbers.

Such records stand before the new chain, as those of an older schema do: they are delivered, and nothing is proved
about them. The damaged file keeps everything for an audit.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.ledger.chain import record_hash
from edge_runtime.ledger.delivery import unsent
from edge_runtime.ledger.retention import time_ns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_runtime.domain.records import OutboxRow

MOST_ROWS = 100_000
"""Of the newest; more is not copied: the start would take minutes."""
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was readable."""

    rows: Sequence[OutboxRow] = ()
    """Undelivered records, ascending."""
    last_part: int = 0
    notes: Sequence[tuple[str, str]] = ()


NOTHING = Salvage()


def salvage(path: Path, below: int) -> Salvage:
    """Read what can be read of the ledger at `path`; never raises for what cannot.

    Args:
        below: records from this number on are left out (they cannot be the ledger's).
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return Salvage(_undelivered(connection, below), _last_part(connection), _notes(connection))
    except sqlite3.Error:
        return NOTHING


def _undelivered(connection: sqlite3.Connection, below: int) -> Sequence[OutboxRow]:
    found: list[OutboxRow] = []
    before: OutboxRow | None = None
    with suppress(sqlite3.Error, ValueError):  # the damage begins here: what is before it is kept
        while len(found) < MOST_ROWS and (chunk := unsent(connection, before.sequence if before else 0, _CHUNK)):
            for row in chunk:
                if row.sequence < below and _is_whole(row, before):
                    found.append(row)
                before = row
    return found


def _is_whole(row: OutboxRow, before: OutboxRow | None) -> bool:
    """Whether it has its hash; without the record before it, whether it is a message at all."""
    try:
        if before is not None and before.sequence == row.sequence - 1 and isinstance(before.hash, bytes):
            return record_hash(before.hash, row.sequence, row.channel.value, row.payload) == row.hash
        return time_ns(row.payload) is not None
    except TypeError:  # a damaged column may hold anything
        return False


def _last_part(connection: sqlite3.Connection) -> int:
    with suppress(sqlite3.Error, TypeError):
        newest = "SELECT newest_part FROM records ORDER BY sequence DESC LIMIT 1"
        return int(connection.execute(newest).fetchone()[0])
    return 0


def _notes(connection: sqlite3.Connection) -> Sequence[tuple[str, str]]:
    with suppress(sqlite3.Error):
        return [(key, value) for key, value in connection.execute("SELECT key, value FROM meta") if key[:5] == "note:"]
    return ()


def put_in(connection: sqlite3.Connection, found: Salvage, after: int) -> None:
    """Write what was salvaged into a new ledger whose chain begins behind `after`, inside the caller's transaction."""
    connection.execute("UPDATE meta SET value = ? WHERE key = 'last_part_sequence'", (str(found.last_part),))
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", found.notes)
    if not found.rows:
        return
    connection.executemany(
        "INSERT INTO records (sequence, channel, payload, hash, newest_part) VALUES (?, ?, ?, x'', 0)",
        ((row.sequence, row.channel.value, row.payload) for row in found.rows),
    )
    upto, there = found.rows[0].sequence - 1, {row.sequence for row in found.rows}
    connection.execute("UPDATE chain_base SET sequence = ?, hash = x''", (upto,))
    connection.execute("UPDATE delivery SET upto = ?", (upto,))
    gaps = ((number,) for number in range(upto + 1, after + 1) if number not in there)
    connection.executemany("INSERT INTO delivered VALUES (?)", gaps)
