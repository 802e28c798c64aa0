from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_records import DEVICE, WALL_NS, event_record, verdict_record

from edge_runtime.broker.encoding import encoder
from edge_runtime.domain.errors import LedgerDamagedError, LedgerError
from edge_runtime.ledger.chain import record_hash
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ledger.reader import CHUNK_ROWS, LedgerReader
from edge_runtime.ledger.retention import Retention
from edge_runtime.ledger.verify import MOST_NAMED, Break, Finding, Verification, verify

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.ledger.port import Head

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def path(tmp_path) -> Path:
    """A closed ledger with twenty records, in batches."""
    path = tmp_path / "ledger.sqlite"
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        for first in (1, 6, 11, 16):
            ledger.append([verdict_record(number) for number in range(first, first + 4)])
            ledger.append([event_record(first)])
    return path


def _verify(path: Path, anchor: Head | None = None) -> Verification:
    with closing(LedgerReader(path)) as reader:
        return verify(reader, anchor)


def _tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _found(path: Path, anchor: Head | None = None) -> list[tuple[int, Break]]:
    return [(finding.sequence, finding.kind) for finding in _verify(path, anchor).findings]


def test_an_untouched_ledger_is_sound(path) -> None:
    """Every record is looked at, and the head is the last one's hash."""
    found = _verify(path)
    assert (found.is_sound, found.records, found.first, found.head.sequence) == (True, 20, 1, 20)
    assert not found.anchored


def test_an_altered_score_is_named(path) -> None:
    """One changed digit in one record; the records behind it are not blamed."""
    _tamper(
        path,
        """UPDATE records SET payload = CAST(replace(payload, '"score":0.5', '"score":0.4') AS BLOB)"""
        " WHERE sequence = 7",
    )
    assert _found(path) == [(7, Break.ALTERED)]


def test_an_altered_hash_is_named(path) -> None:
    """The record and the one that builds upon it."""
    _tamper(path, "UPDATE records SET hash = zeroblob(32) WHERE sequence = 7")
    assert _found(path) == [(7, Break.ALTERED), (8, Break.ALTERED)]


def test_a_verdict_that_became_an_event_is_named(path) -> None:
    """The channel is under the hash."""
    _tamper(path, "UPDATE records SET channel = 'event' WHERE sequence = 7")
    assert _found(path) == [(7, Break.ALTERED)]


@pytest.mark.parametrize("gone", ["7", "1", "7, 8, 9"])
def test_deleted_records_are_named(path, gone) -> None:
    """The first that is missing; what is behind the gap is still checked among itself."""
    _tamper(path, f"DELETE FROM records WHERE sequence IN ({gone})")  # noqa: S608  (a test's own text)
    assert _found(path) == [(int(gone[0]), Break.MISSING)]


def test_swapped_records_are_named_as_such(path) -> None:
    """Each says of itself that it is another one."""
    _tamper(
        path,
        "UPDATE records SET sequence = -7 WHERE sequence = 7",
        "UPDATE records SET sequence = 7 WHERE sequence = 9",
        "UPDATE records SET sequence = 9 WHERE sequence = -7",
    )
    found = _verify(path)
    assert found.findings[0] == Finding(7, Break.MISPLACED, "it holds record 9")
    assert (9, Break.MISPLACED) in [(finding.sequence, finding.kind) for finding in found.findings]


def test_an_inserted_record_is_named(path) -> None:
    """There is no room between two numbers, and behind the last one its hash does not fit."""
    _tamper(path, "INSERT INTO records SELECT 21, channel, payload, hash, newest_part FROM records WHERE sequence = 3")
    assert _found(path) == [(21, Break.MISPLACED)]


def test_a_cut_end_shows_only_against_an_anchor(path) -> None:
    """The chain alone cannot know how long it was: a head kept elsewhere does."""
    anchor = _verify(path).head
    assert _verify(path, anchor).anchored
    _tamper(path, "DELETE FROM records WHERE sequence > 15")
    assert _verify(path).is_sound
    assert _found(path, anchor) == [(20, Break.END)]


def test_a_forged_chain_shows_only_against_an_anchor(path) -> None:
    """Whoever can rewrite everything can rechain it; the head that somebody else has kept gives it away."""
    anchor = _verify(path).head
    with closing(sqlite3.connect(path)) as forger:
        rows = forger.execute("SELECT sequence, channel, payload, hash FROM records ORDER BY sequence").fetchall()
        previous = rows[5][3]
        for sequence, channel, payload, _ in rows[6:]:
            forged = payload.replace(b"PASS", b"REJECT")
            previous = record_hash(previous, sequence, channel, forged)
            forger.execute("UPDATE records SET payload = ?, hash = ? WHERE sequence = ?", (forged, previous, sequence))
        forger.commit()
    assert _verify(path).is_sound
    assert _found(path, anchor) == [(20, Break.END)]


