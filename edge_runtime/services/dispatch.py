"""The dispatch stage: the one place where a verdict becomes final, and where no part is ever forgotten."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from edge_runtime.decision.judge import fault_verdict
from edge_runtime.decision.reject_plan import plan_reject
from edge_runtime.domain.frame import Frame
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.domain.verdict import LATE, Disposition, Reason
from edge_runtime.services.flow import Begun, EvidenceItem, Judged, LoadShed, Opened, RecordItem, Waived

if TYPE_CHECKING:
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.engine_turns import LineTurns
    from edge_runtime.services.flow import DispatchItem, RecipeCell
    from edge_runtime.services.monitor import LineMonitor
    from edge_runtime.services.queues import BoundedQueue

POLL_S = 0.05
LOOKS_WITHIN_NS = 80_000_000
"""The arbiter looks at what came quietly within `POLL_S`, and with room to spare within this."""
MOST_AT_ONCE = 256
REMEMBERED = 2_048
"""Closed parts that are remembered, to tell a late result from an unknown part: 10 s at 200 parts/s, when the watchdog
ends an inspection that hangs."""

NEVER_ITS_TURN = "not inspected: parts come faster than this device inspects"

_Key: TypeAlias = tuple[int, int, int]


def _key(part: Part) -> _Key:
    """One trigger. The part sequence alone is not enough: a PLC that was switched off counts from 1 again."""
    return part.part_sequence, part.trigger.triggered_ns, part.trigger.sequence


def _age(part: Part) -> tuple[int, int]:
    """The older, the less. Part numbers are the PLC's, which may begin anew."""
    return part.trigger.triggered_ns, part.trigger.sequence


