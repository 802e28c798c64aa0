"""What the ledger is told of releases: which one decides, on trial or for good, and why one had to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.audit import Attribution, model_activated
from edge_runtime.domain.records import EventRecord

if TYPE_CHECKING:
    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.events import Events
    from edge_runtime.services.model_swap import Model


class ActivationRecords:
    """Used by one thread."""

    def __init__(self, events: Events, clock: Clock) -> None:
        self._events = events
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

    def activated(self, previous: str, model: Model, release: StoredRelease) -> EventRecord | None:
        """That `model` decides from now on; goes into the ledger in the moment of the change."""
        identity, revision, limits = model.bundle.identity, model.bundle.revision, model.recipe.limits
        by = attribution_of(release, self._reasons.get(release.digest))
        return model_activated(previous, identity, revision, model.engine, by, self._clock.wall_ns(), limits)


def attribution_of(release: StoredRelease, why: str | None = None) -> Attribution:
    """Who stands behind it: the keys that signed it; and why it decides, as far as the store knows."""
    terms = release.terms
    reason = (release.reason if why is None else why) or "installed"
    return Attribution(f"signed release {terms.counter} of {terms.product}", reason)
