"""A simulated run on one page."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from schedule import S

if TYPE_CHECKING:
    from simulated_outcome import Outcome


def account(outcome: Outcome, verdicts: list[dict[str, Any]], findings: list[str], owed: int) -> str:
    """Everything about the run that a person wants to know."""
    schedule, belt, gate = outcome.schedule, outcome.belt, outcome.plc.summary
    latencies = np.array([m["latency_ms"] for m in verdicts if m["reason"] != "interrupted"] or [0.0])
    parts = len(belt.times_ns)
    would_pass = sum(belt.would_pass(n) for n in range(1, parts + 1))
    reasons = Counter(m["reason"] for m in verdicts)
    distinct = {m["sequence"] for m in outcome.delivered if m["channel"] == "inspection"}
    duplicates = len(outcome.delivered) - len({m["sequence"] for m in outcome.delivered})
    result = "the books agree" if not findings else "THE BOOKS DO NOT AGREE"
    lives = ", ".join(
        f"{(life.ready_ns - belt.times_ns[0]) / S:.1f} s … "
        + ("the end" if life.ended_ns is None else f"killed at {(life.ended_ns - belt.times_ns[0]) / S:.1f} s")
        for life in outcome.lives
    )
    head = (
        f"  line       {schedule.line_s:.0f} s, {parts} parts at {schedule.parts_per_s:g}/s, gate {schedule.gate}, "
        f"ledger in {'memory' if schedule.ledger == 'memory' else 'SQLite'}, inspection {schedule.inspect_ms:g} ms, "
        f"deadline {schedule.deadline_ms} ms, gate after {schedule.travel_ms} ms"
    )
    triggers = f"  triggers   {parts}, of which {owed} to a living daemon; the detector would have passed {would_pass}"
    ledger = (
        f"  ledger     {len(verdicts)} verdicts on {len({m['part_sequence'] for m in verdicts})} parts, "
        f"{len(outcome.ledger) - len(verdicts)} events"
    )
    if outcome.damages:
        ledger += f"; its file damaged {outcome.damages} times, {len(outcome.destroyed)} records destroyed"
    at_gate = (
        f"  gate       {gate.passed} passed ({gate.defective_passed} bad), {gate.rejected} rejected "
        f"({gate.good_rejected} good); {outcome.gate}"
    )
    latency = (
        f"  latency    p50 {np.percentile(latencies, 50):.1f} ms, p99 {np.percentile(latencies, 99):.1f} ms, "
        f"worst {latencies.max():.1f} ms; queues dropped {outcome.dropped}"
    )
    lines = [
        f"seed {schedule.seed}: {result}",
        head,
        f"  daemon     {lives}",
        *(f"  fault      {fault}" for fault in schedule.faults),
        triggers,
        ledger,
        f"  subscriber {len(distinct)} distinct verdicts, {duplicates} duplicates of all messages",
        at_gate,
        f"  reasons    {', '.join(f'{reason} {count}' for reason, count in reasons.most_common())}",
        latency,
        f"  states     {len(outcome.states)} changes and failures; {outcome.switches} switches of thread",
        *(f"  FINDING    {finding}" for finding in findings),
    ]
    return "\n".join(lines)
