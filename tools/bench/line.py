"""The daemon against a bare loop of the same inspections, in turns, in one process.

    cd tools
    python -m bench.line part.bundle --seconds 20 --turns 6                 # as fast as it can
    python -m bench.line part.bundle --seconds 20 --turns 30 --load 0.8     # 80 % of what the bare loop can

The daemon is the whole of it: capture, inspection, dispatch, PLC link (a simulated PLC in permit mode), ledger on the
disk, MQTT to a real broker, status, metrics. Only its camera is exchanged: frames come from memory, at a fixed rate or
whenever the line takes one. While the bare loop has its turn the camera is silent, and the other way round.

Printed: parts per second of both and their ratio by turn; with `--load` the latency from the trigger to the result that
the PLC has acknowledged, and p99 over median of both. And the verdicts: every REVIEW and REJECT keeps a picture with
its map, which takes more processor time than the inspection; a line of mostly good parts is measured with such pictures
(`--images`; without, it is the bundle's golden images).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_convert.bench.frames import FrameForm, bench_frames
from edge_convert.bench.measure import Spread
from edge_convert.bench.process import memory_of, processor_ns
from edge_runtime.app import devices as devices_module
from edge_runtime.app.daemon import Daemon
from edge_runtime.app.inspection import load_inspector
from edge_runtime.broker.embedded import start_embedded
from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.cli.run import settle
from edge_runtime.config.load import load_config
from edge_runtime.decision.judge import classify
from edge_runtime.domain.frame import Frame, Trigger
from edge_runtime.ops.clock import SystemClock
from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.camera.port import Arrival
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.frame import Exposure

_MIB = 1024 * 1024
_SETTLE_S = 1.0
"""Between two turns: what is still under way ends, and is not counted."""
_POLL_S = 0.002


class MemoryCamera:
    """See `Camera`. Frames from memory: none, whenever one is asked for, or at a rate."""

    name = "memory"

    def __init__(self, frames: Sequence[Exposure]) -> None:
        self._frames = frames
        self._count = 0
        self._period_ns: int | None = None
        self._next_ns = 0
        self._never = threading.Event()

    def deliver(self, period_ns: int | None) -> None:
        """From now on: every so many nanoseconds, 0 whenever one is asked for, None not at all."""
        self._next_ns = time.monotonic_ns()
        self._period_ns = period_ns

    def open(self) -> None:
        """See `Camera`."""

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """See `Camera`."""
        until_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while (now_ns := time.monotonic_ns()) < until_ns:
            period_ns = self._period_ns
            if period_ns is not None and now_ns >= self._next_ns:
                triggered_ns = self._next_ns if period_ns else now_ns
                self._next_ns = triggered_ns + period_ns
                return self._frame(triggered_ns, now_ns)
            wait_ns = _POLL_S * 1e9 if period_ns is None else self._next_ns - now_ns
            self._never.wait(min(wait_ns, until_ns - now_ns) / 1e9)
        return None

    def _frame(self, triggered_ns: int, now_ns: int) -> Frame:
        self._count += 1
        trigger = Trigger(self._count, f"{self.name}-{self._count:07d}", triggered_ns, time.time_ns())
        return Frame(trigger, (self._frames[self._count % len(self._frames)],), now_ns)

    def settle(self, arrival: Arrival) -> None:
        """See `Camera`."""

    def status(self) -> CameraStatus:
        """See `Camera`."""
        return CameraStatus(CameraState.CONNECTED, "", 0, 0)

    def close(self) -> None:
        """See `Camera`."""


class Latencies:
    """Stands in for `LatencyWindow`, and forgets nothing within a turn."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self.values_ns: list[int] = []

    def add(self, latency_ns: int) -> None:
        """Remember one."""
        self.values_ns.append(latency_ns)
        self._inner.add(latency_ns)  # type: ignore[attr-defined]  # the daemon's own window

    def percentiles(self) -> object:
        """The daemon's own."""
        return self._inner.percentiles()  # type: ignore[attr-defined]  # the daemon's own window


