"""The line as a whole: its stages, their order of starting and stopping, and how it does."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_runtime.camera.port import CameraState
from edge_runtime.decision import lifecycle
from edge_runtime.domain.audit import NOT_STATED, Attribution, limits_changed, limits_note, operator_override
from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.status import LineReason, LineState
from edge_runtime.services.stage import StageThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.broker.port import Broker
    from edge_runtime.camera.port import Camera
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.status import LineHealth
    from edge_runtime.domain.verdict import Limits
    from edge_runtime.ledger.port import Ledger
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.activation import ActivationStage
    from edge_runtime.services.capture import CaptureStage
    from edge_runtime.services.condition import Conditions, ConfigProbe
    from edge_runtime.services.dispatch import DispatchStage
    from edge_runtime.services.events import Events
    from edge_runtime.services.evidence import EvidenceStage
    from edge_runtime.services.flow import LoadShed, RecipeCell
    from edge_runtime.services.inspect import InspectStage
    from edge_runtime.services.model_swap import Models
    from edge_runtime.services.monitor import LineMonitor
    from edge_runtime.services.plc_link import PlcLink
    from edge_runtime.services.publish import PublishStage
    from edge_runtime.services.queues import BoundedQueue
    from edge_runtime.services.record import RecordStage
    from edge_runtime.services.rollout import RolloutService
    from edge_runtime.services.stage import Stage
    from edge_runtime.services.vitals import Vitals

_log = logging.getLogger(__name__)
JOIN_S = 2.0
SIGNALLED = "whoever may signal the service (SIGUSR1)"
"""All that is known of who acknowledges."""
_NICENESS = {"evidence": 10}
"""Drawing a map and its picture takes longer than an inspection, and nobody waits for it."""
COUNT_PAUSE = 20
"""The backlog is not counted again before so many times the duration of the last count."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of one line, already wired to each other. Those that may be None may be absent."""

    capture: CaptureStage
    inspect: InspectStage
    dispatch: DispatchStage
    record: RecordStage
    plc: PlcLink | None
    publish: PublishStage | None
    evidence: EvidenceStage | None
    activation: ActivationStage | None = None
    rollout: RolloutService | None = None

    def from_the_end(self) -> tuple[Stage, ...]:
        """Those that are there, in the order in which they are started."""
        beside = (self.publish, self.record, self.evidence, self.plc)
        there = (stage for stage in beside if stage is not None)
        last = (stage for stage in (self.activation, self.rollout) if stage is not None)
        return (*there, self.dispatch, self.inspect, *self.inspect.hands, self.capture, *last)


