from __future__ import annotations

from dataclasses import replace

from edge_runtime.decision.turns import OVERDUE_NS, Turns, Want

MS = 1_000_000


def want(deadline_ms: int, engine: str = "one", ready_ms: int = 0, takes_ms: int = 10) -> Want:
    """A part of a line."""
    return Want(deadline_ms * MS, ready_ms * MS, takes_ms * MS, frozenset({engine}))


def test_the_earliest_deadline_is_next_and_one_runs_at_a_time() -> None:
    """Among lines within their share."""
    turns = Turns(3)
    for line, deadline_ms in enumerate((300, 100, 200)):
        turns.ask(line, want(deadline_ms))
    order = []
    for now_ms in (0, 10, 20):
        (line,) = turns.begin(now_ms * MS)
        assert turns.begin(now_ms * MS) == ()
        order.append(line)
        turns.end(line, (now_ms + 10) * MS)
    assert order == [1, 2, 0]


def test_a_line_that_floods_goes_behind_although_its_deadlines_are_earlier() -> None:
    """It has had more than its share: the other one's part is next, and then it goes on."""
    turns = Turns(2)
    for now_ms in range(0, 100, 10):
        turns.ask(0, want(now_ms + 50, ready_ms=now_ms))
        turns.begin(now_ms * MS)
        turns.end(0, (now_ms + 10) * MS)
    turns.ask(0, want(120, ready_ms=100))
    turns.ask(1, want(145, ready_ms=100))
    assert turns.begin(100 * MS) == (1,)
    turns.end(1, 110 * MS)
    assert turns.begin(110 * MS) == (0,)


def test_who_had_the_processor_to_itself_is_not_shut_out_for_as_long() -> None:
    """An hour alone: then it waits for a deadline's length at most, not for an hour."""
    turns, now_ms = Turns(2), 0
    for now_ms in range(0, 3_600_000, 600):  # inspections of 500 ms
        turns.ask(0, want(now_ms + 1_000, ready_ms=now_ms, takes_ms=500))
        turns.begin(now_ms * MS)
        turns.end(0, (now_ms + 500) * MS)
    first = want(now_ms + 1_000, ready_ms=now_ms, takes_ms=500)
    turns.ask(0, first)
    assert turns.key_ns(0, first) <= (now_ms + 500 + 1_000 + 2 * 500) * MS


def test_side_by_side_go_different_engines_only() -> None:
    """Where the cores have room for two."""
    turns = Turns(3, at_once=2)
    turns.ask(0, want(10, "one"))
    turns.ask(1, want(20, "one"))
    turns.ask(2, want(30, "two"))
    assert turns.begin(0) == (0, 2)
    turns.end(0, 5 * MS)
    assert turns.begin(5 * MS) == (1,)


def test_an_inspection_that_does_not_end_holds_up_only_its_own_engine() -> None:
    """After a second, or four times what was expected."""
    turns = Turns(3)
    turns.ask(0, want(10, "one"))
    assert turns.begin(0) == (0,)
    turns.ask(1, want(10, "one"))
    turns.ask(2, want(20, "two"))
    assert turns.begin(OVERDUE_NS) == ()
    assert turns.running[0].is_overdue(OVERDUE_NS + 1)
    assert turns.begin(OVERDUE_NS + 1) == (2,)
    slow = Turns(2)
    slow.ask(0, want(10, takes_ms=1_000))
    slow.begin(0)
    assert not slow.running[0].is_overdue(4 * OVERDUE_NS)
    assert slow.running[0].is_overdue(4 * OVERDUE_NS + 1)


def test_what_is_withdrawn_is_not_begun_and_ending_nothing_does_nothing() -> None:
    """A line that has nothing to inspect after all."""
    turns = Turns(2)
    turns.ask(0, want(10))
    turns.withdraw(0)
    turns.withdraw(0)
    turns.end(0, 5)
    assert turns.begin(0) == ()


def test_a_line_that_needs_two_engines_is_not_kept_waiting_by_two_that_take_turns_on_them() -> None:
    """Whose turn is next holds on to what is free of its engines; on one that hangs nobody waits."""
    turns = Turns(3, at_once=2)
    both = replace(want(30), engines=frozenset({"one", "two"}))
    turns.ask(0, want(100, "one"))
    turns.ask(1, want(100, "two"))
    assert set(turns.begin(0)) == {0, 1}
    turns.ask(2, both)
    turns.end(0, 10 * MS)
    turns.ask(0, want(110, "one", ready_ms=10))
    assert turns.begin(10 * MS) == ()
    turns.end(1, 15 * MS)
    turns.ask(1, want(115, "two", ready_ms=15))
    assert turns.begin(15 * MS) == (2,)
    turns.ask(0, want(120, "one", ready_ms=20))
    hung_ns = 15 * MS + OVERDUE_NS + 1
    turns.end(2, 20 * MS)
    assert set(turns.begin(20 * MS)) == {0, 1}
    turns.end(0, 30 * MS)
    turns.ask(2, both)
    turns.ask(0, want(3_000, "one", ready_ms=30))
    assert turns.begin(20 * MS + hung_ns) == (0,)
