from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from makers import MS
from outbox_bench import FailingLedger, ScriptedBroker, make_item

from edge_runtime.broker.port import PubAck
from edge_runtime.ledger.retention import Retention
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.publish import PublishStage

if TYPE_CHECKING:
    from edge_runtime.domain.records import OutboxRow

REASON = "packet too large"
MINUTE_MS = 60_001 * MS


class PickyBroker(ScriptedBroker):
    """Takes every row but some, and answers at once."""

    def __init__(self, refused: set[int]) -> None:
        super().__init__()
        self.refused = refused
        self.offered: list[int] = []

    def publish(self, row: OutboxRow) -> bool:
        """Answered in the next round."""
        self.offered.append(row.sequence)
        accepted = row.sequence not in self.refused
        self.acks.append(PubAck(row.sequence, accepted, "success" if accepted else REASON))
        return True


class Bench:
    """A stage between a ledger and a broker that refuses record 2, and who hears of it."""

    def __init__(self, refused: set[int]) -> None:
        self.ledger, self.broker, self.clock = FailingLedger(), PickyBroker(refused), SimulatedClock()
        self.told: list[tuple[int, str]] = []
        self.stage = PublishStage(self.ledger, self.broker, self.clock, told=self._hear)
        self._number = 0

    def _hear(self, row: OutboxRow, reason: str) -> None:
        self.told.append((row.sequence, reason))

    def rounds(self, count: int, *, with_parts: bool = True) -> None:
        """So many seconds, a part in each."""
        for _ in range(count):
            if with_parts:
                self._number += 1
                self.ledger.append([make_item(self._number).record])
            self.stage.step()
            self.clock.advance(1_000 * MS)


@pytest.fixture
def bench() -> Bench:
    """Ten rows were offered to it again and again."""
    bench = Bench({2})
    bench.rounds(20)
    return bench


def test_a_row_that_is_refused_for_ever_holds_up_neither_the_others_nor_pruning(bench) -> None:
    """It is set apart: delivered are all others, and the oldest may go, this one included, since a copy is kept."""
    bench.rounds(4, with_parts=False)
    assert (bench.ledger.backlog(), bench.stage.set_apart, bench.told) == (1, 1, [(2, REASON)])
    assert bench.ledger.delivered_upto() == 20
    assert bench.ledger.prune(Retention(5), bench.clock.wall_ns()) == 15
    assert [row.sequence for row in bench.ledger.apart(0, 10)] == [2]


def test_what_was_set_apart_is_offered_again_and_delivered_once_it_is_taken(bench) -> None:
    """Somebody mended the broker: within a minute it has everything."""
    before = bench.broker.offered.count(2)
    bench.clock.advance(MINUTE_MS)
    bench.rounds(3)
    assert bench.broker.offered.count(2) == before + 1
    bench.broker.refused = set()
    bench.clock.advance(MINUTE_MS)
    bench.rounds(5)
    bench.rounds(4, with_parts=False)
    assert (bench.ledger.backlog(), bench.stage.set_apart) == (0, 0)
    assert bench.broker.offered.count(2) == before + 2


def test_a_broker_that_refuses_everything_sets_nothing_apart() -> None:
    """Rows are not to blame for it: they wait in their order, and pruning waits with them."""
    bench = Bench(set(range(1, 100)))
    bench.rounds(30)
    assert (bench.stage.set_apart, bench.ledger.delivered_upto(), bench.ledger.backlog()) == (0, 0, 30)
    bench.broker.refused = set()
    bench.rounds(6, with_parts=False)
    assert (bench.ledger.backlog(), bench.told) == (0, [])


def test_an_earlier_life_set_rows_apart_and_this_one_offers_them_all(bench) -> None:
    """At the next start, in turn, whichever is still refused; the others at once."""
    bench.ledger.set_apart([3, 4])
    later = Bench({3})
    later.ledger, later.stage = bench.ledger, PublishStage(bench.ledger, later.broker, later.clock)
    for _ in range(4):
        later.stage.step()
        later.clock.advance(MINUTE_MS)
    for _ in range(4):
        later.stage.step()
        later.clock.advance(2_001 * MS)
    assert [row.sequence for row in bench.ledger.apart(0, 10)] == [3]
    assert later.stage.set_apart == 1


def test_a_disk_that_refuses_to_set_apart_is_asked_again(bench) -> None:
    """Until it is written down the row is neither lost nor sent with every round."""
    bench.broker.refused = {25}
    bench.ledger.refusing = {"set_apart"}
    bench.rounds(20)
    assert bench.stage.failing == "set_apart refused"
    bench.ledger.refusing = set()
    bench.rounds(5)
    assert 25 in {row.sequence for row in bench.ledger.apart(0, 10)}
