"""Several parts inspected side by side, with threads that the test holds up and lets go."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from line_process import wait_until
from makers import BUNDLE, MS, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.verdict import Reason
from edge_runtime.ops.clock import SimulatedClock, SystemClock
from edge_runtime.services.dispatch import DispatchStage
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.flow import Begun, Judged, Opened, RecipeCell, Waived
from edge_runtime.services.inspect import InspectStage
from edge_runtime.services.model_swap import Model, Models
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.queues import BoundedQueue
from edge_runtime.services.stage import StageThread
from edge_runtime.services.vitals import HUNG_AFTER_NS, Vitals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.domain.part import Part

LONG_MS = 60_000
NEW = replace(BUNDLE, version="2", digest="1" * 64)


class GatedDetector:
    """Looks at as many parts at once as ask; each leaves when the test lets it."""

    def __init__(self, identity=BUNDLE) -> None:
        self.bundle = SimpleNamespace(identity=identity)
        self.gates: dict[int, threading.Event] = {number: threading.Event() for number in range(1, 20)}
        self.inside: set[int] = set()
        self.most = 0

    def inspect(self, exposures) -> Detection:
        """The part's number is its pixels' value."""
        number = int(exposures[0][0, 0, 0])
        self.inside.add(number)
        self.most = max(self.most, len(self.inside))
        self.gates[number].wait(60)
        self.inside.discard(number)
        return Detection(0.5, None)


class Bench:
    """An inspect stage with two threads, and what it hands on."""

    def __init__(self, models: type[Models] = Models) -> None:
        self.clock = SystemClock()
        self.detector = GatedDetector()
        recipe = RecipeCell(make_recipe(), BUNDLE)
        self.models = models(self.model(self.detector), recipe, self.clock)
        self.parts: BoundedQueue[Part] = BoundedQueue("inspect", 8)
        self.inbox: BoundedQueue = BoundedQueue("dispatch", 256)
        self.stage = InspectStage(self.models, recipe, self.parts, self.inbox, self.clock, at_once=2)
        self.threads = [StageThread(stage, self.clock) for stage in (self.stage, *self.stage.hands)]

    def model(self, detector, reject: float = 2.0) -> Model:
        """With this detector."""
        return Model(EngineKeeper(detector, None, self.clock), make_recipe(reject=reject), "gated")

    def start(self) -> None:
        """Both threads."""
        for thread in self.threads:
            thread.start()

    def give(self, *numbers: int) -> None:
        """These parts wait; there is time enough."""
        for number in numbers:
            assert self.parts.try_put(make_part(number, self.clock.monotonic_ns(), LONG_MS))

    def judged(self) -> list[Judged]:
        """What has come out, and stays."""
        return [item for item in self.inbox.waiting(0) if isinstance(item, Judged)]

    def close(self) -> None:
        """Whatever is held up goes."""
        for thread in self.threads:
            thread.stop()
        for gate in self.detector.gates.values():
            gate.set()
        assert all(thread.join(60.0) for thread in self.threads if thread.started)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Runs."""
    made = Bench()
    made.start()
    yield made
    made.close()


def test_two_parts_are_looked_at_at_once_and_a_third_waits(bench) -> None:
    """As many as there are threads, the oldest first; who is done takes the next, and no part is looked at twice."""
    bench.give(1, 2, 3)
    wait_until(lambda: bench.detector.inside == {1, 2}, "the two oldest are looked at")
    assert len(bench.parts) == 1
    bench.detector.gates[2].set()
    wait_until(lambda: bench.detector.inside == {1, 3}, "the third takes the place of the second")
    bench.detector.gates[3].set()
    wait_until(lambda: len(bench.judged()) == 2, "the third is judged")
    bench.detector.gates[1].set()
    wait_until(lambda: len(bench.judged()) == 3, "all are judged")
    assert [item.part.part_sequence for item in bench.judged()] == [2, 3, 1]
    assert bench.detector.most == 2


