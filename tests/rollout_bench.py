"""A rollout on a simulated clock: parts come as the test says, candidates and people too."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from makers import BUNDLE, MS, make_part, make_recipe
from rollout_parts import make_terms
from shadow_bench import CANDIDATE, SimulatedOnlooker

from edge_runtime.decision.judge import judge
from edge_runtime.decision.rollout_rules import StageTerms
from edge_runtime.domain.errors import EdgeError, UpdateError
from edge_runtime.domain.inspection import Inspection
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.beside import Beside
from edge_runtime.services.rollout import LOOK_NS, RolloutPlan, RolloutService
from edge_runtime.services.rollout_books import BooksFile
from edge_runtime.services.rollout_course import Course
from edge_runtime.services.rollout_requests import RequestFile, RolloutRequest
from edge_runtime.services.rollout_tally import Tally

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edge_runtime.domain.rollout import RolloutReport
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.services.shadow import News

SECOND = 1_000 * MS


def a_model(identity: BundleIdentity, product: str = "") -> Any:
    """What a rollout sees of a loaded model."""
    calibration = SimpleNamespace(good_scores=(0.4, 0.5, 0.6))
    bundle = SimpleNamespace(identity=identity, calibration=calibration)
    return SimpleNamespace(
        digest=identity.digest, recipe=make_recipe(), bundle=bundle, product=product, is_stand_in=False
    )


class Store:
    """Candidates, and what was done with them."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.waiting: list[BundleIdentity] = [CANDIDATE]
        self.onlookers: list[SimulatedOnlooker] = []
        self.refuses: EdgeError | None = None
        self.activated: list[tuple[str, str, str]] = []
        self.notes: list[str] = []
        self.first_news: News | None = None
        self._clock = clock

    def newest(self, product: str, ended: Collection[str]) -> BundleIdentity | None:
        """See `Contenders`."""
        return next((one for one in self.waiting if one.digest not in ended), None)

    def watch(self, candidate: BundleIdentity) -> SimulatedOnlooker:
        """See `Contenders`."""
        self.onlookers.append(SimulatedOnlooker(self._clock))
        if self.first_news is not None:
            self.onlookers[-1].says = deque([self.first_news])
        return self.onlookers[-1]

    def load(self, candidate: BundleIdentity) -> Any:
        """See `Contenders`."""
        if self.refuses is not None:
            raise self.refuses
        return a_model(candidate)

    def activate(self, candidate: BundleIdentity, who: str, why: str) -> str:
        """See `Contenders`."""
        if self.refuses is not None:
            raise self.refuses
        self.activated.append((candidate.digest, who, why))
        self.waiting.remove(candidate)
        return "it goes on trial"

    def note(self, candidate: BundleIdentity, text: str) -> None:
        """See `Contenders`."""
        self.notes.append(text)


class Listener:
    """Everything that was told."""

    def __init__(self) -> None:
        self.stages: list[tuple[RolloutStage, str]] = []
        self.reports: list[RolloutReport] = []
        self.refusals: list[str] = []
        self.unwritten_because: list[str] = []
        self.reconsiderations: list[tuple[str, ...]] = []

    def entered(self, stage: RolloutStage, candidate: BundleIdentity, reason: str) -> None:
        """See `Told`."""
        self.stages.append((stage, reason))

    def refused(self, what: str, who: str, why: str) -> None:
        """See `Told`."""
        self.refusals.append(what)

    def reconsidered(self, digest: str, ended: str, who: str, why: str) -> None:
        """See `Told`."""
        self.reconsiderations.append((digest, ended, who, why))

    def unwritten(self, why: str) -> None:
        """See `Told`."""
        self.unwritten_because.append(why)

    def report(self, report: RolloutReport) -> None:
        """See `Told`."""
        self.reports.append(report)


