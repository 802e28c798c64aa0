from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from line_process import DEMO_BUNDLE, REPOSITORY, wait_until

from edge_runtime.app.comparison import standing
from edge_runtime.app.daemon import Daemon
from edge_runtime.app.inspection import load_inspector
from edge_runtime.app.shadow import Candidate, ShadowProcess, shadow_engine
from edge_runtime.broker.schemas import json_schema
from edge_runtime.config.engine import EngineSettings
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.ops.clock import SystemClock
from edge_runtime.services.shadow import Answer, Facts, Lost, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.app.inspection import Inspector

FAST_BUNDLE = REPOSITORY / "models" / "demo_fast.bundle"
ENGINE = shadow_engine(EngineSettings(name="onnxruntime", provider="cuda"), 1)
PARTS = 30


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    """The candidate in this process, loaded once."""
    with load_inspector(FAST_BUNDLE, ENGINE, "development") as inspector:
        yield inspector


@pytest.fixture
def start(no_leaks) -> Iterator[Callable[[Path], ShadowProcess]]:
    """Starts processes that do not stand back (the machine may be busy); all are ended with the test."""
    started: list[ShadowProcess] = []

    def make(bundle: Path) -> ShadowProcess:
        started.append(ShadowProcess(Candidate(bundle, None, ENGINE, "normal")))
        return started[-1]

    yield make
    for one in started:
        one.close()


def _news(process: ShadowProcess):
    found: list = []
    wait_until(lambda: found.append(process.poll(0.5)) or found[-1] is not None, "the process says nothing", 60)
    return found[-1]


def _runs(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _frame(height_px: int, width_px: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)


def test_the_process_gives_the_scores_of_the_line(inspector, start) -> None:
    """Frames of any size, small and large after each other, cross over without a changed bit."""
    process = start(FAST_BUNDLE)
    facts = _news(process)
    assert isinstance(facts, Facts)
    assert facts.identity == inspector.bundle.identity
    assert facts.limits == inspector.bundle.calibration.limits
    assert facts.good_scores == inspector.bundle.calibration.good_scores
    for size in ((240, 320), (700, 900), (75, 100)):
        process.begin((_frame(*size),))
        answer = _news(process)
        assert isinstance(answer, Answer)
        assert answer.score == inspector.inspect((_frame(*size),)).score
        assert answer.cost_ns > 0


def test_an_accelerator_stays_the_lines() -> None:
    """It knows no priorities: the shadow computes on the processor."""
    assert (ENGINE.provider, ENGINE.device, ENGINE.threads) == ("cpu", "CPU", 1)


def test_a_part_that_it_cannot_judge_is_no_crash(start) -> None:
    """A grey 16-bit frame for a colour model: the answer says why, and the next one is judged."""
    process = start(FAST_BUNDLE)
    assert isinstance(_news(process), Facts)
    process.begin((np.zeros((50, 60), dtype=np.uint16), np.zeros((50, 60), dtype=np.uint16)))
    answer = _news(process)
    assert isinstance(answer, Answer)
    assert answer.score is None
    assert answer.fault
    process.begin((_frame(240, 320),))
    assert _news(process).score is not None


def test_a_process_that_dies_is_lost_and_nothing_else(start) -> None:
    """Killed in the middle: the next poll says by what."""
    process = start(FAST_BUNDLE)
    assert isinstance(_news(process), Facts)
    os.kill(process.pid, signal.SIGKILL)
    lost = _news(process)
    assert lost == Lost("the candidate's process ended: signal 9", crashed=True)
    process.begin((_frame(240, 320),))
    assert isinstance(process.poll(0), Lost)


def test_what_is_no_bundle_is_refused(start, tmp_path) -> None:
    """With the reason that the line itself would give."""
    (tmp_path / "x.bundle").write_bytes(b"no bundle" * 1_000)
    refused = _news(start(tmp_path / "x.bundle"))
    assert isinstance(refused, Refused)
    assert "x.bundle" in refused.why


def test_handing_over_waits_for_nobody(start) -> None:
    """A process that is stopped dead: twenty frames of 2 MB are laid down for it all the same."""
    process = start(FAST_BUNDLE)
    assert isinstance(_news(process), Facts)
    os.kill(process.pid, signal.SIGSTOP)
    handed = threading.Thread(target=lambda: [process.begin((_frame(700, 900),)) for _ in range(20)])
    handed.start()
    handed.join(30)
    assert not handed.is_alive()


def test_a_line_with_a_shadow_that_hangs_judges_every_part(tmp_path, mosquitto, subscribe) -> None:
    """The real daemon and a real process, stopped dead as soon as it is there: no part is without its verdict.

    The broker's subscribers read of the rollout in the documented words. After the stop the process is gone, and the
    rollout can be looked at.
    """
    subscriber = subscribe(mosquitto.port, "edge/shadowed/rollout")
    config = LineConfig.model_validate(
        {
            "device": {"name": "shadowed", "state_dir": str(tmp_path / "state")},
            "bundle": {"path": str(DEMO_BUNDLE)},
            "camera": {"kind": "sim"},
            "plc": {"kind": "sim"},
            "recipe": {"decision_deadline_ms": 1_500, "reject": {"delay_ms": 2_000}},
            "simulation": {"parts": PARTS, "parts_per_s": 10, "travel_ms": 2_000},
            "mqtt": {"port": mosquitto.port},
            "ops": {"metrics_port": False},
            "rollout": {"enabled": True, "candidate": str(FAST_BUNDLE)},
        }
    )
    daemon = Daemon(config, lambda: config, SystemClock())
    rollout = daemon.line.stages.rollout
    assert rollout is not None
    stopped: list[int] = []

    def stop_it() -> None:
        if not stopped and (shadow := rollout._beside.shadow) is not None:
            stopped.append(shadow._onlooker.pid)
            os.kill(stopped[0], signal.SIGSTOP)

    daemon.run(stop_it)
    snapshot = daemon.line.monitor.snapshot()
    assert stopped
    assert snapshot.parts == PARTS
    # At idle priority even a killed process needs a little time of its own for its end.
    wait_until(lambda: not any(_runs(pid) for pid in stopped), "the candidate's process is gone", 60)
    subscriber.wait_for(len, "a report")
    Draft202012Validator(json_schema("rollout")).validate(subscriber.received[0].payload)
    assert subscriber.received[0].payload["stage"] == "shadow"
    report = standing(config)
    assert report.stage is RolloutStage.SHADOW
    assert report.candidate.bundle.name == "demo-fast"
