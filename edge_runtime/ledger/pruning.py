"""Dropping the oldest delivered records of the database, so much at a time that nobody waits long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.ledger.delivery import delivered_upto
from edge_runtime.ledger.retention import older_than, used_and_spare_bytes

if TYPE_CHECKING:
    import sqlite3

    from edge_runtime.ledger.retention import Retention

PRUNE_ROWS = 2_000
"""Rows dropped in one transaction: the publish thread's marks wait at most some 0.1 s for it."""
LEAST_ROWS = 100
"""Fewer are not worth a record of their own, except for those beyond the number that is kept."""
FILES_PER_ROW = 10
"""File identities are kept for so many times as many records as the ledger keeps."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The records that one transaction dropped."""

    through: int
    digest: bytes
    records: int
    why: str


def prune_some(connection: sqlite3.Connection, retention: Retention, newest: int) -> Pruned | None:
    """Drop at most `PRUNE_ROWS` records, inside the caller's transaction; None if nothing is to go.

    Args:
        newest: number of the newest record.
    """
    first = connection.execute("SELECT min(sequence) FROM records").fetchone()[0]
    forget = newest - FILES_PER_ROW * retention.rows
    connection.execute("DELETE FROM files WHERE sequence <= ?", (forget,))
    if first is None:
        return None
    last = min(delivered_upto(connection), newest - 1, first + PRUNE_ROWS - 1)
    through, why = _how_far(connection, retention, first, newest)
    through = min(through, last)
    if through < first:
        return None
    digest = connection.execute(
        "SELECT hash FROM records WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1", (through,)
    ).fetchone()[0]
    gone = connection.execute("DELETE FROM records WHERE sequence <= ?", (through,)).rowcount
    connection.execute("UPDATE chain_base SET sequence = ?, hash = ?", (through, digest))
    return Pruned(through, digest, gone, why)


def _how_far(connection: sqlite3.Connection, retention: Retention, first: int, newest: int) -> tuple[int, str]:
    """The newest record that is to go, however many that are, and the limit that says so."""
    choices = [(newest - retention.rows, "rows")]
    if retention.size_bytes is not None:
        too_many = _rows_too_many(connection, retention.size_bytes, newest - first + 1)
        choices.append((first - 1 + too_many, retention.size_limit))
    if retention.since_wall_ns is not None:
        oldest = connection.execute("SELECT sequence, payload FROM records ORDER BY sequence LIMIT ?", (PRUNE_ROWS,))
        old = older_than(retention.since_wall_ns, oldest)
        if len(old) >= LEAST_ROWS:
            choices.append((old[-1], "age"))
    return max(choices)


def _rows_too_many(connection: sqlite3.Connection, size_bytes: int, rows: int) -> int:
    """How many of the oldest have to go until about `size_bytes` are in use."""
    used, _ = used_and_spare_bytes(connection)
    if used <= size_bytes:
        return 0
    return max(LEAST_ROWS, rows * (used - size_bytes) // used)
