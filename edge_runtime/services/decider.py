"""Who decides, as far as it was proposed to the inspect stage: a release, or nothing at all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.services.suspended import suspended

if TYPE_CHECKING:
    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.activation_records import ActivationRecords
    from edge_runtime.services.model_swap import Model
    from edge_runtime.services.seat import Seat, Swap

_log = logging.getLogger(__name__)


class Decider:
    """Used by the activation stage alone; the plain attributes may be read by any thread."""

    def __init__(self, models: Seat, records: ActivationRecords, clock: Clock) -> None:
        self.model: Model = models.current
        """The one that was proposed last; while suspended what stands in, so that the other's memory can be used."""
        self.suspended_for: str | None = None
        """Why nothing may decide; None while something does."""
        self._models = models
        self._records = records
        self._clock = clock
        self._swap: tuple[Swap, str] | None = None

    @property
    def running(self) -> str:
        """Digest of the release that decides; empty while none does."""
        return "" if self.suspended_for is not None else self.model.digest

    @property
    def product(self) -> str:
        """What the release that decides inspects; empty while none does."""
        return "" if self.suspended_for is not None else self.model.product

    def decides_now(self, digest: str) -> bool:
        """Whether the inspect stage has taken it over."""
        return self.suspended_for is None and self._models.current.digest == digest

    def propose(self, model: Model, release: StoredRelease) -> bool:
        """From the next part on; false if it is so already."""
        if model is self.model and self.suspended_for is None:
            return False
        record = self._records.activated(self.model.digest, model, release)
        self._swap = self._models.propose(model, record), f"{release.name} {release.version}"
        self.model, self.suspended_for = model, None
        return True

    def suspend(self, product: str, why: str) -> None:
        """Nothing decides: every part gets the fail-safe, and the line is not ready."""
        if why == self.suspended_for:
            return
        self._records.tell("model_suspended", "error", why)
        self.model = suspended(self.model, product, why, self._clock)
        self._swap = self._models.propose(self.model), "no model"
        self.suspended_for = why

    def settle(self) -> None:
        """Say how long it took, once."""
        if self._swap is not None and self._swap[0].done.is_set():
            swap, name = self._swap
            self._swap = None
            _log.info("%s decides, %.1f ms after it was proposed", name, swap.took_ns / 1e6)
