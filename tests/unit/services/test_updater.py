from __future__ import annotations

import random
import shutil
import threading
from typing import TYPE_CHECKING

import pytest
from cutting_server import Server, cutting_server
from delivery_rig import TinyDevice
from leaping_clock import LeapingClock

from edge_runtime.app.ota import StoreRepository
from edge_runtime.bundles.delivery_files import CheckRequest, DeliveryFile
from edge_runtime.decision.check_schedule import MINUTE_NS, RETRY_NS, Schedule, Window
from edge_runtime.domain.delivery import Delivery, Outcome, Step, Via
from edge_runtime.ops.http_fetch import FetchLimits, HttpFolder, TlsFiles
from edge_runtime.services.updater import NetworkUpdater, UpdatePlan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEDULE = Schedule(60 * MINUTE_NS, 10 * MINUTE_NS)
NIGHT = Window.parse("22:00-04:00")
NOON, MIDNIGHT = 12 * 60, 0


class Rig:
    """A device, its repository on a web server that can be made to fail, and an updater between them."""

    def __init__(self, folder: Path, server: Server, device: TinyDevice) -> None:
        self.server, self.device, self.folder = server, device, folder
        self.clock = LeapingClock()
        self.minute = NOON
        self.stop = threading.Event()
        self.request = CheckRequest(folder / "delivery")
        self.reserve_bytes = 0
        self.updater = self.make()

    def make(self, window: Window | None = None, *, ahead: bool = True) -> NetworkUpdater:
        """A new process."""
        dice = random.Random(4)  # noqa: S311  (spreads checks)
        http = HttpFolder(
            self.server.url, TlsFiles(), FetchLimits(timeout_s=5, attempts=3), self.clock, self.stop, dice
        )
        self.updater = NetworkUpdater(
            StoreRepository(http, self.device.installer, self.downloads, self.reserve_bytes),
            UpdatePlan(["part"], SCHEDULE, window, ahead),
            self.request,
            DeliveryFile(self.folder / "delivery", Via.NETWORK),
            lambda: self.minute,
            self.clock,
            self.stop,
            dice,
        )
        return self.updater

    @property
    def downloads(self) -> Path:
        """Where payloads are kept while they come."""
        return self.folder / "delivery" / "download"

    def kept(self) -> list[str]:
        """What lies there."""
        return sorted(path.name[64:] for path in self.downloads.rglob("*") if path.is_file())

    def payload_requests(self) -> list[str | None]:
        """The ranges that were asked for, of payloads only."""
        return [
            wanted
            for path, wanted in self.server.behaviour.requests
            if path.startswith("/targets/") and path.count("/") == 2
        ]

    def told(self) -> Delivery | None:
        """What the daemon reads."""
        return DeliveryFile(self.folder / "delivery", Via.NETWORK).read()


@pytest.fixture
def rig(tmp_path) -> Iterator[Rig]:
    """With one release in the repository."""
    device = TinyDevice(tmp_path / "device")
    device.release("1.0")
    with cutting_server(device.web()) as server:
        made = Rig(tmp_path, server, device)
        yield made
        made.stop.set()


def test_a_new_release_comes_over_cut_connections_and_is_taken(rig) -> None:
    """A server that ends every connection after 40 kB: resumed, verified, armed, told; nothing is left over."""
    rig.server.behaviour.cut_after = 40_000
    ended = rig.updater.check()
    assert [fate.outcome for fate in ended.fates] == [Outcome.TAKEN]
    assert rig.device.store.standing("part").armed.version == "1.0"
    assert "bytes=40000-" in rig.payload_requests()
    assert rig.kept() == []
    assert rig.told() == ended


def test_what_is_here_already_costs_a_look_at_the_signatures(rig) -> None:
    """No payload is asked for again, and nothing is told as news."""
    rig.updater.check()
    rig.server.behaviour.requests.clear()
    ended = rig.updater.check()
    assert (ended.fates, ended.step) == ((), Step.ENDED)
    assert rig.payload_requests() == []


def test_outside_the_window_it_is_downloaded_and_waits(rig) -> None:
    """When the window opens it is installed soon, from what is here: not a byte of it is asked for again."""
    updater = rig.make(NIGHT)
    ended = updater.check()
    assert (ended.step, ended.fates, ended.detail) == (Step.WAITING, (), "part 1.0 (release 2)")
    assert rig.device.store.releases() == []
    assert rig.kept() == ["", "", ""]
    asked = len(rig.payload_requests())
    rig.minute = MIDNIGHT
    ended = next(found for found in (updater.step() for _ in range(20)) if found is not None)
    assert [fate.outcome for fate in ended.fates] == [Outcome.TAKEN]
    assert len(rig.payload_requests()) == asked


def test_without_download_ahead_nothing_comes_outside_the_window(rig) -> None:
    """The network of the plant belongs to the plant during the day."""
    ended = rig.make(NIGHT, ahead=False).check()
    assert ended.step is Step.WAITING
    assert rig.payload_requests() == []


