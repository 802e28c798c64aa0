"""The inspect stage: from a part with a frame to a proposed verdict."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.decision.judge import judge
from edge_runtime.decision.overload import Durations, choose
from edge_runtime.domain.frame import Frame
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import Reason
from edge_runtime.services.flow import Begun, Judged, Waived
from edge_runtime.services.looking import fault, look
from edge_runtime.services.part_turns import AlwaysItsTurn, PartTurns
from edge_runtime.services.queues import Handover
from edge_runtime.services.under_way import UnderWay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.beside import Beside
    from edge_runtime.services.engine_turns import LineTurns
    from edge_runtime.services.flow import DispatchItem, RecipeCell
    from edge_runtime.services.model_swap import Model, Models
    from edge_runtime.services.panel import Panel
    from edge_runtime.services.product_switch import FileProducts
    from edge_runtime.services.queues import BoundedQueue

POLL_S = 0.05
HOLD_NS = 2_000_000
"""A part whose product's model is not there yet is looked at again after this."""
FINISH_S = 1.0
"""How long the end waits for a dispatch stage without room."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A part that is to be looked at now."""

    part: Part
    frame: Frame
    model: Model
    began_ns: int


class InspectStage:
    """Runs the detector. Whatever goes wrong in it becomes a fault of this one part, never silence.

    Where several inspections run side by side (`engine.at_once`), each has a thread (`InspectHand`). They take parts
    one after the other, so that what is chosen and who looks is settled as by one thread; only the looking overlaps. A
    model is changed while none of them looks.
    """

    name = "inspect"

    def __init__(
        self,
        models: Models,
        recipe: RecipeCell,
        inspect_queue: BoundedQueue[Part],
        dispatch_queue: BoundedQueue[DispatchItem],
        clock: Clock,
        preview: Callable[[Frame, MapSource | None, Verdict], None] | None = None,
        progress: Callable[[], None] | None = None,
        *,
        newest_first: bool = True,
        beside: Beside | None = None,
        products: FileProducts | None = None,
        panel: Panel | None = None,
        turns: LineTurns | None = None,
        at_once: int = 1,
    ) -> None:
        """Wire the stage.

        Args:
            newest_first: when there is not time for all, inspect the newest and give the others up; otherwise always in
                order (a source that waits for us).
            products: says of each part whether the model that decides is its product's.
            preview: gets every inspected frame with its verdict; must cost microseconds.
            progress: called once per round, idle rounds included; what feeds the watchdog.
            beside: the rollout of a candidate; says who decides a part, and is told what came of it.
            panel: where several models are combined; never together with `beside`.
            turns: where other lines share the processor; never together with several at once.
            at_once: so many threads look at parts; the first is the stage's own.
        """
        self.models = models
        self._recipe = recipe
        self._inspect_queue = inspect_queue
        self._dispatch = Handover(dispatch_queue)
        self._newest_first = newest_first
        self._durations = Durations()
        self._clock = clock
        self._preview = preview
        self._progress = progress
        self._beside = beside
        self._products = products
        self.panel = panel
        self._turns = AlwaysItsTurn() if turns is None else self._make_turns(turns)
        self._held: Part | None = None
        self._never = threading.Event()
        self._at_once = at_once
        self.hands = tuple(InspectHand(self, place) for place in range(1, at_once))
        """What else runs in threads of their own."""
        self._taking = threading.Lock()
        """Held by the thread that takes the next part."""
        self._telling = threading.Lock()
        """Held while a verdict is handed on, with all who hear of it."""
        self._under_way = UnderWay(at_once)

    def step(self) -> None:
        """Inspect at most one part."""
        if self._progress is not None:
            self._progress()
        self.work(0)

    def work(self, place: int) -> None:
        """Inspect at most one part, in thread number `place`."""
        if self._at_once > 1 and self._held is None:
            self._inspect_queue.waiting(POLL_S)  # outside of the lock: a part that comes is for whoever is free
        if not self._taking.acquire(timeout=POLL_S):
            return  # another thread waits there for something; this one does not hang
        try:
            taken = self._take(place)
        finally:
            self._taking.release()
        if taken is None:
            return
        try:
            decider, verdict, anomaly_map, recipe = self._judged(taken.model, taken.part, taken.frame)
            with self._telling:
                self._tell(taken, decider, Judged(taken.part, verdict, anomaly_map, recipe))
        finally:
            self._under_way.end(place)
        self._turns.done()

    def finish(self) -> None:
        """Hand over what is owed."""
        self._turns.rest()
        self._dispatch.flush(FINISH_S)

    def _take(self, place: int) -> _Taken | None:
        """The next part, if there is one that may be looked at now."""
        model = self._between_frames()
        if model is None or not self._has_room():
            return None
        part = self._next()
        if part is None or not isinstance(part.arrival, Frame) or not self._is_admitted(part, part.arrival, model):
            return None
        if not self._turns.for_part(part, POLL_S):
            self._held = part
            return None
        began_ns = self._clock.monotonic_ns()
        self._dispatch.send(Begun(part, place), quietly=True)  # it matters at the deadline, and the arbiter looks then
        self._under_way.begin(place, began_ns)
        return _Taken(part, part.arrival, model, began_ns)

    def _tell(self, taken: _Taken, decider: Model, judged: Judged) -> None:
        verdict = judged.verdict
        self._durations.add(verdict.decided_ns - taken.began_ns)
        self._dispatch.send(judged)
        if self._beside is not None:
            self._beside.judged(taken.part, verdict, decider, verdict.decided_ns - taken.began_ns)
        if self._preview is not None and decider is taken.model:  # a candidate's map has other colours
            self._preview(taken.frame, judged.anomaly_map, verdict)

    def _between_frames(self) -> Model | None:
        """Who looks at the next part; None: another model is to, and not all verdicts of the present one are out.

        Nobody begins meanwhile, so whoever was alone when it was asked still is when the change is made.
        """
        is_alone = self._under_way.is_none(0)
        if not is_alone and self.models.is_to_change:
            is_alone = self._under_way.is_none(POLL_S)
            if not is_alone:
                return None
        return self.models.between_frames(may_change=is_alone)

    def _has_room(self) -> bool:
        """Whether nothing is owed to the dispatch stage."""
        if self._dispatch.flush(0):
            return True
        self._turns.rest()
        return self._dispatch.flush(POLL_S)

    def _next(self) -> Part | None:
        if self._held is not None:
            part, self._held = self._held, None
            return part
        if not self._turns.for_the_queue(POLL_S):
            return None
        picked = self._inspect_queue.pick(self._choose, POLL_S if self._at_once == 1 else 0)
        for given_up in picked.given_up:
            self._dispatch.send(Waived(given_up))
        return picked.item

    def _is_admitted(self, part: Part, frame: Frame, model: Model) -> bool:
        """Whether the model that decides is this part's; if not yet, the part is held for the next round."""
        answer = True if self._products is None else self._products.admit(part, frame, model)
        if answer is True:
            return True
        if answer is False:
            self._held = part
            self._turns.rest()
            self._clock.wait(self._never, HOLD_NS)
            return False
        now_ns = self._clock.monotonic_ns()
        part_id = part.trigger.part_id
        unknown = fault(model.bundle.identity, part_id, Reason.PRODUCT_UNKNOWN, answer, now_ns, self._clock)
        recipe = self._recipe.current
        self._dispatch.send(Judged(part, judge(unknown, part, recipe, now_ns), None, recipe))
        return False

    def _choose(self, waiting: Sequence[Part]) -> tuple[int | None, tuple[int, ...]]:
        expected_ns = self._durations.expected_ns if self._newest_first else 0
        now_ns = self._clock.monotonic_ns()
        others_ns = self._under_way.others_free_ns(now_ns, expected_ns)
        choice = choose([part.deadline_ns for part in waiting], now_ns, expected_ns, others_ns)
        return choice.inspect, choice.give_up

    def _make_turns(self, turns: LineTurns) -> PartTurns:
        def next_of(waiting: tuple[Part, ...]) -> Part:
            place, _ = self._choose(waiting)
            return waiting[-1 if place is None else place]

        expected, queue, models = self._durations, self._inspect_queue, self.models

        def engines() -> frozenset[str]:
            return frozenset(model.digest for model in (models.current, *models.others))

        return PartTurns(turns, queue, next_of, lambda: expected.expected_ns, engines)

    @property
    def renewals(self) -> int:
        """How often the engine was loaded anew."""
        return self.models.renewals

    def acknowledge(self) -> None:
        """Somebody looked at a failing engine: it is loaded anew as often again. Callable from any thread."""
        self.models.acknowledge()

    def _judged(self, model: Model, part: Part, frame: Frame) -> tuple[Model, Verdict, MapSource | None, Recipe]:
        """Who has judged the part, the verdict, the map and the recipe that go with it."""
        if self.panel is not None:
            recipe = self._recipe.current
            verdict, anomaly_map = self.panel.judge(model, part, frame, recipe)
            return model, verdict, anomaly_map, recipe
        decider, outcome, anomaly_map = self._decided(model, part, frame)
        recipe = self._recipe.current if decider is model else decider.recipe
        return decider, judge(outcome, part, recipe, self._clock.monotonic_ns()), anomaly_map, recipe

    def _decided(
        self, model: Model, part: Part, frame: Frame
    ) -> tuple[Model, Inspection | InspectionFault, MapSource | None]:
        """Who has judged the part, and what came of it. What a candidate cannot judge is the active model's."""
        decider = model if self._beside is None else self._beside.decider(part, model)
        outcome, source = look(decider, part.trigger.part_id, frame.exposures, self._clock)
        if self._beside is None or decider is model:
            return decider, outcome, source
        if isinstance(outcome, Inspection) and math.isfinite(outcome.score):
            return decider, outcome, source
        why = outcome.detail if isinstance(outcome, InspectionFault) else f"the model returned {outcome.score}"
        outcome, source = look(model, part.trigger.part_id, frame.exposures, self._clock)
        if isinstance(outcome, Inspection):  # else it is the image
            self._beside.fell_back(why)
        return model, outcome, source


class InspectHand:
    """A further thread of the inspect stage; what hangs or ends in it counts as the stage's."""

    def __init__(self, stage: InspectStage, place: int) -> None:
        self._stage = stage
        self._place = place
        self.name = f"{stage.name}-{place}"

    def step(self) -> None:
        """See `InspectStage`."""
        self._stage.work(self._place)

    def finish(self) -> None:
        """What is owed is handed over by the stage's own thread."""
