from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, WALL_NS, event_record, file_identity, verdict_record

from edge_runtime.broker.encoding import encode, encoder
from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ledger.reader import LedgerReader
from edge_runtime.ledger.retention import Retention
from edge_runtime.ledger.schema import APPLICATION_ID
from edge_runtime.ledger.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_leaks")

SCHEMA_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE inspections (sequence INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, part_id TEXT NOT NULL);
CREATE TABLE events (sequence INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, kind TEXT NOT NULL);
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, payload BLOB NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX outbox_unsent ON outbox (sequence) WHERE sent = 0;
CREATE INDEX outbox_sent ON outbox (sequence) WHERE sent = 1;
CREATE TABLE files (
    path TEXT NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest TEXT NOT NULL,
    sequence INTEGER NOT NULL, PRIMARY KEY (path, size_bytes, mtime_ns, digest)
) WITHOUT ROWID;
CREATE INDEX files_sequence ON files (sequence);
"""


def _write_schema_1(path: Path, sequences: Iterable[int], unsent: Iterable[int], last: int) -> None:
    """A ledger as version 0.2 left it; its tables of columns are cut down to what matters here."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript(SCHEMA_1)
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("INSERT INTO meta VALUES ('device', ?), ('last_part_sequence', '41')", (DEVICE,))
        for number in sequences:
            payload = encode(verdict_record(number), number, DEVICE)
            old.execute(
                "INSERT INTO outbox VALUES (?, 'inspection', ?, ?)", (number, payload, int(number not in set(unsent)))
            )
            old.execute("INSERT INTO inspections VALUES (?, 1, 'part')", (number,))
        old.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'outbox'", (last,))
        if not list(sequences):
            old.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (last,))
        file = file_identity(1)
        old.execute(
            "INSERT INTO files VALUES (?, ?, ?, ?, 1)", (file.path, file.size_bytes, file.mtime_ns, file.digest)
        )
        old.execute(f"PRAGMA application_id={APPLICATION_ID}")
        old.execute("PRAGMA user_version=1")
        old.commit()


@pytest.fixture
def path(tmp_path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.sqlite"


def _open(path: Path) -> closing[SqliteLedger]:
    return closing(SqliteLedger(path, DEVICE, encoder(DEVICE)))


def test_everything_of_the_old_ledger_is_still_there(path) -> None:
    """Messages, what is delivered and what is not, the files, the part number; numbering goes on."""
    _write_schema_1(path, range(3, 13), unsent=(9, 11, 12), last=12)
    before = [encode(verdict_record(number), number, DEVICE) for number in (9, 11, 12)]
    with _open(path) as ledger:
        assert (ledger.opening.migrated, ledger.opening.first_after) == (True, 12)
        assert [(row.sequence, row.payload) for row in ledger.unsent(0, 99)] == list(
            zip((9, 11, 12), before, strict=True)
        )
        assert (ledger.backlog(), ledger.last_part_sequence()) == (3, 41)
        assert ledger.is_seen(file_identity(1))
        assert list(ledger.append([verdict_record(50)])) == [13]
    with _open(path) as ledger:
        assert (ledger.opening.migrated, ledger.last_part_sequence(), ledger.backlog()) == (False, 50, 4)


def test_the_chain_starts_behind_the_old_records_and_says_so(path) -> None:
    """Nothing is claimed about what was written before; everything after is under the chain."""
    _write_schema_1(path, range(3, 13), unsent=(), last=12)
    with _open(path) as ledger:
        (event,) = ledger.opening.events(WALL_NS)
        assert (event.kind, event.attributes["first_after"]) == ("ledger_migrated", 12)
        ledger.append([event, verdict_record(1)])
    with closing(LedgerReader(path)) as reader:
        found = verify(reader)
    assert (found.is_sound, found.records, found.unchained, found.head.sequence) == (True, 12, 10, 14)


def test_gaps_of_the_old_pruning_are_no_breaks(path) -> None:
    """The old version dropped delivered records between undelivered ones."""
    _write_schema_1(path, (3, 4, 9, 12), unsent=(4, 12), last=12)
    with _open(path) as ledger:
        assert ledger.backlog() == 2
        ledger.mark_sent([4])
        ledger.mark_sent([12])
        assert ledger.backlog() == 0
        ledger.append([verdict_record(1)])
    with closing(LedgerReader(path)) as reader:
        assert verify(reader).is_sound


@pytest.mark.parametrize("sequences", [(), (12,)])
def test_an_old_ledger_that_was_emptied_goes_on_above(path, sequences) -> None:
    """Sequences are never given twice, whatever had been pruned."""
    _write_schema_1(path, sequences, unsent=(), last=12)
    with _open(path) as ledger:
        assert list(ledger.append([event_record()])) == [13]
    with closing(LedgerReader(path)) as reader:
        assert verify(reader).is_sound


def test_old_records_are_pruned_like_new_ones(path) -> None:
    """Over the beginning of the chain and beyond, and what is left verifies."""
    _write_schema_1(path, range(1, 13), unsent=(), last=12)
    with _open(path) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 11)])
        for keep in (18, 9, 4):
            ledger.mark_sent(range(1, 99))
            assert ledger.prune(Retention(keep), WALL_NS) > 0
            with closing(LedgerReader(path)) as reader:
                found = verify(reader)
            assert found.is_sound, found.findings


def test_an_old_ledger_is_not_read_before_it_was_migrated(path) -> None:
    """Verifying changes nothing: only the daemon migrates."""
    _write_schema_1(path, range(1, 13), unsent=(), last=12)
    with pytest.raises(LedgerError, match="no hash chain"):
        LedgerReader(path)
