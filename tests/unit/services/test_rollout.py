from __future__ import annotations

import json
from dataclasses import replace

import pytest
from makers import BUNDLE
from rollout_bench import OTHER, SECOND, SHORT, RolloutBench, a_model, in_canary
from shadow_bench import CANDIDATE

from edge_runtime.domain.errors import EngineError
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.services.rollout import RESTART_NS
from edge_runtime.services.shadow import Lost, Refused

SHADOW, CANARY, FULL = RolloutStage.SHADOW, RolloutStage.CANARY, RolloutStage.FULL
ROLLED_BACK, WITHDRAWN = RolloutStage.ROLLED_BACK, RolloutStage.WITHDRAWN


@pytest.fixture
def bench(tmp_path) -> RolloutBench:
    """A candidate waits; 80 parts in the shadow, 20 as canary."""
    return RolloutBench(tmp_path, **SHORT)


def test_by_rule_a_good_candidate_goes_all_the_way(bench) -> None:
    """Shadow, a tenth of the parts, then its trial; every step is told with its report."""
    in_canary(bench)
    assert bench.store.onlookers[0].closed
    assert [model.digest for model in bench.remembered] == [CANDIDATE.digest]
    deciders = [bench.part() for _ in range(300)]
    assert 15 < deciders.count(CANDIDATE) < 50
    bench.until(FULL)
    assert bench.store.activated == [(CANDIDATE.digest, "rule", "everything asked for is shown")]
    assert bench.beside.canary is None
    assert [stage for stage, _ in bench.told.stages] == [SHADOW, CANARY, FULL]
    assert [report.stage for report in bench.told.reports] == [SHADOW, CANARY, FULL]
    last = bench.told.reports[-1]
    assert last.rate_test == "fisher_exact"
    assert last.candidate.parts >= 20
    assert last.active.parts > last.candidate.parts
    assert bench.store.notes[-1].startswith("full: promoted by rule")


def test_a_candidate_that_rejects_too_much_is_stopped_in_the_shadow(bench) -> None:
    """The guardrail needs no thousand parts, and what it stopped is not begun again."""
    bench.look()
    bench.run(20, candidate=5.0)
    assert bench.stage is ROLLED_BACK
    assert "the candidate rejects" in bench.told.stages[-1][1]
    bench.look()
    assert bench.stage is ROLLED_BACK
    assert bench.beside.shadow is None
    assert bench.told.reports[-1].candidate.rejected == bench.told.reports[-1].candidate.parts


def test_a_canary_that_fails_stops_deciding_with_that_part(bench) -> None:
    """Parts that it cannot judge are the active model's; after a few it decides no more."""
    in_canary(bench)
    bench.run(400, candidate=None)
    assert bench.stage is ROLLED_BACK
    assert bench.told.stages[-1][1] == "the candidate could not judge 3 of 3 parts"
    assert bench.beside.canary is None
    assert {bench.part() for _ in range(100)} == {BUNDLE}


def test_a_canary_that_is_late_stops_deciding(bench) -> None:
    """While the active model is in time."""
    in_canary(bench)
    for _ in range(400):
        its = bench.beside.canary is not None and bench.beside.decider(_next(bench), bench.models.current).digest
        bench.part(late=its == CANDIDATE.digest)
    assert bench.stage is ROLLED_BACK
    assert "after their deadline" in bench.told.stages[-1][1]


def _next(bench: RolloutBench):
    from makers import make_part  # noqa: PLC0415

    return make_part(bench.parts + 1)


def test_a_restart_changes_nothing(bench) -> None:
    """Stage, time and evidence outlive a clean stop."""
    bench.look()
    bench.run(50)
    bench.service.finish()
    assert bench.store.onlookers[0].closed
    bench.start()
    bench.look()
    assert bench.stage is SHADOW
    assert bench.course.books.evidence.pairs == 50
    bench.run(40)
    bench.until(CANARY)
    assert [stage for stage, _ in bench.told.stages] == [SHADOW, CANARY]


def test_a_daemon_that_keeps_dying_under_a_canary_stops_it(bench) -> None:
    """That it is about to decide is written down before it does; three lives may end that way, not four."""
    in_canary(bench)
    for _ in range(3):
        bench.part()
        bench.start()  # it died: nothing was finished
        bench.until_it_decides()
        assert bench.stage is CANARY
    bench.start()
    bench.look()
    assert bench.stage is ROLLED_BACK
    assert "died 4 times" in bench.told.stages[-1][1]
    assert bench.beside.canary is None


def test_a_canary_under_which_an_inspection_hangs_is_stopped_before_the_watchdog_comes(bench) -> None:
    """After the restart the active model is alone, and nobody has to die four times."""
    in_canary(bench)
    bench.hangs = True
    bench.look()
    assert bench.stage is ROLLED_BACK
    bench.hangs = False
    bench.start()  # the watchdog ended it: nothing was finished
    bench.look()
    assert bench.stage is ROLLED_BACK
    assert "does not end" in bench.course.books.reason