class Line:
    """Starts, watches and stops the stages. `tick` and `stop` are called by one thread, the supervisor's."""

    def __init__(
        self,
        stages: Stages,
        camera: Camera,
        ledger: Ledger,
        broker: Broker | None,
        recipe: RecipeCell,
        inspect_queue: BoundedQueue[Part],
        other_queues: Sequence[BoundedQueue[Any]],
        monitor: LineMonitor,
        vitals: Vitals,
        conditions: Conditions,
        reload: ConfigProbe,
        shed: LoadShed,
        events: Events,
        clock: Clock,
        label: str = "",
    ) -> None:
        """Wire the line.

        Args:
            label: names its threads where there are several lines.
        """
        self.stages = stages
        self.camera = camera
        self.ledger = ledger
        self.broker = broker
        self.recipe = recipe
        self.monitor = monitor
        self.vitals = vitals
        self.events = events
        self._conditions = conditions
        self.reload = reload
        self._shed = shed
        self._inspect_queue = inspect_queue
        self._queues: tuple[BoundedQueue[Any], ...] = (inspect_queue, *other_queues)
        self._clock = clock
        self._label = label
        self._threads: dict[str, StageThread] = {}
        self._ladder = lifecycle.START
        self._backlog = 0
        self._count_at_ns = 0
        self._stopped = False
        self._left_behind: set[str] = set()
        self.started_ns = clock.monotonic_ns()

    @property
    def health(self) -> LineHealth:
        """As of the last `tick`."""
        return self.vitals.health

    @property
    def models(self) -> Models:
        """Which model decides."""
        return self.stages.inspect.models

    def start(self) -> None:
        """Open the camera, then start the stages from the end of the path to its beginning.

        Raises:
            CameraError: the camera can never work as configured.
            BrokerError: the broker's settings can never work.
        """
        if self.broker is not None:
            self.broker.start()
        self.camera.open()
        for stage in self.stages.from_the_end():
            niceness = _NICENESS.get(stage.name, 0)
            self._threads[stage.name] = StageThread(stage, self._clock, niceness, self._label)
        self.vitals.watch(self._threads)
        for thread in self._threads.values():
            thread.start()
        self.tick()
        self._take(lifecycle.Started())
        self.events("line_started", "info", "the line is running")

    def tick(self) -> LineHealth:
        """Look at every stage; notice changes. Called a few times per second."""
        self._take(self._conditions.observe(self._clock.monotonic_ns()))
        return self.health

    def acknowledge(self) -> None:
        """A person has seen the latched reasons: those whose cause is gone go; the engine gets another chance."""
        latched = [str(standing.reason) for standing in self.health.reasons if standing.latched]
        reasons = ", ".join(latched) or "none was latched"
        by, now_ns = Attribution(SIGNALLED, NOT_STATED), self._clock.wall_ns()
        what = f"reasons acknowledged: {reasons}; a failing engine gets another chance"
        self.events.record(operator_override(what, by, now_ns, action="acknowledge", reasons=reasons))
        self.stages.inspect.acknowledge()
        self._take(lifecycle.Acknowledged())

    def is_exhausted(self) -> bool:
        """A finite source has delivered everything, and all of it is decided, at the gate and recorded."""
        return (
            self.camera.status().state is CameraState.EXHAUSTED
            and len(self._inspect_queue) == 0
            and self.stages.dispatch.idle
            and (self.stages.plc is None or self.stages.plc.pending == 0)
            and self.stages.record.waiting == 0
        )

    def backlog(self) -> int:
        """Committed messages that wait for the broker's PUBACK; without a broker nothing waits.

        As of the last time that the ledger could be asked. Counting takes long when there is much to count, so it is
        done less often then.
        """
        began_ns = self._clock.monotonic_ns()
        if self.stages.publish is not None and began_ns >= self._count_at_ns:
            # The stages report a ledger that fails; a figure must not end the supervisor.
            with contextlib.suppress(LedgerError):
                self._backlog = self.stages.publish.backlog()
            now_ns = self._clock.monotonic_ns()
            self._count_at_ns = now_ns + COUNT_PAUSE * (now_ns - began_ns)
        return self._backlog

    def dropped(self) -> dict[str, int]:
        """What each queue had to give up, by queue name."""
        return {queue.name: queue.dropped for queue in self._queues}

    def records_lost(self) -> int:
        """Verdicts and events that could never be written down."""
        return self.stages.record.lost_in_all

    def set_limits(self, limits: Limits, by: Attribution) -> None:
        """New limits from the next part on; no frame is lost to the change. Who and why is recorded."""
        old = self.recipe.current.limits
        if limits == old:
            self.events("limits_unchanged", "info", "the limits were loaded again and are as they were")
            return
        self.recipe.put(replace(self.recipe.current, limits=limits), self.recipe.bundle)
        event = limits_changed(limits_note(old), limits, by, self._clock.wall_ns())
        if event is not None:
            self.events.record(event)

    def stop(self, drain_timeout_s: float) -> None:
        """Take no more parts, give every open one its verdict, record, publish, end every thread. Idempotent."""
        self.announce_stop()
        if self._stopped:
            return
        self._stopped = True
        deadline_ns = self._clock.monotonic_ns() + round(drain_timeout_s * 1e9)
        self._end("rollout", deadline_ns)
        self._end("activation", deadline_ns)
        self._end("capture", deadline_ns)
        self._wait_until(self._has_decided, deadline_ns)
        for hand in self.stages.inspect.hands:
            self._end(hand.name, deadline_ns)
        self._end("inspect", deadline_ns)
        self._end("dispatch", deadline_ns)
        if self.stages.plc is not None:
            plc = self.stages.plc
            self._wait_until(lambda: plc.pending == 0 or not plc.connected, deadline_ns)
            self._end("plc", deadline_ns)
        self._end("record", deadline_ns)
        self._end("evidence", deadline_ns)
        self._stop_publishing(deadline_ns)
        if not self._left_behind & {"record", "publish"}:  # closing would wait for a write that hangs
            self.ledger.close()

    def announce_stop(self) -> None:
        """From now on the line tells everybody that it is stopping. Idempotent."""
        if self._ladder.state is LineState.STOPPING:
            return
        self._take(lifecycle.StopAsked())
        self.events("line_stopping", "info", "the line is being stopped")

    def _has_decided(self) -> bool:
        never_empty = self.vitals.hangs(self.stages.inspect.name)
        return self.stages.dispatch.idle and (never_empty or len(self._inspect_queue) == 0)

    def _stop_publishing(self, deadline_ns: int) -> None:
        if self.broker is None:
            return
        broker = self.broker
        if self.stages.publish is not None:
            if self._threads:
                self._wait_until(lambda: self.backlog() == 0 or not broker.status().connected, deadline_ns)
            self._end("publish", deadline_ns)
        broker.stop(JOIN_S)

    def _take(self, event: lifecycle.Event) -> None:
        before = self.health
        self._ladder = lifecycle.step(self._ladder, event)
        after = self._ladder.health
        self.vitals.health = after
        if after.state in {LineState.STARTING, LineState.STOPPING}:
            return
        self._shed.evidence = any(standing.reason is LineReason.MEMORY_LOW for standing in after.reasons)
        if after.state is not before.state:
            severity = "info" if after.state is LineState.READY else "warning"
            text = f"{before.state} → {after.state}: {after.text or 'all is well'}"
            self.events("state_changed", severity, text)
        elif [standing.reason for standing in after.reasons] != [standing.reason for standing in before.reasons]:
            self.events("reasons_changed", "info", f"{after.state}: {after.text or 'none is left'}")

    def _end(self, name: str, deadline_ns: int) -> None:
        thread = self._threads.get(name)
        if thread is None or not thread.started:
            # The start failed before it: there may still be something to close or to write down.
            for stage in self.stages.from_the_end():
                if stage.name == name:
                    stage.finish()
            return
        thread.stop()
        left_s = max((deadline_ns - self._clock.monotonic_ns()) / 1e9, 0.2)
        if not thread.join(min(left_s, JOIN_S) if name != "record" else JOIN_S):
            self._left_behind.add(name)
            _log.error("stage %s does not end; leaving it behind", name)

    def _wait_until(self, condition: Callable[[], bool], deadline_ns: int) -> None:
        never = threading.Event()
        while not condition() and self._clock.monotonic_ns() < deadline_ns:
            self._clock.wait(never, 5_000_000)
