"""A bundle beside its peers in one interleaved run, each in a process of its own, under each instruction set.

    cd tools
    python -m bench.side_by_side --bundle x.bundle --images DATA/test --json figures.json \
        --isa native --isa AVX2_VNNI --isa AVX2 \
        --peer "ANOMALIB-ENV/bin/python bench/anomalib_openvino.py DIR/model.xml" \
        --peer "ANOMALIB-ENV/bin/python bench/anomalib_openvino.py DIR/model.xml --precision f32"

`--isa` is oneDNN's ONEDNN_MAX_CPU_ISA. It limits OpenVINO and says nothing about onnxruntime: compare OpenVINO with
OpenVINO there. In each round every side takes the same frame to its score a few times; a ratio is that of the medians
within one round, and the table gives the median over the rounds with the range.

Before its turn every side waits `--pause` seconds and takes the frame once uncounted: onnxruntime's threads go on
spinning for some 25 ms after its last part, on a core that belongs to the next side by then, and every side leaves the
caches full of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from edge_convert.bench.frames import FrameForm, bench_frames
from edge_convert.bench.measure import Spread
from edge_convert.bench.peers import Peer, write_frames
from edge_convert.bench.result import Ratio
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).resolve().parent
_NATIVE = "native"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Side:
    """One side under one instruction set."""

    isa: str
    form: str
    name: str
    detail: str
    spread: Spread
    cpu_ms: float
    rss_mib: float
    load_s: float
    ratio: Ratio
    """Its time over the bundle's."""


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    machine = describe_machine()
    found: list[Side] = []
    for isa in options.isa or [_NATIVE]:
        for form in (FrameForm(), FrameForm(jpeg=True)) if options.jpeg else (FrameForm(),):
            found += run(options, isa, form)
    threads = f"{machine.cores} threads"
    title = f"{machine.cpu}, {', '.join(machine.instruction_sets)}, {threads}; {options.rounds} rounds"
    Console(width=180).print(_table(title, found))
    if options.json is not None:
        document = {"machine": asdict(machine), "rounds": options.rounds, "sides": [asdict(side) for side in found]}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def run(options: argparse.Namespace, isa: str, form: FrameForm) -> list[Side]:
    """All sides under one instruction set, on frames of one form."""
    environment = {} if isa == _NATIVE else {"ONEDNN_MAX_CPU_ISA": isa}
    ours = [sys.executable, str(_HERE / "edge_worker.py"), str(options.bundle), "--engine", options.engine]
    commands = [ours, *(shlex.split(command) for command in options.peer or [])]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-side-")))
        with open_bundle(options.bundle, trust="development") as opened:
            frames = write_frames(bench_frames(opened.manifest, opened.payloads, form, options.images), folder)
        sides = []
        for number, command in enumerate(commands):
            try:
                sides.append(stack.enter_context(Peer(command, folder / f"{number}.log", environment)))
            except ConfigError as error:
                if not number:  # without ours there is nothing to compare with
                    raise
                sys.stderr.write(f"{isa}: left out: {' '.join(command)}: {error.what}\n")
        for number in range(-1, options.rounds):
            for side in sides:
                time.sleep(options.pause)
                side.run(frames[number % len(frames)], 1, counted=False)
                side.run(frames[number % len(frames)], options.per_round)
            if number < 0:  # buffers, caches, first use
                for side in sides:
                    side.forget()
                    if options.realtime:
                        in_real_time(side.pid)
        return _compared(isa, str(form), sides, options.per_round)


def in_real_time(pid: int) -> None:
    """From now on every thread of a process goes before all that others run: for seconds, and as root."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(1))


def _compared(isa: str, form: str, sides: Sequence[Peer], per_round: int) -> list[Side]:
    medians = [_by_round(side.runs.ns, per_round) for side in sides]
    return [
        Side(
            isa=isa,
            form=form,
            name=side.name,
            detail=side.detail,
            spread=Spread.of(side.runs.ns),
            cpu_ms=side.runs.cpu_ns / len(side.runs.ns) / 1e6,
            rss_mib=side.runs.rss_bytes / _MIB,
            load_s=side.load_s,
            ratio=Ratio.of(median, medians[0]),
        )
        for side, median in zip(sides, medians, strict=True)
    ]


def _by_round(spent_ns: Sequence[int], per_round: int) -> list[float]:
    return [statistics.median(spent_ns[at : at + per_round]) / 1e6 for at in range(0, len(spent_ns), per_round)]


def _table(title: str, sides: Sequence[Side]) -> Table:
    table = Table(title=title, show_edge=False)
    for head in ("ISA", "frames", "side", "p50 ms", "shortest", "CPU ms", "times ours", "by CPU", "RSS MiB", "load s"):
        table.add_column(head)
    for side in sides:
        ours = next(one for one in sides if (one.isa, one.form) == (side.isa, side.form))
        table.add_row(
            side.isa,
            side.form,
            side.name,
            f"{side.spread.p50:.1f}",
            f"{side.spread.shortest:.1f}",
            f"{side.cpu_ms:.1f}",
            str(side.ratio),
            f"{side.cpu_ms / ours.cpu_ms:.2f}×",
            f"{side.rss_mib:.0f}",
            f"{side.load_s:.1f}",
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--images", type=Path, help="folder with pictures; default: the bundle's golden images")
    parser.add_argument("--isa", action="append", help="native, or a value of ONEDNN_MAX_CPU_ISA; repeatable")
    parser.add_argument("--jpeg", action="store_true", help="once more with JPEG files")
    parser.add_argument("--peer", action="append", help="command of a worker; repeatable")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--per-round", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds before each side's turn")
    parser.add_argument(
        "--realtime", action="store_true", help="before all other programs; for a busy machine, as root"
    )
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
