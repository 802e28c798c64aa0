from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.check_schedule import MINUTE_NS, RETRY_NS, Schedule, Window

HOURLY = Schedule(60 * MINUTE_NS, 10 * MINUTE_NS)
DICE = st.floats(0, 1)
MINUTE_OF_DAY = st.integers(0, 24 * 60 - 1)


@pytest.mark.parametrize(
    ("text", "open_at", "closed_at"),
    [("22:00-04:30", (1320, 1439, 0, 269), (270, 720, 1319)), ("01:05-02:00", (65, 119), (64, 120, 0))],
)
def test_a_window_is_open_between_its_times(text, open_at, closed_at) -> None:
    """The end excluded; a window may go over midnight."""
    window = Window.parse(text)
    assert all(window.is_open(minute) for minute in open_at)
    assert not any(window.is_open(minute) for minute in closed_at)


@given(MINUTE_OF_DAY, MINUTE_OF_DAY, MINUTE_OF_DAY)
def test_of_a_window_and_its_reverse_one_is_open(begin, end, minute) -> None:
    """Day and night: whatever the times, exactly one of the two holds."""
    if begin != end:
        assert Window(begin, end).is_open(minute) != Window(end, begin).is_open(minute)


@given(DICE)
def test_checks_are_spread(dice) -> None:
    """Each check comes at its time or up to the jitter later; the first one comes within the jitter after the start."""
    assert 0 <= HOURLY.first(0, dice) <= 10 * MINUTE_NS
    assert 60 * MINUTE_NS <= HOURLY.after(0, dice, cut=False) <= 70 * MINUTE_NS


@given(DICE)
def test_a_check_that_was_cut_goes_on_sooner(dice) -> None:
    """After five minutes instead of an hour; never later than the next regular one."""
    assert RETRY_NS <= HOURLY.after(0, dice, cut=True) <= RETRY_NS + 10 * MINUTE_NS
    hasty = Schedule(MINUTE_NS, 0)
    assert hasty.after(0, dice, cut=True) == hasty.after(0, dice, cut=False) == MINUTE_NS


@given(DICE)
def test_a_check_that_was_asked_for_comes_soon(dice) -> None:
    """Within ten seconds, spread: one message may ask every device of a plant."""
    assert HOURLY.asked(7, dice) - 7 <= 10_000_000_000
