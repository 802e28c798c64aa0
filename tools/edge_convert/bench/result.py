"""What a bench found, as a value, as JSON and as a table."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_convert.tables import of_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from edge_convert.bench.measure import Spread
    from edge_convert.bench.process import Memory
    from edge_runtime.ops.machine import Machine

_MIB = 1024 * 1024
_OWNERS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long another takes, round by round of one run."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, other_ms: Sequence[float], own_ms: Sequence[float]) -> Ratio:
        """Of the medians of each round."""
        ratios = [other / own for other, own in zip(other_ms, own_ms, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        """With its range over the rounds."""
        return f"{self.median:.2f}× ({self.low:.2f}…{self.high:.2f})"


@dataclass(frozen=True, slots=True)
class PeerResult:
    """One peer beside the bundle."""

    name: str
    detail: str
    spread: Spread
    cpu_ms: float
    """Processor time per part."""
    rss_bytes: int
    load_s: float
    ratio: Ratio
    """Its time over ours."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """All of it."""

    bundle: str
    digest: str
    kind: str
    engine: str
    machine: Machine
    environment: Mapping[str, str]
    """Variables that limit an engine's instruction sets, where they are set."""
    frames: str
    """Form of the frames."""
    frame_px: tuple[int, int]
    """Width and height."""
    load_s: float
    """From the bundle's file to warm."""
    verdict: Spread
    """From the frame in memory to the score."""
    parts: Mapping[str, Spread]
    draw: Spread | None
    """The map, drawn afterwards; None where the bundle has none."""
    cpu_ms: float
    memory: Memory
    joules_per_part: float | None
    """None where the machine does not tell."""
    engine_tool: Mapping[str, float] | None
    """Median by graph as the engine's own tool measures it; None where there is no such tool."""
    engine_tool_ratio: Ratio | None
    """Our inspection over the tool's sum."""
    peers: tuple[PeerResult, ...]

    @property
    def parts_per_s(self) -> float:
        """One after the other."""
        return 1000.0 / self.verdict.mean

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "parts_per_s": self.parts_per_s}

    def table(self) -> Table:
        """For a person."""
        return of_pairs(self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        machine = f"{self.machine.cpu}, {self.machine.cores} cores, {', '.join(self.machine.instruction_sets)}"
        limits = " ".join(f"{name}={value}" for name, value in self.environment.items())
        width, height = self.frame_px
        parts = ", ".join(f"{name} {spread.p50:.2f}" for name, spread in self.parts.items())
        rows = [
            ("bundle", f"{self.bundle} ({self.kind}), {self.digest[:16]}…"),
            ("engine", self.engine + (f", {limits}" if limits else "")),
            ("machine", machine),
            ("frames", f"{width}×{height}, {self.frames}"),
            ("frame to score", f"{_percentiles(self.verdict)}; {self.parts_per_s:.1f} parts/s, one after the other"),
            ("of that, median ms", parts),
            ("processor time", f"{self.cpu_ms:.2f} ms per part"),
        ]
        if self.draw is not None:
            rows.append(("map, afterwards", f"{self.draw.p50:.2f} ms where it is shown"))
        rows += [("memory", _memory(self.memory)), ("loading", f"{self.load_s:.2f} s from the file to warm")]
        energy = (
            "the machine does not tell" if self.joules_per_part is None else f"{self.joules_per_part:.3f} J per part"
        )
        rows.append(("energy", energy))
        return rows + self._comparisons()

    def _comparisons(self) -> list[tuple[str, str]]:
        rows = []
        if self.engine_tool is not None and self.engine_tool_ratio is not None:
            graphs = ", ".join(f"{name} {value:.2f}" for name, value in self.engine_tool.items())
            rows.append(("benchmark_app", f"{graphs} ms; frame to score takes {self.engine_tool_ratio} as long"))
        for peer in self.peers:
            figures = f"{_percentiles(peer.spread)}, {peer.cpu_ms:.1f} ms of processor, {peer.rss_bytes / _MIB:.0f} MiB"
            rows.append((peer.name, f"{figures}; takes {peer.ratio} as long  [{peer.detail}]"))
        return rows


def _percentiles(spread: Spread) -> str:
    return f"p50 {spread.p50:.2f}, p99 {spread.p99:.2f}, shortest {spread.shortest:.2f} ms (n = {spread.count})"


def _memory(memory: Memory) -> str:
    owners = ", ".join(f"{name} {size / _MIB:.0f}" for name, size in memory.by_owner[:_OWNERS_SHOWN])
    return f"{memory.resident / _MIB:.0f} MiB: {owners}"
