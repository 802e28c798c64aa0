"""From the ledger of version 0.2 (schema 1) to the chained one, in one transaction and without copying a record.

The records that are there stay as they are and have no hash: the chain starts behind them. Their separate tables of
columns go; the messages say the same, except for text beyond 4 000 characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.ledger import tables

if TYPE_CHECKING:
    import sqlite3

    from edge_runtime.ledger.chain import Genesis

_OUTBOX_TO_RECORDS = """
DROP INDEX outbox_unsent;
DROP INDEX outbox_sent;
ALTER TABLE outbox RENAME TO records;
ALTER TABLE records ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
ALTER TABLE records ADD COLUMN newest_part INTEGER NOT NULL DEFAULT 0;
DROP TABLE inspections;
DROP TABLE events
"""


def last_sequence_v1(connection: sqlite3.Connection) -> int:
    """The newest record of a ledger of schema 1, or the number behind which it begins."""
    return int(connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()[0])


def migrate_v1(connection: sqlite3.Connection, genesis: Genesis) -> None:
    """Bring a ledger of schema 1 to schema 2, inside the caller's transaction.

    Args:
        genesis: its `after` is the newest record that is there.

    Raises:
        sqlite3.Error: nothing has changed once the caller rolls back.
    """
    unsent = {int(number) for (number,) in connection.execute("SELECT sequence FROM outbox WHERE sent = 0")}
    oldest = connection.execute("SELECT min(sequence) FROM outbox").fetchone()[0]
    for statement in tables.statements(_OUTBOX_TO_RECORDS, tables.CHAIN):
        connection.execute(statement)
    upto = min(unsent) - 1 if unsent else genesis.after
    connection.execute("INSERT INTO delivery VALUES (?)", (upto,))
    # Schema 1 also dropped sent records between unsent ones: what is not there waits for nobody either.
    connection.executemany(
        "INSERT INTO delivered VALUES (?)",
        ((number,) for number in range(upto + 1, genesis.after + 1) if number not in unsent),
    )
    base = (genesis.after, genesis.hash()) if oldest is None else (oldest - 1, b"")
    connection.execute("INSERT INTO chain_base VALUES (?, ?)", base)
    connection.execute("INSERT INTO meta VALUES ('genesis', ?)", (genesis.text(),))
    connection.execute(f"PRAGMA user_version={tables.SCHEMA_VERSION}")
