from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import MS
from outbox_bench import FailingLedger, ScriptedBroker, make_item

from edge_runtime.broker.port import PubAck, Request
from edge_runtime.ledger.memory import MemoryLedger
from edge_runtime.ledger.retention import Retention
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.asked import INTERVAL_NS, MOST_REQUESTS
from edge_runtime.services.publish import GATHER_S, LINGER_S, PublishStage
from edge_runtime.services.replay import MOST_IN_FLIGHT, MOST_ROWS, MOST_WAITING, Replayer

SECOND = 1_000 * MS


class AskableBroker(ScriptedBroker):
    """A broker through which requests come."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.replayed: list[int] = []

    def publish(self, row) -> bool:
        """As the parent, and remember what was marked."""
        taken = super().publish(row)
        if taken and row.is_replay:
            self.replayed.append(row.sequence)
        return taken

    def poll_requests(self) -> list[Request]:
        """What the test has put there."""
        requests, self.requests = self.requests, []
        return requests

    def ask(self, first: int, last: int) -> None:
        """A sound request."""
        self.requests.append(Request("replay", json.dumps({"from_sequence": first, "to_sequence": last}).encode()))


class Rig:
    """A publish stage with a replayer, twenty delivered records, time that stands still."""

    def __init__(self, rows_per_s: int = 1_000, records: int = 20) -> None:
        self.ledger, self.broker, self.clock = FailingLedger(), AskableBroker(), SimulatedClock()
        self.told = []
        self.replayer = Replayer(self.ledger, rows_per_s, self.told.append, self.clock)
        self.stage = PublishStage(self.ledger, self.broker, self.clock, self.replayer)
        self.ledger.append([make_item(number).record for number in range(1, records + 1)])
        self.ledger.mark_sent(range(1, records + 1))

    def step(self, *, acknowledge: bool = True, after_ns: int = 20 * MS) -> None:
        """One step, then the broker's answer and some time."""
        self.stage.step()
        if acknowledge:
            self.broker.answer(accepted=True)
        self.clock.advance(after_ns)

    def kinds(self) -> list[str]:
        """What was recorded."""
        return [event.kind for event in self.told]


@pytest.fixture
def rig() -> Rig:
    """Nobody has asked yet."""
    return Rig()


def test_the_wanted_range_is_sent_again_in_order(rig) -> None:
    """Both ends included, each record once, marked as a replay; begin and end are recorded."""
    rig.broker.ask(5, 18)
    for _ in range(10):
        rig.step()
    assert rig.broker.replayed == list(range(5, 19))
    assert rig.kinds() == ["replay_started", "replay_finished"]
    assert (rig.told[1].attributes["sent"], rig.told[1].attributes["missing"]) == (14, 0)


def test_new_records_go_first(rig) -> None:
    """As long as anything new waits, not one record is replayed."""
    rig.broker.ask(1, 20)
    rig.broker.window = 3
    rig.ledger.append([make_item(number).record for number in range(21, 27)])
    rig.step()
    assert (rig.broker.replayed, rig.stage.backlog()) == ([], 6)
    rig.step()
    assert (rig.broker.replayed, rig.stage.backlog()) == ([], 3)
    rig.step()
    rig.step()
    assert rig.broker.replayed
    assert rig.stage.backlog() == 0


def test_the_connections_window_stays_free_for_new_records(rig) -> None:
    """Only a few replayed records wait for their PUBACK at a time, however many were asked for."""
    rig.broker.ask(1, 20)
    for _ in range(5):
        rig.step(acknowledge=False)
    assert len(rig.broker.taken) == MOST_IN_FLIGHT


def test_the_rate_is_kept() -> None:
    """Ten per second are ten per second, whatever the broker could take."""
    rig = Rig(rows_per_s=10, records=60)
    rig.broker.ask(1, 60)
    sent = []
    for _ in range(3):
        for _ in range(50):
            rig.step()
        sent.append(len(rig.broker.replayed))
    assert sent[2] - sent[1] == 10
    assert sent[0] <= 12, "a short burst at the beginning"


def test_no_round_of_a_replay_lingers_for_records_that_may_come(rig) -> None:
    """A few are on their way at a time: at twenty rounds per second the rate would never be reached."""
    waits: list[float] = []
    rig.stage._never = SimpleNamespace(wait=waits.append)
    rig.broker.ask(1, 20)
    while len(rig.broker.replayed) < 20:
        rig.step()
    assert set(waits) == {GATHER_S}
    while not rig.replayer.is_idle:
        rig.step()
    rig.ledger.append([make_item(21).record])
    for _ in range(3):
        rig.step()
    assert waits[-1] == LINGER_S


