from __future__ import annotations

import pytest
from makers import MS
from outbox_bench import FailingLedger, ScriptedBroker, SettlingCamera, make_item

from edge_runtime.broker.port import PubAck
from edge_runtime.ledger.retention import Quota
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.publish import PublishStage
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.record import RecordStage


@pytest.fixture
def ledger() -> FailingLedger:
    """An empty ledger."""
    return FailingLedger()


def _recorder(ledger, queue, camera) -> RecordStage:
    return RecordStage(ledger, camera, queue, SimulatedClock(), group_commit_s=0, quota=Quota(1_000))


def test_what_came_together_is_committed_together_and_then_settled(ledger) -> None:
    """A file is moved or deleted only after its verdict is durable."""
    queue, camera = BoundedQueue("records", 100), SettlingCamera()
    stage = _recorder(ledger, queue, camera)
    for number in (1, 2, 3):
        queue.try_put(make_item(number))
    stage.step()
    assert (stage.committed, ledger.backlog(), camera.settled) == (3, 3, [1, 2, 3])


def test_a_full_disk_loses_nothing_and_settles_nothing(ledger) -> None:
    """The batch waits and is committed, in order, once there is room."""
    queue, camera = BoundedQueue("records", 100), SettlingCamera()
    stage = _recorder(ledger, queue, camera)
    queue.try_put(make_item(1))
    ledger.refusing = {"append"}
    stage.step()
    assert (stage.failing, camera.settled, stage.waiting) == ("append refused", [], 1)
    ledger.refusing = set()
    queue.try_put(make_item(2))
    stage.step()
    assert (stage.failing, camera.settled, stage.waiting) == (None, [1, 2], 0)


@pytest.fixture
def publishing(ledger):
    """Three committed rows, a broker and the stage between them."""
    ledger.append([make_item(number).record for number in (1, 2, 3)])
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
