from __future__ import annotations

import pytest
from makers import MS, make_inspection, make_lost, make_part, make_recipe

from edge_runtime.broker.port import BrokerStatus, PubAck
from edge_runtime.decision.judge import judge
from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.flow import RecordItem
from edge_runtime.services.publish import PublishStage
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.record import RecordStage


def _item(number: int) -> RecordItem:
    part = make_part(number)
    verdict = judge(make_inspection(0.5), part, make_recipe(), 1_010 * MS)
    return RecordItem(VerdictRecord(verdict, 10 * MS, "camera", "test"), make_lost(number))


class SettlingCamera:
    """Remembers what it was told to settle."""

    def __init__(self) -> None:
        self.settled = []

    def settle(self, arrival) -> None:
        """Remember it."""
        self.settled.append(arrival.trigger.sequence)


class MoodyLedger(MemoryLedger):
    """Refuses while the disk is full."""

    full = False

    def append(self, entries):
        """As the twin, unless the disk is full."""
        if self.full:
            raise LedgerError("disk full", "make room")
        return super().append(entries)


@pytest.fixture
def ledger() -> MoodyLedger:
    """An empty ledger."""
    return MoodyLedger(lambda _entry, sequence: b"%d" % sequence)


def _recorder(ledger, queue, camera) -> RecordStage:
    return RecordStage(ledger, camera, queue, group_commit_s=0, keep_rows=1_000)


def test_what_came_together_is_committed_together_and_then_settled(ledger) -> None:
    """A file is moved or deleted only after its verdict is durable."""
    queue, camera = BoundedQueue("records", 100), SettlingCamera()
    stage = _recorder(ledger, queue, camera)
    for number in (1, 2, 3):
        queue.try_put(_item(number))
    stage.step()
    assert (stage.committed, ledger.backlog(), camera.settled) == (3, 3, [1, 2, 3])


def test_a_full_disk_loses_nothing_and_settles_nothing(ledger) -> None:
    """The batch waits and is committed, in order, once there is room."""
    queue, camera = BoundedQueue("records", 100), SettlingCamera()
    stage = _recorder(ledger, queue, camera)
    queue.try_put(_item(1))
    ledger.full = True
    stage.step()
    assert (stage.failing, camera.settled, stage.waiting) == ("disk full", [], 1)
    ledger.full = False
    queue.try_put(_item(2))
    stage.step()
    assert (stage.failing, camera.settled, stage.waiting) == (None, [1, 2], 0)


class ScriptedBroker:
    """Accepts rows up to its window; the test decides what becomes of them."""

    def __init__(self) -> None:
        self.connected = True
        self.connects = 1
        self.taken: list[int] = []
        self.acks: list[PubAck] = []
        self.window = 100

    def publish(self, row) -> bool:
        """Take a row if there is room."""
        if not self.connected or len(self.taken) >= self.window:
            return False
        self.taken.append(row.sequence)
        return True

    def poll_acks(self, timeout_s: float) -> list[PubAck]:
        """What the test has put there."""
        acks, self.acks = self.acks, []
        return acks

    def status(self) -> BrokerStatus:
        """Connected or not."""
        return BrokerStatus(self.connected, "", self.connects)

    def answer(self, *, accepted: bool, reason: str = "success") -> None:
        """Answer everything that was taken."""
        self.acks = [PubAck(sequence, accepted, reason) for sequence in self.taken]
        self.taken = []


@pytest.fixture
def publishing(ledger):
    """Three committed rows, a broker and the stage between them."""
    ledger.append([_item(number).record for number in (1, 2, 3)])
    broker, clock = ScriptedBroker(), SimulatedClock()
    return ledger, broker, clock, PublishStage(ledger, broker, clock)


def test_rows_are_sent_once_and_marked_on_puback(publishing) -> None:
    """Without PUBACK a row stays in the outbox, but it is not sent twice while it is in flight."""
    ledger, broker, clock, stage = publishing
    stage.step()
    stage.step()
    assert (broker.taken, ledger.backlog()) == ([1, 2, 3], 3)
    broker.answer(accepted=True)
    stage.step()
    assert (stage.backlog(), stage.acknowledged, broker.taken) == (0, 3, [])
    clock.advance(2_001 * MS)
    stage.step()
    assert (ledger.backlog(), broker.taken) == (0, [])


def test_what_was_acknowledged_just_before_the_connection_broke_is_sent_again(publishing) -> None:
    """A broker that is killed forgets what it acknowledged but had not saved; an older PUBACK is trusted."""
    ledger, broker, clock, stage = publishing
    stage.step()
    broker.acks = [PubAck(1, accepted=True, reason="success")]
    stage.step()
    clock.advance(2_001 * MS)
    broker.acks = [PubAck(2, accepted=True, reason="success"), PubAck(3, accepted=True, reason="success")]
    broker.taken = []
    stage.step()
    assert (ledger.backlog(), stage.backlog()) == (2, 0)
    broker.connects = 2
    stage.step()
    assert broker.taken == [2, 3]


def test_a_clean_end_marks_what_is_acknowledged(publishing) -> None:
    """Nothing is sent twice after an ordinary restart."""
    ledger, broker, _, stage = publishing
    stage.step()
    broker.answer(accepted=True)
    stage.finish()
    assert ledger.backlog() == 0


def test_a_lost_connection_sends_again_what_had_no_puback(publishing) -> None:
    """At least once: the subscriber drops duplicates by sequence."""
    ledger, broker, _, stage = publishing
    stage.step()
    broker.connected = False
    broker.answer(accepted=False, reason="disconnected")
    stage.step()
    assert broker.taken == []
    broker.connected = True
    stage.step()
    assert (broker.taken, ledger.backlog()) == ([1, 2, 3], 3)


def test_a_refusing_broker_is_asked_again_later_not_at_once(publishing) -> None:
    """An ACL that is wrong today may be right tomorrow; nothing is dropped, nothing is hammered."""
    _, broker, clock, stage = publishing
    stage.step()
    broker.answer(accepted=False, reason="not authorized")
    stage.step()
    assert (broker.taken, stage.refusal) == ([], "not authorized")
    clock.advance(2_001 * MS)
    stage.step()
    assert broker.taken == [1, 2, 3]


def test_a_small_window_delays_but_keeps_the_order(publishing) -> None:
    """What does not fit now is sent when the window opens."""
    _, broker, _, stage = publishing
    broker.window = 2
    stage.step()
    assert broker.taken == [1, 2]
    broker.answer(accepted=True)
    stage.step()
    assert broker.taken == [3]
