"""A line whose models are signed releases, two for each part: a real daemon in this process and a real store."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from release_device import FAST_BUNDLE, ReleaseDevice, looser, run_until

from edge_runtime.app.activation import start_release
from edge_runtime.app.daemon import Daemon
from edge_runtime.app.stick_import import line_products
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.update import UpdateState
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.domain.update import StoredRelease


def _config(device: ReleaseDevice, **trial: float) -> LineConfig:
    """A cascade that asks about every part that the first model would pass; its folder waits for it."""
    return LineConfig.model_validate(
        {
            "device": {"name": "line", "state_dir": device.state_dir},
            "bundle": {"product": "part", "trust": "production"},
            "engine": {"threads": 1},
            "camera": {"kind": "folder", "path": str(device.folder / "in")},
            "recipe": {
                "decision_deadline_ms": 60_000,
                "combine": {"rule": "cascade", "doubt_from_percent": 0, "members": [{"product": "exact"}]},
            },
            "mqtt": {"enabled": False},
            "evidence": {"enabled": False},
            "ops": {"metrics_port": False},
            "trial": {"parts": 5, "dwell_s": 0.1, **trial},
        }
    )


def _good_part() -> bytes:
    with open_bundle(FAST_BUNDLE, trust="development") as bundle:
        good = next(image for image in bundle.manifest.golden if image.disposition == "PASS")
        return bundle.payloads.read(good.payload)


class _Belt:
    """Puts good parts into the folder at each look."""

    def __init__(self, device: ReleaseDevice) -> None:
        self._folder, self._picture, self.sent = device.folder, _good_part(), 0
        (device.folder / "in").mkdir()

    def send(self) -> None:
        """Three more; each appears as a whole."""
        for _ in range(3):
            (self._folder / "next.part").write_bytes(self._picture)
            (self._folder / "next.part").rename(self._folder / "in" / f"{self.sent}.png")
            self.sent += 1


def test_releases_of_both_models_go_on_trial_one_after_the_other(tmp_path) -> None:
    """The second one's makes way for one of the first, and is confirmed later by the parts at which it looks.

    Every look is of production trust and has the limits of its own release.
    """
    device = ReleaseDevice(tmp_path / "device")
    first, second = device.confirmed("1"), device.confirmed("1", product="exact")
    newer_second = device.add("2", product="exact", change=looser)
    config, belt = _config(device), _Belt(device)
    assert line_products(config) == ["part", "exact"]
    daemon = Daemon(config, lambda: config, SystemClock())
    assert device.state_of(newer_second) is UpdateState.TRIAL
    newer = device.add("2", change=looser)

    def confirmed() -> bool:
        belt.send()
        return device.state_of(newer_second) is UpdateState.CONFIRMED

    run_until(daemon, confirmed)
    looks = [verdict["combined"]["looks"] for verdict in device.verdicts()]
    for place, order in ((0, [first.digest, newer.digest]), (1, [second.digest, newer_second.digest])):
        digests = [each[place]["bundle"]["digest"] for each in looks]
        assert set(digests) <= set(order)  # the good second one is back as soon as it is loaded
        assert digests[-1] == order[-1]
        limits = {(each[place]["bundle"]["digest"], each[place]["limits"]["reject"]) for each in looks}
        assert len({reject for _, reject in limits}) == len(limits) == len(set(digests))
    assert {each[0]["bundle"]["digest"] for each in looks} == {first.digest, newer.digest}
    assert {look["bundle"]["trust"] for each in looks for look in each} == {"production"}
    told = [(event["kind"], event["attributes"].get("digest")) for event in device.events()]
    confirmations = [digest for kind, digest in told if kind == "model_confirmed"]
    assert confirmations == [newer.digest, newer_second.digest]
    assert told.count(("activation_waits", newer_second.digest)) == 1


def test_a_release_that_may_not_stand_there_is_rolled_back_at_the_start_too(tmp_path) -> None:
    """The line does not stay down until its attempts are used up: it starts with the one before."""
    device = ReleaseDevice(tmp_path / "device")
    device.confirmed("1")
    second = device.confirmed("1", product="exact")
    newer = device.add("2", product="exact", change=looser)
    asked: list[str] = []

    def refuse(inspector: Inspector) -> None:
        asked.append(inspector.bundle.identity.version)
        if asked[-1] == "2":
            raise BundleError("its limit is 0", "leave the doubt out")

    with closing(device.store()) as store:
        start = start_release(_config(device), store, "exact", refuse=refuse)
        start.inspector.close()
    assert (start.release.digest, asked) == (second.digest, ["2", "1"])
    assert device.state_of(newer) is UpdateState.ROLLED_BACK


def test_a_second_model_that_fails_on_the_line_makes_way_for_the_one_before(tmp_path) -> None:
    """Exchanged between two parts and back, with nothing lost; the record says which models looked from when on."""
    device = ReleaseDevice(tmp_path / "device")
    device.confirmed("1")
    good = device.confirmed("1", product="exact")
    # What the second model passes is too much for this line: by these parts each new release fails.
    config, belt = _config(device, parts=100, reject_rate_min=0.9, reject_rate_max=1.0), _Belt(device)
    daemon = Daemon(config, lambda: config, SystemClock())
    newer: list[StoredRelease] = []
    back: list[int] = []

    def settled() -> bool:
        belt.send()
        if not newer and belt.sent > 2:
            newer.append(device.add("2", product="exact", change=looser))
        if newer and device.state_of(newer[0]) is UpdateState.ROLLED_BACK:
            back.append(belt.sent)
        return len(back) > 1 and daemon.line.models.others[0].digest == good.digest

    run_until(daemon, settled)
    verdicts = device.verdicts()
    assert len({verdict["part_id"] for verdict in verdicts}) == len(verdicts)
    seconds = [verdict["combined"]["looks"][1]["bundle"]["digest"] for verdict in verdicts]
    changes = [one for one, before in zip(seconds, [None, *seconds], strict=False) if one != before]
    assert changes == [good.digest, newer[0].digest, good.digest]
    assert {verdict["disposition"] for verdict in verdicts} == {"PASS"}
    told = [(event["kind"], event["attributes"].get("digest_2")) for event in device.events()]
    activated = [digest for kind, digest in told if kind == "combination_activated"]
    assert activated == [good.digest, newer[0].digest, good.digest]
    assert [kind for kind, _ in told].count("model_rolled_back") == 1
    assert [kind for kind, _ in told].count("model_activated") == 1
