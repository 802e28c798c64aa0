"""What the ledger is told of releases: which one decides, on trial or for good, and why one had to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from edge_runtime.domain.audit import Attribution, model_activated
from edge_runtime.domain.records import EventRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.events import Events
    from edge_runtime.services.model_swap import Model


Beside: TypeAlias = "Callable[[Model, Attribution], EventRecord | None]"


class ActivationRecords:
    """Used by one thread."""

    def __init__(
        self,
        events: Events,
        clock: Clock,
        beside: Callable[[Model, Attribution], EventRecord | None] | None = None,
    ) -> None:
        """Wire it.

        Args:
            beside: see `LineView`.
        """
        self._events = events
        self._beside = beside
        self._told_to_wait = ""
        self._clock = clock
        self._reasons: dict[str, str] = {}

    def remember(self, release: StoredRelease) -> None:
        """Why it was armed: on trial its reason is another one."""
        self._reasons[release.digest] = release.reason

    def tell(
        self, kind: str, severity: str, text: str, release: StoredRelease | None = None, **more: str | float
    ) -> None:
        """An event about a release, or about none."""
        about: dict[str, str | int | float | bool] = dict(more)
        if release is not None:
            about |= {"product": release.terms.product, "digest": release.digest, "counter": release.terms.counter}
        self._events.record(EventRecord(kind, severity, text, self._clock.wall_ns(), about))

    def waits(self, release: StoredRelease, for_what: str) -> None:
        """It is not tried yet; said once."""
        if release.digest != self._told_to_wait:
            self._told_to_wait = release.digest
            text = f"{release.name} {release.version} waits: {for_what}"
            self.tell("activation_waits", "info", text, release)

    def activated(self, previous: str, model: Model, release: StoredRelease) -> EventRecord | None:
        """That `model` decides from now on; goes into the ledger in the moment of the change."""
        identity, revision, limits = model.bundle.identity, model.bundle.revision, model.recipe.limits
        by = attribution_of(release, self._reasons.get(release.digest))
        if self._beside is not None:
            return self._beside(model, by)
        return model_activated(previous, identity, revision, model.engine, by, self._clock.wall_ns(), limits)


def attribution_of(release: StoredRelease, why: str | None = None) -> Attribution:
    """Who stands behind it: the keys that signed it; and why it decides, as far as the store knows."""
    terms = release.terms
    reason = (release.reason if why is None else why) or "installed"
    return Attribution(f"signed release {terms.counter} of {terms.product}", reason)
