"""When a model is loaded: when it is needed, ahead of that where there is room, and not again at once if it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_runtime.decision.activation import Rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.activation_records import ActivationRecords
    from edge_runtime.services.model_pool import ModelPool

RETRY_NS: Final = 30_000_000_000
"""A model that could not be loaded is tried again after this."""


class ModelLoads:
    """Used by the activation stage alone."""

    def __init__(self, pool: ModelPool, records: ActivationRecords, clock: Clock) -> None:
        self._pool = pool
        self._records = records
        self._clock = clock
        self._blocked_ns: dict[str, int] = {}
        self._ahead_ns: dict[str, int] = {}

    def is_blocked(self, release: StoredRelease) -> bool:
        """It could not be loaded a moment ago."""
        return self._clock.monotonic_ns() < self._blocked_ns.get(release.digest, 0)

    def failed(self, release: StoredRelease, why: str) -> None:
        """A release that was confirmed once does not load: it is tried again, not thrown out."""
        self._blocked_ns[release.digest] = self._clock.monotonic_ns() + RETRY_NS
        self._records.tell("model_not_loaded", "error", f"{release.name} {release.version}: {why}", release)

    def has_room(self, release: StoredRelease) -> bool:
        """Room to load it beside the model that runs, whatever else has to go; else it is tried again later."""
        if self._pool.make_room(release, Rank.RUNNING, to_stay=False):
            return True
        self._blocked_ns[release.digest] = self._clock.monotonic_ns() + RETRY_NS
        text = (
            f"there is no memory to load {release.name} {release.version} beside the model that runs; it is taken up "
            "as soon as there is, or at the next start of the daemon"
        )
        self._records.tell("activation_waits", "warning", text, release)
        return False

    def ahead(self, releases: Iterable[StoredRelease], rank_of: Callable[[str], Rank]) -> None:
        """Load the first of these that is not there and for which there is room, while nothing else is being loaded."""
        if self._pool.loading is not None:
            return
        now_ns = self._clock.monotonic_ns()
        for release in releases:
            not_yet = now_ns < self._ahead_ns.get(release.digest, 0) or self.is_blocked(release)
            if not_yet or self._pool.get(release.digest) is not None:
                continue
            if self._pool.make_room(release, rank_of(release.digest), to_stay=True):
                self._pool.begin(release)
                return
            self._ahead_ns[release.digest] = now_ns + RETRY_NS
