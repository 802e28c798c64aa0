"""Two lines of one process on one engine, each with a folder and a store: a real exchange of the model of one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from release_device import FAST_BUNDLE, ReleaseDevice, looser, run_until

from edge_runtime.app.daemon import Daemon
from edge_runtime.app.running import LineSource
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.update import UpdateState
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.domain.update import StoredRelease


def _config(name: str, state_dir: Path, folder: Path) -> LineConfig:
    folder.mkdir()
    return LineConfig.model_validate(
        {
            "device": {"name": name, "state_dir": state_dir},
            "bundle": {"product": "part", "trust": "production"},
            "engine": {"threads": 1},
            "camera": {"kind": "folder", "path": str(folder)},
            "recipe": {"decision_deadline_ms": 60_000},
            "mqtt": {"enabled": False},
            "evidence": {"enabled": False},
            "ops": {"metrics_port": False},
            "trial": {"parts": 3, "dwell_s": 0.05},
        }
    )


def _picture() -> bytes:
    with open_bundle(FAST_BUNDLE, trust="development") as bundle:
        good = next(image for image in bundle.manifest.golden if image.disposition == "PASS")
        return bundle.payloads.read(good.payload)


def test_an_exchange_on_one_line_costs_the_other_nothing(tmp_path) -> None:
    """It goes on with the engine that both had: each part judged once, in time, by the model that it knows."""
    exit_, entry = ReleaseDevice(tmp_path / "exit"), ReleaseDevice(tmp_path / "entry")
    first = exit_.confirmed("1")
    shutil.rmtree(entry.state_dir)
    shutil.copytree(exit_.state_dir, entry.state_dir)
    configs = [_config(each.folder.name, each.state_dir, each.folder / "in") for each in (exit_, entry)]
    sources = [LineSource(config, lambda config=config: config) for config in configs]
    daemon = Daemon(sources[0].config, sources[0].reload, SystemClock(), others=sources[1:])
    lines = [running.line for running in daemon.lines]
    shared = {id(line.models.current.keeper._detector) for line in lines}
    picture, sent, after = _picture(), 0, 0
    newer: list[StoredRelease] = []

    def finished() -> bool:
        nonlocal sent, after
        if after < 2:
            for _ in range(3):
                for each in (exit_, entry):
                    (each.folder / "next.part").write_bytes(picture)
                    (each.folder / "next.part").rename(each.folder / "in" / f"{sent}.png")
                sent += 1
        if not newer:
            newer.append(exit_.add("2", change=looser))
        after += bool(newer) and exit_.state_of(newer[0]) is UpdateState.CONFIRMED
        return after >= 2 and all(line.monitor.snapshot().parts == sent for line in lines)

    run_until(daemon, finished)
    assert len(shared) == 1
    assert len({id(line.models.current.keeper._detector) for line in lines}) == 2
    assert id(lines[1].models.current.keeper._detector) in shared
    for each, models in ((exit_, {first.digest, newer[0].digest}), (entry, {first.digest})):
        verdicts = each.verdicts()
        assert {verdict["bundle"]["digest"] for verdict in verdicts} == models
        assert sorted(verdict["part_id"] for verdict in verdicts) == sorted({f"{n}.png" for n in range(sent)})
        assert {verdict["reason"] for verdict in verdicts} == {"below_limit"}
    assert [event for event in entry.events() if event["kind"] in {"model_activated", "model_rolled_back"}][1:] == []
