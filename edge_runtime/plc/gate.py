"""The simulated gate: what a PLC program has to do with parts, results and heartbeats. Pure, `now_ns` is an argument.

Parts come from a BeltPlan. In permit mode a part passes only if a permit for exactly its sequence was taken over while
it was between the sensor and the gate, and the device's heartbeat changed shortly before it reached the gate. In fire
mode a part is rejected if the ejector was on while it was in front of it.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from edge_runtime.domain.recipe import GateMode
from edge_runtime.plc.codes import GateCode

if TYPE_CHECKING:
    from edge_runtime.ops.belt import BeltPart, BeltPlan

FIFO_PARTS = 256
"""Results kept between sensor and gate; a real PLC has a fixed table, too."""
GATE_WINDOW_NS = 20_000_000
"""Half the time that a part is in front of the ejector, at most a quarter of the distance between two parts."""
_PULSES_KEPT = 64


class GateReason(StrEnum):
    """Why a part went where it went."""

    PERMIT = "permit"
    REJECT = "reject"
    NO_RESULT = "no_result"
    STALE_HEARTBEAT = "stale_heartbeat"
    EJECTED = "ejected"
    NOT_EJECTED = "not_ejected"


class Takeover(StrEnum):
    """What became of a result."""

    TAKEN = "taken"
    REPEATED = "repeated"
    """The same result again: nothing to do but to acknowledge it again."""
    LATE = "late"
    """Its part had reached the gate before it."""
    UNEXPECTED = "unexpected"
    """No such part has passed the sensor: not acknowledged."""
    OVERRUN = "overrun"
    """No room: not acknowledged."""


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What happened to one part at the gate."""

    sequence: int
    passed: bool
    why: GateReason
    defective: bool
    """The simulation's own truth."""
    triggered_ns: int
    gate_ns: int
    """Monotonic instant at the gate."""
    result_ns: int | None
    """Monotonic instant at which its result was taken over, also if that was too late; None: never."""

    @property
    def in_time(self) -> bool:
        """True if its result came before it reached the gate."""
        return self.result_ns is not None and self.result_ns < self.gate_ns


@dataclass(frozen=True, slots=True)
class GateSummary:
    """Totals since the start, never forgotten."""

    passed: int = 0
    rejected: int = 0
    defective_passed: int = 0
    good_rejected: int = 0
    late_results: int = 0
    unexpected_results: int = 0
    overruns: int = 0
    torn_blocks: int = 0
    """Device blocks refused because they were not whole."""


