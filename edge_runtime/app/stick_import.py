"""The import of a stick, and its report: runs as the daemon's own user, without any right, in a process of its own."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from edge_runtime.app.stick import FOLDER, bundle_files, find_folder
from edge_runtime.app.updates import make_installer, open_updates, writable
from edge_runtime.bundles.delivery_files import FOLDER as DELIVERY_FOLDER
from edge_runtime.bundles.delivery_files import DeliveryFile
from edge_runtime.decision.delivery_report import View, report
from edge_runtime.domain.delivery import Delivery, Fate, Outcome, Step, Via
from edge_runtime.domain.errors import EdgeError
from edge_runtime.domain.update import UpdateState
from edge_runtime.services.stick_import import take_in

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.bundles.store import ReleaseStore
    from edge_runtime.bundles.store_port import UpdateStore
    from edge_runtime.bundles.store_receipts import ReceiptStore
    from edge_runtime.config.line import LineConfig
    from edge_runtime.ops.clock import Clock

_POLL_NS: Final = 200_000_000
_NOBODY_SAYS_STOP: Final = threading.Event()


def line_products(config: LineConfig) -> list[str]:
    """Whose releases this line runs: others are none of its business."""
    first = config.bundle.product
    if first is None:
        return []
    others = [] if config.products is None else config.products.codes.values()
    combine = config.recipe.combine
    members = [] if combine is None else [member.product for member in combine.members if member.product is not None]
    return list(dict.fromkeys([first, *others, *members]))


def import_stick(config: LineConfig, root: Path | None, problem: str, clock: Clock) -> tuple[Delivery, str]:
    """Take in what is on a stick, and say what became of it.

    Args:
        config: of the line.
        root: where the stick is mounted; None where it could not be.
        problem: why not; empty where it is.
        clock: for the history, and for how long the report waits for the line.

    Returns:
        The delivery as it ended, and the technician's view. Never raises EdgeError.
    """
    told = DeliveryFile(config.device.state_dir / DELIVERY_FOLDER, Via.STICK)
    delivery = Delivery(Via.STICK, clock.wall_ns(), Step.LOOKING, detail="the stick is being read")
    told.tell(delivery)
    try:
        with closing(open_updates(config, clock)) as store:
            ended = _ended(delivery, clock, _taken(config, root, problem, store, delivery, told, clock))
            told.tell(ended)
            _wait_for_takeover(store, ended, config.updates.usb.takeover_wait_s, clock)
            return ended, report(ended, look(config, store))
    except EdgeError as error:
        failed = replace(_ended(delivery, clock, ()), detail=error.what, action=error.action)
    except _NothingToTakeError as nothing:
        failed = replace(_ended(delivery, clock, ()), detail=nothing.detail, action=nothing.action)
    told.tell(failed)
    return failed, report(failed, _look_if_possible(config, clock))


class _NothingToTakeError(Exception):
    """There is no bundle to speak of."""

    def __init__(self, detail: str, action: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.action = action


def _taken(
    config: LineConfig,
    root: Path | None,
    problem: str,
    store: ReleaseStore | ReceiptStore,
    delivery: Delivery,
    told: DeliveryFile,
    clock: Clock,
) -> tuple[Fate, ...]:
    files = _files(config, root, problem)
    said: list[tuple[Fate, ...]] = [()]

    def tell(detail: str, fates: tuple[Fate, ...]) -> None:
        said[0] = fates
        told.tell(replace(delivery, step=Step.INSTALLING, fates=fates, detail=detail))

    def reached(_state: UpdateState, text: str) -> None:
        tell(text if root is None else text.replace(f"{root}/", ""), said[0])

    installer = make_installer(config, writable(store), clock, reached)
    return take_in(files, installer, line_products(config), tell)


def _files(config: LineConfig, root: Path | None, problem: str) -> list[Path]:
    if not config.updates.usb.enabled:
        raise _NothingToTakeError("releases by stick are switched off on this device (updates.usb.enabled)")
    if not line_products(config):
        raise _NothingToTakeError("this line runs the file in bundle.path; releases need bundle.product")
    if root is None:
        what, _, action = problem.partition("\n")
        raise _NothingToTakeError(what, action.strip().removeprefix("→ "))
    folder = find_folder(root)
    if folder is None:
        raise _NothingToTakeError(f"the stick has no folder {FOLDER}")
    try:
        files = bundle_files(folder)
    except OSError as error:
        raise _NothingToTakeError(
            f"the folder {FOLDER} on the stick cannot be read: {error.strerror}", "Use another stick."
        ) from error
    if not files:
        raise _NothingToTakeError(
            f"the folder {FOLDER} on the stick holds no .bundle file",
            "Have the release station write the stick (`edge-convert stick`).",
        )
    return files


def _ended(delivery: Delivery, clock: Clock, fates: tuple[Fate, ...]) -> Delivery:
    return replace(delivery, step=Step.ENDED, fates=fates, detail="", ended_ns=clock.wall_ns())


def _wait_for_takeover(store: UpdateStore, ended: Delivery, wait_s: int, clock: Clock) -> None:
    """Until the line has taken up what came, so that the report can say so; not for longer than that."""
    taken = {fate.digest for fate in ended.fates if fate.outcome is Outcome.TAKEN}
    until_ns = clock.monotonic_ns() + wait_s * 1_000_000_000
    while clock.monotonic_ns() < until_ns and any(
        one.digest in taken and one.state is UpdateState.ARMED for one in store.releases()
    ):
        clock.wait(_NOBODY_SAYS_STOP, _POLL_NS)


def look(config: LineConfig, store: UpdateStore) -> View:
    """What the store says now.

    Raises:
        UpdateError: it cannot be read.
    """
    return View(
        device=config.device.name,
        standings={product: store.standing(product) for product in line_products(config)},
        known={one.digest: one for one in store.releases()},
        local_time=local_time,
    )


def _look_if_possible(config: LineConfig, clock: Clock) -> View:
    try:
        with closing(open_updates(config, clock)) as store:
            return look(config, store)
    except EdgeError:
        return View(config.device.name, {}, {}, local_time)


def local_time(wall_ns: int) -> str:
    """As the machine is set to."""
    return f"{datetime.fromtimestamp(wall_ns / 1e9).astimezone():%Y-%m-%d %H:%M}"
