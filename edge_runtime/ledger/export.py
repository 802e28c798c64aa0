"""Records as JSON Lines or CSV for people and other programs, one at a time."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_runtime.domain.errors import LedgerDamagedError
from edge_runtime.ledger.export_tables import RECORDS
from edge_runtime.ledger.retention import time_ns

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from edge_runtime.ledger.export_tables import Table
    from edge_runtime.ledger.reader import LedgerReader, StoredRecord


@dataclass(frozen=True, slots=True)
class Range:
    """Which records; every bound is included."""

    first: int = 1
    last: int = 2**63 - 1
    since_ns: int | None = None
    """UTC, nanoseconds since 1970, by the record's own time."""
    until_ns: int | None = None

    def holds(self, payload: bytes) -> bool:
        """Whether a record within the numbers is also within the times."""
        if self.since_ns is None and self.until_ns is None:
            return True
        when_ns = time_ns(payload)
        if when_ns is None:
            return False
        return (self.since_ns is None or when_ns >= self.since_ns) and (
            self.until_ns is None or when_ns <= self.until_ns
        )


class RecordWriter(Protocol):
    """Takes records in order."""

    def write(self, record: StoredRecord) -> int:
        """One more record; returns how many lines came of it."""

    def close(self) -> None:
        """All have been written; whatever file is below stays open."""


class JsonLinesWriter:
    """One object per line; `record` comes last and holds the message byte for byte."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, record: StoredRecord) -> int:
        """See `RecordWriter`."""
        sequence, channel, payload, digest = record
        head = json.dumps({"sequence": sequence, "channel": channel, "hash": digest.hex()}, separators=(",", ":"))
        self._out.write(f'{head[:-1]},"record":{payload.decode()}}}\n')
        return 1

    def close(self) -> None:
        """See `RecordWriter`."""


class CsvWriter:
    """A table with a header, RFC 4180, the hash in its last column."""

    def __init__(self, out: TextIO, table: Table = RECORDS) -> None:
        self._writer = csv.writer(out)
        self._table = table
        self._writer.writerow([*table.columns, "channel", "hash"])

    def write(self, record: StoredRecord) -> int:
        """See `RecordWriter`."""
        _, channel, payload, digest = record
        lines = list(self._table.lines(payload))
        self._writer.writerows([*line.values(), channel, digest.hex()] for line in lines)
        return len(lines)

    def close(self) -> None:
        """See `RecordWriter`."""


def export(
    reader: LedgerReader, wanted: Range, writer: RecordWriter, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the records of a range; returns how many lines came of them. Nothing is checked: see `verify`.

    Args:
        reader: the ledger; a daemon may go on writing.
        progress: gets how many of the records have been looked at, and how many there are.

    Raises:
        LedgerDamagedError: a record cannot be read, or is no message; those before it are written.
        OSError: the output cannot be written.
    """
    extent = reader.extent()
    first, last = max(wanted.first, extent.base.sequence + 1), min(wanted.last, extent.newest)
    written = 0
    for record in reader.records(first, last):
        if wanted.holds(record[2]):
            written += _write(writer, record)
        if progress is not None:
            progress(record[0] - first + 1, last - first + 1)
    writer.close()
    return written


def _write(writer: RecordWriter, record: StoredRecord) -> int:
    try:
        return writer.write(record)
    except ValueError as error:
        raise LedgerDamagedError(
            f"record {record[0]} holds no message: {error}",
            "`ledger verify` says what is wrong; --from and --to leave the record out.",
        ) from error
