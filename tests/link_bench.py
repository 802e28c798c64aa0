"""A PLC link stepped by hand, on a simulated clock, with a PLC whose manners the test decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from makers import MS, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.decision.reject_plan import plan_reject
from edge_runtime.domain.errors import PlcError
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.plc.port import DeviceState, PlcCapability, PlcInputs
from edge_runtime.services.monitor import GateCounters
from edge_runtime.services.plc_link import LinkTiming, PlcLink
from edge_runtime.services.queues import BoundedQueue

if TYPE_CHECKING:
    from edge_runtime.domain.recipe import GateMode, RejectTiming

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
        self.reads = True
        self.acknowledges = True
        self.ignored: set[int] = set()
        """Part numbers that it never acknowledges."""
        self.sent: list[int] = []
        self.ejector: list[bool] = []
        self.beats = 0
        self.connects = 0
        self.closed = False
        self.encoder_ticks: int | None = None
        self.trigger_count: int | None = None
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
        if self.acknowledges and command.part_sequence not in self.ignored:
            self._acknowledged = command.part_sequence

    def beat(self, state) -> None:
        """Count heartbeats."""
        self._exchange()
        self.beats += 1

    def read(self) -> PlcInputs:
        """What it says."""
        self._exchange()
        if not self.reads:
            raise PlcError("not the PLC block", "check status_address")
        return PlcInputs(self._acknowledged, self.trigger_count, self.encoder_ticks, None)

    def set_ejector(self, *, on: bool) -> None:
        """Remember the edge."""
        self._exchange()
        self.ejector.append(on)

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class LinkBench:
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

    def decide(
        self, number: int, score: float, encoder_ticks: int | None = None, triggered_ns: int | None = None
    ) -> None:
        """A part triggered now (or then), decided now."""
        now_ns = self.clock.monotonic_ns()
        part = make_part(number, now_ns if triggered_ns is None else triggered_ns)
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
