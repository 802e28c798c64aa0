from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.rollout import TRANSITIONS, Change, step
from edge_runtime.decision.rollout_budget import CpuBudget
from edge_runtime.decision.rollout_share import is_candidates
from edge_runtime.domain.rollout import RolloutStage

DIGESTS = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
ENDS = {RolloutStage.FULL, RolloutStage.ROLLED_BACK, RolloutStage.WITHDRAWN}


def test_the_table_is_complete() -> None:
    """Whatever happens in whatever stage: it is known what comes of it."""
    assert set(TRANSITIONS) == set(RolloutStage)
    assert all(set(row) == set(Change) for row in TRANSITIONS.values())


def test_the_way_up_is_one_step_at_a_time() -> None:
    """Nothing decides a share without having been in the shadow, and nothing decides all without a share."""
    assert step(RolloutStage.SHADOW, Change.PROMOTED) is RolloutStage.CANARY
    assert step(RolloutStage.CANARY, Change.PROMOTED) is RolloutStage.FULL


@given(st.lists(st.sampled_from(Change)))
def test_what_was_stopped_never_decides_again(changes: list[Change]) -> None:
    """From an end nothing leads back; and to FULL leads only a way through both other stages."""
    stages = [RolloutStage.SHADOW]
    for change in changes:
        stages.append(step(stages[-1], change))
        if stages[-2] in ENDS:
            assert stages[-1] is stages[-2]
    if stages[-1] is RolloutStage.FULL:
        assert RolloutStage.CANARY in stages


@pytest.mark.parametrize("stage", [RolloutStage.SHADOW, RolloutStage.CANARY])
def test_a_guardrail_ends_every_running_stage(stage) -> None:
    """At once, and for good."""
    assert stage.is_running
    assert step(stage, Change.TRIPPED) is RolloutStage.ROLLED_BACK
    assert not step(stage, Change.TRIPPED).is_running


@given(DIGESTS)
def test_the_share_is_kept_over_many_parts(digest: str) -> None:
    """A tenth of 5 000 parts, within five standard deviations, and as even in each fifth of them."""
    chosen = [is_candidates(number, digest, 0.1) for number in range(1, 5_001)]
    assert abs(sum(chosen) - 500) < 5 * 21.3
    assert all(abs(sum(chosen[start : start + 1_000]) - 100) < 5 * 9.5 for start in range(0, 5_000, 1_000))


@given(st.integers(0, 2**32 - 1), DIGESTS, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_the_parts_of_the_smaller(number: int, digest: str, one: float, other: float) -> None:
    """And the answer for a part never changes."""
    small, large = sorted((one, other))
    assert is_candidates(number, digest, large) or not is_candidates(number, digest, small)
    assert not is_candidates(number, digest, 0.0)
    assert is_candidates(number, digest, 1.0)


def test_the_documented_parts_are_the_candidates() -> None:
    """The example of docs/rollout.md: another program finds the same parts."""
    chosen = [number for number in range(1, 61) if is_candidates(number, "ab" * 32, 0.1)]
    assert chosen == EXAMPLE


EXAMPLE = [3, 7, 23, 35, 39, 52]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1), st.floats(0.01, 4.0))
def test_the_budget_is_never_exceeded(looks: list[tuple[int, int]], share: float) -> None:
    """Before the last look, what all looks together have cost is at most their share of the time that has passed."""
    budget, now_ns, before_ns = CpuBudget(share), 0, 0
    for pause_ns, cost_ns in looks:
        now_ns += pause_ns
        if budget.allows(now_ns):
            before_ns = budget.spent_ns
            assert before_ns <= share * now_ns + len(looks)
            budget.spend(now_ns, cost_ns)
    assert budget.spent_ns >= before_ns


def test_a_long_pause_saves_up_nothing() -> None:
    """After an hour without parts the shadow does not fall upon the processor."""
    budget = CpuBudget(0.25)
    budget.spend(3_600 * 10**9, 10_000_000)
    assert not budget.allows(3_600 * 10**9 + 39_999_999)
    assert budget.allows(3_600 * 10**9 + 40_000_000)
