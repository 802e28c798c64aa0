from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from driven_line import DrivenLine, SlowDetector
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import BUNDLE, MS, make_part, make_recipe
from shadow_bench import CANDIDATE, SimulatedOnlooker

from edge_runtime.decision.rollout_share import is_candidates
from edge_runtime.domain.errors import EngineError
from edge_runtime.domain.verdict import Disposition, Reason, Verdict
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.beside import Beside, Canary, Decided, FellBack
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.model_swap import Model
from edge_runtime.services.shadow import ANSWER_NS, Compared, Lost, Refused, Seen, Shadow
from edge_runtime.services.suspended import suspended

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detection


def _verdicts(beside: Beside | None, each_millisecond, *, parts: int, duration_ms: int, interval_ms: int):
    line = DrivenLine(
        interval_ms=interval_ms, duration_ms=duration_ms, parts=parts, deadline_ms=3 * duration_ms, beside=beside
    )
    if each_millisecond is not None:
        line.on_millisecond = lambda: each_millisecond(line)
    verdicts = line.run(parts * interval_ms + 10 * duration_ms)
    return line, [(one.part_sequence, one.decided_ns, one.disposition, one.reason, one.bundle) for one in verdicts]


@given(
    duration_ms=st.integers(1, 12),
    interval_ms=st.integers(1, 30),
    candidate_ms=st.none() | st.integers(0, 400),
    cpu_share=st.floats(0.05, 4.0),
)
@settings(max_examples=40, deadline=None)
def test_no_verdict_comes_a_nanosecond_later(duration_ms, interval_ms, candidate_ms, cpu_share) -> None:
    """However slow the candidate, and also one that never answers: every verdict is as it is without a shadow.

    On lines with time to spare and on lines that are too fast for their own model.
    """
    _, alone = _verdicts(None, None, parts=25, duration_ms=duration_ms, interval_ms=interval_ms)
    beside = Beside()

    def shadow_goes_on(line: DrivenLine) -> None:
        if beside.shadow is None:
            onlookers.append(SimulatedOnlooker(line.clock, candidate_ms))
            beside.shadow = Shadow(lambda: onlookers[0], cpu_share, line.clock, patience_s=0.0)
        beside.shadow.step()

    onlookers: list[SimulatedOnlooker] = []
    _, accompanied = _verdicts(beside, shadow_goes_on, parts=25, duration_ms=duration_ms, interval_ms=interval_ms)
    assert accompanied == alone
    assert len(alone) == 25
    assert onlookers[0].looks > 0


class Bench:
    """A shadow that is offered parts by hand."""

    def __init__(self, *, duration_ms: int | None = 5, cpu_share: float = 10.0, score: float | None = 0.5) -> None:
        self.clock = SimulatedClock()
        self.onlooker = SimulatedOnlooker(self.clock, duration_ms, score)
        self.busy = False
        self.shadow = Shadow(lambda: self.onlooker, cpu_share, self.clock, lambda: self.busy, patience_s=0.0)
        self.offered = 0

    def offer(self, *, score: float | None = 0.5) -> None:
        """The active model has judged a part."""
        self.offered += 1
        part = make_part(self.offered, self.clock.monotonic_ns())
        recipe = make_recipe()
        reason = Reason.BELOW_LIMIT if score is not None else Reason.ENGINE_ERROR
        verdict = Verdict(
            f"part-{self.offered}", self.offered, 1, Disposition.PASS, reason, score, recipe.limits, BUNDLE, 0, 1, 0
        )
        model = SimpleNamespace(digest=BUNDLE.digest, recipe=recipe)
        self.shadow.offer(Seen(part, verdict, model, 3 * MS))  # type: ignore[arg-type]

    def until_news(self, milliseconds: int = 200):
        """What the shadow has to say within so much time."""
        for _ in range(milliseconds):
            if (news := self.shadow.step()) is not None:
                return news
            self.clock.advance(MS)
        return None


def test_both_have_looked_at_the_same_part() -> None:
    """What is compared belongs together, also where newer parts came meanwhile."""
    bench = Bench(duration_ms=30)
    assert bench.until_news(2) is None  # it says who it is
    assert bench.shadow.facts is not None
    bench.offer()
    bench.shadow.step()
    bench.offer()
    bench.offer()
    found = bench.until_news()
    assert isinstance(found, Compared)
    assert (found.seen.part.part_sequence, found.answer.score) == (1, 0.5)
    assert isinstance(bench.until_news(), Compared)
    assert bench.onlooker.looks == 2
    assert bench.shadow.take_skipped() == 1
    assert bench.shadow.take_skipped() == 0


def test_it_keeps_within_its_budget() -> None:
    """A look of 40 ms with a quarter of a core: one every 160 ms, however many parts come; the rest is skipped."""
    bench = Bench(duration_ms=40, cpu_share=0.25)
    for _ in range(1_600):
        bench.offer()
        bench.shadow.step()
        bench.clock.advance(MS)
    assert bench.onlooker.looks == 10
    assert bench.shadow.take_skipped() >= 1_580


