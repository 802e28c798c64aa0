"""The shadow: a candidate looks at the frames that the active model has judged, with what processor time is left over.

It can delay nobody. The inspect stage leaves each judged part in a cell and goes on; the cell keeps the newest one. The
candidate itself runs in a process of its own (`Onlooker`), so that neither its threads nor Python's lock nor a crash of
it reach the line. Parts that come while it looks, or while its budget is spent, are skipped and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from edge_runtime.decision.rollout_budget import CpuBudget
from edge_runtime.domain.frame import Frame
from edge_runtime.ops.cell import LatestValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.part import Part
    from edge_runtime.domain.verdict import BundleIdentity, Limits, Verdict
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.model_swap import Model

POLL_S: Final = 0.05
START_NS: Final = 600_000_000_000
"""A candidate that is not ready after this, with whatever time the line left it, is not going to be."""
ANSWER_NS: Final = 60_000_000_000
"""As long as no inspection takes."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a candidate says about itself once it is loaded and has given its golden scores."""

    identity: BundleIdentity
    limits: Limits
    """The bundle's own."""
    good_scores: tuple[float, ...]
    engine: str
    priority: str
    """What the operating system grants it: "idle", "low" or, where it may not even lower itself, "normal"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One look."""

    score: float | None
    """None where it could not judge the part."""
    fault: str
    """Why not; else empty."""
    duration_ns: int
    cost_ns: int
    """Processor time over all its threads."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot run on this device, or gives other golden scores: whoever made it has to act."""

    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It is gone in the middle of its work."""

    why: str
    crashed: bool
    """It ended by itself; false where it was ended because it did not answer."""


News: TypeAlias = Facts | Answer | Refused | Lost


class Onlooker(Protocol):
    """A candidate in its own process. One thread calls it."""

    def begin(self, exposures: tuple[Exposure, ...]) -> None:
        """Have it look. Once, then again only after the answer. Never waits for it."""

    def poll(self, timeout_s: float) -> News | None:
        """What it has to say: Facts or Refused first, then an Answer to each look; Lost ends it."""

    def close(self) -> None:
        """End the process. Idempotent."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A part that was judged."""

    part: Part
    verdict: Verdict
    model: Model
    """Who judged it."""
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Both have looked at the same part."""

    seen: Seen
    answer: Answer


class Shadow:
    """Feeds one candidate. `offer` may be called by any thread, the rest belongs to the rollout's."""

    def __init__(
        self,
        start: Callable[[], Onlooker],
        cpu_share: float,
        clock: Clock,
        is_busy: Callable[[], bool] = lambda: False,
        patience_s: float = POLL_S,
    ) -> None:
        """Start the candidate's process; it loads meanwhile.

        Args:
            start: begins such a process; returns at once.
            cpu_share: processor cores that it may use, on average.
            is_busy: whether the line has no time to spare: frames wait.
            patience_s: how long a step waits for something to do.
        """
        self._onlooker = start()
        self._budget = CpuBudget(cpu_share)
        self._clock = clock
        self._is_busy = is_busy
        self._patience_s = patience_s
        self._cell: LatestValue[Seen] = LatestValue()
        self._offered = 0
        self._looked = self._skipped = 0
        self._at: Seen | None = None
        self._began_ns = clock.monotonic_ns()
        self.facts: Facts | None = None
        """None while it loads."""

    def take_skipped(self) -> int:
        """Parts that it was offered since the last call, and did not look at."""
        skipped = self._offered - self._looked - (self._cell.peek() is not None)
        new, self._skipped = max(0, skipped - self._skipped), max(skipped, self._skipped)
        return new

    def offer(self, seen: Seen) -> None:
        """A part was judged. Never waits; replaces the one that was not looked at."""
        if self.facts is not None:
            self._offered += 1
            self._cell.put(seen)

    def step(self) -> Compared | Refused | Lost | None:
        """One bounded piece of work."""
        if self.facts is None or self._at is not None:
            return self._listen()
        seen = self._cell.take(self._patience_s)
        if seen is None or not isinstance(seen.part.arrival, Frame) or seen.verdict.score is None:
            return None
        now_ns = self._clock.monotonic_ns()
        if self._budget.allows(now_ns) and not self._is_busy():
            self._onlooker.begin(seen.part.arrival.exposures)
            self._at, self._began_ns = seen, now_ns
            self._looked += 1
        return None

    def close(self) -> None:
        """End the candidate. Idempotent."""
        self._onlooker.close()

    def _listen(self) -> Compared | Refused | Lost | None:
        news = self._onlooker.poll(self._patience_s)
        if news is None:
            return self._patience()
        if isinstance(news, Facts):
            self.facts = news
            return None
        if isinstance(news, Answer):
            seen, self._at = self._at, None
            self._budget.spend(self._began_ns, news.cost_ns)
            return None if seen is None else Compared(seen, news)
        return news

    def _patience(self) -> Lost | None:
        waited_ns = self._clock.monotonic_ns() - self._began_ns
        if waited_ns < (START_NS if self.facts is None else ANSWER_NS):
            return None
        self._onlooker.close()
        what = "was not ready" if self.facts is None else "gave no answer"
        return Lost(
            f"the candidate {what} after {waited_ns / 1e9:.0f} s with the processor time left over", crashed=False
        )
