from __future__ import annotations

import contextlib
import resource
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, event_record, file_identity, verdict_record

from edge_runtime.broker.encoding import encoder
from edge_runtime.domain.errors import LedgerDamagedError, LedgerError, LedgerFullError
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.ledger.aside import set_aside
from edge_runtime.ledger.database import PRUNE_ROWS, PRUNE_TRANSACTIONS, SqliteLedger
from edge_runtime.ledger.floor import BLOCK
from edge_runtime.ledger.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_leaks")


def _open(path: Path, device: str = DEVICE) -> SqliteLedger:
    return SqliteLedger(path, device, encoder(device))


@pytest.fixture
def path(tmp_path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.sqlite"


@contextlib.contextmanager
def _files_may_not_grow_beyond(size_bytes: int) -> Iterator[None]:
    """Make the operating system refuse to write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_commits_wait_for_the_disk(path) -> None:
    """The connection that writes verdicts is WAL with synchronous=FULL: what `append` returned survives a power cut."""
    with contextlib.closing(_open(path)) as ledger:
        assert ledger._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert ledger._writer.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("records", [1, 2])
def test_a_record_alone_is_one_statement_and_others_share_a_transaction(path, records) -> None:
    """SQLite makes a transaction of one statement by itself; another connection sees it as soon as `append` returns."""
    statements: list[str] = []
    with contextlib.closing(_open(path)) as ledger:
        ledger._writer.set_trace_callback(statements.append)
        ledger.append([verdict_record(number + 1) for number in range(records)])
        ledger._writer.set_trace_callback(None)
        assert not ledger._writer.in_transaction
        assert ledger.backlog() == records
    assert [statement.split()[0] for statement in statements] == (
        ["INSERT"] if records == 1 else ["BEGIN", "INSERT", "INSERT", "COMMIT"]
    )


def test_everything_is_there_after_reopening(path) -> None:
    """Sequences, backlog, seen files and part numbers go on where they were."""
    with contextlib.closing(_open(path)) as ledger:
        ledger.append([verdict_record(1, file=file_identity(1)), verdict_record(2), event_record()])
        ledger.mark_sent([1])
    with contextlib.closing(_open(path)) as ledger:
        assert [row.sequence for row in ledger.unsent(0, 10)] == [2, 3]
        assert ledger.is_seen(file_identity(1))
        assert ledger.last_part_sequence() == 2
        assert list(ledger.append([event_record()])) == [4]


def test_an_auditor_finds_the_whole_verdict(path) -> None:
    """The inspections table has what the decision was made of, also where the score is no number."""
    with contextlib.closing(_open(path)) as ledger:
        ledger.append(
            [
                verdict_record(
                    1,
                    score=float("nan"),
                    disposition=Disposition.REJECT,
                    reason=Reason.SCORE_INVALID,
                    detail="NaN",
                )
            ]
        )
    with contextlib.closing(sqlite3.connect(path)) as reader:
        row = reader.execute(
            "SELECT part_id, disposition, reason, score, review_limit, reject_limit, bundle_name, bundle_trust,"
            " latency_ns, detail FROM inspections"
        ).fetchone()
    assert row == ("part-1", "REJECT", "score_invalid", None, 1.0, 2.0, "test", "development", 5_000_000, "NaN")


def test_a_full_disk_commits_nothing_and_mends_by_itself(path) -> None:
    """SQLite's own "full" is a LedgerError with an action; afterwards appends go on without a gap."""
    with contextlib.closing(_open(path)) as ledger:
        ledger.append([verdict_record(1)])
        pages = ledger._writer.execute("PRAGMA page_count").fetchone()[0]
        ledger._writer.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(LedgerFullError, match="full") as caught:
            ledger.append([verdict_record(number) for number in range(2, 100)])
        assert "Free space" in caught.value.action
        assert ledger.backlog() == 1
        ledger._writer.execute("PRAGMA max_page_count = 1000000")
        assert list(ledger.append([verdict_record(2)])) == [2]


def test_a_disk_that_refuses_writes_commits_nothing(path) -> None:
    """When the operating system fails the write in the middle of a batch, none of it is there."""
    with contextlib.closing(_open(path)) as ledger:
        ledger.append([verdict_record(1)])
        with _files_may_not_grow_beyond(path.with_name(path.name + "-wal").stat().st_size + 8_192):
            with pytest.raises(LedgerError):
                ledger.append([verdict_record(number) for number in range(2, 500)])
            assert [row.sequence for row in ledger.recent(10)] == [1]
        assert list(ledger.append([verdict_record(2)])) == [2]
    with contextlib.closing(_open(path)) as ledger:
        assert [row.sequence for row in ledger.recent(10)] == [2, 1]


def test_another_programs_database_is_refused_and_untouched(path) -> None:
    """Not one byte changes in a database that is not ours."""
    with contextlib.closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE orders (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program") as caught:
        _open(path)
    assert path.read_bytes() == before
    assert "state_dir" in caught.value.action


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"\x00" * 8_192])
def test_a_file_that_is_no_database_is_refused_and_untouched(path, content) -> None:
    """Garbage, an empty file and a zeroed file are named, and left for whoever wants to look at them."""
    path.write_bytes(content)
    with pytest.raises(LedgerDamagedError, match="not an SQLite database"):
        _open(path)
    assert path.read_bytes() == content