class RolloutBench:
    """One life of the daemon after another, over the same folder."""

    def __init__(self, folder: Path, *, by_rule: bool = True, **terms: Any) -> None:
        self.folder, self._by_rule, self.terms = folder, by_rule, make_terms(**terms)
        self.clock = SimulatedClock()
        self.store, self.told = Store(self.clock), Listener()
        self.active = a_model(BUNDLE)
        self.parts = 0
        self.remembered: list[Any] = []
        self.short = self.hangs = False
        self.start()

    def start(self) -> None:
        """A new life."""
        self.beside = Beside()
        self.models = SimpleNamespace(current=self.active, remember=self.remembered.append)
        course = Course(
            BooksFile(self.folder / "rollout.json"), self.terms, self.store, self.told, self.clock, 60 * SECOND
        )
        plan = RolloutPlan(0.1, 10.0, self._by_rule, lambda: False, lambda: self.short, lambda: self.hangs, 0.0)
        requests = RequestFile(self.folder / "request.json")
        self.service = RolloutService(
            self.store,
            course,
            self.beside,
            self.models,  # type: ignore[arg-type]
            Tally(lambda limits: limits),
            requests,
            self.told,
            plan,
            self.clock,
        )
        self.course = course

    @property
    def stage(self) -> RolloutStage:
        """Where the candidate stands."""
        return self.course.stage

    def look(self) -> None:
        """A second passes."""
        self.clock.advance(LOOK_NS)
        self.service.step()

    def until(self, stage: RolloutStage, *, looks: int = 20) -> None:
        """Seconds pass until the candidate stands there."""
        for _ in range(looks):
            if self.stage is stage:
                return
            self.look()
        message = f"it is {self.stage}: {self.course.books.reason}"
        raise AssertionError(message)

    def until_it_decides(self) -> None:
        """Loaded in a thread of its own: seconds pass until it is there."""
        thread = self.service._loading._thread
        for _ in range(3):
            self.look()
            thread = self.service._loading._thread
            if thread is not None:
                thread.join(10)
            if self.beside.canary is not None:
                return
        message = "the candidate does not decide"
        raise AssertionError(message)

    def part(self, score: float = 0.5, candidate: float | None = 0.5, *, late: bool = False) -> BundleIdentity:
        """A part goes through the line; returns who decided it."""
        self.parts += 1
        now_ns = self.clock.monotonic_ns()
        part = make_part(self.parts, now_ns)
        model = self.beside.decider(part, self.models.current)
        identity = model.bundle.identity
        its_score = score if identity == self.models.current.bundle.identity else candidate
        if its_score is None:
            self.beside.fell_back("broken")
            model, identity, its_score = self.models.current, self.models.current.bundle.identity, score
        decided_ns = now_ns + (200 if late else 5) * MS
        outcome = Inspection(part.trigger.part_id, its_score, None, identity, now_ns, decided_ns)
        if self.store.onlookers:
            self.store.onlookers[-1].score = candidate
        self.beside.judged(part, judge(outcome, part, model.recipe, decided_ns), model, 5 * MS)
        for _ in range(4):
            self.service.step()
            self.clock.advance(5 * MS)
        return identity

    def run(self, parts: int, score: float = 0.5, candidate: float | None = 0.5) -> None:
        """Parts of the same kind."""
        for _ in range(parts):
            self.part(score, candidate)

    def ask(self, wish: str, digest: str = CANDIDATE.digest) -> None:
        """A person at the command line."""
        request = RolloutRequest(wish, digest, "Ada", "seen", self.clock.wall_ns())  # type: ignore[arg-type]
        RequestFile(self.folder / "request.json").put(request)
        self.look()


OTHER = replace(CANDIDATE, version="3", digest="d" * 64)
UNUSABLE = UpdateError("it is pinned", "take the pin out")


SHORT = {"shadow": StageTerms(80, 0), "canary": StageTerms(20, 0), "least_agreement": 0.9}
"""Terms that a test can meet."""


def in_canary(bench: RolloutBench) -> RolloutBench:
    """On `SHORT` terms: the candidate has begun to decide its share."""
    bench.look()
    bench.run(100)
    bench.until(RolloutStage.CANARY)
    bench.until_it_decides()
    return bench
