from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, wait_until
from makers import make_fault, make_part
from outbox_bench import FailingLedger, ScriptedBroker, make_item

from edge_runtime.app.devices import Devices
from edge_runtime.app.inspection import load_inspector
from edge_runtime.app.line import build_line
from edge_runtime.app.metrics import LineMetrics
from edge_runtime.camera.sim import ConveyorCamera
from edge_runtime.config.engine import EngineSettings
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import CameraError
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.domain.status import LineState, Weight
from edge_runtime.domain.verdict import Reason
from edge_runtime.ops.belt import BeltPlan
from edge_runtime.ops.clock import SystemClock
from edge_runtime.ops.metrics import Registry
from edge_runtime.plc import create
from edge_runtime.plc.model import SimulatedPlcModel
from edge_runtime.services.flow import Opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.ledger.port import LedgerEntry
    from edge_runtime.services.line import Line

DRAIN_S = 0.5
STOP_BOUND_S = 15.0
"""The drain, and two seconds each for recorder and broker, with room for a busy machine: what hangs here never ends."""


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    """The demo bundle, loaded once."""
    with load_inspector(DEMO_BUNDLE, EngineSettings(), "development") as inspector:
        yield inspector


class HangingLedger(FailingLedger):
    """A disk that takes a write and never comes back, until the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.hang = threading.Event()
        self.release = threading.Event()
        self.closed_while_writing = False
        self._writing = False
        self.entries: list[LedgerEntry] = []
        """In the order in which they were committed."""

    def append(self, entries):
        """As the twin; or never."""
        self._ask("append")
        self.entries += entries
        if self.hang.is_set():
            self._writing = True
            self.release.wait(60)
            self._writing = False
        return super().append(entries)

    def close(self) -> None:
        """As SQLite's: it would wait for the write."""
        self.closed_while_writing = self._writing


class StartedBroker(ScriptedBroker):
    """A broker connection that can be started and stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = False

    def start(self) -> None:
        """Nothing to do."""

    def set_status(self, payload: bytes) -> None:
        """Nobody reads it."""

    def stop(self, timeout_s: float) -> None:
        """Remember it."""
        self.stopped = True


class BlindCamera(ConveyorCamera):
    """Can never be opened."""

    closed = False

    def open(self) -> None:
        """Refuse."""
        raise CameraError("no such camera", "plug it in")

    def close(self) -> None:
        """Remember it."""
        self.closed = True
        super().close()


class Bench:
    """A line on a simulated belt with 20 parts per second."""

    def __init__(
        self,
        tmp_path: Path,
        inspector: Inspector,
        camera: type[ConveyorCamera] = ConveyorCamera,
        plc: SimulatedPlcModel | None = None,
    ) -> None:
        self.clock = SystemClock()
        self.config = LineConfig.model_validate(
            {
                "device": {"name": "line", "state_dir": str(tmp_path)},
                "bundle": {"path": str(DEMO_BUNDLE)},
                "camera": {"kind": "sim"},
                "plc": {"kind": "none" if plc is None else "sim"},
                "recipe": {"decision_deadline_ms": 1_500, "reject": {"delay_ms": 2_000}},  # a busy machine is no fault
            }
        )
        self.ledger, self.broker = HangingLedger(), StartedBroker()
        self.progress = 0
        belt = BeltPlan(1, self.clock.monotonic_ns(), 20.0, 0.2, 0.0, 800_000_000, 1_000)
        self.camera = camera(self.config.camera, self.clock, belt)
        self._inspector, self._plc = inspector, create(self.config.plc, self.clock, model=plc)
        self.build()

    def build(self) -> None:
        """Wire the line around the devices as they are now."""
        devices = Devices(self._inspector, self.camera, self._plc, self.ledger, self.broker, None)
        self.line: Line = build_line(self.config, devices, self.clock, progress=self._fed)

    def _fed(self) -> None:
        self.progress += 1

    def hang(self, stage: str) -> None:
        """As if this stage had finished no step for ten seconds."""
        self.line._threads[stage]._clock = _Frozen(self.clock.monotonic_ns() - 10_000_000_000)

    def stop(self) -> float:
        """Stop the line; seconds that it took."""
        began_s = time.monotonic()
        self.line.stop(DRAIN_S)
        return time.monotonic() - began_s


class _Frozen(SystemClock):
    def __init__(self, at_ns: int) -> None:
        self._at_ns = at_ns

    def monotonic_ns(self) -> int:
        return self._at_ns


@pytest.fixture
def bench(tmp_path, inspector) -> Iterator[Bench]:
    """A running line."""
    bench = Bench(tmp_path, inspector)
    bench.line.start()
    yield bench
    bench.ledger.release.set()
    bench.line.stop(DRAIN_S)


@pytest.mark.parametrize("stage", ["record", "evidence", "publish"])
def test_a_hang_beside_the_deadline_path_leaves_the_line_ready(bench, stage) -> None:
    """A slow SD card or a strange broker costs no reject: degraded, and the PLC's ready bit stays."""
    bench.hang(stage)
    wait_until(lambda: any(stage in standing.detail for standing in bench.line.tick().reasons), "it is told")
    told = [standing for standing in bench.line.health.reasons if stage in standing.detail]
    assert [standing.weight for standing in told] == [Weight.DEGRADED]
    assert bench.line.vitals.deadline_path_alive()


@pytest.mark.parametrize("stage", ["capture", "inspect", "dispatch"])
def test_a_hang_on_the_deadline_path_is_a_fault_even_while_the_disk_hangs_too(bench, stage) -> None:
    """The worse news is not hidden by the other."""
    bench.hang("record")
    bench.hang(stage)
    wait_until(lambda: bench.line.tick().state is LineState.FAULT, "fault")
    assert not bench.line.vitals.device_state().ready


