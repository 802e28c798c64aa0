"""The network updater of one device: the repository behind an address, joined with the device's own store."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.delivery_files import FOLDER, CheckRequest, DeliveryFile
from edge_runtime.bundles.http_source import DownloadFolder, HttpSource
from edge_runtime.config.describe import public_source
from edge_runtime.decision.check_schedule import MINUTE_NS, Schedule, Window
from edge_runtime.decision.delivery_report import name_of
from edge_runtime.domain.delivery import Fate, Outcome, Via
from edge_runtime.ops.http_fetch import FetchLimits, HttpFolder, TlsFiles
from edge_runtime.services.stick_import import release_words
from edge_runtime.services.updater import NetworkUpdater, Offer, UpdatePlan

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.bundles.install import Examined
    from edge_runtime.config.delivery import OtaSettings
    from edge_runtime.config.line import LineConfig
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.stick_import import Installs

DOWNLOADS: Final = "download"
WHO: Final = "network"
MEGABYTE: Final = 1_000_000


class StoreRepository:
    """See `services.updater.Repository`. One thread uses it."""

    def __init__(self, http: HttpFolder, installer: Installs, folder: Path, reserve_bytes: int) -> None:
        """Nothing is asked for yet.

        Args:
            http: the repository.
            installer: of the device's store.
            folder: where payloads are kept while they come.
            reserve_bytes: room on that disk that is left alone.
        """
        self._http = http
        self._installer = installer
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._examined: dict[str, Examined] = {}

    @property
    def where(self) -> str:
        """See `Repository`."""
        return public_source(self._http.url)

    def look(self, product: str) -> Offer | None:
        """See `Repository`."""
        found = self._installer.examine(self._source(product))
        if found.known is not None:
            self._downloads(product).keep_only(())
            return None
        self._examined[product] = found
        return Offer(
            product,
            found.verified.digest,
            release_words(found.verified),
            self._downloads(product).missing_bytes(found.verified.payloads),
        )

    def download(self, offer: Offer, told: Callable[[int], None]) -> None:
        """See `Repository`."""
        self._source(offer.product).download(self._examined[offer.product].verified.payloads, told)

    def install(self, offer: Offer) -> Fate:
        """See `Repository`. What was downloaded is only a copy: it goes through the whole installation."""
        stored = self._installer.install(self._source(offer.product), WHO)
        self._downloads(offer.product).keep_only(())
        return Fate(
            self.where,
            Outcome.TAKEN,
            name_of(stored),
            offer.product,
            stored.digest,
            "signed, meant for this device, proved on it",
        )

    def _source(self, product: str) -> HttpSource:
        return HttpSource(self._http, product, self._downloads(product))

    def _downloads(self, product: str) -> DownloadFolder:
        return DownloadFolder(self._folder / product, self._reserve_bytes)


def open_http(settings: OtaSettings, clock: Clock, stop: threading.Event, dice: random.Random) -> HttpFolder:
    """The repository's folder.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    rate = settings.bandwidth_kb_s
    return HttpFolder(
        settings.url,
        TlsFiles(settings.ca_file, settings.certificate_file, settings.key_file),
        FetchLimits(timeout_s=settings.timeout_s, bytes_per_s=None if rate is None else rate * 1_000),
        clock,
        stop,
        dice,
    )


def network_updater(
    config: LineConfig,
    settings: OtaSettings,
    products: list[str],
    http: HttpFolder,
    installer: Installs,
    clock: Clock,
    stop: threading.Event,
    dice: random.Random,
) -> NetworkUpdater:
    """The loop, as the settings want it."""
    folder = config.device.state_dir / FOLDER
    return NetworkUpdater(
        StoreRepository(http, installer, folder / DOWNLOADS, config.updates.disk_reserve_mb * MEGABYTE),
        UpdatePlan(
            products,
            Schedule(settings.check_every_min * MINUTE_NS, round(settings.jitter_min * MINUTE_NS)),
            None if settings.window is None else Window.parse(settings.window),
            settings.download_ahead,
        ),
        CheckRequest(folder),
        DeliveryFile(folder, Via.NETWORK),
        lambda: minute_of_day(clock),
        clock,
        stop,
        dice,
    )


def minute_of_day(clock: Clock) -> int:
    """Local time, as the machine is set to."""
    now = dt.datetime.fromtimestamp(clock.wall_ns() / 1e9).astimezone()
    return now.hour * 60 + now.minute


def own_dice(device: str) -> random.Random:
    """Dice that no two devices share, however alike their clocks start."""
    return random.Random(f"{device}/{random.SystemRandom().random()}")  # noqa: S311  (spreads checks, guards nothing)
