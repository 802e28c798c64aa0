"""What a shadow costs the line: the real daemon on a simulated belt, in turn without and with a candidate beside it.

python tests/replay/line_shadow.py --rounds 3 --seconds 30 --parts-per-s 50

Active is the fast demonstration bundle, candidate the slower one (or --swapped). Latencies are those of the ledger's
records, trigger to verdict.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
FAST, SLOW = (REPOSITORY / "models" / name for name in ("demo_fast.bundle", "demo.bundle"))
SETTLED_S = 5.0
"""The first seconds are left out: the candidate loads, the line warms up."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run."""

    parts: int
    faults: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    compared: int
    skipped: int
    cores: float


def configuration(folder: Path, *, seconds: float, parts_per_s: float, shadow: bool, cpu_share: float, swapped: bool):
    """A line on the simulated belt."""
    active, candidate = (SLOW, FAST) if swapped else (FAST, SLOW)
    return {
        "device": {"name": "shadowed", "state_dir": str(folder)},
        "bundle": {"path": str(active)},
        "camera": {"kind": "sim"},
        "plc": {"kind": "sim"},
        "recipe": {"decision_deadline_ms": 500, "reject": {"delay_ms": 800}},
        "simulation": {
            "parts": round(seconds * parts_per_s),
            "parts_per_s": parts_per_s,
            "travel_ms": 800,
            "dropped_trigger_rate": 0.0,
        },
        "mqtt": {"enabled": False},
        "evidence": {"enabled": False},
        "ops": {"metrics_port": False, "log_level": "error"},
        "rollout": {
            "enabled": shadow,
            "candidate": str(candidate) if shadow else None,
            "on_difference": "hold",
            "shadow": {"cpu_share": cpu_share},
        },
    }


def run(folder: Path, **wanted) -> Figures:
    """One life of the daemon, in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(configuration(folder, **wanted))]
    subprocess.run(command, check=True, timeout=600)
    latencies, faults = _recorded(folder, wanted["parts_per_s"])
    compared = skipped = 0
    cores = 0.0
    if wanted["shadow"]:
        books = json.loads((folder / "rollout.json").read_text(encoding="utf-8"))
        evidence = books["evidence"]
        compared, skipped = evidence["pairs"], evidence["skipped"]
        cores = evidence["cpu_ns"] / max(1, books["lasted_ns"])
    p50, p99 = np.percentile(latencies, [50, 99])
    return Figures(len(latencies), faults, float(p50), float(p99), max(latencies), compared, skipped, cores)


def _recorded(folder: Path, parts_per_s: float) -> tuple[list[float], int]:
    from edge_runtime.ledger.reader import LedgerReader  # noqa: PLC0415

    latencies, faults = [], 0
    with closing(LedgerReader(folder / "ledger.sqlite")) as reader:
        extent = reader.extent()
        for _, channel, payload, _ in reader.records(extent.base.sequence + 1, extent.newest):
            message = json.loads(payload)
            if channel == "inspection" and message["part_sequence"] > SETTLED_S * parts_per_s:
                latencies.append(message["latency_ms"])
                faults += message["score"] is None or message["reason"] == "deadline_missed"
    return latencies, faults


def one(text: str) -> None:
    """The child: run the line to the end of its belt."""
    from edge_runtime.app.daemon import Daemon  # noqa: PLC0415
    from edge_runtime.config.line import LineConfig  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    config = LineConfig.model_validate(json.loads(text))
    Daemon(config, lambda: config, SystemClock()).run()


def main(arguments: list[str] | None = None) -> list[tuple[str, Figures]]:
    """Print the table; returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--parts-per-s", type=float, default=50.0)
    parser.add_argument("--cpu-share", type=float, default=0.25)
    parser.add_argument(
        "--swapped", action="store_true", help="The slow bundle decides, the fast one is the candidate."
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    if wanted.one is not None:
        one(wanted.one)
        return []
    print("| line | parts | faults or late | p50 ms | p99 ms | worst ms | compared | skipped | cores |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for _ in range(wanted.rounds):
        for name, shadow in (("alone", False), ("with a shadow", True)):
            with tempfile.TemporaryDirectory(prefix="line-shadow-") as folder:
                found = run(
                    Path(folder),
                    seconds=wanted.seconds,
                    parts_per_s=wanted.parts_per_s,
                    shadow=shadow,
                    cpu_share=wanted.cpu_share,
                    swapped=wanted.swapped,
                )
            rows.append((name, found))
            print(
                f"| {name} | {found.parts} | {found.faults} | {found.p50_ms:.1f} | {found.p99_ms:.1f} "
                f"| {found.worst_ms:.1f} | {found.compared} | {found.skipped} | {found.cores:.2f} |",
                flush=True,
            )
    return rows


if __name__ == "__main__":
    main()
