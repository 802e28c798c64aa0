from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_parts import MS, PASS, REJECT, make_pairs, make_terms

from edge_runtime.decision.rollout_evidence import Evidence, Look, ScoreScale, Side
from edge_runtime.decision.rollout_rules import StageTerms, tripped, waits_for
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.domain.verdict import Disposition, Limits

SHADOW, CANARY = RolloutStage.SHADOW, RolloutStage.CANARY
LOOKS = st.builds(
    Look,
    disposition=st.sampled_from(Disposition),
    ejected=st.booleans(),
    score=st.floats(allow_nan=False),
    duration_ns=st.integers(0, 10**12),
)


def _canary(active: tuple[int, int], candidate: tuple[int, int]) -> Evidence:
    evidence = Evidence()
    for side, (passed, rejected) in ((evidence.active, active), (evidence.candidate, candidate)):
        for _ in range(passed):
            side.add(PASS)
        for _ in range(rejected):
            side.add(REJECT)
    return evidence


def test_an_equal_candidate_goes_on_once_it_has_shown_enough() -> None:
    """500 parts with the same verdict: nothing trips, nothing is missing."""
    assert tripped(SHADOW, make_pairs(500), make_terms()) is None
    assert waits_for(SHADOW, make_pairs(500), make_terms(), 0) == ()


def test_what_is_still_missing_is_said() -> None:
    """Parts, time and agreement, each with its figure."""
    terms = make_terms(shadow=StageTerms(500, 3_600 * 10**9))
    found = waits_for(SHADOW, make_pairs(20), terms, 1_800 * 10**9)
    assert found[:2] == ("480 more parts", "30.0 more minutes")
    assert found[2] == "agreement of 95.0% at least (surely 78.7% so far)"


@pytest.mark.parametrize("stage", [SHADOW, CANARY])
def test_a_candidate_that_rejects_everything_is_stopped_after_thirteen_parts(stage) -> None:
    """The band of the reject rate needs no other model to compare with."""
    evidence = Evidence()
    for _ in range(12):
        evidence.candidate.add(REJECT)
    assert tripped(stage, evidence, make_terms()) is None
    evidence.candidate.add(REJECT)
    assert "13 of 13 parts; 50.0%" in str(tripped(stage, evidence, make_terms()))


def test_a_blind_candidate_is_stopped_at_the_first_look_that_can_tell() -> None:
    """It passes what the active model rejects: as dangerous as the contrary, and found by the two-sided test."""
    evidence = Evidence()
    stopped_at = None
    for number in range(1, 200):
        evidence.add_pair(REJECT if number % 2 else PASS, PASS)
        if stopped_at is None and tripped(SHADOW, evidence, make_terms()) is not None:
            stopped_at = number
    assert stopped_at == 32
    assert "0 of 199 against 100 of 199" in waits_for(SHADOW, evidence, make_terms(), 0)[1]


def test_other_parts_need_another_test() -> None:
    """As canary the models see different parts: 30 of 200 against 90 of 1 800 is more than chance (Fisher)."""
    found = tripped(CANARY, _canary((1_710, 90), (170, 30)), make_terms())
    assert found is not None
    assert found.startswith("another reject rate than the active model's: 30 of 200 against 90 of 1800, p = ")
    assert tripped(CANARY, _canary((1_710, 90), (190, 10)), make_terms()) is None


def test_a_difference_that_may_be_meant_only_holds_back() -> None:
    """A candidate that was made to reject less waits for a person, and is not thrown away."""
    evidence = make_pairs(460, only_active=40)
    assert tripped(SHADOW, evidence, make_terms()) is not None
    terms = make_terms(stops_at_difference=False, least_agreement=0.5)
    assert tripped(SHADOW, evidence, terms) is None
    assert waits_for(SHADOW, evidence, terms, 0) == (
        "the same reject rate as the active model (0 of 500 against 40 of 500)",
    )


def test_a_difference_that_does_not_matter_stops_nothing() -> None:
    """However sure one is of it: 20 more rejects among 4 096 parts are 0.5 %."""
    evidence = make_pairs(4_076, only_candidate=20)
    assert tripped(SHADOW, evidence, make_terms()) is not None
    assert tripped(SHADOW, evidence, make_terms(smallest_difference=0.005)) is None


