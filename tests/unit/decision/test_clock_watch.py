from __future__ import annotations

import pytest

from edge_runtime.decision.clock_watch import ClockWatch, is_unset

SECOND_NS = 1_000_000_000
NOW_NS = 1_790_000_000 * SECOND_NS
YEAR_NS = 365 * 86_400 * SECOND_NS


@pytest.mark.parametrize("jump_ns", [YEAR_NS, -YEAR_NS, 3 * SECOND_NS, -3 * SECOND_NS])
def test_a_jump_is_told_once_with_its_length(jump_ns) -> None:
    """Whoever reads the records learns by how much the times before and after differ."""
    watch = ClockWatch()
    assert watch.jumped_ns(0, NOW_NS) == 0
    assert watch.jumped_ns(SECOND_NS, NOW_NS + SECOND_NS + jump_ns) == jump_ns
    assert watch.jumped_ns(2 * SECOND_NS, NOW_NS + 2 * SECOND_NS + jump_ns) == 0


def test_a_clock_that_is_slewed_or_looked_at_rarely_did_not_jump() -> None:
    """NTP corrects by half a millisecond per second; a supervisor that was held up for an hour is no jump."""
    watch = ClockWatch()
    monotonic_ns, wall_ns = 0, NOW_NS
    for step_ns in (SECOND_NS, 3_600 * SECOND_NS, 200_000_000):
        watch.jumped_ns(monotonic_ns, wall_ns)
        monotonic_ns += step_ns
        wall_ns += round(step_ns * 1.0005)
        assert watch.jumped_ns(monotonic_ns, wall_ns) == 0


def test_a_board_without_a_battery_starts_in_1970() -> None:
    """Its clock was never set; today's was."""
    assert is_unset(12 * SECOND_NS)
    assert not is_unset(NOW_NS)