class DispatchStage:
    """Owes one verdict for every opened part; at its deadline it gives the fail-safe one itself."""

    name = "dispatch"

    def __init__(
        self,
        recipe: RecipeCell,
        camera_name: str,
        inbox: BoundedQueue[DispatchItem],
        commands: BoundedQueue[RejectCommand] | None,
        records: BoundedQueue[RecordItem],
        evidence: BoundedQueue[EvidenceItem] | None,
        monitor: LineMonitor,
        clock: Clock,
        shed: LoadShed | None = None,
        turns: LineTurns | None = None,
        *,
        at_once: int = 1,
    ) -> None:
        """Wire the stage.

        Args:
            turns: where other lines share the processor: whether one of them holds it.
            at_once: so many parts are looked at side by side.
        """
        self._at_once = at_once
        self._recipe = recipe
        self._camera_name = camera_name
        self._inbox = inbox
        self._commands = commands
        self._records = records
        self._evidence = evidence
        self._monitor = monitor
        self._clock = clock
        self._shed = shed or LoadShed()
        self._turns = turns
        self._open: dict[_Key, Part] = {}
        self._closed: deque[_Key] = deque(maxlen=REMEMBERED)
        self._inspected: dict[int, Part] = {}
        """By the place of the thread that looks at it."""
        self._ready: dict[_Key, Judged] = {}
        """Judged, and behind an older part; open until they leave."""

    @property
    def open_parts(self) -> int:
        """Parts that still wait for their verdict."""
        return len(self._open)

    @property
    def idle(self) -> bool:
        """Nothing waits here."""
        return not self._open and len(self._inbox) == 0

    def step(self) -> None:
        """Handle what has come, then give up every part whose deadline has passed."""
        for item in self._inbox.get_batch(MOST_AT_ONCE, self._patience_s(), 0):
            self._handle(item)
        now_ns = self._clock.monotonic_ns()
        for part in [part for part in self._open.values() if now_ns > part.deadline_ns]:
            if not self._leave(part):
                self._close(self._given_up(part, *self._why_late(part)))
        self._release()

    def finish(self) -> None:
        """Stopping: whatever is still open gets its fail-safe verdict now."""
        while (item := self._inbox.get(0)) is not None:
            self._handle(item)
        for part in list(self._open.values()):
            if not self._leave(part):
                text = "the daemon was stopped before the part could be inspected"
                self._close(self._given_up(part, Reason.STOPPING, text))

    def _handle(self, item: DispatchItem) -> None:
        match item:
            case Opened(part):
                self._open[_key(part)] = part
            case Begun(part, place):
                self._inspected[place] = part
            case Judged(part):
                self._inspected = {place: other for place, other in self._inspected.items() if other is not part}
                self._settle(item)
            case Waived(part):
                if _key(part) in self._open:  # else its deadline was faster
                    self._settle(self._given_up(part, *self._why_waived(part)))

    def _settle(self, judged: Judged) -> None:
        """It leaves now, or in its turn."""
        if self._at_once > 1 and _key(judged.part) in self._open:
            self._ready[_key(judged.part)] = judged
            self._release()
        else:
            self._close(judged)

    def _release(self) -> None:
        """Where parts are looked at side by side, the older one's verdict leaves first.

        After a kill the PLC's last number and the newest record tell what was acted upon and not written down only if
        neither comes out of turn. It waits until the older one's deadline at most, which is before its own.
        """
        if not self._ready:
            return
        for part in sorted(self._open.values(), key=_age):
            if not self._leave(part):
                return

    def _leave(self, part: Part) -> bool:
        """Its verdict, if there is one that waits."""
        if (item := self._ready.pop(_key(part), None)) is None:
            return False
        self._close(item)
        return True

    def _why_late(self, part: Part) -> tuple[Reason, str]:
        """At its deadline: did it have its turn?"""
        if any(part is inspected for inspected in self._inspected.values()):
            return Reason.DEADLINE_MISSED, "its inspection has not ended at the deadline"
        if isinstance(part.arrival, Frame) and part.arrival.captured_ns > part.deadline_ns:
            late_ms = (part.arrival.captured_ns - part.deadline_ns) / 1e6
            return Reason.DEADLINE_MISSED, f"its frame came {late_ms:.0f} ms after the deadline"
        return self._why_waived(part)

    def _why_waived(self, part: Part) -> tuple[Reason, str]:
        """Never inspected: because others came too fast, or because another inspection does not end?"""
        if (before := self._stuck(self._clock.monotonic_ns())) is not None:
            text = f"the inspection of {before.trigger.part_id} does not end: this part never had its turn"
            return Reason.DEADLINE_MISSED, text
        if self._turns is not None and (other := self._turns.overdue()) is not None:
            return Reason.DEADLINE_MISSED, f"an inspection of line {other} does not end: this part never had its turn"
        if (held := self._held(part)) is not None:
            text = (
                f"waited {held[1] / 1e6:.0f} ms for an inspection of line {held[0]}, which took far longer than usual"
            )
            return Reason.DEADLINE_MISSED, text
        return Reason.OVERLOAD, NEVER_ITS_TURN

    def _held(self, part: Part) -> tuple[str, int] | None:
        """Another line that kept it from its turn for most of the time that it had, and for how long."""
        if self._turns is None or not isinstance(part.arrival, Frame):
            return None
        ready_ns = part.arrival.captured_ns
        held = self._turns.held(ready_ns)
        return held if held is not None and 2 * held[1] > part.deadline_ns - ready_ns else None

    def _stuck(self, now_ns: int) -> Part | None:
        """One whose inspection goes on behind its deadline."""
        return next((part for part in self._inspected.values() if now_ns > part.deadline_ns), None)

    def _patience_s(self) -> float:
        earliest_ns = min((part.deadline_ns for part in self._open.values()), default=None)
        if earliest_ns is None:
            return POLL_S
        return min(POLL_S, max(0.0, (earliest_ns - self._clock.monotonic_ns()) / 1e9 + 0.0001))

    def _given_up(self, part: Part, reason: Reason, detail: str) -> Judged:
        now_ns = self._clock.monotonic_ns()
        recipe, bundle = self._recipe.both
        return Judged(part, fault_verdict(part, recipe, reason, detail, bundle, now_ns), None, recipe)

    def _close(self, judged: Judged) -> None:
        part, verdict, recipe = judged.part, judged.verdict, judged.recipe or self._recipe.current
        key = _key(part)
        if self._open.pop(key, None) is None and key in self._closed:
            self._monitor.late_results += 1
            return
        self._closed.append(key)
        if verdict.reason in LATE and self._held(part) is not None:
            verdict = replace(verdict, was_held=True)
        if self._commands is not None:
            self._commands.offer(plan_reject(verdict, part.trigger, recipe))
        self._monitor.observe(verdict)
        self._record(part, verdict, judged.anomaly_map, recipe)

    def _record(self, part: Part, verdict: Verdict, anomaly_map: MapSource | None, recipe: Recipe) -> None:
        arrival = part.arrival
        record = VerdictRecord(
            verdict=verdict,
            latency_ns=verdict.decided_ns - verdict.triggered_ns,
            camera=self._camera_name,
            recipe=recipe.name,
            file=None if arrival is None else arrival.file,
            evidence=self._keep_evidence(part, verdict, anomaly_map),
        )
        light = replace(arrival, exposures=()) if isinstance(arrival, Frame) else arrival
        self._records.try_put(RecordItem(record, light))

    def _keep_evidence(self, part: Part, verdict: Verdict, anomaly_map: MapSource | None) -> str | None:
        if self._evidence is None or verdict.disposition is Disposition.PASS or not isinstance(part.arrival, Frame):
            return None
        if self._shed.evidence:
            self._evidence.clear()  # each holds a frame
            return None
        name = f"{verdict.triggered_wall_ns}-{verdict.part_sequence}-{verdict.disposition.lower()}.jpg"
        if self._evidence.try_put(EvidenceItem(name, part.arrival, anomaly_map, verdict)):
            return name
        return None