class SimulatedGate:
    """Follows the parts of a belt to its gate. One thread changes it; snapshots may be read from others."""

    def __init__(self, belt: BeltPlan, *, mode: GateMode, heartbeat_timeout_ns: int, keep: int | None) -> None:
        self._belt = belt
        self._mode = mode
        self._heartbeat_timeout_ns = heartbeat_timeout_ns
        self._window_ns = min(GATE_WINDOW_NS, round(0.25e9 / belt.parts_per_s)) if mode is GateMode.FIRE else 0
        self._next = 1
        self._results: dict[int, tuple[GateCode, int]] = {}
        self._pulses: deque[tuple[int, int | None]] = deque(maxlen=_PULSES_KEPT)
        self._fresh_ns: int | None = None
        self._book: deque[GateRecord] = deque(maxlen=keep)
        self._reasons: Counter[GateReason] = Counter()
        self._summary = GateSummary()

    @property
    def log(self) -> tuple[GateRecord, ...]:
        """The last parts at the gate, oldest first."""
        return tuple(self._book)

    @property
    def summary(self) -> GateSummary:
        """Totals."""
        return self._summary

    @property
    def reasons(self) -> dict[GateReason, int]:
        """How many parts went each way, by reason."""
        return dict(self._reasons)

    def advance(self, now_ns: int) -> None:
        """Let every part that has reached the gate by `now_ns` pass or be rejected."""
        while (part := self._belt.part(self._next)) is not None:
            gate_ns = part.triggered_ns + self._belt.travel_ns
            if gate_ns + self._window_ns > now_ns:
                return
            self._decide(part, gate_ns)
            self._next += 1

    def heartbeat(self, now_ns: int) -> None:
        """The device's heartbeat changed."""
        self.advance(now_ns)
        self._fresh_ns = now_ns

    def is_fresh(self, now_ns: int) -> bool:
        """True while the device's heartbeat changed within the timeout."""
        return self._fresh_ns is not None and now_ns - self._fresh_ns <= self._heartbeat_timeout_ns

    def result(self, sequence: int, gate: GateCode, now_ns: int) -> Takeover:
        """A result arrived. A reject is never turned into a permit; the other way round it is."""
        self.advance(now_ns)
        if sequence < self._next:
            return self._too_late(sequence, now_ns)
        part = self._belt.part(sequence)
        if part is None or part.triggered_ns > now_ns:
            self._count(unexpected_results=1)
            return Takeover.UNEXPECTED
        known = self._results.get(sequence)
        if known is not None:
            if known[0] is GateCode.PERMIT and gate is not GateCode.PERMIT:
                self._results[sequence] = (gate, now_ns)
            return Takeover.REPEATED
        if len(self._results) >= FIFO_PARTS:
            self._count(overruns=1)
            return Takeover.OVERRUN
        self._results[sequence] = (gate, now_ns)
        return Takeover.TAKEN

    def ejector(self, *, on: bool, now_ns: int) -> None:
        """The ejector was switched."""
        self.advance(now_ns)
        is_on = bool(self._pulses) and self._pulses[-1][1] is None
        if on and not is_on:
            self._pulses.append((now_ns, None))
        elif not on and is_on:
            self._pulses[-1] = (self._pulses[-1][0], now_ns)

    def torn(self) -> None:
        """A device block was refused."""
        self._count(torn_blocks=1)

    def _decide(self, part: BeltPart, gate_ns: int) -> None:
        gate, result_ns = self._results.pop(part.sequence, (GateCode.NONE, None))
        passed, why = self._fire(gate_ns) if self._mode is GateMode.FIRE else self._permit(gate, gate_ns)
        self._book.append(GateRecord(part.sequence, passed, why, part.defective, part.triggered_ns, gate_ns, result_ns))
        self._reasons[why] += 1
        self._count(
            passed=int(passed),
            rejected=int(not passed),
            defective_passed=int(passed and part.defective),
            good_rejected=int(not passed and not part.defective),
        )

    def _permit(self, gate: GateCode, gate_ns: int) -> tuple[bool, GateReason]:
        if gate is GateCode.NONE:
            return False, GateReason.NO_RESULT
        if gate is GateCode.REJECT:
            return False, GateReason.REJECT
        if not self.is_fresh(gate_ns):
            return False, GateReason.STALE_HEARTBEAT
        return True, GateReason.PERMIT

    def _fire(self, gate_ns: int) -> tuple[bool, GateReason]:
        start_ns, end_ns = gate_ns - self._window_ns, gate_ns + self._window_ns
        ejected = any(on_ns <= end_ns and (off_ns is None or off_ns >= start_ns) for on_ns, off_ns in self._pulses)
        return (False, GateReason.EJECTED) if ejected else (True, GateReason.NOT_EJECTED)

    def _too_late(self, sequence: int, now_ns: int) -> Takeover:
        for index in range(len(self._book) - 1, -1, -1):
            record = self._book[index]
            if record.sequence == sequence:
                if record.result_ns is not None:
                    return Takeover.REPEATED
                self._book[index] = replace(record, result_ns=now_ns)
                break
            if record.sequence < sequence:
                break
        self._count(late_results=1)
        return Takeover.LATE

    def _count(self, **more: int) -> None:
        self._summary = replace(
            self._summary, **{name: getattr(self._summary, name) + count for name, count in more.items()}
        )