def test_where_it_cannot_be_written_down_it_does_not_decide(bench, tmp_path) -> None:
    """A full disk: the candidate waits, the line goes on, and it is told."""
    bench.look()
    bench.run(100)
    bench.until(CANARY)
    (tmp_path / "rollout.json.part").mkdir()
    with pytest.raises(AssertionError, match="does not decide"):
        bench.until_it_decides()
    assert bench.told.unwritten_because
    assert bench.course.books.is_clean
    (tmp_path / "rollout.json.part").rmdir()
    bench.store.refuses = AssertionError("it is loaded: a full disk is no reason to load it again and again")
    bench.until_it_decides()


def test_another_active_model_begins_the_comparison_anew(bench) -> None:
    """Evidence is about two models; what decides a share beside a third one was never compared with it."""
    in_canary(bench)
    bench.models.current = a_model(replace(BUNDLE, version="1.1", digest="e" * 64))
    assert bench.part() == bench.models.current.bundle.identity
    bench.look()
    assert bench.stage is SHADOW
    assert bench.course.books.evidence.pairs == 0
    assert bench.told.stages[-1][1] == "test 1.1 decides now: the comparison begins anew"


def test_a_newer_release_takes_the_candidates_place(bench) -> None:
    """Only the newest one is compared; the other can come again."""
    bench.look()
    bench.store.waiting.insert(0, OTHER)
    bench.look()
    assert [stage for stage, _ in bench.told.stages] == [SHADOW, WITHDRAWN, SHADOW]
    assert bench.course.candidate == OTHER
    bench.store.waiting.remove(OTHER)
    bench.look()
    assert bench.course.candidate == CANDIDATE


def test_while_another_product_is_inspected_the_rollout_waits(bench) -> None:
    """Its process ends, its evidence stays."""
    bench.look()
    bench.run(30)
    other = bench.models.current = a_model(replace(BUNDLE, digest="e" * 64), product="other")
    bench.look()
    assert bench.beside.shadow is None
    assert {bench.part() for _ in range(5)} == {other.bundle.identity}
    bench.models.current = bench.active
    bench.look()
    assert bench.stage is SHADOW
    assert bench.course.books.evidence.pairs == 30
    assert bench.beside.shadow is not None


def test_what_cannot_be_loaded_to_decide_is_stopped(bench) -> None:
    """It passed in its own process, and fails on the line's engine."""
    bench.look()
    bench.store.refuses = EngineError("no such operator", "convert it again")
    bench.run(100)
    bench.until(ROLLED_BACK)
    assert "no such operator" in bench.told.stages[-1][1]


def test_nobody_is_blamed_for_what_another_candidate_could_not_load(bench) -> None:
    """The one that was being loaded made way for a newer one: its failure, or its model, is nothing to that one."""
    bench.look()
    bench.store.refuses = EngineError("no such operator", "convert it again")
    bench.run(100)
    bench.until(CANARY)
    bench.look()
    loading = bench.service._loading._thread
    assert loading is not None
    loading.join(10)
    bench.store.waiting.insert(0, OTHER)
    bench.look()
    bench.store.refuses = None
    bench.run(100)
    bench.until(CANARY)
    bench.until_it_decides()
    assert bench.beside.canary is not None
    assert bench.beside.canary.model.digest == OTHER.digest
    assert [stage for stage, _ in bench.told.stages] == [SHADOW, CANARY, WITHDRAWN, SHADOW, CANARY]


def test_other_golden_scores_stop_it_before_its_first_look(bench) -> None:
    """Its process refuses the bundle."""
    bench.store.first_news = Refused("golden scores differ")
    bench.look()
    assert bench.stage is ROLLED_BACK
    assert "golden scores differ" in bench.told.stages[-1][1]


def test_a_process_that_crashes_three_times_stops_it(bench) -> None:
    """Once is begun anew after a pause; so is one that got no processor time, however often."""
    bench.look()
    for crash in (True, False, False, True):
        bench.store.onlookers[-1].says.append(Lost("signal 11", crashed=crash))
        bench.run(2)
        assert bench.stage is SHADOW
        assert bench.beside.shadow is None
        bench.clock.advance(RESTART_NS)
        bench.look()
        assert bench.beside.shadow is not None
    bench.store.onlookers[-1].says.append(Lost("signal 11", crashed=True))
    bench.run(2)
    assert bench.stage is ROLLED_BACK


def test_while_memory_is_low_the_shadow_gives_its_own_back(bench) -> None:
    """Before evidence images and long before the line."""
    bench.look()
    bench.short = True
    bench.look()
    assert bench.beside.shadow is None
    assert bench.store.onlookers[0].closed
    bench.short = False
    bench.clock.advance(RESTART_NS)
    bench.look()
    assert len(bench.store.onlookers) == 2


def test_reports_come_at_intervals_and_are_written_down(bench, tmp_path) -> None:
    """Each minute here; the file has the same figures."""
    bench.look()
    bench.run(10)
    bench.clock.advance(60 * SECOND)
    bench.look()
    assert [report.candidate.parts for report in bench.told.reports] == [0, 10]
    assert json.loads((tmp_path / "rollout.json").read_text())["evidence"]["pairs"] == 10


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 1}', b'{"version": 2}', b"\xff" * 100])
def test_damaged_books_begin_the_rollout_anew(bench, tmp_path, damage) -> None:
    """In the shadow: the safe end of it."""
    bench.look()
    bench.run(30)
    (tmp_path / "rollout.json").write_bytes(damage)
    bench.start()
    bench.look()
    assert bench.stage is SHADOW
    assert bench.course.books.evidence.pairs == 0