def test_it_leaves_the_time_to_frames_that_wait() -> None:
    """While parts queue for the active model, it begins nothing."""
    bench = Bench()
    bench.until_news(2)
    bench.busy = True
    bench.offer()
    assert bench.until_news(20) is None
    assert bench.onlooker.looks == 0
    bench.busy = False
    bench.offer()
    assert isinstance(bench.until_news(20), Compared)


def test_parts_without_a_score_are_not_compared() -> None:
    """A part that the active model could not judge says nothing about the candidate."""
    bench = Bench()
    bench.until_news(2)
    bench.offer(score=None)
    assert bench.until_news(20) is None
    assert bench.onlooker.looks == 0


def test_one_that_does_not_answer_is_ended() -> None:
    """After a minute: the process is killed, and its place can be taken anew."""
    bench = Bench(duration_ms=None)
    bench.until_news(2)
    bench.offer()
    bench.shadow.step()
    bench.clock.advance(ANSWER_NS)
    lost = bench.shadow.step()
    assert isinstance(lost, Lost)
    assert "no answer after 60 s" in lost.why
    assert not lost.crashed
    assert bench.onlooker.closed


@pytest.mark.parametrize("news", [Refused("golden scores differ"), Lost("signal 11", crashed=True)])
def test_bad_news_is_handed_on(news) -> None:
    """Before it was ready, or in the middle of a look."""
    bench = Bench()
    bench.onlooker.says.clear()
    bench.onlooker.says.append(news)
    assert bench.until_news(2) is news


class Candidate(SlowDetector):
    """A candidate that decides; breaks on every third of its parts if told to."""

    class bundle:  # noqa: N801  (an attribute of the port)
        """Only who it is matters here."""

        identity = CANDIDATE

    breaks = False

    def inspect(self, exposures) -> Detection:
        """Let time pass, or break at once."""
        self.inspected.append(exposures)
        if self.breaks and len(self.inspected) % 3 == 0:
            raise EngineError("the candidate is broken", "take the old one")
        return replace(super().inspect(exposures), score=1.5)


def _with_canary(*, breaks: bool, parts: int = 120):
    beside = Beside()
    line = DrivenLine(interval_ms=20, duration_ms=4, parts=parts, beside=beside)
    detector = Candidate(line, 4)
    detector.breaks = breaks
    model = Model(EngineKeeper(detector, None, line.clock), make_recipe(review=2.0, reject=3.0), "other")
    beside.canary = Canary(model, 0.3, BUNDLE.digest)
    verdicts = line.run(parts * 20 + 100)
    results = []
    while (result := beside.results.get(0)) is not None:
        results.append(result)
    return verdicts, results


def test_the_candidate_decides_its_share_under_its_own_limits() -> None:
    """Exactly the parts of the documented rule, each with the candidate's identity and limits, none late."""
    verdicts, results = _with_canary(breaks=False)
    its = {one.part_sequence for one in verdicts if one.bundle == CANDIDATE}
    assert its == {number for number in range(1, 121) if is_candidates(number, CANDIDATE.digest, 0.3)}
    assert 20 < len(its) < 60
    for one in verdicts:
        assert (one.score, one.limits.review) == ((1.5, 2.0) if one.bundle == CANDIDATE else (0.5, 1.0))
        assert one.disposition is Disposition.PASS
    assert [one.verdict for one in results if isinstance(one, Decided)] == verdicts


def test_what_the_candidate_cannot_judge_the_active_model_does() -> None:
    """A candidate that breaks costs no part its verdict; the rollout is told of each."""
    verdicts, results = _with_canary(breaks=True)
    assert [one.part_sequence for one in verdicts] == list(range(1, 121))
    assert not any(one.reason.is_fault for one in verdicts)
    its = [number for number in range(1, 121) if is_candidates(number, CANDIDATE.digest, 0.3)]
    fell_back = [result for result in results if isinstance(result, FellBack)]
    assert len(fell_back) >= len(its) // 3 > 0
    assert fell_back[0].why == "the candidate is broken"


def test_while_nothing_may_decide_no_canary_does() -> None:
    """The line waits for another product's model: its parts are not for the candidate of this one."""
    beside = Beside()
    line = DrivenLine(interval_ms=20, duration_ms=4, parts=20, beside=beside)
    model = Model(EngineKeeper(Candidate(line, 4), None, line.clock), make_recipe(), "other")
    beside.canary = Canary(model, 1.0, BUNDLE.digest)
    line.models.propose(suspended(line.models.current, "another product", "it is being loaded", line.clock))
    assert {(one.reason, one.bundle) for one in line.run(500)} == {(Reason.ENGINE_ERROR, BUNDLE)}


def test_a_canary_of_another_model_decides_nothing() -> None:
    """Between a change of the active model and the rollout's notice of it, every part is the new active model's."""
    beside = Beside()
    line = DrivenLine(interval_ms=20, duration_ms=4, parts=20, beside=beside)
    model = Model(EngineKeeper(Candidate(line, 4), None, line.clock), make_recipe(), "other")
    beside.canary = Canary(model, 1.0, "another digest")
    assert {one.bundle for one in line.run(500)} == {BUNDLE}
