from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, REPOSITORY, wait_until

from edge_runtime.app.belt import belt_plan
from edge_runtime.app.daemon import Daemon
from edge_runtime.config.line import LineConfig
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc.gate import GateReason

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = 30


class PatientClock(SystemClock):
    """Stands still until the line runs: the belt must not move before, however long a busy machine takes to start."""

    def __init__(self) -> None:
        self._behind_ns = 0
        self._held_ns: int | None = super().monotonic_ns()

    def monotonic_ns(self) -> int:
        """See `Clock`."""
        held_ns = self._held_ns
        return super().monotonic_ns() - self._behind_ns if held_ns is None else held_ns

    def go_on(self) -> None:
        """From the instant at which it stood. Idempotent."""
        if self._held_ns is not None:
            self._behind_ns = super().monotonic_ns() - self._held_ns
            self._held_ns = None


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
    clock = PatientClock()
    daemon = Daemon(config, lambda: config, clock)
    truth = daemon.devices.simulated_plc
    assert truth is not None

    def on_tick() -> None:
        clock.go_on()
        if watch is not None:
            watch()

    daemon.run(on_tick, lambda: truth.summary.passed + truth.summary.rejected >= PARTS)
    return daemon


def test_every_simulated_part_gets_one_verdict_and_bad_ones_do_not_pass_for_want_of_a_frame(simulated) -> None:
    """Parts whose trigger the camera missed are rejected at the gate and appear as trigger_lost."""
    config = simulated()
    daemon = _run(config)
    truth, gate = daemon.devices.simulated_plc, daemon.line.monitor.gate
    snapshot = daemon.line.monitor.snapshot()
    belt = belt_plan(config.simulation, SystemClock())
    unseen = {number for number in range(1, PARTS + 1) if belt.part(number).trigger_dropped}
    at_gate = {reason: {r.sequence for r in truth.gate_log if r.why is reason} for reason in GateReason}
    assert snapshot.parts == PARTS
    assert snapshot.reasons["trigger_lost"] >= len(unseen) > 0
    assert not unseen & at_gate[GateReason.PERMIT]
    # On a machine that stalls for seconds parts lose their permit, and the line's own books must say so.
    permitted = len(at_gate[GateReason.PERMIT] | at_gate[GateReason.STALE_HEARTBEAT])
    assert 0 < gate.passes_granted <= permitted <= gate.passes_granted + gate.passes_lost
    assert len(at_gate[GateReason.NO_RESULT]) <= gate.passes_lost + gate.rejects_missed
    assert gate.rejects_in_time <= len(at_gate[GateReason.REJECT])
    assert daemon.line.stages.record.committed >= PARTS


def test_the_threads_are_those_of_the_readme_and_none_is_left(simulated) -> None:
    """A newcomer finds every thread in the README's table; a stopped daemon leaves none behind, nor a part."""
    before = set(threading.enumerate())
    seen: set[str] = set()
    config = simulated(engine={"at_once": 2})
    daemon = _run(config, lambda: seen.update(t.name for t in threading.enumerate() if t not in before))
    # The evidence thread stands back behind all others: on a busy machine it may end after the line.
    wait_until(lambda: set(threading.enumerate()) <= before, f"threads left: {set(threading.enumerate()) - before}")
    table = Path(REPOSITORY / "README.md").read_text(encoding="utf-8").split("## Threads")[1].split("## MQTT")[0]
    documented = re.findall(r"`([^`]+)`", table)
    unknown = {name for name in seen if not any(name.startswith(known) for known in documented)}
    assert not unknown, f"threads that the README does not list: {unknown}"
    assert {"capture", "inspect", "inspect-1", "dispatch", "plc", "record", "evidence", "publish"} <= seen
    assert daemon.line.monitor.snapshot().parts == PARTS


def test_gate_mode_fire_ejects_what_is_bad(simulated) -> None:
    """Gate mode fire on the simulated PLC's coil: what was judged bad is ejected.

    On a machine that stalls some are missed, and the line's own books must say so.
    """
    recipe = {"gate": "fire", "decision_deadline_ms": 1500, "reject": {"delay_ms": 2000, "pulse_ms": 20}}
    daemon = _run(
        simulated(
            recipe=recipe,
            simulation={"parts": PARTS, "parts_per_s": 10, "travel_ms": 2000, "dropped_trigger_rate": 0.0},
        )
    )
    gate = daemon.line.monitor.gate
    truth = daemon.devices.simulated_plc
    assert gate.rejects_in_time + gate.rejects_missed == gate.planned_rejects
    assert truth.summary.rejected >= gate.rejects_in_time > 0
