"""A real daemon in this process, whose models come from a real store of signed releases."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from release_device import ReleaseDevice, looser, run_until

from edge_runtime.app.daemon import Daemon
from edge_runtime.camera.sim_scene import render_part
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import UpdateError
from edge_runtime.domain.update import UpdateState
from edge_runtime.ops.clock import SystemClock
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from edge_runtime.domain.update import StoredRelease


@pytest.fixture(scope="module")
def device(tmp_path_factory) -> ReleaseDevice:
    """With a confirmed release of two products; they share a model and differ in their limits."""
    device = ReleaseDevice(tmp_path_factory.mktemp("release") / "device")
    device.confirmed("1", product="part")
    device.confirmed("1", product="gear")
    return device


def config_of(device: ReleaseDevice, **tables: Any) -> LineConfig:
    """A simulated line of 20 parts per second."""
    content = {
        "device": {"name": "line", "state_dir": device.state_dir},
        "bundle": {"product": "part", "trust": "production"},
        "camera": {"kind": "sim", "width_px": 320, "height_px": 240},
        "simulation": {"parts_per_s": 20, "dropped_trigger_rate": 0.0},
        "plc": {"kind": "sim"},
        "recipe": {"decision_deadline_ms": 20_000, "reject": {"delay_ms": 25_000}},  # a busy machine is no finding
        "mqtt": {"enabled": False},
        "evidence": {"enabled": False},
        "ops": {"metrics_port": False},
        "trial": {"parts": 20, "dwell_s": 0.5},
    }
    return LineConfig.model_validate({**content, **tables})


def test_a_release_is_taken_up_and_confirmed_while_parts_go_by(device: ReleaseDevice) -> None:
    """No part is lost to it; verdicts and status name the model that decides, with that model's limits."""
    config = config_of(device)
    daemon = Daemon(config, lambda: config, SystemClock())
    installed: list[StoredRelease] = []

    def confirmed() -> bool:
        if not installed and daemon.line.monitor.snapshot().parts > 10:
            installed.append(device.add("2", change=looser))
        return bool(installed) and device.state_of(installed[0]) is UpdateState.CONFIRMED

    run_until(daemon, confirmed)
    told = device.verdicts()
    assert sorted(verdict["part_sequence"] for verdict in told) == list(range(1, len(told) + 1))
    pairs = {(verdict["bundle"]["digest"], verdict["limits"]["reject"]) for verdict in told}
    assert len(pairs) == len({digest for digest, _ in pairs}) == len({reject for _, reject in pairs}) == 2
    status = json.loads(daemon.lines[0]._reporter.payload())
    assert status["bundle"]["digest"] == installed[0].digest
    assert (installed[0].digest, status["limits"]["reject"]) in pairs
    assert status["release"]["standing"] == "confirmed"


def test_a_release_that_cannot_prove_itself_at_the_start_is_rolled_back_then(device: ReleaseDevice) -> None:
    """The line starts with the last-known-good one."""

    def wrong_scores(content):
        golden = tuple(replace(image, expected_score=image.expected_score + 50.0) for image in content.golden)
        return replace(content, golden=golden)

    bad = device.add("3", change=wrong_scores)
    config = config_of(device)
    daemon = Daemon(config, lambda: config, SystemClock())
    run_until(daemon, lambda: daemon.line.monitor.snapshot().parts > 3)
    assert daemon.line.models.current.digest != bad.digest
    assert device.state_of(bad) is UpdateState.ROLLED_BACK


def test_without_any_release_the_daemon_says_what_to_do(tmp_path) -> None:
    """And starts nothing."""
    empty = ReleaseDevice(tmp_path / "device")
    config = config_of(empty)
    with pytest.raises(UpdateError, match="no release of product part") as caught:
        Daemon(config, lambda: config, SystemClock())
    assert "bundle install" in caught.value.action


def test_the_plc_changes_the_product_and_is_told_when_it_is_done(device: ReleaseDevice) -> None:
    """A code in its register; behind it the code of the product that is inspected."""
    config = config_of(
        device,
        plc={"kind": "sim", "product_address": 300},
        products={"source": "plc", "codes": {"17": "part", "18": "gear"}},
    )
    clock = SystemClock()
    daemon = Daemon(config, lambda: config, clock)
    plc = daemon.devices.simulated_plc
    plc.write_registers(300, [17], clock.monotonic_ns())

    def gear() -> bool:
        code, answer = plc.read_registers(300, 2, clock.monotonic_ns())
        if (code, answer) == (17, 17):
            plc.write_registers(300, [18], clock.monotonic_ns())
        return answer == 18

    run_until(daemon, gear)
    assert daemon.line.models.current.product == "gear"


def test_each_file_is_inspected_by_the_model_of_its_product(device: ReleaseDevice, tmp_path) -> None:
    """Mixed in one folder; one of an unknown product is not inspected. Each change takes less than a second."""
    folder = tmp_path / "in"
    folder.mkdir()
    picture = encode_png(render_part(1, 1, defective=False))
    for number in range(12):
        (folder / f"{number:02d}-{'AB'[number // 3 % 2]}.png").write_bytes(picture)
    (folder / "99-C.png").write_bytes(picture)
    config = config_of(
        device,
        camera={"kind": "folder", "path": folder, "after": "keep"},
        plc={"kind": "none"},
        recipe={"decision_deadline_ms": 5_000},
        products={"source": "file", "codes": {"A": "part", "B": "gear"}, "file_pattern": r"-(\w)\.png$"},
    )
    daemon = Daemon(config, lambda: config, SystemClock())
    before = len(device.verdicts())
    run_until(daemon, lambda: len(device.verdicts()) - before == 13)
    told = {verdict["file"]["path"]: verdict for verdict in device.verdicts()[before:]}
    store = device.store()
    digests = {code: store.standing(product).known_good.digest for code, product in (("A", "part"), ("B", "gear"))}
    store.close()
    assert told.pop("99-C.png")["reason"] == "product_unknown"
    assert {path: verdict["bundle"]["digest"] for path, verdict in told.items()} == {
        path: digests[path[3]] for path in told
    }
    assert max(verdict["latency_ms"] for verdict in told.values()) < 5_000
