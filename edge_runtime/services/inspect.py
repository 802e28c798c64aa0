"""The inspect stage: from a part with a frame to a proposed verdict."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.decision.judge import judge
from edge_runtime.decision.overload import Durations, choose
from edge_runtime.domain.errors import EngineError, ImageError
from edge_runtime.domain.frame import Frame
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import Reason
from edge_runtime.services.flow import Begun, Judged, Waived
from edge_runtime.services.queues import Handover

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.part import Part
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.engine_keeper import EngineKeeper
    from edge_runtime.services.flow import DispatchItem, RecipeCell
    from edge_runtime.services.queues import BoundedQueue

_log = logging.getLogger(__name__)
POLL_S = 0.05
FINISH_S = 1.0
"""How long the end waits for a dispatch stage without room."""


class InspectStage:
    """Runs the detector. Whatever goes wrong in it becomes a fault of this one part, never silence."""

    name = "inspect"

    def __init__(
        self,
        engine: EngineKeeper,
        recipe: RecipeCell,
        inspect_queue: BoundedQueue[Part],
        dispatch_queue: BoundedQueue[DispatchItem],
        clock: Clock,
        preview: Callable[[Frame, AnomalyMap | None], None] | None = None,
        progress: Callable[[], None] | None = None,
        *,
        newest_first: bool = True,
    ) -> None:
        """Wire the stage.

        Args:
            newest_first: when there is not time for all, inspect the newest and give the others up; otherwise always in
                order (a source that waits for us).
            preview: gets every inspected frame; must cost microseconds.
            progress: called once per round, idle rounds included; what feeds the watchdog.
        """
        self._engine = engine
        self._recipe = recipe
        self._inspect_queue = inspect_queue
        self._dispatch = Handover(dispatch_queue)
        self._newest_first = newest_first
        self._durations = Durations()
        self._clock = clock
        self._preview = preview
        self._progress = progress

    def step(self) -> None:
        """Inspect at most one part."""
        if self._progress is not None:
            self._progress()
        self._engine.look_after()
        if not self._dispatch.flush(POLL_S):
            return
        picked = self._inspect_queue.pick(self._choose, POLL_S)
        for given_up in picked.given_up:
            self._dispatch.send(Waived(given_up))
        part = picked.item
        if part is None or not isinstance(part.arrival, Frame):
            return
        began_ns = self._clock.monotonic_ns()
        self._dispatch.send(Begun(part))
        outcome, anomaly_map = self._look(part, part.arrival)
        ended_ns = self._clock.monotonic_ns()
        self._durations.add(ended_ns - began_ns)
        self._dispatch.send(Judged(part, judge(outcome, part, self._recipe.current, ended_ns), anomaly_map))
        if self._preview is not None:
            self._preview(part.arrival, anomaly_map)

    def finish(self) -> None:
        """Hand over what is owed."""
        self._dispatch.flush(FINISH_S)

    def _choose(self, waiting: Sequence[Part]) -> tuple[int | None, tuple[int, ...]]:
        expected_ns = self._durations.expected_ns if self._newest_first else 0
        choice = choose([part.deadline_ns for part in waiting], self._clock.monotonic_ns(), expected_ns)
        return choice.inspect, choice.give_up

    @property
    def renewals(self) -> int:
        """How often the engine was loaded anew."""
        return self._engine.renewals

    def acknowledge(self) -> None:
        """Somebody looked at a failing engine: it is loaded anew as often again. Callable from any thread."""
        self._engine.acknowledge()

    def _look(self, part: Part, frame: Frame) -> tuple[Inspection | InspectionFault, AnomalyMap | None]:
        started_ns = self._clock.monotonic_ns()
        identity = self._engine.bundle.identity
        try:
            detection = self._engine.inspect(frame.exposures)
        except ImageError as error:
            return self._fault(part, Reason.IMAGE_UNEXPECTED, error.what, started_ns), None
        except EngineError as error:
            return self._fault(part, Reason.ENGINE_ERROR, error.what, started_ns), None
        except Exception as error:  # noqa: BLE001  (a crashed engine is a verdict too, whatever it throws)
            _log.error("the detector failed on %s", part.trigger.part_id, exc_info=True)
            return self._fault(part, Reason.ENGINE_ERROR, f"{type(error).__name__}: {error}", started_ns), None
        finished_ns = self._clock.monotonic_ns()
        inspection = Inspection(
            part.trigger.part_id, detection.score, detection.anomaly_map, identity, started_ns, finished_ns
        )
        return inspection, detection.anomaly_map

    def _fault(self, part: Part, reason: Reason, detail: str, started_ns: int) -> InspectionFault:
        return InspectionFault(
            part_id=part.trigger.part_id,
            reason=reason,
            detail=detail,
            bundle=self._engine.bundle.identity,
            started_ns=started_ns,
            finished_ns=self._clock.monotonic_ns(),
        )
