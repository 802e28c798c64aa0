"""The capture stage: from the camera to numbered parts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge_runtime.camera.port import CameraState
from edge_runtime.decision.judge import fault_verdict
from edge_runtime.domain.frame import Frame, LostFrame, Trigger
from edge_runtime.domain.part import Part
from edge_runtime.domain.verdict import Reason
from edge_runtime.services.dispatch import LOOKS_WITHIN_NS
from edge_runtime.services.flow import Judged, Opened, Waived
from edge_runtime.services.queues import Handover

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.camera.port import Arrival, Camera
    from edge_runtime.decision.part_tracker import PartTracker, PlcCount
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.flow import DispatchItem, EventSink, RecipeCell
    from edge_runtime.services.queues import BoundedQueue

POLL_S = 0.05
FINISH_S = 1.0
"""How long the end waits for a dispatch stage without room."""


class CaptureStage:
    """Takes arrivals from the camera, numbers them, and announces every part before anything can happen to it."""

    name = "capture"

    def __init__(
        self,
        camera: Camera,
        tracker: PartTracker,
        recipe: RecipeCell,
        inspect_queue: BoundedQueue[Part],
        dispatch_queue: BoundedQueue[DispatchItem],
        events: EventSink,
        clock: Clock,
        *,
        wait_when_full: bool,
        trigger_count: Callable[[], PlcCount | None] | None = None,
        trigger_timeout_ns: int = 0,
    ) -> None:
        """Wire the stage.

        Args:
            wait_when_full: the source waits while inspection is busy (a folder); otherwise the oldest waiting part is
                given up with reason overload.
            trigger_count: the PLC's newest count of triggered parts, where it is to be watched.
        """
        self._camera = camera
        self._tracker = tracker
        self._recipe = recipe
        self._inspect_queue = inspect_queue
        self._dispatch = Handover(dispatch_queue)
        self._events = events
        self._clock = clock
        self._wait_when_full = wait_when_full
        self._trigger_count = trigger_count
        self._trigger_timeout_ns = trigger_timeout_ns
        self._never = threading.Event()
        self._announced: Part | None = None

    def step(self) -> None:
        """Take at most one arrival; none while the dispatch stage has no room: it owes a verdict for every part."""
        if not self._dispatch.flush(POLL_S):
            return
        self._pass_on()
        if self._wait_when_full and not self._inspect_queue.wait_for_room(POLL_S):
            return
        self._watch_count()
        arrival = self._camera.next_frame(POLL_S)
        if arrival is not None:
            self._take(arrival)
        elif self._camera.status().state is CameraState.EXHAUSTED:
            self._clock.wait(self._never, round(POLL_S * 1e9))  # an exhausted source answers at once

    def finish(self) -> None:
        """Deliver nothing more."""
        if self._dispatch.flush(FINISH_S):
            self._pass_on()
        self._camera.close()

    def _watch_count(self) -> None:
        if self._trigger_count is None or (count := self._trigger_count()) is None:
            return
        now_ns = self._clock.monotonic_ns()
        self._tracker.note_count(count)
        for number in self._tracker.observe_trigger_count(count.parts, now_ns, self._trigger_timeout_ns):
            self._give_up(number, "the PLC counted a part for which the camera delivered no frame", now_ns)

    def _take(self, arrival: Arrival) -> None:
        if arrival.trigger.part_sequence is None and self._trigger_count is not None:
            self._trigger_count = None  # a late frame could not be told from the next part's, and would get its permit
            text = "this camera's frames carry no part numbers: the PLC's part count is no longer watched"
            self._events("trigger_count_unusable", "error", text)
        late = self._clock.monotonic_ns() > arrival.trigger.triggered_ns + self._recipe.current.decision_deadline_ns
        assignment = self._tracker.assign(arrival.trigger.part_sequence, late=late)
        for number in assignment.missing:
            self._give_up(number, "the next part's frame came first", arrival.trigger.triggered_ns)
        if assignment.resynchronised:
            self._events("part_sequence_jumped", "warning", "the PLC's part count jumped; numbering follows it")
        if assignment.part_sequence is None:
            self._events(
                "late_frame", "warning", f"frame of {arrival.trigger.part_id} came after its part was given up"
            )
            self._camera.settle(arrival)
            return
        part = self._open(arrival.trigger, assignment.part_sequence, arrival)
        if isinstance(arrival, LostFrame):
            self._reject(part, arrival.reason, arrival.detail)
            return
        self._announced = part
        if self._dispatch.flush(0):
            self._pass_on()

    def _pass_on(self) -> None:
        """To inspection, once the dispatch stage knows of it: a verdict that came first would not stay the only one."""
        part, self._announced = self._announced, None
        if part is not None and (displaced := self._inspect_queue.offer(part)) is not None:
            self._dispatch.send(Waived(displaced))

    def _open(self, trigger: Trigger, part_sequence: int, arrival: Frame | LostFrame | None) -> Part:
        now_ns = self._clock.monotonic_ns()
        # A part without a frame gets its verdict now, however long ago it was triggered.
        since_ns = now_ns if arrival is None else trigger.triggered_ns
        deadline_ns = since_ns + self._recipe.current.decision_deadline_ns
        part = Part(trigger, part_sequence, deadline_ns, arrival)
        has_time = deadline_ns - now_ns > LOOKS_WITHIN_NS
        self._dispatch.send(Opened(part), quietly=has_time)
        return part

    def _give_up(self, part_sequence: int, detail: str, passed_ns: int) -> None:
        """No frame: a part that had passed the sensor at this instant, or before. Its place at the gate hangs on it."""
        now_ns = self._clock.monotonic_ns()
        after_ns = self._tracker.triggered_after_ns(part_sequence)
        triggered_ns = min(now_ns, passed_ns) if after_ns is None else min(passed_ns, after_ns)
        trigger = Trigger(
            sequence=0,
            part_id=f"{self._camera.name}/lost-{part_sequence}",
            triggered_ns=triggered_ns,
            triggered_wall_ns=self._clock.wall_ns() - (now_ns - triggered_ns),
            part_sequence=part_sequence,
        )
        self._reject(self._open(trigger, part_sequence, None), Reason.TRIGGER_LOST, detail)

    def _reject(self, part: Part, reason: Reason, detail: str) -> None:
        now_ns = self._clock.monotonic_ns()
        recipe, bundle = self._recipe.both
        verdict = fault_verdict(part, recipe, reason, detail, bundle, now_ns)
        self._dispatch.send(Judged(part, verdict))
