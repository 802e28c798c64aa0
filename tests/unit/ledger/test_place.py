from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, verdict_record
from outbox_bench import SettlingCamera, make_item

from edge_runtime.broker.encoding import encoder
from edge_runtime.config.line import LedgerSettings
from edge_runtime.domain.status import LineReason
from edge_runtime.ledger import create
from edge_runtime.ledger.reader import LedgerReader
from edge_runtime.ledger.retention import Quota
from edge_runtime.ledger.verify import verify
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.condition import LedgerProbe
from edge_runtime.services.housekeeping import LOOK_NS
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.record import RecordStage

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.ledger.port import Ledger

pytestmark = pytest.mark.usefixtures("no_leaks")
FIRST, SECOND = range(1, 11), range(11, 21)


@pytest.fixture
def path(tmp_path) -> Path:
    """In a folder of its own, so that all that lies beside it is the ledger's."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "ledger.sqlite"


def _create(path: Path) -> Ledger:
    return create(LedgerSettings(reserve_mb=0), path, DEVICE, encoder(DEVICE))


def _write(ledger: Ledger, parts: range) -> list[int]:
    return [*ledger.append([verdict_record(number) for number in parts])]


def _is_sound(path: Path) -> bool:
    with closing(LedgerReader(path)) as reader:
        return verify(reader).is_sound


def test_a_ledger_in_its_place_is_not_told_of(path) -> None:
    """Neither after many records, nor after a checkpoint, nor once it is opened again."""
    for _ in range(2):
        with closing(_create(path)) as ledger:
            for _ in range(5):
                _write(ledger, range(1, 300))
            assert ledger.look_after_room().lost is None


def test_a_file_that_is_moved_and_moved_back_has_lost_nothing(path) -> None:
    """It is told while it is away; what was written meanwhile is in it, and its numbers go on without a gap."""
    with closing(_create(path)) as ledger:
        numbers = _write(ledger, FIRST)
        away = path.rename(path.with_name("away"))
        lost = ledger.look_after_room().lost
        assert lost is not None
        assert str(path) in lost
        numbers += _write(ledger, SECOND)
        assert [row.sequence for row in ledger.unsent(0, 99)] == numbers
        away.rename(path)
        assert ledger.look_after_room().lost is None
    with closing(_create(path)) as ledger:
        assert [row.sequence for row in ledger.unsent(0, 99)] == numbers
        assert _write(ledger, range(21, 22)) == [numbers[-1] + 1]
    assert _is_sound(path)


def test_a_moved_file_may_be_moved_back_after_a_stop_and_before_the_next_start(path) -> None:
    """Its log stays at its place meanwhile: no unsent record is lost, and no number is given twice."""
    with closing(_create(path)) as ledger:
        numbers = _write(ledger, FIRST)
        away = path.rename(path.with_name("away"))
        numbers += _write(ledger, SECOND)
    away.rename(path)
    with closing(_create(path)) as ledger:
        assert [row.sequence for row in ledger.unsent(0, 99)] == numbers
        assert _write(ledger, range(21, 22)) == [numbers[-1] + 1]
    assert _is_sound(path)


@pytest.mark.parametrize("pattern", ["ledger.sqlite", "ledger.sqlite*"])
def test_behind_a_deleted_ledger_the_numbers_go_on(path, pattern) -> None:
    """Even where the floor went with it: it is written again at the next look."""
    with closing(_create(path)) as ledger:
        numbers = _write(ledger, FIRST)
        for file in path.parent.glob(pattern):
            file.unlink()
        assert ledger.look_after_room().lost is not None
        numbers += _write(ledger, SECOND)
        assert [row.sequence for row in ledger.unsent(0, 99)] == numbers, "they are sent as before"
        ledger.mark_sent(numbers)
        assert ledger.backlog() == 0
    with closing(_create(path)) as ledger:
        assert ledger.look_after_room().lost is None
        assert _write(ledger, FIRST)[0] > max(numbers)
    assert _is_sound(path)


def test_a_floor_that_cannot_be_written_again_is_no_error(path) -> None:
    """The whole folder is gone: the ledger is told of, and records go on."""
    with closing(_create(path)) as ledger:
        _write(ledger, FIRST)
        path.parent.rename(path.parent.with_name("away"))
        assert ledger.look_after_room().lost is not None
        _write(ledger, SECOND)
        assert ledger.backlog() == 20


def test_another_file_in_its_place_is_told(path) -> None:
    """A copy is not the file that is written."""
    with closing(_create(path)) as ledger:
        _write(ledger, FIRST)
        content = path.read_bytes()
        path.rename(path.with_name("away"))
        path.write_bytes(content)
        assert ledger.look_after_room().lost is not None


def test_a_deleted_log_is_told_and_a_clean_stop_loses_nothing(path) -> None:
    """SQLite writes what it holds into the database when it is closed."""
    with closing(_create(path)) as ledger:
        numbers = _write(ledger, FIRST)
        path.with_name("ledger.sqlite-wal").unlink()
        lost = ledger.look_after_room().lost
        assert lost is not None
        assert "ledger.sqlite-wal" in lost
        numbers += _write(ledger, SECOND)
    with closing(_create(path)) as ledger:
        assert [row.sequence for row in ledger.unsent(0, 99)] == numbers
    assert _is_sound(path)


def test_the_line_says_that_its_ledger_is_gone_and_no_record_waits(path) -> None:
    """A standing reason from the next look on, as long as it lasts; the record stage goes on committing."""
    clock, queue = SimulatedClock(), BoundedQueue("records", 100)
    with closing(_create(path)) as ledger:
        stage = RecordStage(ledger, SettlingCamera(), queue, clock, group_commit_s=0, quota=Quota(1_000))
        probe, told = LedgerProbe(stage), []
        away = path.with_name("away")
        for number, (source, target) in enumerate([(path, path), (path, away), (away, path)], 1):
            source.rename(target)
            clock.advance(LOOK_NS)
            queue.try_put(make_item(number))
            stage.step()
            told.append({reason for reason, _ in probe(clock.monotonic_ns())})
            assert (stage.failure, stage.waiting, stage.committed) == (None, 0, number)
    assert told == [set(), {LineReason.LEDGER_DAMAGED}, set()]
