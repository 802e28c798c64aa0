from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from line_process import wait_until
from makers import MS, make_part

from edge_runtime.decision.turns import OVERDUE_NS, Want
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.engine_turns import EngineTurns
from edge_runtime.services.part_turns import PartTurns
from edge_runtime.services.queues import BoundedQueue

if TYPE_CHECKING:
    from edge_runtime.domain.part import Part

START_NS = 1_000 * MS


def turns(*names: str) -> tuple[EngineTurns, SimulatedClock]:
    """For lines of these names; one inspection at a time."""
    clock = SimulatedClock(start_monotonic_ns=START_NS)
    return EngineTurns(names, 1, clock), clock


def want(deadline_ms: int, engine: str = "one") -> Want:
    """A part of a line."""
    return Want(START_NS + deadline_ms * MS, START_NS, 10 * MS, frozenset({engine}))


def test_a_turn_that_does_not_come_in_time_is_given_up() -> None:
    """The stage goes round: it has a watchdog to feed. What it gave up is not begun behind its back."""
    given, _ = turns("exit", "entry")
    exit_line, entry = given.of(0), given.of(1)
    assert exit_line.wait(want(50), 0)
    assert not entry.wait(want(10), 0)
    exit_line.end()
    assert exit_line.wait(want(50), 0)
    exit_line.end()
    assert entry.wait(want(10), 0)


def test_who_waits_has_its_turn_when_the_other_ends() -> None:
    """In the other line's thread, without a timeout having to pass."""
    given, _ = turns("exit", "entry")
    exit_line, entry = given.of(0), given.of(1)
    assert exit_line.wait(want(50), 0)
    got: list[bool] = []
    waiting = threading.Thread(target=lambda: got.append(entry.wait(want(90), 30)))
    waiting.start()
    wait_until(lambda: 1 in given._turns._wants, "the other line asks")
    exit_line.end()
    waiting.join(30)
    assert got == [True]


def test_a_line_with_another_part_is_compared_before_anybody_is_let_in() -> None:
    """The end of one turn and the wish for the next are one step: its earlier deadline goes first."""
    given, _ = turns("exit", "entry")
    exit_line, entry = given.of(0), given.of(1)
    assert exit_line.wait(want(50), 0)
    waiting = threading.Thread(target=entry.wait, args=(want(90), 30))
    waiting.start()
    wait_until(lambda: 1 in given._turns._wants, "the other line asks")
    assert exit_line.wait(want(60), 0)
    exit_line.end()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_line_whose_inspection_does_not_end_is_named_to_the_others() -> None:
    """And a line on another engine goes on."""
    given, clock = turns("exit", "entry")
    exit_line, entry = given.of(0), given.of(1)
    assert exit_line.wait(want(50), 0)
    assert entry.overdue() is None
    clock.advance(OVERDUE_NS + 1)
    assert entry.overdue() == "exit"
    assert exit_line.overdue() is None
    assert not entry.wait(want(10, "one"), 0)
    assert entry.wait(want(10, "two"), 0)


def test_without_a_part_no_turn_is_held() -> None:
    """A turn is asked for when a part waits, kept while another does, and given back with the last."""
    given, _ = turns("exit", "entry")
    queue: BoundedQueue[Part] = BoundedQueue("inspect", 8)
    mine = PartTurns(given.of(0), queue, lambda waiting: waiting[0], lambda: 0, lambda: frozenset({"one"}))
    entry = given.of(1)
    assert not mine.for_the_queue(0)
    for number in (1, 2):
        queue.offer(make_part(number, START_NS))
    assert mine.for_the_queue(0)
    part = queue.get(0)
    assert part is not None
    assert mine.for_part(part, 0)
    mine.done()
    assert not entry.wait(want(10), 0)
    assert mine.for_the_queue(0)
    queue.get(0)
    mine.done()
    assert entry.wait(want(10), 0)
    mine.rest()
    assert not mine.for_part(part, 0)


def test_how_long_a_line_waited_for_a_turn_that_took_too_long() -> None:
    """Named with the time since a part was there; it is so while that turn goes on, and afterwards."""
    given, clock = turns("exit", "entry")
    exit_line, entry = given.of(0), given.of(1)
    assert exit_line.wait(want(50), 0)
    waiting = threading.Thread(target=entry.wait, args=(want(90), 30))
    waiting.start()
    wait_until(lambda: given._holds._asked_ns[1] is not None, "the other line asks")
    clock.advance(40 * MS)  # four times what was expected
    assert entry.held(START_NS) is None
    clock.advance(160 * MS)
    assert (entry.held(START_NS), exit_line.held(START_NS)) == (("exit", 200 * MS), None)
    exit_line.end()
    waiting.join(30)
    clock.advance(10 * MS)
    entry.end()
    clock.advance(500 * MS)
    assert entry.held(START_NS + 150 * MS) == ("exit", 50 * MS)
    assert entry.held(START_NS + 200 * MS) is None
