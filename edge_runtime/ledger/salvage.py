"""What can still be read of a damaged ledger and was not delivered goes into the new one, under its old numbers.

Such records stand before the new chain, as those of an older schema do: they are delivered, and nothing is proved
about them. The damaged file keeps everything for an audit.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.ledger.chain import record_hash
from edge_runtime.ledger.delivery import apart, delivered_upto
from edge_runtime.ledger.retention import time_ns
from edge_runtime.ledger.rows import outbox_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.domain.records import OutboxRow

MOST_ROWS = 100_000
"""Of the newest; more is not copied: the start would take minutes."""
MOST_ATTEMPTS = 5_000
"""So many unreadable records are skipped one by one: more than stand below one page of the index (3 600)."""
MOST_GAP = 1_000_000
"""A greater step from one record to the next is not a gap but a misread number."""
_STORED = "SELECT sequence, channel, payload, hash, newest_part FROM records"
_BEYOND = f"{_STORED} WHERE sequence > ? ORDER BY sequence"
_NEXT = f"{_STORED} WHERE sequence = ? + 1"


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was readable."""

    rows: Sequence[OutboxRow] = ()
    """Undelivered records, ascending."""
    apart: Sequence[OutboxRow] = ()
    """Those that the broker refused."""
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
            rows = _undelivered(connection, below)
            return Salvage(rows, _apart(connection), _last_part(connection, below), _notes(connection))
    except sqlite3.Error:
        return NOTHING


def _undelivered(connection: sqlite3.Connection, below: int) -> Sequence[OutboxRow]:
    upto, beyond = _marks(connection)
    found: deque[OutboxRow] = deque(maxlen=MOST_ROWS)
    before: OutboxRow | None = None
    for stored in _readable(connection, upto, below):
        row = _message(stored, before)
        if row is not None and row.sequence not in beyond:
            found.append(row)
        before = row
    return found


def _apart(connection: sqlite3.Connection) -> Sequence[OutboxRow]:
    with suppress(sqlite3.Error, TypeError, ValueError):
        return [row for row in apart(connection, 0, MOST_ROWS) if time_ns(row.payload) is not None]
    return ()


def _marks(connection: sqlite3.Connection) -> tuple[int, frozenset[int]]:
    """What is delivered: all up to a number, and these. Nothing where that cannot be read: better twice than never."""
    with suppress(sqlite3.Error, TypeError, ValueError):
        beyond = frozenset(int(number) for (number,) in connection.execute("SELECT sequence FROM delivered"))
        return delivered_upto(connection), beyond
    return 0, frozenset()


def _readable(connection: sqlite3.Connection, after: int, below: int) -> Iterator[tuple[Any, ...]]:
    """The records beyond `after`, ascending, without those in the damaged places."""
    most = below
    for _ in range(MOST_ATTEMPTS):
        # The driver loses the last record before a damaged place, so the next one is then asked for by itself.
        for query in (_BEYOND, _NEXT):
            began = after
            with suppress(sqlite3.Error, OverflowError):
                for stored in connection.execute(query, (after,)):
                    if not isinstance(stored[0], int) or not after < stored[0] < most:
                        break  # misread: the damage goes on
                    after = stored[0]
                    most = min(below, after + MOST_GAP)
                    yield stored
                else:
                    if query is _BEYOND:
                        return
        after += after == began


def _message(stored: tuple[Any, ...], before: OutboxRow | None) -> OutboxRow | None:
    """The record, if it has its hash; behind a damaged one, if it is a message at all."""
    with suppress(TypeError, ValueError):  # a damaged column may hold anything
        row = outbox_row(stored[:4])
        if before is not None and before.sequence == row.sequence - 1 and before.hash:
            return row if record_hash(before.hash, row.sequence, row.channel.value, row.payload) == row.hash else None
        return row if time_ns(row.payload) is not None else None
    return None


def _last_part(connection: sqlite3.Connection, below: int) -> int:
    with suppress(sqlite3.Error, TypeError):
        newest = "SELECT newest_part FROM records ORDER BY sequence DESC LIMIT 1"
        return int(connection.execute(newest).fetchone()[0])
    parts = [stored[4] for stored in deque(_readable(connection, 0, below), maxlen=1)]
    return int(parts[0]) if parts and isinstance(parts[0], int) else 0


def _notes(connection: sqlite3.Connection) -> Sequence[tuple[str, str]]:
    with suppress(sqlite3.Error):
        return [(key, value) for key, value in connection.execute("SELECT key, value FROM meta") if key[:5] == "note:"]
    return ()


def put_in(connection: sqlite3.Connection, found: Salvage, after: int) -> None:
    """Write what was salvaged into a new ledger whose chain begins behind `after`, inside the caller's transaction."""
    connection.execute("UPDATE meta SET value = ? WHERE key = 'last_part_sequence'", (str(found.last_part),))
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", found.notes)
    connection.executemany(
        "INSERT INTO refused VALUES (?, ?, ?, x'')",
        ((row.sequence, row.channel.value, row.payload) for row in found.apart),
    )
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
