"""Capture, inspect and dispatch stage on a simulated clock, driven by hand: an inspection takes what the test says."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

from makers import BUNDLE, MS, make_frame, make_recipe

from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.decision.part_tracker import PartTracker
from edge_runtime.detectors.port import Detection
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.capture import CaptureStage
from edge_runtime.services.dispatch import DispatchStage
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.flow import RecipeCell
from edge_runtime.services.inspect import InspectStage
from edge_runtime.services.model_swap import Model, Models
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.queues import BoundedQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.services.beside import Beside
    from edge_runtime.services.engine_turns import LineTurns


class Belt:
    """A camera whose frames come at equal intervals of the simulated clock."""

    name = "belt"

    def __init__(self, clock: SimulatedClock, interval_ms: int, parts: int) -> None:
        self._clock, self._interval_ns, self._parts = clock, interval_ms * MS, parts
        self._began_ns = clock.monotonic_ns()
        self.delivered = 0

    def next_frame(self, timeout_s: float):
        """A frame whose time has come."""
        due_ns = self._began_ns + self.delivered * self._interval_ns
        if self.delivered == self._parts or self._clock.monotonic_ns() < due_ns:
            return None
        self.delivered += 1
        return make_frame(self.delivered, due_ns)

    def status(self) -> CameraStatus:
        """Always well."""
        return CameraStatus(CameraState.CONNECTED, "", 0, 0)


class SlowDetector:
    """Needs `duration_ms` of the simulated clock; meanwhile the other stages go on."""

    class bundle:  # noqa: N801  (an attribute of the port)
        """Only who it is matters here."""

        identity = BUNDLE

    def __init__(self, line: DrivenLine, duration_ms: int) -> None:
        self._line, self.duration_ms, self.looked = line, duration_ms, False
        self.inspected = []

    def inspect(self, exposures) -> Detection:
        """Let time pass."""
        self.looked = True
        for _ in range(self.duration_ms):
            self._line.millisecond()
        return Detection(0.5, None)


class Unasked:
    """A further model at whose engine nobody looks."""

    def __init__(self, identity: BundleIdentity) -> None:
        self.bundle = SimpleNamespace(identity=identity)


class DrivenLine:
    """Capture, inspect and dispatch stage, driven by hand, with every verdict that came out."""

    def __init__(
        self,
        *,
        interval_ms: int,
        duration_ms: int,
        parts: int,
        deadline_ms: int = 100,
        beside: Beside | None = None,
        turns: LineTurns | None = None,
        others: Sequence[BundleIdentity] = (),
    ) -> None:
        self.clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
        self.recipe = recipe = RecipeCell(make_recipe(deadline_ms=deadline_ms), BUNDLE)
        self.queue = BoundedQueue("inspect", 8)
        self.inbox = BoundedQueue("dispatch", 256)
        self.commands, self.records = BoundedQueue("commands", 10_000), BoundedQueue("records", 10_000)
        self.monitor = LineMonitor()
        self.detector = SlowDetector(self, duration_ms)
        self.belt = Belt(self.clock, interval_ms, parts)
        self.capture = CaptureStage(
            self.belt,
            PartTracker(0),
            recipe,
            self.queue,
            self.inbox,
            lambda *_: None,
            self.clock,
            wait_when_full=False,
        )
        model = Model(EngineKeeper(self.detector, None, self.clock), recipe.current, "slow")
        further = [replace(model, keeper=EngineKeeper(Unasked(identity), None, self.clock)) for identity in others]
        self.models = Models(model, recipe, self.clock, others=further)
        self.inspect = InspectStage(self.models, recipe, self.queue, self.inbox, self.clock, beside=beside, turns=turns)
        self.dispatch = DispatchStage(
            recipe, "belt", self.inbox, self.commands, self.records, None, self.monitor, self.clock
        )
        self.most_waiting = 0
        self.on_millisecond: Callable[[], None] = lambda: None

    def millisecond(self) -> None:
        """One millisecond of everything but the inspection."""
        self.clock.advance(MS)
        self.on_millisecond()
        delivered = -1
        while delivered != self.belt.delivered:
            delivered = self.belt.delivered
            self.capture.step()
        self.settle()
        self.most_waiting = max(self.most_waiting, len(self.queue) + len(self.inbox))

    def settle(self) -> None:
        """Dispatch has caught up."""
        while len(self.inbox):
            self.dispatch.step()
        if any(self.clock.monotonic_ns() > part.deadline_ns for part in self.dispatch._open.values()):
            self.dispatch.step()

    def run(self, milliseconds: int):
        """Let so much time pass, inspecting whenever something waits; returns the verdicts."""
        until_ns = self.clock.monotonic_ns() + milliseconds * MS
        while self.clock.monotonic_ns() < until_ns:
            if len(self.queue):
                self.inspect.step()
                self.settle()
            else:
                self.millisecond()
        verdicts = []
        while (item := self.records.get(0)) is not None:
            verdicts.append(item.record.verdict)
        return verdicts