def test_what_is_no_longer_there_is_counted(rig) -> None:
    """Pruned records are said to be missing; a range behind the end is left to the ordinary way."""
    rig.ledger.prune(Retention(10), 0)
    rig.broker.ask(1, 99)
    for _ in range(10):
        rig.step()
    assert rig.broker.replayed == list(range(11, 21)), "21, the record of the pruning, is on its way anyhow"
    assert (rig.told[-1].attributes["sent"], rig.told[-1].attributes["missing"]) == (10, 10)


def test_a_lost_connection_loses_no_replayed_record(rig) -> None:
    """What was on its way is sent again."""
    rig.broker.ask(1, 6)
    rig.step(acknowledge=False)
    rig.broker.answer(accepted=False, reason="disconnected")
    for _ in range(5):
        rig.step()
    assert sorted(set(rig.broker.replayed)) == [1, 2, 3, 4, 5, 6]
    assert (rig.kinds()[-1], rig.told[-1].attributes["sent"]) == ("replay_finished", 6)


def test_a_ledger_that_cannot_be_read_delays_the_replay(rig) -> None:
    """The stage says so, and goes on when it can."""
    rig.broker.ask(1, 3)
    rig.ledger.refusing = {"rows"}
    rig.step()
    assert rig.stage.failing == "rows refused"
    rig.ledger.refusing = set()
    rig.clock.advance(2 * SECOND)
    rig.step()
    rig.step()
    assert rig.broker.replayed == [1, 2, 3]


@pytest.mark.parametrize(("first", "last"), [(5, 4), (1, MOST_ROWS + 1), (0, 3), (-1, 3)])
def test_an_impossible_range_is_refused(rig, first, last) -> None:
    """Too much, backwards or before the first: one record says why, nothing is sent."""
    rig.broker.ask(first, last)
    rig.step()
    assert (rig.kinds(), rig.broker.taken) == (["replay_refused"], [])


def test_requests_wait_in_a_short_line(rig) -> None:
    """One runs, a few wait, the next is refused."""
    for _ in range(MOST_WAITING + 2):
        rig.broker.ask(1, 20)
    rig.step()
    assert rig.kinds() == ["replay_started"] * (MOST_WAITING + 1) + ["replay_refused"]


def test_a_flood_of_requests_fills_no_ledger(rig) -> None:
    """Beyond a few per minute requests are not even recorded one by one; the next one says how many there were."""
    for _ in range(500):
        rig.broker.ask(2, 1)
        rig.step(after_ns=MS)
    assert len(rig.told) == MOST_REQUESTS
    rig.clock.advance(INTERVAL_NS)
    rig.broker.ask(2, 1)
    rig.step()
    assert rig.told[-1].attributes["requests_ignored_before"] == 500 - MOST_REQUESTS


@settings(deadline=None)
@given(
    payload=st.one_of(
        st.binary(max_size=300),
        st.dictionaries(
            st.sampled_from(["from_sequence", "to_sequence", "who", "why", "x"]),
            st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.lists(st.integers())),
        ).map(lambda body: json.dumps(body).encode()),
    ),
    topic=st.text(max_size=50),
    properties=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=300)), max_size=12),
)
def test_whatever_comes_as_a_request_does_no_harm(payload, topic, properties) -> None:
    """Any bytes are a replay or a refusal, and what is recorded of them is bounded."""
    told = []
    replayer = Replayer(MemoryLedger(lambda _entry, _sequence: b"{}"), 100, told.append, SimulatedClock())
    replayer.ask(Request("replay", payload, topic, b"", tuple(properties)))
    assert [event.kind for event in told] in (["replay_started"], ["replay_refused"])
    assert all(len(str(value)) <= 500 for value in told[0].attributes.values())


def test_an_accepted_replay_is_not_the_delivery_of_something_new(rig) -> None:
    """The PUBACK of a replayed record neither counts as published nor is marked."""
    rig.broker.ask(1, 1)
    rig.step(acknowledge=False)
    rig.broker.acks = [PubAck(1, accepted=True, reason="success")]
    rig.step(acknowledge=False)
    assert (rig.stage.acknowledged, rig.replayer.sent) == (0, 1)
