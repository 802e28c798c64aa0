from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from driven_line import DrivenLine
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import BUNDLE, MS, make_recipe

from edge_runtime.detectors.port import Detection
from edge_runtime.domain.records import EventRecord
from edge_runtime.domain.verdict import Disposition, Limits
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.events import Events
from edge_runtime.services.flow import RecipeCell
from edge_runtime.services.model_swap import REMEMBERED, Model, Models
from edge_runtime.services.queues import BoundedQueue

NEW = replace(BUNDLE, version="2", digest="1" * 64, trust="production")
NEW_LIMITS = Limits(0.1, 0.2)
"""The score of every part here, 0.5, passes under the old limits and not under these."""


class OtherDetector:
    """Another model: the same score, another name."""

    def __init__(self, identity=NEW) -> None:
        self.bundle = SimpleNamespace(identity=identity)

    def inspect(self, exposures) -> Detection:
        """At once."""
        return Detection(0.5, None)


def model(clock: SimulatedClock, identity=NEW) -> Model:
    """A model that may be proposed."""
    keeper = EngineKeeper(OtherDetector(identity), None, clock)
    return Model(keeper, make_recipe(review=NEW_LIMITS.review, reject=NEW_LIMITS.reject), "other engine")


@given(st.integers(0, 550))
@settings(max_examples=30, deadline=None)
def test_whenever_it_comes_the_change_falls_between_two_parts(at_ms: int) -> None:
    """Every part has its verdict; each names one model with that model's limits, and the old one never comes back."""
    line = DrivenLine(interval_ms=20, duration_ms=12, parts=30)
    due_ns = line.clock.monotonic_ns() + at_ms * MS

    def propose() -> None:
        if line.models.swaps == 0 and line.clock.monotonic_ns() >= due_ns and not asked:
            asked.append(line.models.propose(model(line.clock)))

    asked: list = []
    line.on_millisecond = propose
    verdicts = line.run(800)
    assert [verdict.part_sequence for verdict in verdicts] == list(range(1, 31))
    assert all(not verdict.reason.is_fault for verdict in verdicts)
    assert {(verdict.bundle.version, verdict.limits.reject) for verdict in verdicts} <= {("1", 2.0), ("2", 0.2)}
    versions = [verdict.bundle.version for verdict in verdicts]
    assert versions == sorted(versions)
    assert asked[0].done.is_set()
    assert line.models.swaps == 1


def test_a_part_under_inspection_is_finished_by_the_model_that_began_it() -> None:
    """The proposal comes in the middle of an inspection; it waits for its end, and is measured."""
    line = DrivenLine(interval_ms=20, duration_ms=30, parts=2)
    began_ns = line.clock.monotonic_ns()
    asked: list = []

    def propose() -> None:
        if line.clock.monotonic_ns() == began_ns + 10 * MS:
            asked.append(line.models.propose(model(line.clock)))

    line.on_millisecond = propose
    first, second = line.run(200)
    assert (first.bundle, first.disposition) == (BUNDLE, Disposition.PASS)
    assert (second.bundle, second.disposition) == (NEW, Disposition.REJECT)
    assert asked[0].took_ns == 21 * MS


def test_a_part_that_nobody_inspects_is_booked_on_the_model_in_force() -> None:
    """Fault verdicts carry identity and limits that belong together."""
    line = DrivenLine(interval_ms=10, duration_ms=300, parts=40, deadline_ms=40)
    line.on_millisecond = lambda: line.models.propose(model(line.clock)) if line.belt.delivered == 8 else None
    verdicts = line.run(800)
    assert len(verdicts) == 40
    assert any(verdict.reason.is_fault for verdict in verdicts)
    assert {(verdict.bundle.version, verdict.limits.reject) for verdict in verdicts} == {("1", 2.0), ("2", 0.2)}


class Bench:
    """Models without a line around them."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.records: BoundedQueue = BoundedQueue("records", 100)
        self.in_force = RecipeCell(make_recipe(), BUNDLE)
        first = Model(EngineKeeper(OtherDetector(BUNDLE), None, self.clock), make_recipe(), "engine")
        self.models = Models(first, self.in_force, self.clock, Events(self.records, self.clock))


@pytest.fixture
def bench() -> Bench:
    """Models without a line around them."""
    return Bench()


def test_the_newest_of_two_proposals_counts(bench: Bench) -> None:
    """The one that it overtook is told, so that nobody waits for it."""
    overtaken, newest = bench.models.propose(model(bench.clock)), bench.models.propose(model(bench.clock))
    assert overtaken.done.is_set()
    assert not newest.done.is_set()
    assert bench.models.between_frames() is newest.model
    assert newest.done.is_set()
    assert bench.models.swaps == 1


def test_the_record_of_the_change_comes_with_it(bench: Bench) -> None:
    """Not before: a proposal that was overtaken leaves none."""
    bench.models.propose(model(bench.clock), EventRecord("model_activated", "info", "first", 0))
    bench.models.propose(model(bench.clock), EventRecord("model_activated", "info", "second", 0))
    assert len(bench.records) == 0
    bench.models.between_frames()
    assert [bench.records.get(0).record.message] == ["second"]
    assert bench.records.get(0) is None


def test_manifests_of_earlier_models_are_known_for_a_while(bench: Bench) -> None:
    """A picture of the old model that is drawn late is drawn with the old model's colours; memory stays bounded."""
    for number in range(3 * REMEMBERED):
        bench.models.propose(model(bench.clock, replace(NEW, digest=f"{number:064d}")))
        bench.models.between_frames()
    newest = 3 * REMEMBERED - 1
    assert bench.models.manifest(f"{newest - 1:064d}").identity.digest == f"{newest - 1:064d}"
    assert bench.models.manifest("0" * 64) is bench.models.current.bundle
    assert len(bench.models._manifests) == REMEMBERED


def test_the_count_of_renewals_never_goes_back(bench: Bench) -> None:
    """It is a counter in the metrics, whichever model it belongs to."""
    bench.models.current.keeper.renewals = 2
    other = model(bench.clock)
    other.keeper.renewals = 1
    bench.models.propose(other)
    bench.models.between_frames()
    assert bench.models.renewals == 2
    other.keeper.renewals = 2
    assert bench.models.renewals == 3
