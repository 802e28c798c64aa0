from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from release_device import ReleaseDevice, looser

from edge_runtime.app.daemon import Daemon
from edge_runtime.app.rollout import request_file
from edge_runtime.config.line import LineConfig
from edge_runtime.decision.rollout_share import is_candidates
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.domain.update import UpdateState
from edge_runtime.ledger.reader import LedgerReader
from edge_runtime.ops.clock import SystemClock
from edge_runtime.services.rollout_requests import RolloutRequest

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.domain.update import StoredRelease

SHARE = 0.5
LONGEST_TICKS = 400


def _config(state_dir: Path) -> LineConfig:
    return LineConfig.model_validate(
        {
            "device": {"name": "rollout", "state_dir": str(state_dir)},
            "bundle": {"product": "part", "trust": "production"},
            "updates": {"after_install": "wait"},
            "camera": {"kind": "sim"},
            "plc": {"kind": "sim"},
            "recipe": {"decision_deadline_ms": 1_500, "reject": {"delay_ms": 2_000}},
            "simulation": {"parts": 100_000, "parts_per_s": 15, "travel_ms": 2_000, "defect_rate": 0.0},
            "mqtt": {"enabled": False},
            "evidence": {"enabled": False},
            "ops": {"metrics_port": False},
            "rollout": {"enabled": True, "canary": {"share": SHARE}},
        }
    )


class Person:
    """Looks at the line several times a second, and moves the candidate on as soon as it stands where it should."""

    def __init__(self, daemon: Daemon, config: LineConfig, candidate: StoredRelease) -> None:
        self._daemon, self._config, self._candidate = daemon, config, candidate
        self._asked: set[RolloutStage] = set()
        self._ticks = 0

    def look(self) -> None:
        """One look."""
        line = self._daemon.line
        rollout = line.stages.rollout
        assert rollout is not None
        self._ticks += 1
        decided = rollout._course.books.evidence.candidate.parts
        if self._ticks > LONGEST_TICKS or line.models.current.digest == self._candidate.digest:
            self._daemon.request_stop()
        elif self._is_due(rollout._course.stage, decided):
            self._asked.add(rollout._course.stage)
            wall_ns = SystemClock().wall_ns()
            request = RolloutRequest("promote", self._candidate.digest, "Ada", "it is good", wall_ns)
            request_file(self._config.device.state_dir).put(request)

    def _is_due(self, stage: RolloutStage, decided: int) -> bool:
        if not stage.is_running or stage in self._asked:
            return False
        return stage is RolloutStage.SHADOW or decided >= 5


def _messages(state_dir: Path) -> list[tuple[str, dict]]:
    with closing(LedgerReader(state_dir / "ledger.sqlite")) as reader:
        extent = reader.extent()
        rows = reader.records(extent.base.sequence + 1, extent.newest)
        return [(channel, json.loads(payload)) for _, channel, payload, _ in rows]


def test_a_waiting_release_comes_to_decide_by_shadow_and_canary(tmp_path, no_leaks) -> None:
    """Signed releases, the real daemon and its store: shadow, half of the parts, then its trial like any other.

    The record proves it afterwards: who decided which part, every stage with who and why, and the reports.
    """
    device = ReleaseDevice(tmp_path)
    active = device.confirmed("1")
    candidate = device.add("2", arm=False, change=looser)
    config = _config(device.state_dir)
    daemon = Daemon(config, lambda: config, SystemClock())
    daemon.run(Person(daemon, config, candidate).look)
    store = device.store()
    state = store.find(candidate.digest).state
    told = [entry.text for entry in store.history() if entry.kind == "rollout"]
    store.close()
    assert state in {UpdateState.ARMED, UpdateState.TRIAL}  # a stopped trial is taken up at the next start
    assert len(told) == 3
    messages = _messages(device.state_dir)
    stages = [message["attributes"]["stage"] for channel, message in messages if message.get("kind") == "rollout_stage"]
    assert stages == ["shadow", "canary", "full"]
    assert [message["stage"] for channel, message in messages if channel == "rollout"] == stages
    promoted = next(m for _, m in messages if m.get("kind") == "rollout_stage" and m["attributes"]["stage"] == "full")
    assert promoted["message"].startswith(f"{candidate.name} 2 is full: promoted by Ada: it is good")
    _its_parts_are_those_of_the_rule(messages, active.digest, candidate.digest)


def _its_parts_are_those_of_the_rule(messages: list[tuple[str, dict]], active: str, candidate: str) -> None:
    handed_over = next(n for n, (_, m) in enumerate(messages) if m.get("kind") == "model_activated" and n > 5)
    # Without a score nobody inspected it: on a busy machine a part may come too late for any model.
    before = [m for channel, m in messages[:handed_over] if channel == "inspection" and m["score"] is not None]
    its = {message["part_sequence"] for message in before if message["bundle"]["digest"] == candidate}
    assert len(its) >= 5
    assert {message["bundle"]["digest"] for message in before} == {active, candidate}
    assert all(is_candidates(number, candidate, SHARE) for number in its)
    span = [message["part_sequence"] for message in before if min(its) <= message["part_sequence"] <= max(its)]
    assert {number for number in span if is_candidates(number, candidate, SHARE)} == its
