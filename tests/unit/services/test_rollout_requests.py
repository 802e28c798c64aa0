"""A rollout, and what people ask of it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from rollout_bench import SHORT, UNUSABLE, RolloutBench, in_canary
from shadow_bench import CANDIDATE

from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.rollout_records import RolloutRecords
from edge_runtime.services.rollout_requests import FRESH_NS

if TYPE_CHECKING:
    from edge_runtime.domain.records import EventRecord

SHADOW, CANARY, FULL = RolloutStage.SHADOW, RolloutStage.CANARY, RolloutStage.FULL
ROLLED_BACK, WITHDRAWN = RolloutStage.ROLLED_BACK, RolloutStage.WITHDRAWN


@pytest.fixture
def bench(tmp_path) -> RolloutBench:
    """A candidate waits; 80 parts in the shadow, 20 as canary."""
    return RolloutBench(tmp_path, **SHORT)


def test_by_hand_nothing_moves_until_somebody_says_so(tmp_path) -> None:
    """However good it looks; and a promotion says what was still missing, and who did it all the same."""
    bench = RolloutBench(tmp_path, by_rule=False, **SHORT)
    bench.look()
    bench.run(100)
    bench.look()
    assert bench.stage is SHADOW
    assert bench.course.waits_for() == ()
    bench.ask("promote")
    assert bench.stage is CANARY
    bench.ask("promote")
    assert bench.stage is FULL
    assert bench.told.stages[-1][1] == (
        "promoted by Ada: seen (although it still waits for 20 more parts); it goes on trial"
    )


def test_withdrawn_stays_withdrawn_until_it_is_asked_for_again(bench) -> None:
    """By name: nobody moves a candidate that he has not seen. Who asked, and why, is told."""
    bench.look()
    bench.ask("withdraw", "f" * 64)
    assert bench.stage is SHADOW
    assert bench.told.refusals == ["there is no running rollout of ffffffffffff"]
    bench.ask("withdraw")
    bench.look()
    assert bench.stage is WITHDRAWN
    bench.ask("again")
    bench.look()
    assert bench.stage is SHADOW
    assert bench.told.reconsiderations == [
        (CANDIDATE.digest, "withdrawn: withdrawn by Ada: seen", "Ada", "seen"),
    ]


def test_the_ledger_is_told_who_lets_a_candidate_be_compared_again() -> None:
    """As of everything else that a person decides about a model."""
    told: list[EventRecord] = []
    records = RolloutRecords(SimpleNamespace(record=told.append), SimulatedClock())
    records.reconsidered(CANDIDATE.digest, "rolled_back: it was late", "Ada", "the lens was dirty")
    assert [event.kind for event in told] == ["rollout_reconsidered"]
    assert told[0].attributes == {
        "digest": CANDIDATE.digest,
        "ended": "rolled_back: it was late",
        "who": "Ada",
        "why": "the lens was dirty",
    }
    assert "Ada: the lens was dirty" in told[0].message


def test_a_request_that_nobody_took_in_time_is_none(bench, tmp_path) -> None:
    """One that was written while the line stood still must not promote at the next start. Nonsense is none either."""
    bench.look()
    bench.clock.set_wall(bench.clock.wall_ns() + 2 * FRESH_NS)
    bench.ask("promote")
    assert bench.stage is CANARY
    request = json.loads('{"wish": "promote", "digest": "c", "who": "", "why": "", "asked_ns": 5}')
    for text in (json.dumps(request), "{", "[]", "1"):
        (tmp_path / "request.json").write_text(text, encoding="utf-8")
        bench.look()
        assert bench.stage is CANARY
        assert not (tmp_path / "request.json").exists()


def test_what_cannot_be_activated_stays_a_canary(bench) -> None:
    """Another release is pinned: the reason is told, and nothing is lost."""
    in_canary(bench)
    bench.store.refuses = UNUSABLE
    bench.ask("promote")
    assert bench.stage is CANARY
    assert "it is pinned" in bench.told.refusals[-1]
    assert bench.beside.canary is not None