def test_a_cut_beginning_without_its_record_is_named(path) -> None:
    """Pruning leaves a record of itself; a hand that moves the base does not."""
    _tamper(
        path,
        "UPDATE chain_base SET sequence = 5, hash = (SELECT hash FROM records WHERE sequence = 5)",
        "DELETE FROM records WHERE sequence <= 5",
    )
    assert _found(path) == [(6, Break.BEGINNING)]


def test_another_devices_genesis_breaks_the_first_record(path) -> None:
    """A chain is that of one ledger of one device."""
    _tamper(path, "UPDATE meta SET value = replace(value, 'line-1', 'line-2') WHERE key = 'genesis'")
    assert _found(path) == [(1, Break.ALTERED)]


def test_pruned_and_pruned_again_stays_sound(path) -> None:
    """What is left begins at the last record that went, and a record in it vouches for that."""
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        for keep in (15, 9, 3):
            ledger.mark_sent(range(1, 99))
            assert ledger.prune(Retention(keep), WALL_NS) > 0
        expected = ledger.rows(1, 99, 1)[0].sequence
    found = _verify(path)
    assert (found.is_sound, found.first, found.pruned_through) == (True, expected, expected - 1)


def test_the_file_cut_short_names_where_reading_ends(path) -> None:
    """A database that was truncated is read as far as it goes, or refused as damaged."""
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 500)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    try:
        found = _verify(path)
    except LedgerDamagedError:
        return
    assert found.findings[-1].kind is Break.UNREADABLE


def test_many_breaks_are_counted_and_the_first_are_named(path) -> None:
    """The list is bounded, the number is not."""
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 101)])
    _tamper(path, "UPDATE records SET channel = 'event'")
    found = _verify(path)
    assert (found.breaks, len(found.findings)) == (116, MOST_NAMED)


def test_a_running_daemon_is_verified_without_disturbing_it(path) -> None:
    """It writes, marks and prunes between two chunks; the lock stays its own."""
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        ledger.append([verdict_record(number) for number in range(2 * CHUNK_ROWS)])
        total = ledger.head.sequence

        def meanwhile(done: int, _total: int) -> None:
            if done in {300, CHUNK_ROWS + 300}:
                ledger.mark_sent(range(1, ledger.head.sequence + 1))
                ledger.append([verdict_record(9)])
                ledger.prune(Retention(total - done - CHUNK_ROWS // 2), WALL_NS)

        with closing(LedgerReader(path)) as reader:
            found = verify(reader, None, meanwhile)
        assert found.is_sound, found.findings
        assert found.head.sequence >= total


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"\x00" * 4_096])
def test_what_is_no_ledger_is_a_typed_error(tmp_path, content) -> None:
    """Garbage, a missing file and another program's database are named."""
    place = tmp_path / "other.sqlite"
    with pytest.raises(LedgerError, match=r"other\.sqlite"):
        LedgerReader(place)
    place.write_bytes(content)
    with pytest.raises(LedgerError, match=r"other\.sqlite"):
        LedgerReader(place)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_byte_is_changed_is_found(tmp_path_factory, data) -> None:
    """Any column of any record, changed to anything else, breaks the chain at that record."""
    path = tmp_path_factory.mktemp("tamper") / "ledger.sqlite"
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 6)])
    sequence = data.draw(st.integers(1, 5))
    column = data.draw(st.sampled_from(["channel", "payload", "hash"]))
    with closing(sqlite3.connect(path)) as connection:
        old = connection.execute(f"SELECT {column} FROM records WHERE sequence = ?", (sequence,)).fetchone()[0]  # noqa: S608
        if isinstance(old, bytes):
            place = data.draw(st.integers(0, len(old) - 1))
            new = old[:place] + bytes([old[place] ^ data.draw(st.integers(1, 255))]) + old[place + 1 :]
        else:
            new = data.draw(st.text(max_size=12).filter(lambda text: text != old and "\x00" not in text))
        connection.execute(f"UPDATE records SET {column} = ? WHERE sequence = ?", (new, sequence))  # noqa: S608
        connection.commit()
    found = _verify(path)
    assert found.findings
    assert found.findings[0].sequence == sequence


def test_the_pruning_record_that_vouches_is_itself_under_the_chain(path) -> None:
    """Changing what it vouches for is found as an altered record and as an unexplained beginning."""
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        ledger.mark_sent(range(1, 99))
        ledger.prune(Retention(5), WALL_NS)
        vouching = ledger.head.sequence
        through = json.loads(ledger.recent(1)[0].payload)["attributes"]["through"]
    _tamper(
        path,
        f"""UPDATE records SET payload = CAST(replace(payload, '"through":{through}', '"through":1') AS BLOB)"""  # noqa: S608
        f" WHERE sequence = {vouching}",
    )
    assert _found(path) == [(vouching, Break.ALTERED), (through + 1, Break.BEGINNING)]
