"""A simulated run on one page."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from release_books import release_account
from schedule import S

if TYPE_CHECKING:
    from simulated_outcome import Outcome


def account(outcome: Outcome, verdicts: list[dict[str, Any]], findings: list[str], owed: int) -> str:
    """Everything about the run that a person wants to know."""
    reasons = Counter(m["reason"] for m in verdicts)
    distinct = {m["sequence"] for m in outcome.delivered if m["channel"] == "inspection"}
    duplicates = len(outcome.delivered) - len({m["sequence"] for m in outcome.delivered})
    result = "the books agree" if not findings else "THE BOOKS DO NOT AGREE"
    lines = [
        f"seed {outcome.schedule.seed}: {result}",
        _line(outcome),
        _daemon(outcome),
        *(f"  fault      {fault}" for fault in outcome.schedule.faults),
        _triggers(outcome, owed),
        _ledger(outcome, verdicts),
        f"  subscriber {len(distinct)} distinct verdicts, {duplicates} duplicates of all messages",
        _gate(outcome),
        *release_account(outcome.ledger, outcome.releases),
        f"  reasons    {', '.join(f'{reason} {count}' for reason, count in reasons.most_common())}",
        _latency(outcome, verdicts),
        f"  states     {len(outcome.states)} changes and failures; {outcome.switches} switches of thread",
        *(f"  FINDING    {finding}" for finding in findings),
    ]
    return "\n".join(lines)


def _line(outcome: Outcome) -> str:
    schedule = outcome.schedule
    return (
        f"  line       {schedule.line_s:.0f} s, {len(outcome.belt.times_ns)} parts at {schedule.parts_per_s:g}/s, "
        f"gate {schedule.gate}, ledger in {'memory' if schedule.ledger == 'memory' else 'SQLite'}, "
        f"inspection {schedule.inspect_ms:g} ms, deadline {schedule.deadline_ms} ms, gate after {schedule.travel_ms} ms"
    )


def _daemon(outcome: Outcome) -> str:
    first_ns = outcome.belt.times_ns[0]
    lives = (
        f"{(life.ready_ns - first_ns) / S:.1f} s … "
        + ("the end" if life.ended_ns is None else f"killed at {(life.ended_ns - first_ns) / S:.1f} s")
        for life in outcome.lives
    )
    return f"  daemon     {', '.join(lives)}"


def _triggers(outcome: Outcome, owed: int) -> str:
    parts = len(outcome.belt.times_ns)
    would_pass = sum(outcome.belt.would_pass(n) for n in range(1, parts + 1))
    return f"  triggers   {parts}, of which {owed} to a living daemon; the detector would have passed {would_pass}"


def _ledger(outcome: Outcome, verdicts: list[dict[str, Any]]) -> str:
    text = (
        f"  ledger     {len(verdicts)} verdicts on {len({m['part_sequence'] for m in verdicts})} parts, "
        f"{len(outcome.ledger) - len(verdicts)} events"
    )
    if outcome.damages:
        text += f"; its file damaged {outcome.damages} times, {len(outcome.destroyed)} records destroyed"
    return text


def _gate(outcome: Outcome) -> str:
    gate = outcome.plc.summary
    return (
        f"  gate       {gate.passed} passed ({gate.defective_passed} bad), {gate.rejected} rejected "
        f"({gate.good_rejected} good); {outcome.gate}"
    )


def _latency(outcome: Outcome, verdicts: list[dict[str, Any]]) -> str:
    latencies = np.array([m["latency_ms"] for m in verdicts if m["reason"] != "interrupted"] or [0.0])
    return (
        f"  latency    p50 {np.percentile(latencies, 50):.1f} ms, p99 {np.percentile(latencies, 99):.1f} ms, "
        f"worst {latencies.max():.1f} ms; queues dropped {outcome.dropped}"
    )
