"""Ten times as many parts as can be inspected, through the real stages on a simulated clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from driven_line import DrivenLine
from makers import BUNDLE, MS

from edge_runtime.decision.turns import Want
from edge_runtime.domain.verdict import Disposition, Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.engine_turns import EngineTurns

SOUND = {Reason.BELOW_LIMIT}


def test_at_ten_times_the_speed_every_part_gets_its_verdict_in_time_and_one_in_ten_is_judged() -> None:
    """500 parts, one every 2 ms, 20 ms per inspection, 100 ms deadline: never idle, and nobody waits in vain."""
    line = DrivenLine(interval_ms=2, duration_ms=20, parts=500)
    verdicts = line.run(1_300)
    assert Counter(v.part_sequence for v in verdicts) == Counter(range(1, 501))
    assert max(v.decided_ns - v.triggered_ns for v in verdicts) <= 101 * MS
    reasons = Counter(v.reason for v in verdicts)
    assert set(reasons) == {Reason.BELOW_LIMIT, Reason.OVERLOAD}
    assert reasons[Reason.BELOW_LIMIT] >= 48  # 1,000 ms of belt at 20 ms each, the first and the last part aside
    assert {v.disposition for v in verdicts if v.reason is Reason.OVERLOAD} == {Disposition.REJECT}
    assert line.most_waiting <= 8 + 3
    assert line.monitor.late_results == 0


def test_a_line_that_takes_turns_with_an_idle_one_judges_as_many_as_alone() -> None:
    """Turns cost it nothing where nobody else wants the processor, and none is left behind."""
    turns = EngineTurns(["flooded", "idle"], 1, SimulatedClock())
    verdicts = DrivenLine(interval_ms=2, duration_ms=20, parts=500, turns=turns.of(0)).run(1_300)
    assert Counter(v.part_sequence for v in verdicts) == Counter(range(1, 501))
    assert Counter(v.reason for v in verdicts)[Reason.BELOW_LIMIT] >= 48
    assert turns.of(1).wait(Want(0, 0, 0, frozenset({"one"})), 0)


def test_the_newest_parts_are_the_ones_inspected() -> None:
    """A part is judged within little more than one inspection of its trigger; old ones are not dragged along."""
    line = DrivenLine(interval_ms=2, duration_ms=20, parts=500)
    verdicts = line.run(1_300)
    judged = [v.decided_ns - v.triggered_ns for v in verdicts[20:-20] if v.reason in SOUND]
    assert sorted(judged)[len(judged) // 2] <= 25 * MS


def test_a_slight_overload_does_not_make_every_part_too_late() -> None:
    """A third too many: in the order of arrival 16 of 66 would be judged in time; the machine can do 50."""
    reasons = Counter(v.reason for v in DrivenLine(interval_ms=15, duration_ms=20, parts=66).run(1_300))
    assert reasons[Reason.BELOW_LIMIT] >= 50
    assert reasons[Reason.DEADLINE_MISSED] == 0


def test_an_inspection_slower_than_the_deadline_is_a_timeout_and_never_stops_trying() -> None:
    """The machine is too slow for each part, not for their number: no overload where parts come slowly."""
    line = DrivenLine(interval_ms=400, duration_ms=150, parts=15)
    assert [v.reason for v in line.run(3_900)] == [Reason.DEADLINE_MISSED] * 10
    line.detector.duration_ms = 20
    assert {v.reason for v in line.run(2_000)} == SOUND


@pytest.mark.parametrize("interval_ms", [25, 21])
def test_a_line_that_just_keeps_up_gives_nobody_up(interval_ms) -> None:
    """In order, all judged."""
    verdicts = DrivenLine(interval_ms=interval_ms, duration_ms=20, parts=100).run(3_000)
    assert [v.part_sequence for v in verdicts] == list(range(1, 101))
    assert {v.reason for v in verdicts} == SOUND


def test_after_a_burst_the_line_judges_everything_again() -> None:
    """Forty parts at once cost forty parts at most, and not the next one."""
    line = DrivenLine(interval_ms=1, duration_ms=20, parts=40)
    line.run(300)
    line.belt._interval_ns, line.belt._parts = 30 * MS, 60
    line.belt._began_ns = line.clock.monotonic_ns() - 40 * 30 * MS
    assert {v.reason for v in line.run(900)} == SOUND


def test_a_line_waits_for_another_on_the_engine_of_a_further_model() -> None:
    """Lines share the engines of combined models, too: to begin and then wait inside would waste the turn, or hang."""
    clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
    turns = EngineTurns(["combining", "other"], 2, clock)
    further = replace(BUNDLE, name="further", digest="f" * 64)
    other = turns.of(1)
    assert other.wait(Want(0, 0, 0, frozenset({further.digest})), 0)
    line = DrivenLine(interval_ms=50, duration_ms=1, parts=1, turns=turns.of(0), others=[further])
    line.millisecond()
    line.inspect.step()
    assert not line.detector.looked
    other.end()
    line.inspect.step()
    assert line.detector.looked