def test_the_watchdog_starves_when_dispatch_hangs(bench) -> None:
    """Inspecting parts whose verdicts nobody gives is no progress."""
    wait_until(lambda: bench.progress > 0, "the watchdog is fed")
    bench.hang("dispatch")
    wait_until(lambda: not bench.line.vitals.deadline_path_alive(), "the hang is seen")
    time_of_step = bench.line._threads["inspect"].progress_ns
    wait_until(lambda: bench.line._threads["inspect"].progress_ns > time_of_step, "a step that had begun before ends")
    fed, rounds = bench.progress, bench.line._threads["inspect"].progress_ns
    wait_until(lambda: bench.line._threads["inspect"].progress_ns > rounds + 300_000_000, "inspection goes on")
    assert bench.progress == fed


def test_a_disk_that_never_comes_back_does_not_hold_up_the_end(bench) -> None:
    """The records that it holds are lost with it; closing the database would wait for it."""
    wait_until(lambda: bench.line.stages.record.committed > 0, "the first commit")
    bench.ledger.hang.set()
    wait_until(lambda: bench.ledger._writing, "a write hangs")
    assert bench.stop() < STOP_BOUND_S
    assert not bench.ledger.closed_while_writing
    assert bench.broker.stopped


def test_an_outbox_that_cannot_be_read_does_not_hold_up_anything(bench) -> None:
    """Neither the supervisor nor the end fails for want of a backlog figure."""
    bench.ledger.refusing = {"backlog", "unsent", "mark_sent"}
    assert bench.line.backlog() >= 0
    assert bench.stop() < STOP_BOUND_S
    assert bench.broker.stopped


def test_a_hung_inspection_does_not_use_up_the_time_to_drain(tmp_path, inspector, monkeypatch) -> None:
    """Its queue cannot empty: what waits there gets the fail-safe, and the end comes soon after the last deadline."""
    release = threading.Event()
    bench = Bench(tmp_path, inspector)
    monkeypatch.setattr(
        bench.line.stages.inspect,
        "_decided",
        lambda model, *_: (model, make_fault(), None) if release.wait(60) else None,
    )
    bench.broker.connected = False
    bench.line.start()
    wait_until(lambda: len(bench.line._inspect_queue) > 2, "parts wait behind the hung one")
    began_s = time.monotonic()
    bench.line.stop(40.0)
    release.set()
    assert time.monotonic() - began_s < 20.0
    assert bench.line.stages.dispatch.open_parts == 0
    bench.line._threads["inspect"].join(60.0)


def test_failures_of_the_plc_link_are_in_the_metrics(tmp_path, inspector) -> None:
    """A cable that drops out for a moment now and then shows nowhere else."""
    line, registry = Bench(tmp_path, inspector).line, Registry()
    line.monitor.gate.link_errors = 3
    LineMetrics(registry).refresh(line)
    assert "edge_plc_link_errors_total 3\n" in registry.render()
    line.stop(0.0)


def test_a_part_that_was_opened_quietly_is_waited_for_at_the_end(tmp_path, inspector) -> None:
    """It waits for its turn in the inspect stage's hands: nothing else shows that it has no verdict yet."""
    line = Bench(tmp_path, inspector).line
    assert line._has_decided()
    line.stages.dispatch._inbox.put(Opened(make_part()), 0, quietly=True)
    assert not line._has_decided()
    line.stop(0.0)


def test_a_camera_that_cannot_be_opened_leaves_nothing_open(tmp_path, inspector) -> None:
    """Start fails, stop closes what the stages would have closed."""
    bench = Bench(tmp_path, inspector, BlindCamera)
    with pytest.raises(CameraError):
        bench.line.start()
    assert bench.stop() < STOP_BOUND_S
    assert bench.camera.closed
    assert bench.broker.stopped


def test_counting_a_large_backlog_costs_a_twentieth_of_the_time_at_most(bench, monkeypatch) -> None:
    """After a weekend without broker a count takes 0.1 s: the processor is for inspection."""
    counted = []

    def slowly() -> int:
        counted.append(threading.Event().wait(0.05))
        return 1_000_000

    bench.ledger.backlog()
    monkeypatch.setattr(bench.ledger, "backlog", slowly)
    wait_until(lambda: bench.line.backlog() > 900_000, "the new figure")
    until_s = time.monotonic() + 0.4
    while time.monotonic() < until_s:
        assert bench.line.backlog() > 900_000
    assert len(counted) == 1


def test_a_full_disk_at_the_start_keeps_the_interrupted_parts_for_later(tmp_path, inspector) -> None:
    """The line starts, judges and rejects; what the PLC acted upon before is recorded once there is room, and first."""
    model = SimulatedPlcModel()
    bench = Bench(tmp_path, inspector, plc=model)
    bench.ledger.append([make_item(1).record])
    model._acknowledged = 3
    bench.ledger.refusing = {"append"}
    bench.build()
    bench.line.start()
    wait_until(lambda: bench.line.monitor.snapshot().parts > 3, "parts are judged")
    bench.ledger.refusing = set()
    wait_until(lambda: bench.line.stages.record.committed > 3, "records are written")
    bench.stop()
    found = [entry.verdict for entry in bench.ledger.entries if isinstance(entry, VerdictRecord)]
    assert [(v.part_sequence, v.reason) for v in found[1:3]] == [(2, Reason.INTERRUPTED), (3, Reason.INTERRUPTED)]
