"""A line whose models are signed releases, two for each part: a real daemon in this process and a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from line_process import DEMO_BUNDLE
from release_device import FAST_BUNDLE, ReleaseDevice, looser, run_until

from edge_runtime.app.daemon import Daemon
from edge_runtime.app.stick_import import line_products
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.update import UpdateState
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_runtime.domain.update import StoredRelease


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
    assert device.state_of(second) is UpdateState.CONFIRMED
    newer: list[StoredRelease] = []

    def confirmed() -> bool:
        parts = daemon.line.monitor.snapshot().parts
        (device.folder / f"{parts}.part").write_bytes(picture)
        (device.folder / f"{parts}.part").rename(device.folder / "in" / f"{parts}.png")
        if not newer and parts > 2:
            newer.append(device.add("2", change=looser))
        return bool(newer) and device.state_of(newer[0]) is UpdateState.CONFIRMED

    run_until(daemon, confirmed)
    looks = [verdict["combined"]["looks"] for verdict in device.verdicts()]
    assert {each[0]["bundle"]["digest"] for each in looks} == {first.digest, newer[0].digest}
    limits = {(each[0]["bundle"]["digest"], each[0]["limits"]["reject"]) for each in looks}
    assert len(limits) == 2
    assert {look["bundle"]["digest"] for each in looks for look in each[1:]} == {second.digest}
    assert {look["bundle"]["trust"] for each in looks for look in each} == {"production"}
