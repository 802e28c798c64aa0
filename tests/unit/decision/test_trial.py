from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import MS, make_fault, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.decision.trial import (
    FALSE_ALARM,
    Confirmed,
    Failure,
    RolledBack,
    Tally,
    TrialRules,
    decide,
    is_beyond,
    log_evidence,
)
from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.verdict import Reason

RULES = TrialRules(parts=100, dwell_ns=10_000 * MS, fault_rate=0.01, late_rate=0.01, reject_rate=(0.0, 0.5))
LONG_NS = 60_000 * MS
PASS, REVIEW, REJECT = 0.5, 1.5, 2.5


def tally_of(*outcomes: float | Reason) -> Tally:
    """Verdicts on scores (limits 1 and 2), and faults."""
    recipe, tally = make_recipe(), Tally()
    for outcome in outcomes:
        found = make_fault(outcome) if isinstance(outcome, Reason) else make_inspection(outcome)
        tally = tally.add(judge(found, make_part(), recipe, 1_000 * MS), recipe)
    return tally


def failure_of(tally: Tally, rules: TrialRules = RULES) -> Failure | None:
    """Why it has to go at this moment; None if it may stay."""
    found = decide(tally, rules, LONG_NS, hangs=False)
    return found.failure if isinstance(found, RolledBack) else None


def test_a_good_model_is_confirmed_after_its_parts_and_its_time() -> None:
    """Neither enough parts nor enough time alone confirms."""
    enough, few = Tally(sound=100, ejected=3), Tally(sound=99, ejected=3)
    assert decide(few, RULES, LONG_NS, hangs=False) is None
    assert decide(enough, RULES, RULES.dwell_ns - 1, hangs=False) is None
    assert isinstance(decide(enough, RULES, RULES.dwell_ns, hangs=False), Confirmed)


def test_review_counts_as_the_recipe_treats_it() -> None:
    """A part under review is rejected only where the gate ejects it."""
    recipe = make_recipe()
    verdict = judge(make_inspection(REVIEW), make_part(), recipe, 1_000 * MS)
    assert Tally().add(verdict, recipe).ejected == 1
    assert Tally().add(verdict, replace(recipe, review_action=GateAction.LET_PASS)).ejected == 0


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.ENGINE_ERROR, Failure.FAULTS),
        (Reason.SCORE_INVALID, Failure.FAULTS),
        (Reason.IMAGE_UNEXPECTED, Failure.FAULTS),
        (Reason.DEADLINE_MISSED, Failure.LATE),
        (Reason.OVERLOAD, Failure.LATE),
        (Reason.TRIGGER_LOST, None),
        (Reason.IMAGE_CORRUPT, None),
        (Reason.CAMERA_FROZEN, None),
    ],
)
def test_a_row_of_faults_ends_the_trial_where_the_model_may_be_to_blame(reason: Reason, expected) -> None:
    """Ten parts in a row are enough; what the camera does is not held against the model."""
    assert failure_of(tally_of(PASS, *[reason] * 10)) is expected


def test_a_burst_of_late_parts_is_forgiven_and_so_is_lateness_where_nothing_else_could_run() -> None:
    """A daemon that has just started is late for a few parts; a first release that is thrown out stops the line."""
    assert failure_of(tally_of(*[Reason.DEADLINE_MISSED] * 9)) is None
    late = tally_of(*[Reason.DEADLINE_MISSED] * 40)
    assert failure_of(late) is Failure.LATE
    assert decide(late, RULES, LONG_NS, hangs=False, has_good=False) is None
    faulty = tally_of(*[Reason.ENGINE_ERROR] * 3)
    assert isinstance(decide(faulty, RULES, LONG_NS, hangs=False, has_good=False), RolledBack)


def test_faults_apart_from_each_other_end_it_too() -> None:
    """One part in ten that cannot be judged is found out, although never two follow each other."""
    assert failure_of(tally_of(*([PASS] * 9 + [Reason.ENGINE_ERROR]) * 9)) is Failure.FAULTS


def test_a_single_late_part_is_forgiven() -> None:
    """One in two hundred is within one in a hundred."""
    assert isinstance(decide(tally_of(*[PASS] * 199, Reason.DEADLINE_MISSED), RULES, LONG_NS, hangs=False), Confirmed)


def test_a_model_that_rejects_everything_is_found_out_within_twenty_parts() -> None:
    """The band ends at one half."""
    assert failure_of(tally_of(*[REJECT] * 8)) is None
    assert failure_of(tally_of(*[REJECT] * 20)) is Failure.REJECT_RATE


def test_a_model_that_rejects_nothing_is_found_out_where_rejects_are_expected() -> None:
    """On a belt with a tenth of defects, silence is a failure."""
    band = replace(RULES, reject_rate=(0.1, 0.5))
    assert failure_of(tally_of(*[PASS] * 200), band) is Failure.REJECT_RATE


def test_outside_its_band_but_not_certainly_so_it_stays_on_trial_and_not_for_ever() -> None:
    """Between the two answers the trial goes on; after twenty times its parts it has failed."""
    band = replace(RULES, reject_rate=(0.0, 0.1))
    assert decide(Tally(sound=100, ejected=12), band, LONG_NS, hangs=False) is None
    ended = decide(Tally(sound=2_000, ejected=205), band, LONG_NS, hangs=False)
    assert isinstance(ended, RolledBack)
    assert ended.failure is Failure.UNDECIDED


def test_an_inspection_that_does_not_end_is_reason_enough() -> None:
    """Whatever the counts say."""
    found = decide(Tally(sound=1_000), RULES, LONG_NS, hangs=True)
    assert isinstance(found, RolledBack)
    assert found.failure is Failure.HUNG


@given(st.lists(st.sampled_from([PASS, REVIEW, REJECT, *Reason]), max_size=60))
def test_it_is_never_confirmed_with_fewer_sound_parts_than_asked_for(outcomes) -> None:
    """Whatever comes, in whatever order."""
    tally = tally_of(*[o for o in outcomes if not isinstance(o, Reason) or o.is_fault])
    assert not isinstance(decide(tally, RULES, LONG_NS, hangs=False), Confirmed)
    assert tally.ejected <= tally.sound
    assert tally.parts <= len(outcomes)


@given(st.integers(1, 400), st.data(), st.floats(0.0, 1.0))
def test_evidence_is_a_number_and_grows_with_every_case(parts: int, data, rate: float) -> None:
    """Above the stated rate more cases are never less evidence; up to it there is none."""
    cases = data.draw(st.integers(0, parts - 1))
    fewer, more = log_evidence(cases, parts, rate), log_evidence(cases + 1, parts, rate)
    assert not math.isnan(fewer)
    assert more >= fewer - 1e-9 or cases < rate * parts
    assert not is_beyond(math.floor(rate * parts), parts, rate)


def test_a_model_that_keeps_to_its_rate_is_hardly_ever_thrown_out_however_often_one_looks() -> None:
    """2,000 trials of 1,000 parts at exactly the allowed rate, looked at after every part."""
    drawn = np.random.default_rng(5).random((2_000, 1_000)) < 0.1
    thrown_out = 0
    for trial in drawn:
        cases = np.cumsum(trial)
        # Only a new case adds evidence: the looks in between need not be taken.
        thrown_out += any(is_beyond(int(cases[at]), int(at) + 1, 0.1) for at in np.flatnonzero(trial))
    assert thrown_out <= 8, f"{thrown_out} of 2,000; {2_000 * FALSE_ALARM:g} expected at most"
