"""A line whose models are signed releases, two for each part: a real daemon in this process and a real store."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from line_process import DEMO_BUNDLE
from release_device import FAST_BUNDLE, ReleaseDevice, looser

from edge_runtime.app.daemon import Daemon
from edge_runtime.app.stick_import import line_products
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.update import UpdateState
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.domain.update import StoredRelease

WAIT_S = 60.0


def _config(device: ReleaseDevice) -> LineConfig:
    """A cascade that asks about every part that the first model would pass; its folder waits for it."""
    return LineConfig.model_validate(
        {
            "device": {"name": "line", "state_dir": device.state_dir},
            "bundle": {"product": "part", "trust": "production"},
            "camera": {"kind": "folder", "path": str(device.folder / "in")},
            "recipe": {
                "decision_deadline_ms": 60_000,
                "combine": {"rule": "cascade", "doubt_from_percent": 0, "members": [{"product": "exact"}]},
            },
            "mqtt": {"enabled": False},
            "evidence": {"enabled": False},
            "ops": {"metrics_port": False},
            "trial": {"parts": 5, "dwell_s": 0.1},
        }
    )


def _good_part() -> bytes:
    with open_bundle(FAST_BUNDLE, trust="development") as bundle:
        good = next(image for image in bundle.manifest.golden if image.disposition == "PASS")
        return bundle.payloads.read(good.payload)


def _run_until(daemon: Daemon, condition: Callable[[], bool]) -> None:
    timer = threading.Timer(WAIT_S, daemon.request_stop)
    timer.start()
    reached: list[bool] = []

    def look() -> None:
        if condition():
            reached.append(True)
            daemon.request_stop()

    daemon.run(look)
    timer.cancel()
    assert reached, "it did not come to that"


def _verdicts(device: ReleaseDevice) -> list[dict[str, Any]]:
    with sqlite3.connect(device.state_dir / "ledger.sqlite") as ledger:
        rows = ledger.execute("SELECT payload FROM records WHERE channel = 'inspection' ORDER BY sequence").fetchall()
    return [json.loads(row[0]) for row in rows]


def _state(device: ReleaseDevice, release: StoredRelease) -> UpdateState:
    store = device.store()
    try:
        return store.find(release.digest).state
    finally:
        store.close()


def test_a_new_release_of_the_first_model_goes_on_trial_beside_the_second(tmp_path) -> None:
    """The second one's release is confirmed once it is proved, the first one's by its parts, whoever decides them.

    Every look is of production trust and has the limits of its own release.
    """
    device = ReleaseDevice(tmp_path / "device")
    first, second = device.confirmed("1"), device.add("1", DEMO_BUNDLE, product="exact")
    config, picture = _config(device), _good_part()
    (device.folder / "in").mkdir()
    assert line_products(config) == ["part", "exact"]
    daemon = Daemon(config, lambda: config, SystemClock())
    assert _state(device, second) is UpdateState.CONFIRMED
    newer: list[StoredRelease] = []

    def confirmed() -> bool:
        parts = daemon.line.monitor.snapshot().parts
        (device.folder / f"{parts}.part").write_bytes(picture)
        (device.folder / f"{parts}.part").rename(device.folder / "in" / f"{parts}.png")
        if not newer and parts > 2:
            newer.append(device.add("2", change=looser))
        return bool(newer) and _state(device, newer[0]) is UpdateState.CONFIRMED

    _run_until(daemon, confirmed)
    looks = [verdict["combined"]["looks"] for verdict in _verdicts(device)]
    assert {each[0]["bundle"]["digest"] for each in looks} == {first.digest, newer[0].digest}
    limits = {(each[0]["bundle"]["digest"], each[0]["limits"]["reject"]) for each in looks}
    assert len(limits) == 2
    assert {look["bundle"]["digest"] for each in looks for look in each[1:]} == {second.digest}
    assert {look["bundle"]["trust"] for each in looks for look in each} == {"production"}
