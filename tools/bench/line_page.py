"""What a comparison of the daemon with a bare loop found, as figures and as text."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_convert.bench.measure import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.line_sides import Results, Side


def figures(bare: Side, daemon: Side) -> dict[str, Any]:
    """Everything that the text is made of."""
    found: dict[str, Any] = {
        "bare": {"fast": _turns(bare.fast), "timed": _turns(bare.timed)},
        "daemon": {"fast": _turns(daemon.fast), "timed": _turns(daemon.timed)},
        "throughput_ratio": _ratios(daemon.fast.parts_per_s, bare.fast.parts_per_s),
    }
    if bare.timed.parts:
        tails = [[_tail(turn) for turn in side.timed.latency_ns if turn] for side in (daemon, bare)]
        found["tail_ratio"] = found["daemon"]["timed"]["p99_over_median"] / found["bare"]["timed"]["p99_over_median"]
        found["tail_ratio_by_turn"] = [ours / theirs for ours, theirs in zip(*tails, strict=False)]
    return found


def page(document: dict[str, Any]) -> str:
    """For people."""
    ratios = document["throughput_ratio"]
    lines = [
        f"{document['bundle']}, {document['engine']}; {document['machine']}",
        f"as fast as it can, {document['fast_seconds_in_all']:.0f} s each:",
        *(_line(side, document[side]["fast"]) for side in ("bare", "daemon")),
        f"  daemon over loop, by turn: {_by_turn(ratios)}",
    ]
    if "tail_ratio" in document:
        rate = f"at {document['load']:.0%} of the loop's throughput measured right before"
        by_turn = _by_turn(document["tail_ratio_by_turn"])
        lines += [
            f"{rate}, {document['seconds_in_all']:.0f} s each, latency from the instant at which the part was due:",
            *(_line(side, document[side]["timed"]) for side in ("bare", "daemon")),
            f"  daemon's p99/median over the loop's: {document['tail_ratio']:.2f}; by turn {by_turn}",
            *_threads(document),
        ]
    lines.append(
        f"verdicts {document['verdicts']}, reasons {document['reasons']}, dropped {document['dropped']}; "
        f"{document['memory_mib']:.0f} MiB with both models"
    )
    return "\n".join(lines)


def _turns(results: Results) -> dict[str, Any]:
    latencies_ns = [one for turn in results.latency_ns for one in turn]
    if not latencies_ns:
        return {}
    spread = Spread.of(latencies_ns)
    return {
        "parts": len(latencies_ns),
        "parts_per_s": statistics.median(results.parts_per_s),
        "cpu_ms_per_part": statistics.median(results.cpu_ms),
        "latency_ms": asdict(spread),
        "p99_over_median": spread.p99 / spread.p50,
        "p99_over_median_by_turn": [_tail(turn) for turn in results.latency_ns if turn],
        "cpu_ms_by_thread": results.costs.ms_per_part(len(latencies_ns)),
    }


def _tail(latencies_ns: Sequence[int]) -> float:
    spread = Spread.of(latencies_ns)
    return spread.p99 / spread.p50


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def _by_turn(values: Sequence[float]) -> str:
    return f"median {statistics.median(values):.3f} ({min(values):.3f}…{max(values):.3f})"


def _line(side: str, turns: dict[str, Any]) -> str:
    latency = turns["latency_ms"]
    return (
        f"  {side:7} {turns['parts_per_s']:.2f} parts/s, {turns['cpu_ms_per_part']:.2f} ms of processor each; "
        f"p50 {latency['p50']:.2f}, p99 {latency['p99']:.2f} ms, p99/median {turns['p99_over_median']:.2f}"
    )


def _threads(document: dict[str, Any]) -> list[str]:
    lines = []
    for side in ("bare", "daemon"):
        spent = document[side]["timed"]["cpu_ms_by_thread"]
        named = ", ".join(f"{name} {ms:.2f}" for name, ms in spent.items() if ms >= 0.005)  # noqa: PLR2004  (shows as 0)
        lines.append(f"  processor per part by thread, {side}: {named}")
    return lines
