from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from makers import BUNDLE, MS, make_frame, make_part, make_recipe

from edge_runtime.detectors.port import Detection
from edge_runtime.domain.combination import Combination, Rule, Terms
from edge_runtime.domain.errors import EngineError
from edge_runtime.domain.verdict import Disposition, Limits, Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.flow import RecipeCell
from edge_runtime.services.model_swap import Model, Models
from edge_runtime.services.panel import Panel

OWN = replace(BUNDLE, name="fast", digest="a" * 64)
OTHER = replace(BUNDLE, name="slow", digest="b" * 64)
OWN_LIMITS = Limits(1.0, 2.0)
OTHER_LIMITS = Limits(10.0, 20.0)


class Detector:
    """Says what it is told to, in as long as it is told to."""

    def __init__(self, identity, clock: SimulatedClock) -> None:
        self.bundle = SimpleNamespace(identity=identity)
        self.map = np.zeros((2, 2), np.float32)
        self.score, self.takes_ms, self.looked = 0.5, 1, 0
        self._clock = clock

    def inspect(self, exposures) -> Detection:
        """NaN stands for an engine that breaks."""
        self.looked += 1
        self._clock.advance(self.takes_ms * MS)
        if math.isnan(self.score):
            raise EngineError("the device is gone", "restart it")
        return Detection(self.score, self.map)


class Bench:
    """A panel of two without a line around it; the line's own limits are 1 and 2."""

    def __init__(self, rule: Rule = Rule.CASCADE) -> None:
        self.clock = SimulatedClock()
        self.own, self.other = Detector(OWN, self.clock), Detector(OTHER, self.clock)
        recipe = make_recipe(fail_safe=Disposition.REVIEW)
        own = Model(EngineKeeper(self.own, None, self.clock), recipe, "engine")
        other = Model(EngineKeeper(self.other, None, self.clock), replace(recipe, limits=OTHER_LIMITS), "engine")
        self.models = Models(own, RecipeCell(recipe, OWN), self.clock, others=[other])
        self.panel = Panel(Combination(rule, (Terms(), Terms())), self.models, self.clock)

    def judge(self, limits: Limits = OWN_LIMITS):
        """The verdict on a new part with 100 ms, and the map."""
        part = make_part(triggered_ns=self.clock.monotonic_ns())
        recipe = make_recipe(review=limits.review, reject=limits.reject, fail_safe=Disposition.REVIEW)
        return self.panel.judge(self.models.between_frames(), part, make_frame(), recipe)


def test_the_second_model_is_asked_in_doubt_alone() -> None:
    """Each verdict comes with the map of the model that it names, and each look is counted."""
    bench = Bench()
    verdict, anomaly_map = bench.judge()
    assert (verdict.bundle, verdict.disposition, bench.other.looked) == (OWN, Disposition.PASS, 0)
    assert anomaly_map is bench.own.map
    bench.own.score, bench.other.score = 1.5, 25.0
    verdict, anomaly_map = bench.judge()
    assert (verdict.bundle, verdict.disposition, verdict.limits) == (OTHER, Disposition.REJECT, OTHER_LIMITS)
    assert anomaly_map is bench.other.map
    assert [(counters.looked, counters.decided) for counters in bench.panel.counters] == [(2, 1), (1, 1)]


def test_new_limits_of_the_line_move_its_own_doubt() -> None:
    """They are those of the recipe in force, as SIGHUP changes them; the other model keeps its own."""
    bench = Bench()
    bench.own.score = bench.other.score = 1.5
    assert bench.judge(Limits(1.6, 2.0))[0].bundle == OWN
    verdict, _ = bench.judge()
    assert (verdict.bundle, verdict.limits, verdict.disposition) == (OTHER, OTHER_LIMITS, Disposition.PASS)


def test_a_look_that_would_end_too_late_is_left_out_until_nobody_believes_in_it() -> None:
    """The part is a missed deadline and no PASS; a slow look is tried again, for what is expected may be wrong."""
    bench = Bench()
    bench.own.score, bench.other.score, bench.other.takes_ms = 1.5, 0.5, 500
    late, _ = bench.judge()
    assert (late.reason, late.disposition, late.score) == (Reason.DEADLINE_MISSED, Disposition.REVIEW, 0.5)
    bench.other.takes_ms = 1
    hasty, _ = bench.judge()
    assert (hasty.reason, hasty.disposition, hasty.score) == (Reason.DEADLINE_MISSED, Disposition.REVIEW, None)
    assert "no time for the look of model 2" in hasty.detail
    assert bench.other.looked == 1
    again, _ = bench.judge()
    assert (again.reason, again.disposition, bench.other.looked) == (Reason.BELOW_LIMIT, Disposition.PASS, 2)


def test_a_model_does_not_answer_for_the_time_that_the_one_before_it_took() -> None:
    """A slow release is rolled back: the good one is asked about the next part already."""
    bench = Bench()
    bench.own.score, bench.other.score, bench.other.takes_ms = 1.5, 0.5, 500
    late, _ = bench.judge()
    assert late.reason is Reason.DEADLINE_MISSED
    good = Detector(replace(OTHER, digest="c" * 64), bench.clock)
    recipe = replace(make_recipe(), limits=OTHER_LIMITS)
    bench.models.beside[0].propose(Model(EngineKeeper(good, None, bench.clock), recipe, "engine"))
    verdict, _ = bench.judge()
    assert (verdict.reason, verdict.disposition, good.looked) == (Reason.BELOW_LIMIT, Disposition.PASS, 1)


@pytest.mark.parametrize("rule", list(Rule))
def test_a_further_model_that_fails_makes_the_line_say_so(rule) -> None:
    """Its parts get the fail-safe, and after three of them the engine counts as failing, by name."""
    bench = Bench(rule)
    bench.own.score, bench.other.score = 1.5, math.nan
    for _ in range(3):
        verdict, _ = bench.judge()
        assert verdict.reason is Reason.ENGINE_ERROR
        assert verdict.disposition is not Disposition.PASS
        assert verdict.detail.startswith("slow 1: ")
    assert bench.models.failing is not None
    assert bench.models.failing.startswith("slow 1: 3 parts in a row")
    bench.other.score = 5.0
    bench.judge()
    assert bench.models.failing is None


def test_pictures_are_drawn_with_the_manifest_of_the_model_that_decided() -> None:
    """A further model's manifest is known for as long as the line runs."""
    bench = Bench()
    assert bench.models.manifest(OTHER.digest) is bench.other.bundle
    assert bench.models.manifest(OWN.digest) is bench.own.bundle
