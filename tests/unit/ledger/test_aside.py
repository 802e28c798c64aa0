from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, WALL_NS, event_record, file_identity, verdict_record
from outbox_bench import SettlingCamera, make_item

from edge_runtime.broker.encoding import encoder
from edge_runtime.config.line import LedgerSettings
from edge_runtime.domain.errors import LedgerDamagedError, LedgerError
from edge_runtime.ledger import create
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.ledger.reader import LedgerReader
from edge_runtime.ledger.retention import Quota
from edge_runtime.ledger.verify import verify
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.record import DAMAGED_ATTEMPTS, RecordStage

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.ledger.port import Ledger

pytestmark = pytest.mark.usefixtures("no_leaks")
SETTINGS = LedgerSettings(reserve_mb=0)


@pytest.fixture
def path(tmp_path) -> Path:
    """A ledger with 40 verdicts, 30 of them delivered."""
    path = tmp_path / "ledger.sqlite"
    with closing(_create(path)) as ledger:
        ledger.append([verdict_record(number, file=file_identity(number)) for number in range(1, 41)])
        ledger.mark_sent(range(1, 31))
    return path


def _create(path: Path) -> Ledger:
    return create(SETTINGS, path, DEVICE, encoder(DEVICE))


def _ruin_the_files_table(path: Path) -> None:
    """Damage that the check at the start finds and that leaves the records readable."""
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'files_sequence'").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4_096 : page * 4_096] = b"\xa5" * 4_096
    path.write_bytes(content)


def _is_sound(path: Path) -> bool:
    with closing(LedgerReader(path)) as reader:
        return verify(reader).is_sound


def test_a_damaged_ledger_is_kept_and_a_new_one_begins(path) -> None:
    """The line starts; what happened is a record, loudly; no number comes twice."""
    path.write_bytes(path.read_bytes()[:100] + b"\xa5" * 60_000)
    damaged = path.read_bytes()
    with closing(_create(path)) as ledger:
        opening = ledger.opening
        assert (opening.set_aside, opening.is_new) == ("ledger.sqlite.aside-1", True)
        assert path.with_name("ledger.sqlite.aside-1").read_bytes() == damaged
        (event,) = opening.events(WALL_NS)
        assert (event.kind, event.severity) == ("ledger_damaged", "error")
        assert "ledger.sqlite.aside-1" in event.message
        assert ledger.append([event])[0] > 40
    assert _is_sound(path)
    with closing(_create(path)) as ledger:
        assert ledger.opening.set_aside is None


def test_what_was_not_delivered_is_taken_over_under_its_old_number(path) -> None:
    """The readable part of a damaged ledger still reaches the subscriber; the part number goes on."""
    _ruin_the_files_table(path)
    with closing(_create(path)) as ledger:
        assert (ledger.opening.salvaged, ledger.backlog(), ledger.last_part_sequence()) == (10, 10, 40)
        rows = ledger.unsent(0, 99)
        assert [row.sequence for row in rows] == list(range(31, 41))
        assert rows[0].payload == encoder(DEVICE)(verdict_record(31, file=file_identity(31)), 31)
        sequences = ledger.append([verdict_record(41)])
        ledger.mark_sent([row.sequence for row in rows])
        assert [row.sequence for row in ledger.unsent(0, 99)] == list(sequences)
    assert _is_sound(path)


def test_an_altered_undelivered_record_is_not_taken_over(path) -> None:
    """What no longer has its hash is left in the file that was set aside."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE records SET payload = '{\"time_ns\": 1}' WHERE sequence = 35")
        connection.commit()
    _ruin_the_files_table(path)
    with closing(_create(path)) as ledger:
        assert [row.sequence for row in ledger.unsent(0, 99)] == [31, 32, 33, 34, 36, 37, 38, 39, 40]


@pytest.mark.parametrize("foreign", [True, False])
def test_only_damage_sets_a_ledger_aside(path, foreign) -> None:
    """Another program's database, and a ledger that is in use, stay where they are."""
    if foreign:
        path.unlink()
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE orders (id INTEGER)")
    holder = contextlib.nullcontext() if foreign else closing(SqliteLedger(path, DEVICE, encoder(DEVICE)))
    with holder, pytest.raises(LedgerError) as caught:
        _create(path)
    assert not isinstance(caught.value, LedgerDamagedError)
    assert not list(path.parent.glob("*.aside-*"))


def test_a_ledger_that_is_damaged_while_the_line_runs_is_replaced(path) -> None:
    """After three attempts the record stage goes on with a new one; the waiting verdicts are in it, none is lost."""
    queue = BoundedQueue("records", 100)
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        stage = RecordStage(ledger, SettlingCamera(), queue, SimulatedClock(), group_commit_s=0, quota=Quota(1_000))
        ledger._writer.execute("DROP TABLE delivery")
        ledger._writer.execute("DROP TABLE records")
        for number in range(1, 6):
            queue.try_put(make_item(number))
        for _ in range(DAMAGED_ATTEMPTS):
            stage.step()
        assert isinstance(stage.failure, LedgerDamagedError)
        stage.step()
        assert (stage.failure, stage.waiting, ledger.opening.set_aside) == (None, 0, "ledger.sqlite.aside-1")
        rows = ledger.unsent(0, 99)
        assert [row.channel for row in rows] == ["event"] + ["inspection"] * 5
        assert rows[0].sequence > 40
        assert b"ledger_damaged" in rows[0].payload
        assert ledger.is_seen(file_identity(1)) is False
    assert _is_sound(path)


