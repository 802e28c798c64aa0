from __future__ import annotations

from dataclasses import replace

import pytest
from link_bench import STATE, TIMING, LinkBench
from makers import MS

from edge_runtime.domain.recipe import GateMode, RejectTiming
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc.port import PlcCapability, PlcInputs
from edge_runtime.services.monitor import GateCounters
from edge_runtime.services.plc_link import PlcLink
from edge_runtime.services.queues import BoundedQueue


@pytest.fixture
def permit() -> LinkBench:
    """A gate that works by permit."""
    return LinkBench(GateMode.PERMIT)


@pytest.fixture
def fire() -> LinkBench:
    """A gate that we fire ourselves, 800 ms behind the trigger."""
    return LinkBench(GateMode.FIRE)


def test_a_result_that_the_plc_never_acknowledges_holds_up_no_other(permit) -> None:
    """The PLC knows no part 1; parts 2 and 3 get their results long before part 1 is given up."""
    permit.plc.ignored = {1}
    for number in (1, 2, 3):
        permit.decide(number, 0.5)
    permit.pass_time(300)
    assert permit.counters.passes_granted == 2
    permit.pass_time(700)
    assert (permit.counters.passes_granted, permit.counters.passes_lost) == (2, 1)


def test_what_is_past_the_gate_is_given_up_wherever_it_stands_in_the_queue(permit) -> None:
    """Verdicts come out of order: part 1's at its deadline, after part 2's. Part 1 is still the first to pass."""
    permit.pass_time(10)
    permit.plc.answers = False
    early_ns = permit.clock.monotonic_ns()
    permit.pass_time(100)
    permit.decide(2, 0.5)
    permit.decide(1, 0.5, triggered_ns=early_ns)
    permit.pass_time(780)
    assert (permit.counters.passes_lost, permit.link.pending) == (1, 1)


def test_a_link_that_connects_but_cannot_be_read_is_reported_once(permit) -> None:
    """A wrong status address: one event, not two at every attempt to connect."""
    permit.pass_time(10)
    permit.plc.reads = False
    permit.decide(1, 0.5)
    permit.pass_time(2_000)
    assert [event[0] for event in permit.events] == ["plc_lost", "gate_deadline_missed"]
    permit.plc.reads = True
    permit.pass_time(200)
    assert permit.events[-1][0] == "plc_connected"


def test_the_end_waits_for_the_pulse_that_is_on(fire) -> None:
    """A pulse cut short ejects nothing."""
    fire.decide(1, 5.0)
    fire.pass_time(805)
    assert fire.plc.ejector == [True]
    assert fire.link.pending == 1
    fire.pass_time(60)
    assert (fire.plc.ejector, fire.link.pending) == ([True, False], 0)


def test_parts_that_are_still_before_the_gate_at_the_end_are_told(fire) -> None:
    """Nobody ejects them any more: an error event each."""
    fire.decide(1, 5.0)
    fire.pass_time(20)
    fire.link.finish()
    assert fire.counters.rejects_missed == 1
    assert [event[:2] for event in fire.events] == [("reject_missed", "error")]
    assert fire.plc.closed


def test_results_that_never_went_out_are_told_at_the_end(permit) -> None:
    """The gate rejects them for want of a permit, and the books say so."""
    permit.plc.acknowledges = False
    permit.decide(1, 0.5)
    permit.decide(2, 5.0)
    permit.pass_time(20)
    permit.link.finish()
    assert (permit.counters.passes_lost, permit.counters.rejects_missed) == (1, 1)


def test_a_reject_without_place_on_the_belt_is_told_at_once() -> None:
    """An encoder plan and a lost frame: nobody knows when to fire, so nothing waits for it."""
    bench = LinkBench(GateMode.FIRE, RejectTiming(None, 500, 50 * MS, 20))
    bench.decide(1, 5.0)
    bench.pass_time(20)
    assert (bench.counters.rejects_missed, bench.link.pending) == (1, 0)
    assert bench.events[0][0] == "reject_missed"


def test_an_idle_relay_costs_no_processor() -> None:
    """Without a heartbeat to send there is nothing to hurry for."""
    bench = LinkBench(GateMode.FIRE)
    bench.plc.capabilities = PlcCapability.EJECTOR
    clock, timing = SystemClock(), replace(TIMING, idle_ns=20 * MS)
    link = PlcLink(
        bench.plc, GateMode.FIRE, BoundedQueue("c", 9), timing, lambda: STATE, GateCounters(), lambda *_: None, clock
    )
    link.connect_now()
    rounds, until_ns = 0, clock.monotonic_ns() + 200 * MS
    while clock.monotonic_ns() < until_ns:
        link.step()
        rounds += 1
    assert rounds <= 11


def test_what_the_plc_remembers_is_asked_at_the_first_contact_and_before_it_is_told_anything() -> None:
    """A PLC that was away at the start still tells which parts it acted upon before; later contacts ask nothing."""
    bench = LinkBench(GateMode.PERMIT)
    bench.plc.answers = False
    asked: list[tuple[PlcInputs, int]] = []
    bench.link.at_first_contact(lambda inputs: asked.append((inputs, len(bench.plc.sent))))
    bench.plc._acknowledged = 41
    bench.decide(50, 0.5)
    bench.pass_time(100)
    assert asked == []
    bench.plc.answers = True
    bench.pass_time(200)
    bench.plc.answers = False
    bench.pass_time(100)
    bench.plc.answers = True
    bench.pass_time(200)
    assert [(inputs.acknowledged_sequence, sent) for inputs, sent in asked] == [(41, 0)]
    assert bench.plc.sent[0] == 50
