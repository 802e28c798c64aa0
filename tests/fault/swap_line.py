"""Models are changed and taken back on a line at speed, again and again: what each part got, and how long it took.

    python tests/fault/swap_line.py --parts-per-s 50 --cycles 100

Runs `edge-runtime run` as a process of its own, with the simulated belt, camera and PLC, and acts on its store of
releases from outside, as the technician's commands do. A cycle puts a release on trial and rolls it back. The time of a
rollback is from the commit of the request to the first verdict of the other model, read from the ledger. The first
phase has memory for both models; in the second (`--cold-cycles`) there is memory for one only, so that what comes back
has to be loaded.

Ends with 1 if a part has no verdict or two, one is late, a reject misses the gate, or a rollback that needed no loading
took a second or more.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import numpy as np  # noqa: E402
from line_process import DaemonProcess, free_port, wait_until  # noqa: E402
from release_device import FAST_BUNDLE, ReleaseDevice  # noqa: E402

if TYPE_CHECKING:
    from edge_runtime.domain.update import StoredRelease

CONFIG = """
[device]
name = "swap"
state_dir = "{state}"
[bundle]
product = "part"
trust = "production"
[engine]
threads = {threads}
[camera]
kind = "sim"
width_px = 320
height_px = 240
[simulation]
parts_per_s = {parts_per_s}
defect_rate = 0.15
dropped_trigger_rate = 0.0
travel_ms = {travel_ms}
[plc]
kind = "sim"
[plc_link]
watch_trigger_count = true
[recipe]
decision_deadline_ms = {deadline_ms}
reject.delay_ms = {travel_ms}
[mqtt]
enabled = false
[evidence]
enabled = false
[trial]
parts = 1000000
{budget}
[ops]
metrics_port = {port}
inspect_queue = {queue}
"""
LATE = {"deadline_missed", "overload"}
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Account:
    """What one phase came to."""

    phase: str
    parts: int
    without_verdict: int
    with_two_verdicts: int
    late: int
    faults: dict[str, int]
    """Verdicts without a sound score, by reason; those by belt faults (a lost trigger) do not occur here."""
    rejects_in_time: int
    rejects_missed: int
    passes_lost: int
    changes: int
    rollback_ms: dict[str, float]
    activation_ms: dict[str, float]
    trial_ended: str
    """Why a trial ended by itself, if one did: this machine is too busy, or something is broken."""
    latency_ms: dict[str, float]
    """Trigger to verdict."""

    def findings(self, *, loaded: bool) -> list[str]:
        """What should not be."""
        wrong = {
            "parts without a verdict": self.without_verdict,
            "parts with two verdicts": self.with_two_verdicts,
            "late verdicts": self.late,
            "rejects that missed the gate": self.rejects_missed,
            "good parts rejected for want of a permit": self.passes_lost,
        }
        found = [f"{count} {what}" for what, count in wrong.items() if count]
        found += [f"a trial ended by itself: {self.trial_ended}"] if self.trial_ended else []
        if loaded and self.rollback_ms.get("max", 0.0) >= 1_000.0:
            found.append(f"a rollback took {self.rollback_ms['max']:.0f} ms")
        return [f"{self.phase}: {text}" for text in found]


class SwapLine:
    """A device, its daemon, and what the ledger says."""

    def __init__(self, work: Path, options: argparse.Namespace, *, keep_both: bool) -> None:
        self.device = ReleaseDevice(work)
        self.good = self.device.confirmed("1")
        self.port = free_port()
        config = work / "line.toml"
        config.write_text(
            CONFIG.format(
                state=self.device.state_dir,
                parts_per_s=options.parts_per_s,
                deadline_ms=options.deadline_ms,
                travel_ms=options.travel_ms,
                threads=options.threads,
                budget="" if keep_both else "memory_budget_mb = 0",
                port=self.port,
                queue=max(8, round(options.parts_per_s * options.deadline_ms / 1_000)),
            ),
            encoding="utf-8",
        )
        self.daemon = DaemonProcess(config, work / "log")
        self.daemon.wait_ready()
        self._ledger = sqlite3.connect(f"file:{self.device.state_dir}/ledger.sqlite?mode=ro", uri=True)
        self._row = 0
        self.verdicts: list[dict[str, Any]] = []

    def look(self) -> None:
        """Read what has been recorded since."""
        query = "SELECT sequence, channel, payload FROM records WHERE sequence > ? ORDER BY sequence"
        for sequence, channel, payload in self._ledger.execute(query, (self._row,)):
            self._row = sequence
            if channel == "inspection":
                self.verdicts.append(json.loads(payload))

    def decided_by(self, release: StoredRelease, since_ns: int) -> float:
        """Wait for the first sound verdict of this model; milliseconds from `since_ns` until it was decided."""
        found: list[float] = []
        begin = len(self.verdicts)

        def came() -> bool:
            self.look()
            for verdict in self.verdicts[begin:]:
                decided_ns = verdict["time_ns"] + verdict["latency_ms"] * 1e6
                is_its = verdict["bundle"]["digest"] == release.digest and verdict["score"] is not None
                if is_its and decided_ns > since_ns:
                    found.append((decided_ns - since_ns) / 1e6)
                    return True
            return False

        wait_until(came, f"a verdict of version {release.version}", PATIENCE_S)
        return found[0]

    def metrics(self) -> dict[str, float]:
        """The daemon's counters."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line and not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    def close(self) -> None:
        """End the daemon."""
        self._ledger.close()
        self.daemon.close()


