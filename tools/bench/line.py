"""The daemon against a bare loop of the same inspections, in turns, in one process.

    cd tools
    python -m bench.line part.bundle --seconds 20 --turns 6                 # as fast as it can
    python -m bench.line part.bundle --seconds 20 --turns 30 --load 0.8     # and at 80 % of what the bare loop can

The daemon is the whole of it: capture, inspection, dispatch, PLC link (a simulated PLC in permit mode), ledger on the
disk, MQTT to a real broker, status, metrics. Only its camera is exchanged: frames come from memory. While the bare loop
has its turn the camera is silent and the daemon idles, and the other way round. Who of the two begins alternates.

Throughput: both as fast as they can. With `--load` each round begins with that, shortly (`--probe`), and the rate of
the round is this share of what the bare loop has just done: a machine's cores may be half as fast a minute later. Then
both get parts by the same timetable, and every part of it, however late; latency counts from the instant at which the
part was due: for the daemon until the PLC has acknowledged the result, for the loop until it knows the verdict. So
both have to catch up with what a disturbance has left waiting.

Printed are also the verdicts: every REVIEW and REJECT keeps a picture with its map, which takes more processor time
than the inspection; a line of mostly good parts is measured with such pictures (`--images`; without, it is the
bundle's golden images).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.line_camera import MemoryCamera
from bench.line_page import figures, page
from bench.line_sides import BareLoop, DaemonSide, Latencies, Results
from edge_convert.bench.frames import FrameForm, bench_frames
from edge_convert.bench.process import memory_of
from edge_runtime import camera as cameras
from edge_runtime.app import inspection
from edge_runtime.app.daemon import Daemon
from edge_runtime.broker.embedded import start_embedded
from edge_runtime.cli.run import settle
from edge_runtime.config.load import load_config
from edge_runtime.ops.clock import SystemClock
from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from bench.line_sides import Side
    from edge_runtime.config.line import LineConfig

_MIB = 1024 * 1024
_WARM_UP_S = 2.0


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
    sys.stdout.write(page(document) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def measure(config: LineConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turns."""
    if config.bundle.path is None:
        raise AssertionError  # it was written there
    inspection.proportions_of = lambda *_: None  # frames are stretched to the camera's size, here and in the daemon
    with inspection.load_inspector(config.bundle.path, config.engine, "development") as bare:
        frames = [frame.pixels for frame in bench_frames(bare.bundle, bare.payloads, FrameForm(), options.images)]
        camera = MemoryCamera(frames)
        cameras.create = lambda *_: camera  # the other thing that is exchanged
        started = time.monotonic()
        daemon = Daemon(config, lambda: config, SystemClock())
        ready_s = time.monotonic() - started
        latencies = Latencies(daemon.line.monitor.gate.command_latency)
        daemon.line.monitor.gate.command_latency = latencies  # type: ignore[assignment]  # see there
        settle()  # as `edge-runtime run` does
        thread = threading.Thread(target=daemon.run, name="daemon")
        thread.start()
        plan = Plan(options.turns, options.load, options.seconds, options.probe if options.load else options.seconds)
        loop, line = BareLoop(bare, frames), DaemonSide(camera, latencies)
        try:
            plan.carry_out(loop, line)
        finally:
            daemon.request_stop()
            thread.join()
        machine, snapshot = describe_machine(), daemon.line.monitor.snapshot()
        return {
            "bundle": bare.bundle.identity.name,
            "engine": bare.engine_description,
            "machine": f"{machine.cpu}, {', '.join(machine.instruction_sets)}, {machine.cores} cores",
            "load": options.load,
            "seconds_in_all": plan.seconds * plan.turns if plan.load else 0.0,
            "fast_seconds_in_all": plan.fast_seconds * plan.turns,
            "ready_s": ready_s,
            "memory_mib": memory_of().resident / _MIB,
            **figures(loop, line),
            "dropped": {name: count for name, count in daemon.line.dropped().items() if count},
            "verdicts": {str(key): count for key, count in snapshot.dispositions.items()},
            "reasons": {str(key): count for key, count in snapshot.reasons.items()},
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The rounds."""

    turns: int
    load: float
    """Share of the bare loop's throughput; 0: no timed turns."""
    seconds: float
    """Of a timed turn."""
    fast_seconds: float

    def carry_out(self, bare: Side, daemon: Side) -> None:
        """A round that does not count, for buffers, caches and first use; then the others."""
        self._round(bare, (bare, daemon), _WARM_UP_S, _WARM_UP_S)
        for side in (bare, daemon):
            side.fast, side.timed = Results(), Results()
        for turn in range(self.turns):
            order = (bare, daemon) if turn % 2 == 0 else (daemon, bare)
            self._round(bare, order, self.fast_seconds, self.seconds)
            self._tell(turn, bare, daemon)

    def _round(self, bare: Side, order: tuple[Side, Side], fast_seconds: float, seconds: float) -> None:
        for side in order:
            side.turn_fast(fast_seconds)
        if self.load:
            for side in order:
                side.turn_timed(self.load * bare.fast.parts_per_s[-1], seconds)

    def _tell(self, turn: int, bare: Side, daemon: Side) -> None:
        fast = " and ".join(f"{side.fast.parts_per_s[-1]:.1f}" for side in (bare, daemon))
        timed = " and ".join(f"{side.timed.cpu_ms[-1]:.1f}" for side in (bare, daemon)) if self.load else "-"
        sys.stderr.write(f"{turn + 1} of {self.turns}: {fast} parts/s; at load {timed} ms of processor per part\n")


def _config(folder: Path, options: argparse.Namespace, port: int) -> LineConfig:
    (folder / "in").mkdir()
    file = folder / "line.toml"
    file.write_text(
        f'[device]\nname = "bench"\nstate_dir = "state"\n[bundle]\npath = "{options.bundle.resolve()}"\n'
        f'[engine]\nname = "{options.engine}"\nthreads = {options.threads}\n'
        f"at_once = {options.at_once}\n"
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
    parser.add_argument("--at-once", type=int, default=1, help="inspections of the daemon side by side")
    parser.add_argument("--images", type=Path, help="folder with pictures; default: the bundle's golden images")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--load", type=float, default=0.0, help="share of the bare loop's throughput; 0: all it takes")
    parser.add_argument("--probe", type=float, default=5.0, help="seconds as fast as it can before each turn with load")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
