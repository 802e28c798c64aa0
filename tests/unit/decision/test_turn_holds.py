from __future__ import annotations

from makers import MS

from edge_runtime.decision.turn_holds import Holds, LongTurn, Span, is_too_long


def span(began_ms: int, ended_ms: int) -> Span:
    """In milliseconds."""
    return Span(began_ms * MS, ended_ms * MS)


def wait(holds: Holds, line: int, began_ms: int, ended_ms: int) -> None:
    """A line asks and is answered."""
    holds.asked(line, began_ms * MS)
    holds.answered(line, ended_ms * MS)


def test_a_turn_is_too_long_beyond_several_times_what_was_expected() -> None:
    """Where nothing is expected yet, beyond a stated time."""
    assert [is_too_long(0, ms * MS, 10 * MS) for ms in (40, 41)] == [False, True]
    assert [is_too_long(0, ms * MS, 0) for ms in (50, 51)] == [False, True]


def test_a_wait_for_turns_of_the_usual_length_is_the_share_of_the_others() -> None:
    """However long it adds up to: a candidate that is too slow for its share is not excused."""
    holds = Holds(2)
    for number in range(10):
        wait(holds, 1, number * 30, number * 30 + 20)
        holds.ended(0, number * 30 * MS, (number * 30 + 20) * MS, 18 * MS)
    assert holds.held_ns(1, span(0, 300), ()) == {}


def test_only_what_lies_within_all_three_counts() -> None:
    """The part's own time, the line's waits, and the turn that took too long; its own turns never."""
    holds = Holds(3)
    wait(holds, 1, 0, 50)
    wait(holds, 1, 60, 200)
    holds.ended(0, 40 * MS, 150 * MS, 10 * MS)
    holds.ended(1, 200 * MS, 900 * MS, 10 * MS)
    holds.asked(1, 900 * MS)
    running = (LongTurn(2, span(850, 1_000)),)
    assert holds.held_ns(1, span(45, 1_000), running) == {0: 95 * MS, 2: 100 * MS}
    assert holds.held_ns(1, span(950, 1_000), running) == {2: 50 * MS}
    assert holds.held_ns(2, span(0, 1_000), running) == {}
