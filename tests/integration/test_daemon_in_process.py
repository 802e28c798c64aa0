from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, REPOSITORY

from edge_runtime.app.daemon import Daemon
from edge_runtime.config.line import LineConfig
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = 30


@pytest.fixture
def simulated(tmp_path: Path, mosquitto) -> Callable[..., LineConfig]:
    """Makes configurations of a simulated line with a real broker."""

    def make(**sections: object) -> LineConfig:
        return LineConfig.model_validate(
            {
                "device": {"name": "sim", "state_dir": str(tmp_path / "state")},
                "bundle": {"path": str(DEMO_BUNDLE)},
                "camera": {"kind": "sim"},
                "plc": {"kind": "sim"},
                "plc_link": {"watch_trigger_count": True, "trigger_timeout_ms": 300},
                "recipe": {"decision_deadline_ms": 1500, "reject": {"delay_ms": 2000}},
                "simulation": {"parts": PARTS, "parts_per_s": 20, "travel_ms": 2000, "dropped_trigger_rate": 0.1},
                "mqtt": {"port": mosquitto.port},
                "ops": {"metrics_port": 0},
            }
            | sections
        )

    return make


def _run(config: LineConfig, watch: Callable[[], None] | None = None) -> Daemon:
    daemon = Daemon(config, lambda: config, SystemClock())
    truth = daemon.devices.simulated_plc
    assert truth is not None
    daemon.run(watch, lambda: truth.summary.passed + truth.summary.rejected >= PARTS)
    return daemon


def test_every_simulated_part_gets_one_verdict_and_bad_ones_do_not_pass_for_want_of_a_frame(simulated) -> None:
    """Parts whose trigger the camera missed are rejected at the gate and appear as trigger_lost."""
    daemon = _run(simulated())
    truth = daemon.devices.simulated_plc
    snapshot = daemon.line.monitor.snapshot()
    plan_dropped = [record for record in truth.gate_log if record.why.value == "no_result"]
    assert snapshot.parts == PARTS
    assert snapshot.reasons.get("trigger_lost", 0) >= 1
    assert plan_dropped == []
    assert truth.summary.passed == daemon.line.monitor.gate.passes_granted
    assert daemon.line.stages.record.committed >= PARTS


def test_the_threads_are_those_of_the_readme_and_none_is_left(simulated) -> None:
    """A newcomer finds every thread in the README's table; a stopped daemon leaves none behind."""
    before = set(threading.enumerate())
    seen: set[str] = set()
    _run(simulated(), lambda: seen.update(t.name for t in threading.enumerate() if t not in before))
    assert not {thread for thread in threading.enumerate() if thread not in before}
    table = Path(REPOSITORY / "README.md").read_text(encoding="utf-8").split("## Threads")[1].split("## MQTT")[0]
    documented = re.findall(r"`([^`]+)`", table)
    unknown = {name for name in seen if not any(name.startswith(known) for known in documented)}
    assert not unknown, f"threads that the README does not list: {unknown}"
    assert {"capture", "inspect", "dispatch", "plc", "record", "evidence", "publish"} <= seen


def test_gate_mode_fire_ejects_what_is_bad(simulated) -> None:
    """Gate mode fire on the simulated PLC's coil: what was judged bad is ejected, the rest passes."""
    recipe = {"gate": "fire", "decision_deadline_ms": 1500, "reject": {"delay_ms": 2000, "pulse_ms": 20}}
    daemon = _run(
        simulated(
            recipe=recipe,
            simulation={"parts": PARTS, "parts_per_s": 10, "travel_ms": 2000, "dropped_trigger_rate": 0.0},
        )
    )
    gate = daemon.line.monitor.gate
    truth = daemon.devices.simulated_plc
    assert gate.rejects_in_time == gate.planned_rejects > 0
    assert truth.summary.rejected == gate.rejects_in_time