@dataclass(slots=True)
class Turns:
    """What one side did."""

    parts_per_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Processor time per part, whole process."""
    latency_ns: list[int] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-line-") as folder:
        broker = start_embedded()
        try:
            config = _config(Path(folder), options, broker.port)
            document = measure(config, options)
        finally:
            broker.stop()
    sys.stdout.write(_page(document) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def measure(config: LineConfig, options: argparse.Namespace) -> dict[str, object]:
    """Both sides in turns."""
    clock = SystemClock()
    if config.bundle.path is None:
        raise AssertionError  # it was written there
    bare = load_inspector(config.bundle.path, config.engine, "development")
    form = FrameForm()
    frames = [frame.pixels for frame in bench_frames(bare.bundle, bare.payloads, form, options.images)]
    camera = MemoryCamera(frames)
    devices_module.cameras.create = lambda *_: camera  # type: ignore[assignment]  # the one thing that is exchanged
    started = time.monotonic()
    daemon = Daemon(config, lambda: config, clock)
    ready_s = time.monotonic() - started
    latencies = Latencies(daemon.line.monitor.gate.command_latency)
    daemon.line.monitor.gate.command_latency = latencies  # type: ignore[assignment]  # see there
    settle()  # as `edge-runtime run` does
    thread = threading.Thread(target=daemon.run, name="daemon")
    thread.start()
    loop, line = Turns(), Turns()
    try:
        for turn in range(-1, options.turns):
            _bare_turn(bare, frames, options.seconds if turn >= 0 else 2.0, loop)
            rate = options.load * statistics.median(loop.parts_per_s) if options.load else 0.0
            _line_turn(camera, latencies, rate, options.seconds if turn >= 0 else 2.0, line)
            if turn < 0:  # buffers, caches, first use
                loop, line = Turns(), Turns()
    finally:
        daemon.request_stop()
        thread.join()
        bare.close()
    machine = describe_machine()
    return {
        "bundle": bare.bundle.identity.name,
        "engine": bare.engine_description,
        "machine": f"{machine.cpu}, {', '.join(machine.instruction_sets)}, {machine.cores} cores",
        "load": options.load,
        "seconds_in_all": options.seconds * options.turns,
        "ready_s": ready_s,
        "memory_mib": memory_of().resident / _MIB,
        "bare": _figures(loop),
        "daemon": _figures(line),
        "throughput_ratio": [ours / theirs for ours, theirs in zip(line.parts_per_s, loop.parts_per_s, strict=True)],
        "dropped": daemon.line.dropped(),
        "verdicts": {str(key): count for key, count in daemon.line.monitor.snapshot().dispositions.items()},
    }


def _bare_turn(inspector: Inspector, frames: Sequence[Exposure], seconds: float, turns: Turns) -> None:
    limits = inspector.bundle.calibration.limits
    began, before, count = time.monotonic(), processor_ns(), 0
    while time.monotonic() < began + seconds:
        started_ns = time.monotonic_ns()
        classify(inspector.inspect((frames[count % len(frames)],)).score, limits)
        turns.latency_ns.append(time.monotonic_ns() - started_ns)
        count += 1
    turns.parts_per_s.append(count / (time.monotonic() - began))
    turns.cpu_ms.append((processor_ns() - before) / count / 1e6)


def _line_turn(camera: MemoryCamera, latencies: Latencies, rate: float, seconds: float, turns: Turns) -> None:
    latencies.values_ns.clear()
    before = processor_ns()
    began = time.monotonic()
    camera.deliver(round(1e9 / rate) if rate else 0)
    threading.Event().wait(seconds)
    count, ended = len(latencies.values_ns), time.monotonic()
    camera.deliver(None)
    turns.parts_per_s.append(count / (ended - began))
    turns.cpu_ms.append((processor_ns() - before) / max(count, 1) / 1e6)
    threading.Event().wait(_SETTLE_S)
    turns.latency_ns += latencies.values_ns


def _figures(turns: Turns) -> dict[str, object]:
    spread = Spread.of(turns.latency_ns)
    return {
        "parts_per_s": statistics.median(turns.parts_per_s),
        "cpu_ms_per_part": statistics.median(turns.cpu_ms),
        "latency_ms": asdict(spread),
        "p99_over_median": spread.p99 / spread.p50,
    }


def _page(document: dict[str, object]) -> str:
    lines = [f"{document['bundle']}, {document['engine']}; {document['machine']}"]
    for side in ("bare", "daemon"):
        figures: dict = document[side]  # type: ignore[assignment,type-arg]  # made above
        latency = figures["latency_ms"]
        lines.append(
            f"{side:7} {figures['parts_per_s']:.2f} parts/s, {figures['cpu_ms_per_part']:.2f} ms of processor each; "
            f"p50 {latency['p50']:.2f}, p99 {latency['p99']:.2f} ms, p99/median {figures['p99_over_median']:.2f}"
        )
    spreads = [document[side]["p99_over_median"] for side in ("daemon", "bare")]  # type: ignore[index]  # made above
    lines.append(f"daemon's p99/median over the bare loop's: {spreads[0] / spreads[1]:.2f}; {document['verdicts']}")
    ratios: list[float] = document["throughput_ratio"]  # type: ignore[assignment]  # made above
    lines.append(
        f"daemon's throughput over the bare loop's, by turn: median {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f}…{max(ratios):.3f}); load {document['load'] or 'all that it takes'}, "
        f"{document['seconds_in_all']:.0f} s each; {document['memory_mib']:.0f} MiB with both models; "
        f"dropped: {document['dropped']}"
    )
    return "\n".join(lines)


def _config(folder: Path, options: argparse.Namespace, port: int) -> LineConfig:
    (folder / "in").mkdir()
    file = folder / "line.toml"
    file.write_text(
        f'[device]\nname = "bench"\nstate_dir = "state"\n[bundle]\npath = "{options.bundle.resolve()}"\n'
        f'[engine]\nname = "{options.engine}"\nthreads = {options.threads}\n'
        '[camera]\nkind = "folder"\npath = "in"\n[plc]\nkind = "sim"\n'
        "[recipe]\ndecision_deadline_ms = 2000\n[recipe.reject]\ndelay_ms = 4000\n"
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nversion = "5"\n'
        '[ops]\nmetrics_port = false\nlog_level = "warning"\n',
        encoding="utf-8",
    )
    return load_config(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--images", type=Path, help="folder with pictures; default: the bundle's golden images")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--load", type=float, default=0.0, help="share of the bare loop's throughput; 0: all it takes")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