def test_a_download_that_fails_goes_on_at_the_next_check(rig) -> None:
    """The server goes away in the middle, then this process: the next one asks for the rest, five minutes later."""
    server, updater = rig.server.behaviour, rig.updater
    server.cut_after, server.cuts_left = 50_000, 1

    def away(*_: object) -> None:
        server.failures_left = 99  # 503, from the first pause on

    rig.clock.on_wait = away
    ended = updater.check()
    assert [fate.outcome for fate in ended.fates] == [Outcome.FAILED]
    assert updater.due_ns - rig.clock.monotonic_ns() <= RETRY_NS + 10 * MINUTE_NS
    assert any(name == ".part" for name in rig.kept())
    rig.clock.on_wait = None
    server.failures_left, server.requests = 0, []
    ended = rig.make().check()
    assert [fate.outcome for fate in ended.fates] == [Outcome.TAKEN]
    assert "bytes=50000-" in rig.payload_requests()


def test_a_swapped_payload_is_refused_and_thrown_away(rig) -> None:
    """Another file of the same length under the same name: the hash tells, and the line is not touched."""
    victim = max(
        (rig.device.folder / "www" / "targets").glob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0
    )
    victim.write_bytes(bytes(reversed(victim.read_bytes())))
    ended = rig.updater.check()
    assert [fate.outcome for fate in ended.fates] == [Outcome.REFUSED]
    assert "not what was signed" in ended.fates[0].what
    assert rig.device.store.releases() == []
    assert ".part" not in rig.kept()


def test_an_older_repository_is_refused(rig, tmp_path) -> None:
    """Somebody who holds the server back to yesterday: refused, once the newer one was seen."""
    shutil.copytree(rig.device.folder / "www", tmp_path / "yesterday")
    rig.device.release("2.0")
    rig.device.web()
    rig.updater.check()
    shutil.rmtree(rig.device.folder / "www")
    shutil.copytree(tmp_path / "yesterday", rig.device.folder / "www")
    ended = rig.updater.check()
    assert [fate.outcome for fate in ended.fates] == [Outcome.REFUSED]
    assert "older" in ended.fates[0].what
    assert rig.device.store.standing("part").armed.version == "2.0"


def test_a_release_that_failed_here_is_not_tried_again_and_again(rig) -> None:
    """Its self-test failed: told once, and left alone until there is another one."""
    rig.device.prover.passes = False
    assert [fate.outcome for fate in rig.updater.check().fates] == [Outcome.REFUSED]
    assert rig.updater.check().fates == ()
    assert rig.device.prover.asked == 1
    rig.device.prover.passes = True
    rig.device.release("1.1")
    rig.device.web()
    assert [fate.outcome for fate in rig.updater.check().fates] == [Outcome.TAKEN]


def test_a_disk_without_room_keeps_its_reserve(rig) -> None:
    """Nothing is written into it; the device says what to do."""
    rig.reserve_bytes = 1 << 60
    ended = rig.make().check()
    assert [fate.outcome for fate in ended.fates] == [Outcome.FAILED]
    assert "no room" in ended.fates[0].what
    assert all(path.stat().st_size == 0 for path in rig.downloads.rglob("*.part"))


def test_the_daemon_may_ask_for_a_check(rig) -> None:
    """It comes within seconds instead of at its time; without being asked none comes."""
    updater = rig.updater
    began_ns = rig.clock.monotonic_ns()
    while updater.step() is None:
        pass
    assert rig.clock.monotonic_ns() - began_ns <= 10 * MINUTE_NS + 60_000_000_000
    assert updater.due_ns - rig.clock.monotonic_ns() >= 59 * MINUTE_NS
    began_ns = rig.clock.monotonic_ns()
    rig.request.ask()
    while updater.step() is None:
        pass
    assert rig.clock.monotonic_ns() - began_ns <= 12_000_000_000


def test_a_stop_in_the_middle_is_no_failure(rig) -> None:
    """What came stays; nothing is told as trouble."""
    rig.clock.on_wait = lambda *_: rig.stop.set()
    rig.server.behaviour.cut_after = 10_000
    ended = rig.updater.check()
    assert ended.fates == ()
    assert ".part" in rig.kept()


def test_a_repository_without_this_product_is_no_trouble(rig) -> None:
    """One repository for all lines."""
    dice = random.Random(4)  # noqa: S311  (spreads pauses)
    http = HttpFolder(rig.server.url, TlsFiles(), FetchLimits(timeout_s=5), rig.clock, rig.stop, dice)
    rig.updater = NetworkUpdater(
        StoreRepository(http, rig.device.installer, rig.downloads, 0),
        UpdatePlan(["caps", "part"], SCHEDULE, None, download_ahead=True),
        rig.request,
        DeliveryFile(rig.folder / "delivery", Via.NETWORK),
        lambda: rig.minute,
        rig.clock,
        rig.stop,
        dice,
    )
    assert [fate.outcome for fate in rig.updater.check().fates] == [Outcome.LEFT, Outcome.TAKEN]