def test_faults_of_the_candidate_stop_it() -> None:
    """Three of a hundred parts may be a mishap where 0.1 % are allowed; four are not."""
    evidence = make_pairs(100)
    evidence.candidate.faults = 3
    assert tripped(SHADOW, evidence, make_terms()) is None
    evidence.candidate.faults = 4
    assert tripped(SHADOW, evidence, make_terms()) == "the candidate could not judge 4 of 104 parts"
    assert tripped(SHADOW, evidence, make_terms(most_faults=0.03)) is None


def test_late_decisions_stop_it_unless_the_line_is_late_anyway() -> None:
    """A device that is too slow for both models needs another remedy than the old model."""
    evidence = _canary((900, 0), (100, 0))
    evidence.candidate.late = 4
    assert tripped(CANARY, evidence, make_terms()) == "the candidate decided 4 of 100 parts after their deadline"
    evidence.active.late = 20
    assert tripped(CANARY, evidence, make_terms()) is None


def test_a_slow_candidate_does_not_become_active() -> None:
    """99 % of its decisions within 80 ms of a deadline of 100 ms."""
    evidence = _canary((1_800, 0), (197, 0))
    for _ in range(3):
        evidence.candidate.add(Look(Disposition.PASS, ejected=False, score=0.2, duration_ns=90 * MS))
    assert waits_for(CANARY, evidence, make_terms(), 0) == ("decisions within 80 ms (99 % take 93 ms)",)


def test_scores_that_lie_elsewhere_do_not_become_active() -> None:
    """The same verdicts, but scores that crowd at the limit: the next dirty lens would reject everything."""
    evidence = Evidence()
    for _ in range(500):
        evidence.add_pair(PASS, Look(Disposition.PASS, ejected=False, score=0.9, duration_ns=MS))
    (missing,) = waits_for(SHADOW, evidence, make_terms(), 0)
    assert missing == "scores distributed as the active model's (distance 1.000 > 0.3)"


def test_scores_are_compared_in_units_of_the_models_own_limit() -> None:
    """0 is its typical good part, 1 its limit: two bundles with other units say the same about the same part."""
    one = ScoreScale.of((1.0, 2.0, 3.0), Limits(4.0, 5.0))
    other = ScoreScale.of((10.0, 20.0, 30.0), Limits(40.0, 50.0))
    assert (one(2.0), one(4.0), one(3.0)) == (0.0, 1.0, 0.5)
    assert all(other(10 * score) == one(score) for score in (0.0, 1.0, 2.5, 9.0))


def test_a_scale_without_width_tells_only_the_side() -> None:
    """Limits at or below the typical score, or infinite ones, are no reason to divide by nothing."""
    for limits in (Limits(2.0, 2.0), Limits(1.0, 5.0), Limits(float("inf"), float("inf"))):
        scale = ScoreScale.of((2.0,), limits)
        assert (scale(1.0), scale(2.0), scale(7.0)) == (-1.0, 0.0, 1.0)


@given(st.lists(st.tuples(LOOKS, LOOKS), max_size=30))
def test_evidence_outlives_the_daemon(pairs: list[tuple[Look, Look]]) -> None:
    """What was written down is what is read, whatever was seen."""
    evidence = Evidence()
    for pair in pairs:
        evidence.add_pair(*pair)
    written = json.dumps(evidence.as_document())
    assert json.dumps(Evidence.from_document(json.loads(written)).as_document()) == written
    assert evidence.candidate.parts == int(evidence.candidate.scores.sum()) == len(pairs)


@pytest.mark.parametrize(
    ("key", "value"),
    [("pairs", -1), ("pairs", True), ("pairs", 1.0), ("agreed", 99), ("active", None), ("candidate", {"parts": 1})],
)
def test_damaged_evidence_is_refused(key, value) -> None:
    """Typed, so that the rollout begins its stage anew instead of believing it."""
    document = make_pairs(5).as_document()
    with pytest.raises(ValueError, match=r"count|contradict|missing"):
        Evidence.from_document(document | {key: value})


@given(st.lists(st.integers(1_000, 30 * 10**9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_never_understated_and_at_most_five_percent_too_high(times: list[int], share: float) -> None:
    """Bins of 4 %: what the guardrail compares lies on the safe side."""
    side = Side()
    for duration_ns in times:
        side.add(Look(Disposition.PASS, ejected=False, score=0.0, duration_ns=duration_ns))
    exact_ms = float(np.percentile(times, 100 * share, method="inverted_cdf")) / 1e6
    found_ms = side.time_ms(share)
    assert found_ms is not None
    assert exact_ms * 0.999 <= found_ms <= exact_ms * 1.05
