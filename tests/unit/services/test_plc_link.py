from __future__ import annotations

from dataclasses import replace

import pytest
from link_bench import TIMING, LinkBench
from makers import MS

from edge_runtime.domain.recipe import GateMode, RejectTiming


@pytest.fixture
def permit() -> LinkBench:
    """A gate that works by permit."""
    return LinkBench(GateMode.PERMIT)


@pytest.fixture
def fire() -> LinkBench:
    """A gate that we fire ourselves, 800 ms behind the trigger."""
    return LinkBench(GateMode.FIRE)


def test_results_go_out_in_order_one_acknowledged_after_the_other(permit) -> None:
    """Passes and rejects alike: the PLC needs both."""
    for number, score in ((1, 5.0), (2, 0.5), (3, 5.0)):
        permit.decide(number, score)
    permit.pass_time(100)
    assert permit.plc.sent == [1, 2, 3]
    assert (permit.counters.rejects_in_time, permit.counters.passes_granted) == (2, 1)
    assert permit.link.pending == 0


def test_the_heartbeat_goes_on_with_and_without_parts(permit) -> None:
    """The PLC watches it."""
    permit.pass_time(1_000)
    assert 4 <= permit.plc.beats <= 6


def test_a_result_without_acknowledgement_is_sent_again_until_the_part_is_past_the_gate(permit) -> None:
    """The sequence makes the repetition harmless; then the part is counted as missed, with an event."""
    permit.plc.acknowledges = False
    permit.decide(1, 5.0)
    permit.pass_time(1_000)
    assert len(permit.plc.sent) > 3
    assert (permit.counters.rejects_missed, permit.counters.rejects_in_time) == (1, 0)
    assert [event[0] for event in permit.events] == ["gate_deadline_missed"]
    assert permit.link.pending == 0


@pytest.mark.parametrize("score", [5.0, 0.5], ids=["reject", "pass"])
def test_what_is_acknowledged_when_the_part_is_at_the_gate_was_not_in_time(permit, score) -> None:
    """The pulse of an ejector may still start then; a gate that works by permit has decided without the result."""
    permit.plc.acknowledges = False
    permit.decide(1, score)
    permit.pass_time(795)
    permit.plc.acknowledges = True
    permit.pass_time(200)
    assert (permit.counters.rejects_in_time, permit.counters.passes_granted) == (0, 0)
    assert permit.counters.rejects_missed + permit.counters.passes_lost == 1
    assert permit.link.pending == 0


@pytest.mark.parametrize("ticks", [1_500, 1_521], ids=["at the gate", "past it"])
def test_with_an_encoder_the_belt_says_what_was_acknowledged_in_time(ticks) -> None:
    """And a part that it has carried past the gate is not told of for ten minutes more."""
    bench = LinkBench(GateMode.PERMIT, RejectTiming(None, 500, 50 * MS, 20))
    bench.plc.encoder_ticks, bench.plc.acknowledges = 1_000, False
    bench.decide(1, 5.0, encoder_ticks=1_000)
    bench.pass_time(300)
    assert bench.counters.rejects_missed == 0
    bench.plc.encoder_ticks, bench.plc.acknowledges = ticks, ticks == 1_500
    bench.pass_time(300)
    assert (bench.counters.rejects_in_time, bench.counters.rejects_missed) == (0, 1)
    assert bench.link.pending == 0


def test_a_hung_plc_costs_only_the_parts_that_passed_meanwhile(permit) -> None:
    """After it answers again, parts still before the gate get their result."""
    permit.pass_time(10)
    permit.plc.answers = False
    permit.decide(1, 5.0)
    permit.pass_time(900)
    permit.decide(2, 0.5)
    permit.pass_time(50)
    permit.plc.answers = True
    permit.pass_time(200)
    assert permit.plc.sent == [2]
    assert (permit.counters.rejects_missed, permit.counters.passes_granted) == (1, 1)
    assert [event[0] for event in permit.events] == ["plc_lost", "gate_deadline_missed", "plc_connected"]


def test_the_ejector_fires_at_the_gate_and_only_for_rejects(fire) -> None:
    """On 800 ms after the trigger, off after the pulse of 50 ms."""
    fire.decide(1, 5.0)
    fire.pass_time(20)
    fire.decide(2, 0.5)
    fire.pass_time(770)
    assert fire.plc.ejector == []
    fire.pass_time(15)
    assert fire.plc.ejector == [True]
    fire.pass_time(60)
    assert fire.plc.ejector == [True, False]
    assert (fire.counters.rejects_in_time, fire.counters.passes_granted) == (1, 1)


def test_an_ejector_that_cannot_be_switched_in_time_is_a_missed_reject(fire) -> None:
    """The part has passed: that is an error event, not a late pulse into its neighbour."""
    fire.pass_time(10)
    fire.decide(1, 5.0)
    fire.plc.answers = False
    fire.pass_time(1_000)
    fire.plc.answers = True
    fire.pass_time(200)
    assert True not in fire.plc.ejector
    assert fire.counters.rejects_missed == 1
    assert ("reject_missed", "error") in [event[:2] for event in fire.events]


def test_with_an_encoder_the_belt_decides_when_to_fire() -> None:
    """A belt that stands still fires nothing, however long it takes."""
    bench = LinkBench(GateMode.FIRE, RejectTiming(None, 500, 50 * MS, 20))
    bench.link._timing = replace(TIMING, watch_inputs=True)
    bench.plc.encoder_ticks = 1_000
    bench.decide(1, 5.0, encoder_ticks=1_000)
    bench.pass_time(5_000, step_ms=50)
    assert bench.plc.ejector == []
    bench.plc.encoder_ticks = 1_505
    bench.pass_time(30)
    assert bench.plc.ejector == [True]


def test_at_the_end_the_line_is_left_safe(fire) -> None:
    """Closing switches the ejector off and drops the link."""
    fire.link.finish()
    assert fire.plc.closed


def test_the_count_of_parts_comes_with_the_instant_at_which_the_plc_was_asked(permit) -> None:
    """Whoever looks at it while the link is down sees how old it is."""
    permit.plc.trigger_count = 7
    permit.decide(1, 0.5)
    permit.pass_time(5)
    asked = permit.link.count
    assert (asked.parts, asked.read_ns) == (7, permit.clock.monotonic_ns())
    permit.plc.answers = False
    permit.pass_time(500)
    assert permit.link.count == asked