def test_other_threads_go_on_while_the_ledger_is_replaced(path) -> None:
    """Whoever asks in the middle of it gets an answer or a LedgerError, again and again, and nothing crashes."""
    done, answers, odd = threading.Event(), [], []
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:

        def ask() -> None:
            while not done.is_set():
                try:
                    ledger.mark_sent([row.sequence for row in ledger.unsent(0, 5)])
                    answers.append((ledger.backlog(), ledger.is_seen(file_identity(1))))
                except LedgerError:
                    answers.append(None)
                except Exception as error:  # noqa: BLE001  (this is what the test is about)
                    odd.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(1, 6):
            event = ledger.begin_anew(LedgerDamagedError("ruined", "mend it"), WALL_NS)
            assert event.attributes["set_aside"] == f"ledger.sqlite.aside-{number}"
            ledger.append([event, verdict_record(number)])
        done.set()
        for thread in threads:
            thread.join(30)
        assert (odd, bool(answers)) == ([], True)
    assert _is_sound(path)


def test_a_memory_ledger_begins_anew_as_well() -> None:
    """The twin of the replacement: the record stage cannot tell the difference."""
    queue, ledger = BoundedQueue("records", 100), MemoryLedger(lambda _entry, sequence: b"%d" % sequence)
    stage = RecordStage(ledger, SettlingCamera(), queue, SimulatedClock(), group_commit_s=0, quota=Quota(1_000))
    ledger.fail(LedgerDamagedError("ruined", "mend it"))
    queue.try_put(make_item(1))
    for _ in range(DAMAGED_ATTEMPTS + 1):
        stage.step()
    assert (stage.failure, stage.waiting, ledger.backlog()) == (None, 0, 2)


def test_a_new_ledger_says_that_it_begins(tmp_path) -> None:
    """The first record of a chain; opening it again is nothing to be recorded."""
    path = tmp_path / "new.sqlite"
    with closing(_create(path)) as ledger:
        assert [event.kind for event in ledger.opening.events(WALL_NS)] == ["ledger_begun"]
        ledger.append([event_record()])
    with closing(_create(path)) as ledger:
        assert ledger.opening.events(WALL_NS) == ()


@pytest.mark.parametrize("seed", range(6))
def test_undelivered_records_behind_damaged_pages_are_taken_over(tmp_path, seed) -> None:
    """Every one that can still be read by its number; those that were set apart stay so."""
    path, dice = tmp_path / "ledger.sqlite", random.Random(seed)  # noqa: S311  (repeatable, guards nothing)
    with closing(_create(path)) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 301)])
        ledger.mark_sent(range(1, 101))
        ledger.set_apart([150])
    content = bytearray(path.read_bytes())
    for _ in range(3):
        page = dice.randrange(8, len(content) // 4_096 - 4)
        content[page * 4_096 : (page + 1) * 4_096] = dice.randbytes(4_096)
    path.write_bytes(content)
    readable = set()
    with closing(sqlite3.connect(path)) as connection:
        for number in range(101, 301):
            with contextlib.suppress(sqlite3.Error):
                readable.update(
                    connection.execute("SELECT sequence FROM records WHERE sequence = ?", (number,)).fetchone()
                )
    with closing(_create(path)) as ledger:
        assert ledger.opening.set_aside is not None
        assert {row.sequence for row in ledger.unsent(0, 1_000)} == readable - {150}
        assert [row.sequence for row in ledger.apart(0, 10)] == [150]
        assert ledger.last_part_sequence() == 300


def test_a_ledger_set_aside_whose_record_was_never_committed_is_told_of_at_the_next_start(path) -> None:
    """Killed in between: the event was only in memory. Once it is committed it is not told again."""
    with closing(_create(path)) as ledger:
        ledger.begin_anew(LedgerDamagedError("damaged", "look at the disk"), WALL_NS)
    with closing(_create(path)) as ledger:
        told = ledger.opening.events(WALL_NS)
        assert [event.kind for event in told] == ["ledger_damaged"]
        ledger.append(told)
    with closing(_create(path)) as ledger:
        assert ledger.opening.events(WALL_NS) == ()


def test_the_log_of_a_ledger_that_is_gone_is_not_played_into_the_new_one(tmp_path: Path) -> None:
    """A technician moves the file away while the daemon runs, and it is killed: records of the two are not mixed."""
    path, moved = tmp_path / "ledger.sqlite", tmp_path / "moved"
    log = path.with_name("ledger.sqlite-wal")
    with closing(_create(path)) as ledger:
        ledger.append([verdict_record(number) for number in range(1, 11)])
        moved.write_bytes(path.read_bytes())
        orphan = log.read_bytes()
    path.unlink()
    log.write_bytes(orphan)
    with closing(_create(path)) as ledger:
        [sequence] = ledger.append([verdict_record(11)])
        assert sequence > 10
        assert [row.sequence for row in ledger.rows(1, sequence, 100)] == [sequence]
    assert _is_sound(path)
    kept = path.with_name("ledger.sqlite.gone-1")
    moved.rename(kept)  # what the log holds is read beside the file that it belongs to
    with closing(LedgerReader(kept)) as reader:
        assert reader.extent().newest == 10