def test_a_model_changes_while_nobody_looks(bench) -> None:
    """Who has begun ends with its model and limits; nobody begins with it after the change was proposed."""
    bench.give(1)
    wait_until(lambda: bench.detector.inside == {1}, "the first is looked at")
    other = GatedDetector(NEW)
    swap = bench.models.propose(bench.model(other))
    bench.give(2)
    wait_until(bench.stage._taking.locked, "the second thread waits for the first")
    assert not swap.done.is_set()
    assert not other.inside
    bench.detector.gates[1].set()
    wait_until(lambda: other.inside == {2}, "the other model looks")
    assert swap.done.is_set()
    other.gates[2].set()
    wait_until(lambda: len(bench.judged()) == 2, "both are judged")
    assert [item.verdict.bundle.version for item in bench.judged()] == ["1", "2"]


class HastyModels(Models):
    """Whoever asks whether the model is to change gets his answer a moment too early."""

    coming: Model | None = None

    @property
    def is_to_change(self) -> bool:
        """See `Models`."""
        found = super().is_to_change
        if self.coming is not None:
            self.coming, model = None, self.coming
            self.propose(model)
        return found


def test_a_model_that_is_proposed_a_moment_after_somebody_asked_waits_all_the_same() -> None:
    """The verdict on the part that is looked at has the limits of the model that looked."""
    bench = Bench(HastyModels)
    bench.start()
    bench.give(1)
    wait_until(lambda: bench.detector.inside == {1}, "the first is looked at")
    other = GatedDetector(NEW)
    bench.models.coming = bench.model(other, reject=9.0)
    wait_until(lambda: bench.models.coming is None, "another model is proposed")
    bench.detector.gates[1].set()
    bench.give(2)
    other.gates[2].set()
    wait_until(lambda: len(bench.judged()) == 2, "both are judged")
    bench.close()
    assert [(item.verdict.bundle.version, item.verdict.limits.reject) for item in bench.judged()] == [
        ("1", 2.0),
        ("2", 9.0),
    ]


def test_two_parts_that_come_together_are_both_looked_at_where_there_is_no_time_for_one_after_the_other() -> None:
    """The second thread has room at once: neither is given up for the other."""
    bench = Bench()
    bench.stage._durations.add(round(0.7 * LONG_MS * MS))
    bench.give(1, 2)
    bench.start()
    wait_until(lambda: bench.detector.inside == {1, 2}, "both are looked at")
    bench.close()
    assert not any(isinstance(item, Waived) for item in bench.inbox.waiting(0))


def test_who_waits_for_another_thread_does_not_hang() -> None:
    """Neither where that one is busy with taking a part, nor where a model is to change and that one still looks."""
    bench = Bench()
    hand = threading.Thread(target=bench.stage.work, args=(0,))
    with bench.stage._taking:
        bench.give(1)
        bench.stage.work(1)
    hand.start()
    wait_until(lambda: bench.detector.inside == {1}, "one looks")
    swap = bench.models.propose(bench.model(GatedDetector(NEW)))
    bench.give(2)
    bench.stage.work(1)
    assert not swap.done.is_set()
    assert len(bench.parts) == 1
    bench.close()
    hand.join(60)


def test_one_that_hangs_is_a_hang_of_the_stage(bench) -> None:
    """The other thread goes on judging, and yet the watchdog and the PLC are told: half of the device is lost."""
    soon = SimpleNamespace(monotonic_ns=lambda: bench.clock.monotonic_ns() + HUNG_AFTER_NS - 500 * MS)
    vitals = Vitals(SimpleNamespace(open_parts=0), RecipeCell(make_recipe(), BUNDLE), soon)
    names = [stage.name for stage in (bench.stage, *bench.stage.hands)]
    vitals.watch(dict(zip(names, bench.threads, strict=True)))
    bench.give(1, 2)
    wait_until(lambda: bench.detector.inside == {1, 2}, "both threads look")
    bench.detector.gates[2].set()
    wait_until(lambda: vitals.hung_stage() == "inspect", "the hang is seen")
    assert vitals.hangs("inspect")
    assert not vitals.deadline_path_alive()
    assert not vitals.stalled_stages()
    bench.give(3)
    bench.detector.gates[3].set()
    wait_until(lambda: len(bench.judged()) == 2, "parts are still judged")