def run(work: Path, phase: str, cycles: int, options: argparse.Namespace, *, keep_both: bool) -> Account:
    """One phase: so many times a release on trial and back."""
    line = SwapLine(work, options, keep_both=keep_both)
    activations, rollbacks, ended = [], [], ""
    try:
        store = line.device.store()
        line.decided_by(line.good, 0)
        new = line.device.add("2", FAST_BUNDLE)
        activations.append(line.decided_by(new, time.time_ns()))
        for cycle in range(cycles):
            time.sleep(options.pause_s)  # parts go through the new model
            if store.standing("part").trial is None:
                ended = store.find(new.digest).reason
                break
            asked_ns = time.time_ns()
            store.request_rollback("part", "swap_line", f"cycle {cycle}")
            rollbacks.append(line.decided_by(line.good, asked_ns))
            time.sleep(options.pause_s)
            asked_ns = time.time_ns()
            store.request_activation(new.digest, "swap_line", f"cycle {cycle}", again=True)
            activations.append(line.decided_by(new, asked_ns))
        time.sleep(1.0)  # the PLC has acknowledged the last parts
        metrics = line.metrics()
        store.close()
        line.daemon.terminate()
        line.look()
    finally:
        line.close()
    return _account(phase, line.verdicts, metrics, rollbacks, activations, ended)


def _account(
    phase: str,
    verdicts: list[dict[str, Any]],
    metrics: dict[str, float],
    rollbacks: list[float],
    activations: list[float],
    ended: str,
) -> Account:
    numbers = [verdict["part_sequence"] for verdict in verdicts]
    reasons = [verdict["reason"] for verdict in verdicts if verdict["score"] is None or verdict["reason"] in LATE]
    digests = [verdict["bundle"]["digest"] for verdict in verdicts]
    return Account(
        phase=phase,
        parts=len(set(numbers)),
        without_verdict=max(numbers) - len(set(numbers)),
        with_two_verdicts=len(numbers) - len(set(numbers)),
        late=sum(reason in LATE for reason in reasons),
        faults={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        rejects_in_time=int(metrics['edge_gate_commands_total{outcome="reject_in_time"}']),
        rejects_missed=int(metrics['edge_gate_commands_total{outcome="reject_missed"}']),
        passes_lost=int(metrics['edge_gate_commands_total{outcome="pass_lost"}']),
        changes=sum(one != other for one, other in itertools.pairwise(digests)),
        rollback_ms=_percentiles(rollbacks),
        activation_ms=_percentiles(activations[1:]),
        trial_ended=ended,
        latency_ms=_percentiles([verdict["latency_ms"] for verdict in verdicts]),
    )


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p99 = np.percentile(values, [50, 99])
    return {"count": len(values), "p50": round(p50, 1), "p99": round(p99, 1), "max": round(max(values), 1)}


def main() -> int:
    """Run both phases; returns the exit code."""
    options = _parser().parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="edge-swap-", dir=options.work) as temporary:
        for phase, cycles, keep_both in (("loaded", options.cycles, True), ("not loaded", options.cold_cycles, False)):
            if cycles:
                account = run(Path(temporary) / phase.replace(" ", "-"), phase, cycles, options, keep_both=keep_both)
                sys.stdout.write(json.dumps(asdict(account), indent=2) + "\n")
                found += account.findings(loaded=keep_both)
    sys.stdout.write("\n".join(found or ["nothing found"]) + "\n")
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts-per-s", type=float, default=50.0)
    parser.add_argument("--deadline-ms", type=int, default=500)
    parser.add_argument("--travel-ms", type=int, default=800, help="from the camera to the gate")
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0: as many as cores")
    parser.add_argument("--cycles", type=int, default=100, help="with memory for both models")
    parser.add_argument("--cold-cycles", type=int, default=20, help="with memory for one model")
    parser.add_argument("--pause-s", type=float, default=0.3, help="between two changes")
    parser.add_argument("--work", type=Path, help="where the temporary folder is made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
