"""What the database stores of a record beside its message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.records import Channel, EventRecord, OutboxRow, VerdictRecord
from edge_runtime.domain.text import writable

if TYPE_CHECKING:
    from edge_runtime.domain.frame import FileIdentity
    from edge_runtime.ledger.port import LedgerEntry

INSERT_RECORD = "INSERT INTO records (sequence, channel, payload, hash, newest_part) VALUES (?, ?, ?, ?, ?)"
INSERT_FILE = (
    "INSERT INTO files (path, size_bytes, mtime_ns, digest, sequence) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET sequence = excluded.sequence"
)
INSERT_NOTE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
SELECT_ROW = "SELECT sequence, channel, payload, hash FROM records"


def is_one_statement(entry: LedgerEntry) -> bool:
    """Whether nothing but its record is written for it."""
    if isinstance(entry, VerdictRecord):
        return entry.file is None
    return not (isinstance(entry, EventRecord) and entry.notes)


def channel_of(entry: LedgerEntry) -> Channel:
    """Where an entry is published."""
    if isinstance(entry, VerdictRecord):
        return Channel.INSPECTION
    return Channel.EVENT if isinstance(entry, EventRecord) else Channel.ROLLOUT


def outbox_row(row: tuple[int, str, bytes, bytes]) -> OutboxRow:
    """A row of `SELECT_ROW`."""
    sequence, channel, payload, digest = row
    return OutboxRow(sequence, Channel(channel), payload, digest)


def file_key(file: FileIdentity) -> tuple[str, int, int, str]:
    """What makes a file itself, as stored."""
    return writable(file.path), file.size_bytes, file.mtime_ns, file.digest
