from __future__ import annotations

from dataclasses import replace

import pytest
from makers import BUNDLE, make_part, make_recipe

from edge_runtime.decision.combine import NoTime, combined_verdict
from edge_runtime.decision.judge import fault_verdict
from edge_runtime.decision.trial import Confirmed, Failure, RolledBack, TrialRules
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


def passing(bundle) -> Look:
    """It says PASS, in no doubt."""
    return Look(bundle, LIMITS, 0.5, Disposition.PASS, Reason.BELOW_LIMIT)


def rejecting(bundle) -> Look:
    """It says REJECT."""
    return Look(bundle, LIMITS, 2.5, Disposition.REJECT, Reason.ABOVE_LIMIT)


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


def beside_trial() -> Trial:
    """Of a release of the second model."""
    release = StoredRelease(OTHER.digest, ReleaseTerms("exact", 7, 0, ()), "slow", "1.7", 0, UpdateState.TRIAL, 1, 7)
    return Trial(release, make_recipe(), RULES, place=1)


def test_a_second_model_is_confirmed_by_the_parts_at_which_it_looked() -> None:
    """The others count for the reject rate of the line alone."""
    on_trial = beside_trial()
    for _ in range(2_000):
        see(on_trial, passing(OWN))
    assert on_trial.outcome(hangs=False, has_good=True) is None
    for _ in range(50):
        see(on_trial, sound(OWN), sound(OTHER))
    assert (on_trial.tally.looked, on_trial.tally.sound) == (50, 2_050)
    assert isinstance(on_trial.outcome(hangs=False, has_good=True), Confirmed)


def test_a_second_model_goes_for_the_time_that_it_takes() -> None:
    """Parts for whose look there was no time are its late ones, and one that it was not asked about is no cure."""
    on_trial = beside_trial()
    for _ in range(10):
        see(on_trial, sound(OWN), unheard=NoTime(1, 5, 2))
        see(on_trial, passing(OWN))
    outcome = on_trial.outcome(hangs=False, has_good=True)
    assert isinstance(outcome, RolledBack)
    assert outcome.failure is Failure.LATE


def test_a_second_model_answers_for_its_own_faults_alone() -> None:
    """Not for those of the first, nor for parts that the one before it in its place has judged."""
    on_trial = beside_trial()
    earlier = replace(OTHER, digest="c" * 64)
    for _ in range(20):
        see(on_trial, broken(OWN))
        see(on_trial, sound(OWN), broken(earlier))
    assert on_trial.tally.parts == on_trial.tally.sound == 0
    for _ in range(3):
        see(on_trial, sound(OWN), broken(OTHER))
        see(on_trial, passing(OWN))
    outcome = on_trial.outcome(hangs=False, has_good=True)
    assert isinstance(outcome, RolledBack)
    assert outcome.failure is Failure.FAULTS


def test_a_second_model_that_spoils_the_reject_rate_of_the_line_goes() -> None:
    """What the gate may eject is stated for the line: a share of all its parts, not of those in doubt."""
    rules = replace(RULES, reject_rate=(0.0, 0.3))
    release = beside_trial().release
    usual, spoiled = Trial(release, make_recipe(), rules, place=1), Trial(release, make_recipe(), rules, place=1)
    for number in range(400):
        for on_trial in (usual, spoiled):
            asked = number % 2 == 0 if on_trial is spoiled else number % 10 == 0
            see(on_trial, *((sound(OWN), rejecting(OTHER)) if asked else (passing(OWN),)))
    assert not isinstance(usual.outcome(hangs=False, has_good=True), RolledBack)
    outcome = spoiled.outcome(hangs=False, has_good=True)
    assert isinstance(outcome, RolledBack)
    assert outcome.failure is Failure.REJECT_RATE


def test_a_second_model_is_not_to_blame_for_a_batch_that_the_first_one_rejects() -> None:
    """Too many even without what it said: it stays, and is confirmed once it has looked at enough."""
    on_trial = Trial(beside_trial().release, make_recipe(), replace(RULES, reject_rate=(0.0, 0.3)), place=1)
    for _ in range(60):
        for _ in range(4):
            see(on_trial, rejecting(OWN))
        see(on_trial, sound(OWN), rejecting(OTHER))
    assert isinstance(on_trial.outcome(hangs=False, has_good=True), Confirmed)
