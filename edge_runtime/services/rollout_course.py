"""Where the candidate stands, how long it has, and why: in memory, in the books, and told to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.decision.rollout import Change, step
from edge_runtime.decision.rollout_evidence import Evidence
from edge_runtime.decision.rollout_report import Standing, make_report
from edge_runtime.decision.rollout_rules import tripped, waits_for
from edge_runtime.domain.rollout import RolloutStage

if TYPE_CHECKING:
    from edge_runtime.decision.rollout_rules import RolloutTerms
    from edge_runtime.domain.rollout import RolloutReport
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.rollout_books import Books, BooksFile
    from edge_runtime.services.rollout_port import Contenders, Told


class Course:
    """Of one candidate after another. One thread; `report` may be read by any."""

    def __init__(
        self, file: BooksFile, terms: RolloutTerms, contenders: Contenders, told: Told, clock: Clock, report_ns: int
    ) -> None:
        """Go on where the last life of the daemon ended.

        Args:
            report_ns: time between two reports.
        """
        self._file = file
        self._terms = terms
        self._contenders = contenders
        self._told = told
        self._clock = clock
        self._report_ns = report_ns
        self.books: Books = file.load()
        self._resumed_ns = clock.monotonic_ns()
        self._report_at_ns = self._resumed_ns + report_ns
        self.report: RolloutReport | None = report_of(self.books, self._terms, self._stage_ns())
        """The newest one; None before the first candidate."""

    @property
    def stage(self) -> RolloutStage:
        """Where it stands."""
        return self.books.stage

    @property
    def is_running(self) -> bool:
        """Whether there is a candidate and it is compared."""
        return self.books.candidate is not None and self.books.stage.is_running

    @property
    def candidate(self) -> BundleIdentity:
        """Asked only while there is one."""
        if self.books.candidate is None:
            raise AssertionError
        return self.books.candidate

    def begin(self, candidate: BundleIdentity, product: str, active: BundleIdentity) -> None:
        """A candidate comes into the shadow."""
        books = self.books
        books.candidate, books.product, books.active, books.attempts = candidate, product, active, 0
        books.ended.pop(candidate.digest, None)
        self._enter(RolloutStage.SHADOW, f"compared with {active.name} {active.version}")

    def move(self, change: Change, reason: str, *, for_good: bool = True) -> None:
        """Something moves it.

        Args:
            for_good: after an end it is not begun again unless somebody asks for it.
        """
        following = step(self.books.stage, change)
        if not following.is_running and for_good:
            self.books.end(self.candidate.digest, f"{following}: {reason}")
        self._enter(following, reason)

    def tripped(self, *, counted: bool) -> str | None:
        """See `decision.rollout_rules`."""
        return tripped(self.books.stage, self.books.evidence, self._terms, counted=counted)

    def waits_for(self) -> tuple[str, ...]:
        """See `decision.rollout_rules`."""
        return waits_for(self.books.stage, self.books.evidence, self._terms, self._stage_ns())

    def save(self) -> bool:
        """Write it down; false if the disk refuses."""
        self.books.lasted_ns, self._resumed_ns = self._stage_ns(), self._clock.monotonic_ns()
        try:
            self._file.save(self.books)
        except OSError as error:
            self._told.unwritten(str(error))
            return False
        return True

    def report_if_due(self) -> None:
        """Now and then: write it down and tell everybody."""
        if self.is_running and self._clock.monotonic_ns() >= self._report_at_ns:
            self.save()
            self._tell()

    def _enter(self, stage: RolloutStage, reason: str) -> None:
        books = self.books
        if stage.is_running:
            books.evidence, books.compared_as = Evidence(), stage
        books.stage, books.reason, books.is_clean = stage, reason, True
        books.since_ns, books.lasted_ns, self._resumed_ns = self._clock.wall_ns(), 0, self._clock.monotonic_ns()
        self.save()
        self._told.entered(stage, self.candidate, reason)
        self._contenders.note(self.candidate, f"{stage}: {reason}")
        self._tell()

    def _stage_ns(self) -> int:
        return self.books.lasted_ns + self._clock.monotonic_ns() - self._resumed_ns

    def _tell(self) -> None:
        report = report_of(self.books, self._terms, self._stage_ns())
        if report is None:
            return
        self._report_at_ns = self._clock.monotonic_ns() + self._report_ns
        self.report = report
        self._told.report(report)


def report_of(books: Books, terms: RolloutTerms, stage_ns: int) -> RolloutReport | None:
    """How the rollout stands by its books; None before the first candidate.

    Args:
        books: what is known of it.
        terms: the stated limits.
        stage_ns: how long the stage has lasted.
    """
    if books.active is None or books.candidate is None:
        return None
    standing = Standing(books.stage, books.since_ns, stage_ns, books.reason, books.compared_as)
    return make_report(standing, books.evidence, terms, (books.active, books.candidate))
