"""The PLC link: results, ejector pulses, heartbeat, acknowledgements; its own thread, so a hung PLC blocks nobody."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.decision.part_tracker import PlcCount
from edge_runtime.domain.errors import PlcError
from edge_runtime.domain.recipe import GateAction, GateMode
from edge_runtime.domain.verdict import Reason
from edge_runtime.plc.port import PlcCapability, PlcInputs
from edge_runtime.services.ejector import EjectorDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.port import DeviceState, Plc
    from edge_runtime.services.flow import EventSink
    from edge_runtime.services.monitor import GateCounters
    from edge_runtime.services.queues import BoundedQueue

_log = logging.getLogger(__name__)
NO_INPUTS = PlcInputs(acknowledged_sequence=None, trigger_count=None, encoder_ticks=None, heartbeat=None)


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """See `config.plc.PlcLinkSettings`."""

    heartbeat_ns: int
    poll_ns: int
    acknowledge_timeout_ns: int
    reconnect_ns: int
    watch_inputs: bool
    """Poll even while nothing is awaited (trigger count or encoder is used)."""
    idle_ns: int = 50_000_000
    """Longest wait for the next command, which ends it when it comes."""


@dataclass(slots=True)
class _Outstanding:
    command: RejectCommand
    sent_ns: int


class PlcLink:
    """Carries out gate commands in order; a result is retried until its part is past the gate.

    A result that is not acknowledged in time goes to the end of the queue: it holds up no other.
    """

    name = "plc"

    def __init__(
        self,
        plc: Plc,
        gate: GateMode,
        commands: BoundedQueue[RejectCommand],
        timing: LinkTiming,
        device_state: Callable[[], DeviceState],
        counters: GateCounters,
        events: EventSink,
        clock: Clock,
    ) -> None:
        self._plc = plc
        self._gate = gate
        self._commands = commands
        self._timing = timing
        self._device_state = device_state
        self._counters = counters
        self._events = events
        self._clock = clock
        self._has_handshake = PlcCapability.HANDSHAKE in plc.capabilities
        self._outgoing: deque[RejectCommand] = deque()
        self._outstanding: _Outstanding | None = None
        self._ejector = EjectorDriver(plc, counters, events)
        self._beat_at_ns = 0
        self._poll_at_ns = 0
        self._connect_at_ns = 0
        self._first_contact: Callable[[PlcInputs], None] | None = None
        self.connected = False
        self.failing: str | None = None
        """Why the PLC cannot be reached; None while all is well."""
        self.inputs = NO_INPUTS
        """What the PLC said last."""
        self.count: PlcCount | None = None
        """Of the parts at its sensor, as it said last; None where it has said none."""

    @property
    def plc_name(self) -> str:
        """Kind and address."""
        return self._plc.name

    @property
    def pending(self) -> int:
        """Commands that the gate has not yet carried out or acknowledged."""
        return len(self._outgoing) + self._ejector.pending + (self._outstanding is not None) + len(self._commands)

    def step(self) -> None:
        """One round: take commands, give up expired ones, keep the link alive, deliver."""
        self._accept(self._commands.get(self._patience_ns() / 1e9))
        while (command := self._commands.get(0)) is not None:
            self._accept(command)
        now_ns = self._clock.monotonic_ns()
        self._expire(now_ns)
        try:
            if self._ensure_connected(now_ns):
                self._exchange(now_ns)
        except PlcError as error:
            self._lost(error, now_ns)

    def finish(self) -> None:
        """Leave the line safe: ejector off, transport closed. Not-ready is what a dead heartbeat says anyway.

        What the gate was not told by now it is never told: each such part is counted as missed.
        """
        self._plc.close()
        self.connected = False
        while (command := self._commands.get(0)) is not None:
            self._accept(command)
        for command in self._untold():
            self._missed(command)
        self._ejector.abandon()

    def connect_now(self) -> PlcInputs:
        """Try once, before the stage runs: what the PLC remembers of the time before we started.

        Raises:
            PlcError: it does not answer; the stage will keep trying.
        """
        self._plc.connect()
        self._read()
        self.connected = True
        return self.inputs

    def _read(self) -> None:
        asked_ns = self._clock.monotonic_ns()
        self.inputs = self._plc.read()
        parts = self.inputs.trigger_count
        self.count = None if parts is None else PlcCount(parts, asked_ns)

    def at_first_contact(self, act: Callable[[PlcInputs], None]) -> None:
        """Where `connect_now` failed: what is to be done in the stage's thread before the PLC is told anything."""
        self._first_contact = act

    def _accept(self, command: RejectCommand | None) -> None:
        if command is None:
            return
        if command.action is GateAction.EJECT:
            self._counters.planned_rejects += 1
        if self._gate is GateMode.PERMIT:
            self._outgoing.append(command)
        elif command.action is GateAction.EJECT:
            self._ejector.add(command)
        else:
            self._counters.passes_granted += 1  # nothing to do: an untouched part passes

    def _patience_ns(self) -> int:
        if self._outgoing and self._outstanding is None and self.connected:
            return 0
        now_ns = self._clock.monotonic_ns()
        instants = [now_ns + self._timing.idle_ns]
        if self._has_handshake:
            instants.append(self._beat_at_ns)
        if self._outstanding is not None or self._timing.watch_inputs:
            instants.append(self._poll_at_ns)
        if (edge_ns := self._ejector.next_edge_ns()) is not None:
            instants.append(edge_ns)
        return max(0, min(instants) - now_ns) if self.connected else self._timing.idle_ns

    def _ensure_connected(self, now_ns: int) -> bool:
        if self.connected:
            return True
        if now_ns < self._connect_at_ns:
            return False
        # Reading is the proof: a port may open where nobody, or somebody else, answers.
        inputs = self.connect_now()
        if self._first_contact is not None:
            act, self._first_contact = self._first_contact, None
            act(inputs)
        if self.failing is not None:
            self._events("plc_connected", "info", f"{self._plc.name} answers again")
        self.failing = None
        return True

    def _lost(self, error: PlcError, now_ns: int) -> None:
        self.connected = False
        self._connect_at_ns = now_ns + self._timing.reconnect_ns
        self._counters.link_errors += 1
        if self._outstanding is not None:  # it may or may not have arrived: again, first in line
            self._outgoing.appendleft(self._outstanding.command)
            self._outstanding = None
        if self.failing is None:
            self._events("plc_lost", "error", error.diagnostics())
        self.failing = error.what

    def _exchange(self, now_ns: int) -> None:
        self._ejector.drive(now_ns, self.inputs.encoder_ticks)
        if self._has_handshake and now_ns >= self._beat_at_ns:
            self._plc.beat(self._device_state())
            self._beat_at_ns = now_ns + self._timing.heartbeat_ns
        if (self._outstanding is not None or self._timing.watch_inputs) and now_ns >= self._poll_at_ns:
            self._poll(now_ns)
        if self._outgoing and self._outstanding is None:
            command = self._outgoing[0]
            self._plc.publish_result(command)
            self._outgoing.popleft()
            self._outstanding = _Outstanding(command, self._clock.monotonic_ns())
            self._poll(now_ns)

    def _poll(self, now_ns: int) -> None:
        self._read()
        self._poll_at_ns = now_ns + self._timing.poll_ns
        if self._outstanding is None:
            return
        command, sent_ns = self._outstanding.command, self._outstanding.sent_ns
        read_ns = self._clock.monotonic_ns()
        if self.inputs.acknowledged_sequence == command.part_sequence:
            self._outstanding = None
            self._acknowledged(command, read_ns)
        elif read_ns - sent_ns > self._timing.acknowledge_timeout_ns:
            self._outstanding = None
            # Behind the others: a PLC that does not know this part may still know theirs.
            self._outgoing.append(command)

    def _acknowledged(self, command: RejectCommand, read_ns: int) -> None:
        if command.verdict.reason is not Reason.TRIGGER_LOST:
            self._counters.command_latency.add(read_ns - command.verdict.triggered_ns)
        if self._is_at_gate(command, read_ns):
            self._missed(command)
        elif command.action is GateAction.EJECT:
            self._counters.rejects_in_time += 1
        else:
            self._counters.passes_granted += 1

    def _is_at_gate(self, command: RejectCommand, read_ns: int) -> bool:
        """Or past it: the gate has decided without what the PLC acknowledges now, for all that we can know."""
        if command.fire_at_ns is not None:
            return read_ns >= command.fire_at_ns
        if command.fire_at_ticks is not None and self.inputs.encoder_ticks is not None:
            return self.inputs.encoder_ticks >= command.fire_at_ticks
        return read_ns > command.expires_ns

    def _is_past_gate(self, command: RejectCommand, now_ns: int) -> bool:
        ticks = self.inputs.encoder_ticks
        by_belt = command.expires_ticks is not None and ticks is not None and ticks > command.expires_ticks
        return by_belt or now_ns > command.expires_ns

    def _expire(self, now_ns: int) -> None:
        if any(self._is_past_gate(command, now_ns) for command in self._outgoing):
            late = [command for command in self._outgoing if self._is_past_gate(command, now_ns)]
            self._outgoing = deque(command for command in self._outgoing if not self._is_past_gate(command, now_ns))
            for command in late:
                self._missed(command)
        if self._outstanding is not None and self._is_past_gate(self._outstanding.command, now_ns):
            command, self._outstanding = self._outstanding.command, None
            self._missed(command)
        if not self.connected:
            self._ejector.expire(now_ns)

    def _untold(self) -> list[RejectCommand]:
        waiting = list(self._outgoing)
        if self._outstanding is not None:
            waiting.insert(0, self._outstanding.command)
        self._outgoing.clear()
        self._outstanding = None
        return waiting

    def _missed(self, command: RejectCommand) -> None:
        if command.action is GateAction.EJECT:
            self._counters.rejects_missed += 1
            outcome = "the gate rejects it all the same, for want of a permit"
        else:
            self._counters.passes_lost += 1
            outcome = "the gate rejects this good part"
        text = f"part {command.part_sequence} ({command.part_id}): the PLC did not acknowledge in time; {outcome}"
        self._events("gate_deadline_missed", "warning", text)
