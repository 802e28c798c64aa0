"""One bench: the bundle, the engine's own tool and the peers in turns, so that a busy machine slows all alike."""

from __future__ import annotations

import contextlib
import os
import shlex
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_convert.bench import engine_tool
from edge_convert.bench.frames import FrameForm, bench_frames
from edge_convert.bench.measure import Bench, Spread
from edge_convert.bench.peers import Peer, write_frames
from edge_convert.bench.process import EnergyMeter, memory_of
from edge_convert.bench.result import BenchResult, PeerResult, Ratio
from edge_convert.bench.timed import EngineWatch, Stopwatch
from edge_runtime.app.inspection import load_inspector
from edge_runtime.detectors.proportions import of_any_frame
from edge_runtime.engine.feeds import usable_cores
from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.bench.process import Memory
    from edge_convert.bench.timed import TimedEngine
    from edge_convert.progress import Observer
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.engine.port import Engine
    from edge_runtime.ops.clock import Clock

_WARM_UP: Final = 5
_ENVIRONMENT: Final = ("ONEDNN_MAX_CPU_ISA", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What is measured."""

    bundle: Path
    engine: EngineSettings
    form: FrameForm
    images: Path | None = None
    rounds: int = 10
    per_round: int = 20
    """Inspections of the bundle, and of each peer, in each round."""
    with_engine_tool: bool = False
    tool_seconds: int = 2
    peers: tuple[str, ...] = ()
    """Commands of workers; see `peers`."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    inspector: Inspector
    engine: TimedEngine
    stopwatch: Stopwatch
    load_s: float
    memory: Memory
    """After warming up, before frames for the bench are made."""

    def graph_names(self) -> dict[int, str]:
        """Role of each graph, in the order of loading."""
        manifest, payloads = self.inspector.bundle, self.inspector.payloads
        content = {payloads.read(payload): role for role, payload in manifest.graphs.items()}
        return {number: content.get(model, f"graph {number}") for number, model in enumerate(self.engine.models)}


def run_bench(options: BenchOptions, observer: Observer, clock: Clock) -> BenchResult:
    """Measure.

    Raises:
        ConfigError: options or a peer make no sense.
        BundleError: the bundle cannot be used.
        EngineError: the engine or its tool failed.
        ImageError: an image cannot be inspected.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-bench-")))
        loaded = _load(options, clock)
        stack.enter_context(loaded.inspector)
        manifest, payloads = loaded.inspector.bundle, loaded.inspector.payloads
        frames = bench_frames(manifest, payloads, options.form, options.images)
        detector = of_any_frame(loaded.inspector.detector)
        warm = Bench(detector, frames, loaded.stopwatch, len(loaded.engine.models))
        warm.run(_WARM_UP)
        energy = EnergyMeter()
        bench = Bench(detector, frames, loaded.stopwatch, len(loaded.engine.models), energy)
        files = write_frames(frames, folder) if options.peers else []
        peers = [
            stack.enter_context(Peer(shlex.split(command), folder / f"peer-{number}.log"))
            for number, command in enumerate(options.peers)
        ]
        tool = _Tool(options, loaded, folder) if options.with_engine_tool and _has_tool(loaded.engine) else None
        with observer.stage("rounds", options.rounds) as stage:
            for number in range(options.rounds):
                bench.run(options.per_round)
                if tool is not None:
                    tool.run()
                for peer in peers:
                    peer.run(files[number % len(files)], options.per_round)
                stage.advance()
        return _result(options, loaded, bench, energy, tool, peers)


def _load(options: BenchOptions, clock: Clock) -> _Loaded:
    stopwatch = Stopwatch(clock)
    watch = EngineWatch(stopwatch)
    started_ns = clock.monotonic_ns()
    inspector = load_inspector(options.bundle, options.engine, "development", watch)
    load_s = (clock.monotonic_ns() - started_ns) / 1e9
    return _Loaded(inspector, watch.runs, stopwatch, load_s, memory_of())


def _has_tool(engine: Engine) -> bool:
    return engine.name == "openvino" and engine_tool.is_available()


class _Tool:
    """The engine's own tool, once per round on every graph."""

    def __init__(self, options: BenchOptions, loaded: _Loaded, folder: Path) -> None:
        self._options = options
        self._names = loaded.graph_names()
        self._models = loaded.engine.models
        self._precision = engine_tool.stated_precision(loaded.engine.description)
        self._folder = folder
        self.medians: dict[str, list[float]] = {name: [] for name in self._names.values()}

    def run(self) -> None:
        """One round."""
        threads = self._options.engine.threads or usable_cores()
        for number, model in enumerate(self._models):
            found = engine_tool.median_ms(model, threads, self._precision, self._options.tool_seconds, self._folder)
            self.medians[self._names[number]].append(found)

    def sums(self) -> list[float]:
        """All graphs together, by round."""
        return [sum(values) for values in zip(*self.medians.values(), strict=True)]


def _result(
    options: BenchOptions,
    loaded: _Loaded,
    bench: Bench,
    energy: EnergyMeter,
    tool: _Tool | None,
    peers: Sequence[Peer],
) -> BenchResult:
    timings, manifest = bench.timings, loaded.inspector.bundle
    own = _by_round(timings.verdict, options.per_round)
    return BenchResult(
        bundle=manifest.identity.name,
        digest=manifest.identity.digest,
        kind=str(manifest.kind),
        engine=loaded.inspector.engine_description,
        machine=describe_machine(),
        environment={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        frames=str(options.form),
        frame_px=bench.frame_px,
        load_s=loaded.load_s,
        verdict=Spread.of(timings.verdict),
        parts=timings.spreads(loaded.graph_names()),
        draw=Spread.of(timings.draw) if timings.draw else None,
        cpu_ms=statistics.fmean(timings.processor) / 1e6,
        memory=loaded.memory,
        joules_per_part=energy.joules / len(timings.verdict) if energy.readable else None,
        engine_tool=None if tool is None else {name: statistics.median(ms) for name, ms in tool.medians.items()},
        engine_tool_ratio=None if tool is None else Ratio.of(own, tool.sums()),
        peers=tuple(_peer_result(peer, own, options.per_round) for peer in peers),
    )


def _by_round(values_ns: Sequence[int], per_round: int) -> list[float]:
    """Median of each round in milliseconds."""
    return [
        statistics.median(values_ns[begin : begin + per_round]) / 1e6 for begin in range(0, len(values_ns), per_round)
    ]


def _peer_result(peer: Peer, own_ms: Sequence[float], per_round: int) -> PeerResult:
    runs = peer.runs
    return PeerResult(
        name=peer.name,
        detail=peer.detail,
        spread=Spread.of(runs.ns),
        cpu_ms=runs.cpu_ns / len(runs.ns) / 1e6,
        rss_bytes=runs.rss_bytes,
        load_s=peer.load_s,
        ratio=Ratio.of(_by_round(runs.ns, per_round), own_ms),
    )