def dispatch_of(clock, at_once: int = 1) -> tuple[DispatchStage, BoundedQueue, BoundedQueue]:
    """The arbiter, its inbox and its records."""
    inbox, records = BoundedQueue("dispatch", 64), BoundedQueue("records", 64)
    recipe = RecipeCell(make_recipe(), BUNDLE)
    stage = DispatchStage(recipe, "camera", inbox, None, records, None, LineMonitor(), clock, at_once=at_once)
    return stage, inbox, records


def test_each_of_those_under_way_is_known_at_its_deadline() -> None:
    """Two that do not end are late, not waived; a part that never had its turn is told which one held the place."""
    clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
    stage, inbox, records = dispatch_of(clock)
    first, second, third = (make_part(number, 1_000 * MS) for number in (1, 2, 3))
    for part in (first, second, third):
        inbox.put(Opened(part), 0)
    inbox.put(Begun(first, 0), 0)
    inbox.put(Begun(second, 1), 0)
    stage.step()
    clock.advance(101 * MS)
    inbox.put(Waived(third), 0)
    stage.step()
    found = {item.record.verdict.part_sequence: item.record.verdict for item in records.get_batch(9, 0, 0)}
    assert {verdict.reason for verdict in found.values()} == {Reason.DEADLINE_MISSED}
    assert "has not ended" in found[1].detail
    assert "has not ended" in found[2].detail
    assert "part-1 does not end" in found[3].detail


def test_a_place_that_looks_at_another_part_has_left_the_one_before() -> None:
    """A thread whose step failed halfway never says how the part ended: it is not taken for stuck for ever."""
    clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
    stage, inbox, records = dispatch_of(clock)
    for number, place in ((1, 1), (2, 1)):
        inbox.put(Opened(part := make_part(number, 1_000 * MS, 100 * number)), 0)
        inbox.put(Begun(part, place), 0)
    stage.step()
    clock.advance(101 * MS)
    inbox.put(Opened(late := make_part(3, 1_101 * MS)), 0)
    inbox.put(Waived(late), 0)
    stage.step()
    found = {item.record.verdict.part_sequence: item.record.verdict for item in records.get_batch(9, 0, 0)}
    assert found[3].reason is Reason.OVERLOAD


def test_the_older_verdict_leaves_first_and_no_later_than_at_its_deadline() -> None:
    """So that after a kill the PLC's last number and the newest record tell what was not written down."""
    clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
    stage, inbox, records = dispatch_of(clock, at_once=2)
    first, second, third = (make_part(number, (999 + number) * MS) for number in (1, 2, 3))
    for part in (first, second, third):
        inbox.put(Opened(part), 0)

    def tell(part: Part) -> None:
        inspection = make_inspection(0.5, part.trigger.part_id)
        inbox.put(Judged(part, judge(inspection, part, make_recipe(), clock.monotonic_ns())), 0)

    def told() -> list[int]:
        stage.step()
        return [item.record.verdict.part_sequence for item in records.waiting(0)]

    tell(second)
    assert told() == []
    assert not stage.idle
    tell(first)
    assert told() == [1, 2]
    fourth = make_part(4, 1_050 * MS)
    inbox.put(Opened(fourth), 0)
    tell(fourth)
    assert told() == [1, 2]
    clock.advance(103 * MS)
    assert told() == [1, 2, 3, 4]
    reasons = [item.record.verdict.reason for item in records.get_batch(9, 0, 0)]
    assert reasons == [Reason.BELOW_LIMIT, Reason.BELOW_LIMIT, Reason.OVERLOAD, Reason.BELOW_LIMIT]
