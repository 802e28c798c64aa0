from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, file_identity, verdict_record
from outbox_bench import SettlingCamera, make_item
from small_disks import fill, small_disk, turn_read_only

from edge_runtime.broker.encoding import encoder
from edge_runtime.domain.errors import LedgerError, LedgerFullError
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ledger.evidence import EvidenceStore
from edge_runtime.ledger.reader import LedgerReader
from edge_runtime.ledger.retention import Quota
from edge_runtime.ledger.verify import verify
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.record import RecordStage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESERVE_BYTES = 4_000_000
SECOND = 1_000_000_000


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, tmp_path) -> Iterator[Path]:
    """A small real file system."""
    with small_disk(request.param, tmp_path) as place:
        yield place


@pytest.fixture
def ext4(tmp_path) -> Iterator[Path]:
    """A small real ext4."""
    with small_disk("ext4", tmp_path) as place:
        yield place


def _open(disk: Path, reserve_bytes: int = RESERVE_BYTES) -> contextlib.closing[SqliteLedger]:
    return contextlib.closing(SqliteLedger(disk / "ledger.sqlite", DEVICE, encoder(DEVICE), reserve_bytes))


def _append_until_full(ledger: SqliteLedger, most: int = 20_000) -> int:
    for number in range(1, most, 10):
        try:
            ledger.append([verdict_record(number + offset) for offset in range(10)])
        except LedgerFullError:
            return number - 1
    return most


def _is_sound(disk: Path) -> bool:
    with contextlib.closing(LedgerReader(disk / "ledger.sqlite")) as reader:
        return verify(reader).is_sound


def test_the_reserve_keeps_verdicts_coming_on_a_full_disk(disk) -> None:
    """Without a reserve a full disk takes nothing at once; with one, thousands of verdicts more; then it says so."""
    with _open(disk, 0) as ledger:
        ledger.append([verdict_record(1)])
        filler = fill(disk)
        without = _append_until_full(ledger)
        filler.unlink()
    with _open(disk) as ledger:
        assert ledger.look_after_room().reserve_bytes == RESERVE_BYTES
        filler = fill(disk)
        before = ledger.head.sequence
        count = _append_until_full(ledger)
        assert count > 2_500 > 20 * without
        assert ledger.head.sequence == before + count
        assert ledger.look_after_room().reserve_bytes == 0
        filler.unlink()
        ledger.append([verdict_record(1)])
        assert ledger.look_after_room().reserve_bytes == RESERVE_BYTES, "held again as soon as there is room"
    assert _is_sound(disk)


def test_delivered_records_make_place_before_a_new_one_is_lost(disk) -> None:
    """With a broker that takes everything, a full disk never stops the record: the oldest delivered go, recorded."""
    clock, queue = SimulatedClock(), BoundedQueue("records", 1_000)
    with _open(disk) as ledger:
        stage = RecordStage(ledger, SettlingCamera(), queue, clock, group_commit_s=0, quota=Quota(1_000_000))
        fill(disk)
        for number in range(1, 8_001, 20):
            for offset in range(20):
                assert queue.try_put(make_item(number + offset))
            stage.step()
            clock.advance(SECOND // 10)
            with contextlib.suppress(LedgerError):  # as the publish stage: tried again
                ledger.mark_sent([row.sequence for row in ledger.unsent(0, 500)])
        for _ in range(20):
            stage.step()
            clock.advance(SECOND)
        assert (stage.waiting, stage.lost_in_all, queue.dropped) == (0, 0, 0)
        oldest = ledger.rows(1, 10**9, 1)[0].sequence
        assert oldest > 4_000
        pruned = [json.loads(row.payload) for row in ledger.recent(5_000) if b"records_pruned" in row.payload]
        assert {event["attributes"]["limit"] for event in pruned} == {"disk"}
    assert _is_sound(disk)


def test_evidence_goes_first(disk) -> None:
    """While there is an image left to drop, the ledger's reserve is not touched."""
    with _open(disk) as ledger:
        store = EvidenceStore(disk / "evidence", 100_000_000, keep_free_bytes=3_000_000)
        with contextlib.suppress(LedgerError):
            for number in range(200):
                store.save(f"{number:04}.jpg", b"x" * 100_000)
        kept = store.count
        assert kept > 50
        fill(disk, leave_bytes=1_000_000)
        ledger.append([verdict_record(1)])
        while store.make_way():
            pass
        assert 0 < store.count < kept
        assert ledger.look_after_room().reserve_bytes == RESERVE_BYTES
        assert not (disk / "evidence" / "0000.jpg").exists(), "the oldest first"
        store.save("newest.jpg", b"x" * 100_000)
        assert (disk / "evidence" / "newest.jpg").exists(), "a new one takes the place of an old one"


def test_a_loss_is_counted_and_recorded_once_there_is_room(disk) -> None:
    """Nothing delivered, no reserve, the queue full: what is lost then stands in the ledger as a number."""
    clock, queue = SimulatedClock(), BoundedQueue("records", 50)
    with _open(disk, 0) as ledger:
        stage = RecordStage(ledger, SettlingCamera(), queue, clock, group_commit_s=0, quota=Quota(1_000_000))
        filler = fill(disk)
        _append_until_full(ledger)
        given = 400
        for number in range(1, given + 1):
            queue.try_put(make_item(number))
        stage.step()
        assert isinstance(stage.failure, LedgerFullError)
        assert (stage.lost_in_all, stage.waiting) == (given - 50, 51), "with the record of the loss"
        before = ledger.head.sequence
        filler.unlink()
        stage.step()
        stage.step()
        events = [json.loads(row.payload) for row in ledger.rows(before + 1, before + 99, 99) if row.channel == "event"]
        assert [(event["kind"], event["attributes"]["records"]) for event in events] == [("records_lost", given - 50)]
        assert (stage.waiting, stage.failure) == (0, None)
        assert ledger.head.sequence == before + 51


def test_a_full_disk_does_not_keep_the_daemon_from_starting(disk) -> None:
    """The reserve of the last run is given up to open the ledger."""
    with _open(disk) as ledger:
        ledger.append([verdict_record(1)])
    fill(disk)
    with _open(disk) as ledger:
        assert list(ledger.append([verdict_record(2)])) == [2]
        assert 0 < ledger.look_after_room().reserve_bytes < RESERVE_BYTES


def test_a_disk_that_turns_read_only_is_named_and_reads_go_on(ext4) -> None:
    """Nothing is committed, nothing crashes; whoever asks still gets answers."""
    with _open(ext4) as ledger:
        ledger.append([verdict_record(1, file=file_identity(1))])
        turn_read_only(ext4)
        with pytest.raises(LedgerError) as caught:
            ledger.append([verdict_record(number) for number in range(2, 300)])
        assert str(ext4) in caught.value.what
        assert not isinstance(caught.value, LedgerFullError)
        assert ledger.is_seen(file_identity(1))
        assert (ledger.backlog(), ledger.head.sequence) == (1, 1)


def test_a_copy_on_a_read_only_medium_is_verified(ext4) -> None:
    """Neither a log nor a lock can be made beside it, and none is needed."""
    with _open(ext4, 0) as ledger:
        ledger.append([verdict_record(1)])
    subprocess.run(["mount", "-o", "remount,ro", ext4], check=True)
    assert _is_sound(ext4)
