"""An engine that breaks in the middle of a run: a real daemon, its real bundle, loaded anew and proved."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE

from edge_runtime.app.daemon import Daemon
from edge_runtime.app.models import open_file, renewed
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.domain.status import LineReason, LineState
from edge_runtime.domain.verdict import Reason
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WAIT_S = 90.0


class BrokenDetector:
    """A device that is gone."""

    def __init__(self, bundle) -> None:
        self.bundle = bundle

    def inspect(self, exposures):
        """Throw, as an engine does whose device is gone."""
        raise EngineError("the device is gone", "restart it")


@pytest.fixture
def config(tmp_path: Path) -> LineConfig:
    """A simulated line without broker."""
    return LineConfig.model_validate(
        {
            "device": {"name": "sim", "state_dir": str(tmp_path / "state")},
            "bundle": {"path": str(DEMO_BUNDLE)},
            "camera": {"kind": "sim"},
            "plc": {"kind": "sim"},
            "recipe": {"decision_deadline_ms": 1500, "reject": {"delay_ms": 2000}},
            "simulation": {"parts_per_s": 20, "travel_ms": 2000, "dropped_trigger_rate": 0.0},
            "mqtt": {"enabled": False},
            "ops": {"metrics_port": False},
        }
    )


def _run_until(daemon: Daemon, done: Callable[[], bool]) -> list[LineState]:
    """Run until `done`; every state that the line went through."""
    states: list[LineState] = []
    finished: list[bool] = []

    def look() -> None:
        if not states or states[-1] is not daemon.line.health.state:
            states.append(daemon.line.health.state)
        if done():
            finished.append(True)
            daemon.request_stop()

    emergency = threading.Timer(WAIT_S, daemon.request_stop)
    emergency.start()
    daemon.run(look)
    emergency.cancel()
    assert finished, "not in time"
    return states


def test_a_broken_engine_is_loaded_anew_and_the_line_judges_again(config) -> None:
    """FAULT while it is broken, every part with its fail-safe; READY with sound verdicts after it."""
    daemon = Daemon(config, lambda: config, SystemClock())
    keeper = daemon.line.models.current.keeper
    keeper._detector = BrokenDetector(keeper.bundle)
    states = _run_until(daemon, lambda: daemon.line.monitor.snapshot().reasons.get(Reason.BELOW_LIMIT, 0) > 5)
    assert LineState.FAULT in states
    assert keeper.renewals == 1
    reasons = daemon.line.monitor.snapshot().reasons
    assert reasons[Reason.ENGINE_ERROR] >= 3
    truth = daemon.devices.simulated_plc
    assert truth is not None
    assert truth.summary.defective_passed == 0


def test_an_engine_that_cannot_be_loaded_keeps_the_ready_bit_off(config, monkeypatch) -> None:
    """Its reason says why; the daemon goes on giving every part its verdict."""
    daemon = Daemon(config, lambda: config, SystemClock())
    keeper = daemon.line.models.current.keeper
    keeper._detector = BrokenDetector(keeper.bundle)

    def refuse():
        raise EngineError("no such device", "plug it in")

    monkeypatch.setattr(keeper, "_renew", refuse)

    def told() -> bool:
        texts = [s.detail for s in daemon.line.health.reasons if s.reason is LineReason.ENGINE_FAILING]
        return any("no such device" in text for text in texts)

    ready: list[bool] = []
    _run_until(daemon, lambda: told() and (ready.append(daemon.line.vitals.device_state().ready) or len(ready) > 3))
    assert not any(ready)
    assert daemon.line.monitor.snapshot().reasons[Reason.ENGINE_ERROR] >= 3


def test_another_bundle_in_the_same_file_is_not_taken_for_the_running_one(config, tmp_path) -> None:
    """A new engine never brings a new model with it."""
    daemon = Daemon(config, lambda: config, SystemClock())
    try:
        running = daemon.line.recipe.bundle
        fake = config.model_copy(update={"bundle": config.bundle.model_copy(update={"path": tmp_path / "x.bundle"})})
        (tmp_path / "x.bundle").write_bytes(DEMO_BUNDLE.read_bytes())
        assert renewed(lambda: open_file(fake), running).bundle.identity == running
        with pytest.raises(BundleError, match="another bundle"):
            renewed(lambda: open_file(fake), replace(running, digest="0" * 64))
    finally:
        daemon.line.stop(0.1)
        daemon.devices.close()