def test_a_damaged_ledger_is_refused_at_the_start(path) -> None:
    """Overwritten pages are found before the line runs, and the error says how to go on."""
    with contextlib.closing(_open(path)) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 500)])
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 40 * 4096] = b"\xa5" * (37 * 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerDamagedError) as caught:
        _open(path)
    assert "sets it aside" in caught.value.action


def test_a_newer_schema_is_refused(path) -> None:
    """A downgrade of the software does not touch what the newer version wrote."""
    _open(path).close()
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="newer edge_runtime"):
        _open(path)


def test_another_devices_ledger_is_refused(path) -> None:
    """Record sequences belong to a device: a renamed device does not go on with the old one's."""
    _open(path).close()
    with pytest.raises(LedgerError, match="'line-1', not of 'line-2'"):
        _open(path, "line-2")


def test_one_process_at_a_time(path) -> None:
    """A second daemon on the same ledger is told so; after the first has closed it may open it."""
    with contextlib.closing(_open(path)), pytest.raises(LedgerError, match="in use"):
        _open(path)
    _open(path).close()


def test_a_folder_that_does_not_exist_is_named(tmp_path) -> None:
    """The path is in the message."""
    with pytest.raises(LedgerError, match="nowhere"):
        _open(tmp_path / "nowhere" / "ledger.sqlite")


def test_a_ledger_set_aside_is_kept_and_sequences_go_on_above_it(path) -> None:
    """Subscribers drop duplicates by (device, sequence): a new ledger must not begin at 1 again."""
    with contextlib.closing(_open(path)) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 8)])
    content = path.read_bytes()
    kept = set_aside(path)
    assert kept.read_bytes() == content
    assert not path.exists()
    with contextlib.closing(_open(path)) as ledger:
        assert ledger.append([event_record()])[0] > 7
    assert set_aside(path) != kept, "an earlier one is never overwritten"


def test_the_floor_is_above_everything_given(path) -> None:
    """Also after more records than one reservation holds, and after the database file is simply gone."""
    with contextlib.closing(_open(path)) as ledger:
        for _ in range(3):
            last = ledger.append([event_record(number) for number in range(BLOCK // 2)])[-1]
    path.unlink()
    with contextlib.closing(_open(path)) as ledger:
        assert ledger.append([event_record()])[0] > last


def test_an_unreadable_floor_is_an_error_not_a_fresh_start(path) -> None:
    """Guessing would let sequences come twice."""
    path.with_name("ledger.sqlite.floor").write_text("seven")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite\.floor"):
        _open(path)


def test_a_floor_that_cannot_be_written_commits_nothing(path) -> None:
    """The reservation comes before the commit; without it no sequence is given."""
    with contextlib.closing(_open(path)) as ledger:
        with _files_may_not_grow_beyond(0), pytest.raises(LedgerError):
            ledger.append([verdict_record(1)])
        assert ledger.backlog() == 0
        assert list(ledger.append([verdict_record(1)])) == [1]


def test_prune_is_bounded_and_continues(path) -> None:
    """One call drops so many at most, the next ones the rest: the record thread is never away for long."""
    most = PRUNE_ROWS * PRUNE_TRANSACTIONS
    with contextlib.closing(_open(path)) as ledger:
        sequences = ledger.append([event_record()] * (most + 500))
        ledger.mark_sent(sequences)
        assert ledger.prune(Retention(100), 0) == most
        assert ledger.prune(Retention(100), 0) == 400 + PRUNE_TRANSACTIONS, "and those that the records of it displaced"


def test_identities_of_files_are_bounded_too(path) -> None:
    """A file is forgotten only ten times later than its record."""
    with contextlib.closing(_open(path)) as ledger:
        ledger.append([verdict_record(1, file=file_identity(1))])
        ledger.mark_sent(ledger.append([event_record()] * 99))
        ledger.prune(Retention(10), 0)
        assert ledger.is_seen(file_identity(1))
        ledger.append([event_record()])
        ledger.prune(Retention(10), 0)
        assert not ledger.is_seen(file_identity(1))


def test_recorder_publisher_and_camera_work_at_once(path) -> None:
    """Three threads on one ledger: nothing is lost, offered twice after its mark, or refused as busy."""
    batches, size = 60, 10
    sent: list[int] = []
    done = threading.Event()
    with contextlib.closing(_open(path)) as ledger:

        def publish() -> None:
            after = 0
            while not done.is_set() or ledger.backlog():
                rows = ledger.unsent(after, 50)
                ledger.mark_sent([row.sequence for row in rows])
                sent.extend(row.sequence for row in rows)
                after = rows[-1].sequence if rows else after

        def look() -> None:
            while not done.is_set():
                ledger.is_seen(file_identity(1))

        threads = [threading.Thread(target=publish), threading.Thread(target=look)]
        for thread in threads:
            thread.start()
        for batch in range(batches):
            ledger.append([verdict_record(batch * size + number) for number in range(1, size + 1)])
        done.set()
        for thread in threads:
            thread.join(30)
        assert ledger.backlog() == 0
    assert sent == list(range(1, batches * size + 1))
