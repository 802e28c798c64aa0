"""The rollout: brings a candidate from the shadow to deciding every part, or stops it. In a thread of its own.

The rules are `decision.rollout*`; here they are fed and carried out. That the candidate is about to decide is written
down before its first part: a daemon that then keeps dying finds it there and stops it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.decision.rollout import MOST_ATTEMPTS, Change
from edge_runtime.domain.errors import EdgeError
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.services.beside import Canary
from edge_runtime.services.canary_loading import CanaryLoading
from edge_runtime.services.shadow import Compared, Lost, Refused, Shadow

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.rollout import RolloutReport
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.beside import Beside
    from edge_runtime.services.model_swap import Models
    from edge_runtime.services.rollout_course import Course
    from edge_runtime.services.rollout_port import Contenders, Told
    from edge_runtime.services.rollout_requests import RequestFile, RolloutRequest
    from edge_runtime.services.rollout_tally import Tally

_log = logging.getLogger(__name__)
POLL_S: Final = 0.05
LOOK_NS: Final = 1_000_000_000
"""So often candidates, requests and the clock are looked at."""
CRASHES: Final = 3
"""Ends of the candidate's process in one stage that are its own fault, and no mishap."""
RESTART_NS: Final = 30_000_000_000
"""Pause before a candidate's process is begun anew."""


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How it is carried out."""

    share: float
    """Of the parts that a canary decides, 0…1."""
    cpu_share: float
    """Processor cores for the shadow."""
    by_rule: bool
    """Promote as soon as everything is shown."""
    is_busy: Callable[[], bool]
    """Whether frames wait for the line: the shadow leaves the time to it."""
    is_short: Callable[[], bool]
    """Whether memory is low: the shadow gives its own back."""
    hangs: Callable[[], bool]
    """Whether the inspect stage makes no progress: the watchdog is about to end the daemon."""
    patience_s: float = POLL_S
    """How long a step waits for something to do."""


class RolloutService:
    """See the module's docstring. `report` may be read by any thread."""

    name = "rollout"

    def __init__(
        self,
        contenders: Contenders,
        course: Course,
        beside: Beside,
        models: Models,
        tally: Tally,
        requests: RequestFile,
        told: Told,
        plan: RolloutPlan,
        clock: Clock,
    ) -> None:
        """Nothing happens before the first step."""
        self._contenders = contenders
        self._course = course
        self._beside = beside
        self._models = models
        self._tally = tally
        self._requests = requests
        self._told = told
        self._plan = plan
        self._clock = clock
        self._never = threading.Event()
        self._look_at_ns = self._start_at_ns = 0
        self._crashes = 0
        self._is_resumed = False
        self._loading = CanaryLoading(contenders)

    @property
    def report(self) -> RolloutReport | None:
        """The newest one; None before the first candidate."""
        return self._course.report

    def step(self) -> None:
        """One bounded piece of work."""
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + LOOK_NS
            self._look()
        if self._beside.canary is not None:
            self._count_decided()
        elif self._beside.shadow is not None:
            self._count_compared(self._beside.shadow)
        else:
            self._clock.wait(self._never, round(self._plan.patience_s * 1e9))

    def finish(self) -> None:
        """Stopped on purpose: the rollout goes on at the next start, and this was no crash."""
        self._rest()
        if self._course.books.candidate is not None:
            self._course.books.is_clean = True
            self._course.save()

    def _look(self) -> None:
        if not self._is_resumed:
            self._is_resumed = True
            self._resume()
        if self._beside.canary is not None and self._plan.hangs():  # written down before the watchdog comes
            self._move(Change.TRIPPED, "an inspection does not end while the candidate decides its share")
        self._follow_candidate()
        self._follow_active()
        if (request := self._requests.take(self._clock.wall_ns())) is not None:
            self._carry_out(request)
        if self._course.is_running and self._models.current.product == self._course.books.product:
            self._run()
            if self._plan.by_rule and not self._course.waits_for():
                self._promote("rule", "everything asked for is shown")
        self._course.report_if_due()

    def _resume(self) -> None:
        """Was the last life of the daemon ended by the candidate?"""
        books = self._course.books
        if not self._course.is_running or books.is_clean:
            return
        books.attempts += 1
        books.is_clean = True
        if books.attempts > MOST_ATTEMPTS:
            self._move(Change.TRIPPED, f"the daemon died {books.attempts} times while the candidate decided its share")
        else:
            self._course.save()

    def _follow_candidate(self) -> None:
        books, product = self._course.books, self._models.current.product
        if self._course.is_running and product != books.product:
            self._rest()  # another product is inspected: this rollout waits for its own
            return
        try:
            newest = self._contenders.newest(product, books.ended)
        except EdgeError as error:
            _log.warning("no candidate can be looked for: %s", error.diagnostics())
            return
        if self._course.is_running:
            if newest is not None and newest.digest == self._course.candidate.digest:
                return
            why = "it waits no longer" if newest is None else f"{newest.name} {newest.version} has come"
            self._move(Change.DROPPED, f"it is no candidate any more: {why}", for_good=False)
        if newest is not None:
            self._rest()
            self._course.begin(newest, product, self._models.current.bundle.identity)

    def _follow_active(self) -> None:
        books, active = self._course.books, self._models.current
        if not self._course.is_running or active.product != books.product:
            return
        if books.active is None or active.digest != books.active.digest:
            books.active = active.bundle.identity
            name = f"{books.active.name} {books.active.version}"
            self._move(Change.ACTIVE_CHANGED, f"{name} decides now: the comparison begins anew")

    def _run(self) -> None:
        """See to it that the stage has what it needs."""
        if self._course.stage is RolloutStage.CANARY:
            if self._beside.canary is None:
                self._raise_canary()
        elif self._plan.is_short():
            self._pause_shadow()
        elif self._beside.shadow is None and self._clock.monotonic_ns() >= self._start_at_ns:
            self._begin_shadow()

    def _begin_shadow(self) -> None:
        candidate, plan = self._course.candidate, self._plan
        try:
            self._beside.shadow = Shadow(
                lambda: self._contenders.watch(candidate), plan.cpu_share, self._clock, plan.is_busy, plan.patience_s
            )
        except OSError as error:
            _log.warning("the candidate's process cannot be started: %s", error)
            self._pause_shadow()

    def _raise_canary(self) -> None:
        """Once it is loaded: write down that it decides, and let it."""
        books, loaded = self._course.books, self._loading.get(self._course.candidate)
        if isinstance(loaded, str):
            self._move(Change.TRIPPED, f"the candidate cannot be loaded to decide: {loaded}")
        elif loaded is not None and books.active is not None:
            books.is_clean = False
            if not self._course.save():
                books.is_clean = True  # it does not decide
                return
            self._models.remember(loaded)
            self._beside.canary = Canary(loaded, self._plan.share, books.active.digest)
            self._loading.forget()

    def _count_compared(self, shadow: Shadow) -> None:
        news = shadow.step()
        books = self._course.books
        books.evidence.skipped += shadow.take_skipped()
        match news:
            case Compared(seen, answer) if shadow.facts is not None:
                books.evidence.cpu_ns += answer.cost_ns
                if books.active is not None and seen.model.digest == books.active.digest:
                    self._guard(counted=self._tally.compared(books.evidence, news, shadow.facts))
            case Refused(why):
                self._move(Change.TRIPPED, f"the candidate cannot run here: {why}")
            case Lost(why, crashed):
                self._lost(why, crashed=crashed)
            case _:
                pass

    def _lost(self, why: str, *, crashed: bool) -> None:
        self._crashes += crashed
        _log.warning("%s; it is begun anew in %.0f s", why, RESTART_NS / 1e9)
        if self._crashes >= CRASHES:
            self._move(Change.TRIPPED, f"{why}; {self._crashes} times by now")
        else:
            self._pause_shadow()

    def _count_decided(self) -> None:
        result = self._beside.results.get(self._plan.patience_s)
        while result is not None and self._beside.canary is not None:
            counted = self._tally.decided(self._course.books.evidence, result, self._course.candidate.digest)
            self._guard(counted=counted)
            result = self._beside.results.get(0)

    def _guard(self, *, counted: bool) -> None:
        """Asked after every part: what trips ends it here and now."""
        why = self._course.tripped(counted=counted)
        if why is not None:
            self._move(Change.TRIPPED, why)

    def _carry_out(self, request: RolloutRequest) -> None:
        course, by = self._course, f"{request.who}: {request.why}"
        is_meant = course.is_running and course.candidate.digest == request.digest
        if request.wish == "again" and (ended := course.books.ended.pop(request.digest, None)) is not None:
            course.save()
            self._told.reconsidered(request.digest, ended, request.who, request.why)
        elif not is_meant:
            self._told.refused(f"there is no running rollout of {request.digest[:12]}", request.who, request.why)
        elif request.wish == "withdraw":
            self._move(Change.DROPPED, f"withdrawn by {by}")
        elif request.wish == "promote":
            self._promote(request.who, request.why)

    def _promote(self, who: str, why: str) -> None:
        course, missing = self._course, "; ".join(self._course.waits_for())
        reason = f"promoted by {who}: {why}" + (f" (although it still waits for {missing})" if missing else "")
        if course.stage is RolloutStage.CANARY:
            try:
                reason = f"{reason}; {self._contenders.activate(course.candidate, who, why)}"
            except EdgeError as error:
                self._told.refused(error.diagnostics(), who, why)
                return
        self._move(Change.PROMOTED, reason)

    def _move(self, change: Change, reason: str, *, for_good: bool = True) -> None:
        """The line first, then the books, then everybody else."""
        self._rest()
        self._crashes = self._start_at_ns = 0
        self._course.move(change, reason, for_good=for_good)

    def _rest(self) -> None:
        """From the next part on the active model is alone."""
        self._beside.canary = None
        self._loading.forget()
        self._end_shadow()
        self._beside.results.clear()

    def _pause_shadow(self) -> None:
        self._start_at_ns = self._clock.monotonic_ns() + RESTART_NS
        self._end_shadow()

    def _end_shadow(self) -> None:
        shadow, self._beside.shadow = self._beside.shadow, None
        if shadow is not None:
            shadow.close()
