"""Which records are delivered: all up to a number, and a few beyond it while something before them is not.

Records are delivered in their order, so that a mark is one number on one page, whatever their number. One that a broker
refuses while it takes the others is set apart: nothing waits for it, and it is offered again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.ledger.rows import SELECT_ROW, outbox_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from edge_runtime.domain.records import OutboxRow

_UNDELIVERED = (
    "WHERE sequence > max(?, (SELECT upto FROM delivery)) AND sequence NOT IN (SELECT sequence FROM delivered)"
    " ORDER BY sequence LIMIT ?"
)
_BACKLOG = (
    "SELECT max(coalesce((SELECT max(sequence) FROM records), 0), coalesce((SELECT max(sequence) FROM delivered), 0))"
    " - upto - (SELECT count(*) FROM delivered) + (SELECT count(*) FROM refused) FROM delivery"
)
_SET_APART = (
    "INSERT INTO refused SELECT sequence, channel, payload, hash FROM records WHERE sequence = ? ON CONFLICT DO NOTHING"
)


def unsent(connection: sqlite3.Connection, after: int, limit: int) -> Sequence[OutboxRow]:
    """The oldest undelivered records beyond `after`."""
    found = connection.execute(f"{SELECT_ROW} {_UNDELIVERED}", (after, limit)).fetchall()
    return [outbox_row(row) for row in found]


def backlog(connection: sqlite3.Connection) -> int:
    """How many are undelivered; takes no longer when there are many."""
    return max(0, int(connection.execute(_BACKLOG).fetchone()[0]))


def delivered_upto(connection: sqlite3.Connection) -> int:
    """Every record up to this one is delivered."""
    return int(connection.execute("SELECT upto FROM delivery").fetchone()[0])


def set_apart(connection: sqlite3.Connection, sequences: Sequence[int]) -> None:
    """These are refused: they wait beside the others from now on, inside the caller's transaction."""
    connection.executemany(_SET_APART, ((number,) for number in sequences))
    _advance(connection, sequences)


def apart(connection: sqlite3.Connection, after: int, limit: int) -> Sequence[OutboxRow]:
    """The oldest refused records beyond `after`."""
    query = "SELECT sequence, channel, payload, hash FROM refused WHERE sequence > ? ORDER BY sequence LIMIT ?"
    return [outbox_row(row) for row in connection.execute(query, (after, limit)).fetchall()]


def mark(connection: sqlite3.Connection, sequences: Sequence[int]) -> None:
    """These are delivered, inside the caller's transaction. Unknown and repeated numbers change nothing."""
    connection.executemany("DELETE FROM refused WHERE sequence = ?", ((number,) for number in sequences))
    _advance(connection, sequences)


def _advance(connection: sqlite3.Connection, sequences: Sequence[int]) -> None:
    before = upto = delivered_upto(connection)
    newest = connection.execute("SELECT max(sequence) FROM records").fetchone()[0] or 0
    beyond = {int(number) for (number,) in connection.execute("SELECT sequence FROM delivered")}
    reported = beyond.union(number for number in sequences if upto < number <= newest)
    while upto + 1 in reported:
        upto += 1
    waiting = {number for number in reported if number > upto}
    if upto != before:
        connection.execute("UPDATE delivery SET upto = ?", (upto,))
    connection.executemany("DELETE FROM delivered WHERE sequence = ?", ((number,) for number in beyond - waiting))
    connection.executemany("INSERT INTO delivered VALUES (?)", ((number,) for number in waiting - beyond))
