"""Releases over the network: looks into the repository now and then, downloads, and installs when that is allowed.

Runs in a process of its own, at the lowest priority: a download never stands in the way of a part.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from edge_runtime.domain.delivery import Delivery, Fate, Outcome, Step, Via
from edge_runtime.domain.errors import EdgeError
from edge_runtime.ops.http_fetch import FetchError, FetchStoppedError
from edge_runtime.services.fates import fate_of

if TYPE_CHECKING:
    import random
    import threading
    from collections.abc import Callable, Sequence

    from edge_runtime.bundles.delivery_files import CheckRequest, DeliveryFile
    from edge_runtime.decision.check_schedule import Schedule, Window
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)
LOOK_NS: Final = 1_000_000_000
"""So often it looks whether somebody asked for a check, or the window has opened."""
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A release in the repository that is signed, meant for this device, and not here yet."""

    product: str
    digest: str
    release: str
    """In words."""
    missing_bytes: int
    """Still to be downloaded."""


class Repository(Protocol):
    """The repository together with this device's store."""

    @property
    def where(self) -> str:
        """Its address, without secrets."""

    def look(self, product: str) -> Offer | None:
        """What it offers for a product; None where that is here already, or failed here before.

        Raises:
            EdgeError: it does not answer, or what it says is not to be trusted.
        """

    def download(self, offer: Offer, told: Callable[[int], None]) -> None:
        """Let it come, on from where an earlier attempt was cut.

        Args:
            offer: from `look`.
            told: is given the bytes still missing, now and then.

        Raises:
            EdgeError: it could not be had; what came is kept.
        """

    def install(self, offer: Offer) -> Fate:
        """Verify, copy, prove, commit.

        Raises:
            EdgeError: it was refused, or the device failed; nothing has changed.
        """


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """What the settings say."""

    products: Sequence[str]
    schedule: Schedule
    window: Window | None
    download_ahead: bool


class NetworkUpdater:
    """One check after the other. `step` returns within a second or so unless a check is due; used by one thread."""

    def __init__(
        self,
        repository: Repository,
        plan: UpdatePlan,
        request: CheckRequest,
        told: DeliveryFile,
        minute_of_day: Callable[[], int],
        clock: Clock,
        stop: threading.Event,
        dice: random.Random,
    ) -> None:
        """Nothing is asked for yet.

        Args:
            repository: where releases are.
            plan: when.
            request: by which the daemon asks for a check.
            told: where the daemon reads how it goes.
            minute_of_day: local time, for the window.
            clock: for everything else.
            stop: once set, `step` returns soon.
            dice: spreads the checks of many devices.
        """
        self._repository = repository
        self._plan = plan
        self._request = request
        self._told = told
        self._minute_of_day = minute_of_day
        self._clock = clock
        self._stop = stop
        self._dice = dice
        self._due_ns = plan.schedule.first(clock.monotonic_ns(), dice.random())
        self._waits = False

    @property
    def due_ns(self) -> int:
        """Monotonic instant of the next check."""
        return self._due_ns

    def step(self) -> Delivery | None:
        """Check if it is time, else wait a little; what came of the check."""
        now_ns = self._clock.monotonic_ns()
        if self._request.take() or (self._waits and self._may_install()):
            self._waits = False
            self._due_ns = min(self._due_ns, self._plan.schedule.asked(now_ns, self._dice.random()))
        if now_ns < self._due_ns:
            self._clock.wait(self._stop, min(LOOK_NS, self._due_ns - now_ns))
            return None
        return self.check()

    def check(self) -> Delivery:
        """Look, download, install, now; the window holds all the same."""
        delivery = Delivery(Via.NETWORK, self._clock.wall_ns(), Step.LOOKING, detail=self._repository.where)
        self._told.tell(delivery)
        fates: list[Fate] = []
        waits: list[str] = []
        for product in self._plan.products:
            if not self._stop.is_set():
                self._bring(product, delivery, fates, waits)
        self._waits = bool(waits)
        ended = replace(
            delivery,
            step=Step.WAITING if waits else Step.ENDED,
            fates=tuple(fates),
            detail=", ".join(waits) if waits else "" if fates else "there is nothing new in the repository",
            ended_ns=self._clock.wall_ns(),
        )
        self._told.tell(ended)
        cut = any(fate.outcome is Outcome.FAILED for fate in fates)
        self._due_ns = self._plan.schedule.after(self._clock.monotonic_ns(), self._dice.random(), cut=cut)
        return ended

    def _bring(self, product: str, delivery: Delivery, fates: list[Fate], waits: list[str]) -> None:
        """One product: to its end, to the window, or to a failure."""
        offer: Offer | None = None
        try:
            offer = self._repository.look(product)
            if offer is None:
                return
            _log.info("the repository offers %s", offer.release)
            if self._may_install() or self._plan.download_ahead:
                self._download(offer, delivery, fates)
            if not self._may_install():
                waits.append(offer.release)
                return
            self._told.tell(replace(delivery, step=Step.INSTALLING, fates=tuple(fates), detail=offer.release))
            fates.append(self._repository.install(offer))
        except FetchStoppedError:
            _log.info("stopped in the middle of a check; it goes on at the next start")
        except EdgeError as error:
            fates.append(fate_of(self._repository.where, error, offer.release if offer else "", product))
            if not isinstance(error, FetchError):
                _log.warning("%s", error.diagnostics())

    def _download(self, offer: Offer, delivery: Delivery, fates: list[Fate]) -> None:
        def tell(missing_bytes: int) -> None:
            detail = f"{offer.release}, {missing_bytes / MEGABYTE:.1f} MB to come"
            self._told.tell(replace(delivery, step=Step.DOWNLOADING, fates=tuple(fates), detail=detail))

        self._repository.download(offer, tell)

    def _may_install(self) -> bool:
        return self._plan.window is None or self._plan.window.is_open(self._minute_of_day())
