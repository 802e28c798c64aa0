from __future__ import annotations

from dataclasses import replace

import pytest
from makers import BUNDLE, make_part, make_recipe

from edge_runtime.decision.combine import NoTime, combined_verdict
from edge_runtime.decision.judge import fault_verdict
from edge_runtime.decision.trial import Failure, RolledBack, TrialRules
from edge_runtime.domain.combination import Combination, Look, Rule, Terms
from edge_runtime.domain.update import ReleaseTerms, StoredRelease, UpdateState
from edge_runtime.domain.verdict import Disposition, Limits, Reason
from edge_runtime.services.trial import Trial

OWN = replace(BUNDLE, name="fast", digest="a" * 64)
OTHER = replace(BUNDLE, name="slow", digest="b" * 64)
LIMITS = Limits(1.0, 2.0)
RULES = TrialRules(parts=50, dwell_ns=0, fault_rate=0.01, late_rate=0.05, reject_rate=(0.0, 1.0))


def sound(bundle) -> Look:
    """It says REVIEW."""
    return Look(bundle, LIMITS, 1.5, Disposition.REVIEW, Reason.BETWEEN_LIMITS)


def broken(bundle) -> Look:
    """It cannot judge the part."""
    return Look(bundle, LIMITS, None, None, Reason.ENGINE_ERROR, detail="the device is gone")


def trial() -> Trial:
    """Of a release of the line's own model, beside a further one."""
    release = StoredRelease(OWN.digest, ReleaseTerms("lid", 7, 0, ()), "fast", "1.7", 0, UpdateState.TRIAL, 1, 7)
    return Trial(release, make_recipe(), RULES)


def see(on_trial: Trial, *looks: Look, unheard: NoTime | None = None) -> None:
    """One part of a cascade."""
    cascade = Combination(Rule.CASCADE, (Terms(), Terms()))
    on_trial.see(combined_verdict(cascade, looks, unheard, make_part(), make_recipe(), 0))


def test_a_release_is_not_rolled_back_for_the_fault_of_the_model_beside_it() -> None:
    """Its parts say nothing about it where the other one's engine is broken."""
    on_trial = trial()
    for _ in range(100):
        see(on_trial, sound(OWN), broken(OTHER))
    assert on_trial.outcome(hangs=False, has_good=True) is None
    assert on_trial.tally.parts == 0


@pytest.mark.parametrize("beside", [(), (broken(OTHER),)])
def test_it_goes_for_its_own(beside: tuple[Look, ...]) -> None:
    """Whoever else failed at the same part."""
    on_trial = trial()
    for _ in range(3):
        see(on_trial, broken(OWN), *beside)
    outcome = on_trial.outcome(hangs=False, has_good=True)
    assert isinstance(outcome, RolledBack)
    assert outcome.failure is Failure.FAULTS


def test_it_answers_for_the_time_that_all_need_together() -> None:
    """A first model that leaves no time for the second one is too slow for this line."""
    on_trial = trial()
    for _ in range(10):
        see(on_trial, sound(OWN), unheard=NoTime(1, 5, 2))
    outcome = on_trial.outcome(hangs=False, has_good=True)
    assert isinstance(outcome, RolledBack)
    assert outcome.failure is Failure.LATE


def test_what_another_line_made_late_counts_for_nothing() -> None:
    """Neither to ten in a row nor to any rate; what is late by itself does."""
    on_trial = trial()
    late = fault_verdict(make_part(), make_recipe(), Reason.OVERLOAD, "", OWN, 0)
    for _ in range(100):
        on_trial.see(replace(late, was_held=True))
    assert on_trial.outcome(hangs=False, has_good=True) is None
    assert on_trial.tally.parts == 0
    for _ in range(10):
        on_trial.see(late)
    outcome = on_trial.outcome(hangs=False, has_good=True)
    assert isinstance(outcome, RolledBack)
    assert outcome.failure is Failure.LATE
