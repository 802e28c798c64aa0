from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from makers import MS
from outbox_bench import FailingLedger, ScriptedBroker, SettlingCamera, make_item

from edge_runtime.broker.encoding import encoder
from edge_runtime.broker.port import PubAck
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.ledger.retention import Quota
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.publish import PublishStage
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.record import MOST_PER_COMMIT, RecordStage


@pytest.fixture
def ledger() -> FailingLedger:
    """An empty ledger."""
    return FailingLedger()


def test_a_dead_disk_costs_no_processor(ledger) -> None:
    """With more records waiting than fit into a batch the disk is asked some ten times per second, not thousands."""
    queue = BoundedQueue("records", 1_000)
    stage = RecordStage(ledger, SettlingCamera(), queue, SimulatedClock(), group_commit_s=0, quota=Quota(1_000))
    for number in range(1, 2 * MOST_PER_COMMIT):
        queue.try_put(make_item(number))
    ledger.refusing = {"append"}
    stage.step()
    began_s, rounds = time.monotonic(), 5
    for _ in range(rounds):
        stage.step()
    assert time.monotonic() - began_s >= rounds * 0.09
    ledger.refusing = set()
    for _ in range(3):
        stage.step()
    assert (stage.waiting, stage.failing) == (0, None)


def test_a_prune_that_fails_costs_no_record(ledger) -> None:
    """It is tidying up: it is tried again later."""
    queue = BoundedQueue("records", 20_000)
    camera = SettlingCamera()
    stage = RecordStage(ledger, camera, queue, SimulatedClock(), group_commit_s=0, quota=Quota(1_000))
    ledger.refusing = {"prune"}
    for number in range(1, 10_002):
        queue.try_put(make_item(number))
    while stage.waiting:
        stage.step()
    assert (stage.committed, len(camera.settled)) == (10_001, 10_001)


@pytest.fixture
def publishing(ledger):
    """Three committed rows, a broker and the stage between them."""
    ledger.append([make_item(number).record for number in (1, 2, 3)])
    broker, clock = ScriptedBroker(), SimulatedClock()
    return ledger, broker, clock, PublishStage(ledger, broker, clock)


def test_a_broker_that_goes_and_comes_back_while_pubacks_are_gathered_gets_their_rows_again(publishing) -> None:
    """They came on the connection that broke: killed then, the broker may not have saved what it acknowledged."""
    _, broker, _, stage = publishing
    stage.step()
    broker.answer(accepted=True)
    stage._never = SimpleNamespace(wait=lambda _: setattr(broker, "connects", 2))
    stage.step()
    assert broker.taken == [1, 2, 3]


def test_marks_that_the_disk_refuses_are_made_later(publishing) -> None:
    """What the broker has acknowledged is neither forgotten nor sent again while this process lives."""
    ledger, broker, clock, stage = publishing
    stage.step()
    broker.answer(accepted=True)
    stage.step()
    ledger.refusing = {"mark_sent"}
    clock.advance(2_001 * MS)
    stage.step()
    assert stage.failing == "mark_sent refused"
    ledger.refusing = set()
    clock.advance(2_001 * MS)
    stage.step()
    assert (ledger.backlog(), broker.taken, stage.failing) == (0, [], None)


def test_marks_that_wait_survive_a_lost_connection(publishing) -> None:
    """They have outlived the broker's memory: no reason to send them again."""
    ledger, broker, clock, stage = publishing
    stage.step()
    broker.answer(accepted=True)
    stage.step()
    ledger.refusing = {"mark_sent"}
    clock.advance(2_001 * MS)
    stage.step()
    ledger.refusing = set()
    broker.connects = 2
    clock.advance(2_001 * MS)
    stage.step()
    assert (ledger.backlog(), broker.taken) == (0, [])


def test_an_outbox_that_cannot_be_read_is_asked_again(publishing) -> None:
    """The stage goes on, and everything is sent once the disk answers."""
    ledger, broker, clock, stage = publishing
    ledger.refusing = {"unsent"}
    stage.step()
    assert (broker.taken, stage.failing) == ([], "unsent refused")
    ledger.refusing = set()
    clock.advance(2_001 * MS)
    stage.step()
    assert broker.taken == [1, 2, 3]


def test_a_puback_that_comes_while_the_disk_is_dead_is_not_lost(publishing) -> None:
    """Collecting and marking are two things."""
    ledger, broker, clock, stage = publishing
    stage.step()
    ledger.refusing = {"mark_sent", "unsent"}
    broker.acks = [PubAck(1, accepted=True, reason="success")]
    stage.step()
    clock.advance(2_001 * MS)
    stage.step()
    broker.acks = [PubAck(2, accepted=True, reason="success"), PubAck(3, accepted=True, reason="success")]
    broker.taken = []
    stage.step()
    ledger.refusing = set()
    clock.advance(2_001 * MS)
    stage.step()
    stage.step()
    assert (ledger.backlog(), broker.taken, stage.acknowledged) == (0, [], 3)


def test_a_record_that_cannot_be_written_holds_up_no_other() -> None:
    """A clock before 1970 has no place in a message; the parts before and after it are recorded."""
    item = make_item(2)
    impossible = replace(item.record, verdict=replace(item.record.verdict, triggered_wall_ns=-1))
    ledger, camera = MemoryLedger(encoder("line")), SettlingCamera()
    queue = BoundedQueue("records", 10)
    stage = RecordStage(ledger, camera, queue, SimulatedClock(), group_commit_s=0, quota=Quota(1_000))
    for each in (make_item(1), replace(item, record=impossible), make_item(3)):
        queue.try_put(each)
    stage.step()
    assert (stage.committed, stage.waiting, stage.lost, camera.settled) == (2, 0, 1, [1, 3])
