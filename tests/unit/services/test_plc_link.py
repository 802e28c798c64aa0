from __future__ import annotations

from dataclasses import replace

import pytest
from makers import MS, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.decision.reject_plan import plan_reject
from edge_runtime.domain.errors import PlcError
from edge_runtime.domain.recipe import GateMode, RejectTiming
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.plc.port import DeviceState, PlcCapability, PlcInputs
from edge_runtime.services.monitor import GateCounters
from edge_runtime.services.plc_link import LinkTiming, PlcLink
from edge_runtime.services.queues import BoundedQueue

TIMING = LinkTiming(
    heartbeat_ns=200 * MS,
    poll_ns=10 * MS,
    acknowledge_timeout_ns=100 * MS,
    reconnect_ns=50 * MS,
    watch_inputs=False,
    idle_ns=0,
)
STATE = DeviceState(online=True, ready=True, busy=False, fault=False, development_trust=True)


class ScriptedPlc:
    """A PLC whose manners the test decides."""

    name = "scripted"
    capabilities = PlcCapability.HANDSHAKE | PlcCapability.EJECTOR | PlcCapability.ENCODER

    def __init__(self) -> None:
        self.answers = True
        self.acknowledges = True
        self.sent: list[int] = []
        self.ejector: list[bool] = []
        self.beats = 0
        self.connects = 0
        self.closed = False
        self.encoder_ticks: int | None = None
        self._acknowledged: int | None = None

    def _exchange(self) -> None:
        if not self.answers:
            raise PlcError("no answer", "look at the cable")

    def connect(self) -> None:
        """Count connections."""
        self._exchange()
        self.connects += 1

    def publish_result(self, command) -> None:
        """Take a result."""
        self._exchange()
        self.sent.append(command.part_sequence)
        if self.acknowledges:
            self._acknowledged = command.part_sequence

    def beat(self, state) -> None:
        """Count heartbeats."""
        self._exchange()
        self.beats += 1

    def read(self) -> PlcInputs:
        """What it says."""
        self._exchange()
        return PlcInputs(self._acknowledged, None, self.encoder_ticks, None)

    def set_ejector(self, *, on: bool) -> None:
        """Remember the edge."""
        self._exchange()
        self.ejector.append(on)

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class Bench:
    """A link stepped by hand."""

    def __init__(self, gate: GateMode, timing: RejectTiming | None = None) -> None:
        self.clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
        self.plc = ScriptedPlc()
        self.commands = BoundedQueue("commands", 100)
        self.counters = GateCounters()
        self.events: list[tuple[str, str, str]] = []
        self.recipe = make_recipe(timing=timing, gate_mode=gate)
        self.link = PlcLink(
            self.plc,
            gate,
            self.commands,
            TIMING,
            lambda: STATE,
            self.counters,
            lambda *event: self.events.append(event),
            self.clock,
        )

    def decide(self, number: int, score: float, encoder_ticks: int | None = None) -> None:
        """A part triggered now, decided now."""
        now_ns = self.clock.monotonic_ns()
        part = make_part(number, now_ns)
        verdict = judge(make_inspection(score), part, self.recipe, now_ns)
        trigger = part.trigger if encoder_ticks is None else _at(part.trigger, encoder_ticks)
        self.commands.offer(plan_reject(verdict, trigger, self.recipe))

    def pass_time(self, total_ms: int, step_ms: int = 5) -> None:
        """Let time pass, stepping the link."""
        for _ in range(0, total_ms, step_ms):
            self.clock.advance(step_ms * MS)
            self.link.step()


def _at(trigger, ticks: int):
    return replace(trigger, encoder_ticks=ticks)


@pytest.fixture
def permit() -> Bench:
    """A gate that works by permit."""
    return Bench(GateMode.PERMIT)


@pytest.fixture
def fire() -> Bench:
    """A gate that we fire ourselves, 800 ms behind the trigger."""
    return Bench(GateMode.FIRE)


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
    bench = Bench(GateMode.FIRE, RejectTiming(None, 500, 50 * MS, 20))
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
