"""Driving the ejector ourselves (gate mode `fire`): on at the gate, off after the pulse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.decision.reject_plan import GateFifo
from edge_runtime.domain.errors import PlcError

if TYPE_CHECKING:
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.plc.port import Plc
    from edge_runtime.services.flow import EventSink
    from edge_runtime.services.monitor import GateCounters


class EjectorDriver:
    """Turns planned rejects into edges of the ejector line. Overlapping pulses join."""

    def __init__(self, plc: Plc, counters: GateCounters, events: EventSink) -> None:
        self._plc = plc
        self._counters = counters
        self._events = events
        self._fifo = GateFifo()
        self._off_at_ns: int | None = None

    @property
    def pending(self) -> int:
        """Rejects that are planned, and the pulse that is on: cut short it might eject nothing."""
        return len(self._fifo) + (self._off_at_ns is not None)

    def add(self, command: RejectCommand) -> None:
        """Plan one reject. Without a place on the belt (see `plan_reject`) it can only be counted as missed."""
        if command.fire_at_ns is None and command.fire_at_ticks is None:
            self._missed(command)
        else:
            self._fifo.add(command)

    def next_edge_ns(self) -> int | None:
        """When the line has to be switched next, as far as time decides."""
        instants = [instant for instant in (self._off_at_ns, self._fifo.next_instant_ns()) if instant is not None]
        return min(instants, default=None)

    def drive(self, now_ns: int, encoder_ticks: int | None) -> None:
        """Switch whatever is due.

        Raises:
            PlcError: the line could not be switched; the part is counted as missed.
        """
        dues = self._fifo.due(now_ns, encoder_ticks)
        for command in [due.command for due in dues if due.missed]:
            self._missed(command)
        if in_time := [due.command for due in dues if not due.missed]:
            self._eject(in_time, now_ns)
        if self._off_at_ns is not None and now_ns >= self._off_at_ns:
            self._plc.set_ejector(on=False)
            self._off_at_ns = None

    def _eject(self, commands: list[RejectCommand], now_ns: int) -> None:
        try:
            self._plc.set_ejector(on=True)
        except PlcError:
            for command in commands:
                self._missed(command)
            raise
        self._counters.rejects_in_time += len(commands)
        self._off_at_ns = now_ns + max(command.pulse_ns for command in commands)
        for command in commands:
            if command.fire_at_ns is not None:
                self._counters.fire_lateness.add(now_ns - command.fire_at_ns)

    def expire(self, now_ns: int) -> None:
        """While the PLC cannot be reached: count the parts that pass the gate unejected."""
        for due in self._fifo.due(now_ns, None):
            self._missed(due.command)

    def abandon(self) -> None:
        """At the end: nobody ejects the parts that are still before the gate; each is counted as missed."""
        self._off_at_ns = None
        for command in self._fifo.clear():
            self._missed(command)

    def _missed(self, command: RejectCommand) -> None:
        self._counters.rejects_missed += 1
        text = f"part {command.part_sequence} ({command.part_id}) passed the gate without being ejected"
        self._events("reject_missed", "error", text)
