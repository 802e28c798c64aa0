"""The updater process: looks for releases over the network until it is stopped; or once, by hand."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

from edge_runtime.app.ota import network_updater, open_http, own_dice
from edge_runtime.app.stick_import import line_products, look
from edge_runtime.app.updates import make_installer, open_updates, writable
from edge_runtime.bundles.delivery_files import FOLDER, DeliveryFile
from edge_runtime.decision.delivery_report import report
from edge_runtime.domain.delivery import Via
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config.delivery import OtaSettings
    from edge_runtime.config.line import LineConfig
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.updater import NetworkUpdater


def run_updater(config: LineConfig, clock: Clock) -> None:
    """Look now and then, until SIGTERM or SIGINT.

    Raises:
        EdgeError: it cannot work as configured.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    notifier = Notifier.from_environment(os.environ, clock)
    with contextlib.closing(notifier), _updater(config, clock, stop) as updater:
        notifier.ready("waiting for the first check")
        while not stop.is_set():
            ended = updater.step()
            if ended is not None:
                notifier.status(f"{ended.step}: {ended.detail or ended.worst}")


def check_once(config: LineConfig, clock: Clock) -> tuple[str, bool]:
    """Look now; the technician's view, and whether all is well.

    Raises:
        EdgeError: it cannot work as configured.
    """
    with _updater(config, clock, threading.Event()) as updater:
        ended = updater.check()
    with contextlib.closing(open_updates(config, clock)) as store:
        return report(ended, look(config, store)), not any(fate.action for fate in ended.fates)


def last_reports(config: LineConfig, clock: Clock) -> Iterator[str]:
    """The technician's view of the newest delivery of each kind, as things stand now.

    Raises:
        UpdateError: the store cannot be read.
    """
    folder = config.device.state_dir / FOLDER
    with contextlib.closing(open_updates(config, clock)) as store:
        view = look(config, store)
    for via in Via:
        delivery = DeliveryFile(folder, via).read()
        if delivery is not None:
            yield report(delivery, view)


@contextlib.contextmanager
def _updater(config: LineConfig, clock: Clock, stop: threading.Event) -> Iterator[NetworkUpdater]:
    settings, products = _required(config)
    dice = own_dice(config.device.name)
    with (
        contextlib.closing(open_updates(config, clock)) as store,
        contextlib.closing(open_http(settings, clock, stop, dice)) as http,
    ):
        installer = make_installer(config, writable(store), clock)
        yield network_updater(config, settings, products, http, installer, clock, stop, dice)


def _required(config: LineConfig) -> tuple[OtaSettings, list[str]]:
    if config.updates.ota is None:
        raise ConfigError("no repository is named", "Name it: url in [updates.ota].")
    return config.updates.ota, line_products(config)
