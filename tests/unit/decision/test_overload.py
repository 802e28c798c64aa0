from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.overload import Choice, Durations, choose

MS = 1_000_000


def test_with_time_for_all_the_oldest_comes_first() -> None:
    """Three of 30 ms each before their deadlines at 100 ms: nobody is given up."""
    assert choose([100 * MS] * 3, 0, 30 * MS) == Choice(0, ())


def test_without_time_for_all_the_newest_comes_first() -> None:
    """The third would end at 120 ms: the newest is taken, those that can still follow it wait."""
    assert choose([70 * MS, 90 * MS, 100 * MS], 0, 40 * MS) == Choice(2, (0,))


def test_of_two_at_once_each_does_every_other_part_behind_one_that_has_just_begun() -> None:
    """Four end within 3 × 30 ms, with the one that is under way; within 80 ms only the newest is safe."""
    assert choose([90 * MS] * 4, 0, 30 * MS, [30 * MS]) == Choice(0, ())
    assert choose([80 * MS] * 4, 0, 30 * MS, [30 * MS]) == Choice(3, ())
    assert choose([30 * MS], 0, 30 * MS, [30 * MS]) == Choice(0, ())


def test_a_part_for_which_another_has_room_at_once_is_not_given_up() -> None:
    """There is time for one inspection after the other begins, not for two in a row."""
    assert choose([150 * MS] * 2, 0, 100 * MS, [0]) == Choice(0, ())
    assert choose([150 * MS] * 2, 0, 100 * MS, [50 * MS]) == Choice(0, ())
    assert choose([150 * MS] * 2, 0, 100 * MS, [60 * MS]) == Choice(1, (0,))
    assert choose([150 * MS] * 3, 0, 100 * MS, [50 * MS]) == Choice(2, ())


def test_what_is_past_its_deadline_is_given_up_and_the_newest_never_is() -> None:
    """An estimate that is wrong for once must not keep the machine from ever inspecting again."""
    assert choose([10 * MS, 100 * MS], 50 * MS, 10_000 * MS) == Choice(1, (0,))
    assert choose([10 * MS], 50 * MS, 1 * MS) == Choice(None, (0,))


def test_one_outlier_does_not_make_the_machine_slow() -> None:
    """A page fault once in a while is not the duration to plan with; a lasting change is, soon."""
    durations = Durations()
    assert durations.expected_ns == 0
    for duration_ns in [10 * MS] * 15 + [2_000 * MS]:
        durations.add(duration_ns)
    assert durations.expected_ns == 10 * MS
    for _ in range(3):
        durations.add(50 * MS)
    assert durations.expected_ns == 50 * MS


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 200), st.integers(0, 200))
def test_every_part_is_inspected_waits_or_is_given_up(deadlines, now, duration) -> None:
    """Nobody is both; whoever is given up is late or would be; something is inspected while anything can be."""
    deadlines = sorted(deadlines)
    choice = choose(deadlines, now, duration)
    assert list(choice.give_up) == sorted(set(choice.give_up))
    assert choice.inspect not in choice.give_up
    assert (choice.inspect is None) == all(deadline < now for deadline in deadlines)
    for place in choice.give_up:
        assert deadlines[place] < now + 2 * duration or deadlines[place] < now
    for place, deadline in enumerate(deadlines):
        if deadline < now:
            assert place in choice.give_up
