"""Do the books of a simulated run agree? Triggers, ledger, subscriber, gate, and what the detector would have said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from release_books import release_findings
from schedule import MS, S
from simulated_account import account

if TYPE_CHECKING:
    from simulated_outcome import Life, Outcome

AT_START_NS = 1 * S
"""Parts triggered so soon after the daemon is ready, or so soon before it is killed, may be nobody's: see `_owed`."""
AT_KILL_NS = 3 * S
LATE_NS = 25 * MS
"""A verdict given at the deadline is given this much after it at most: the dispatch stage's own poll."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    findings: tuple[str, ...]
    """What does not agree; empty: all is well."""
    account: str
    """The run on one page."""


def audit(outcome: Outcome) -> Audit:
    """Compare the books of one run."""
    verdicts = [m for m in outcome.ledger if m["channel"] == "inspection"]
    by_part: dict[int, list[dict[str, Any]]] = {}
    for message in verdicts:
        by_part.setdefault(message["part_sequence"], []).append(message)
    findings = [
        *_every_trigger(outcome, by_part),
        *_damage(outcome),
        *_delivered(outcome),
        *_gate(outcome, by_part),
        *_in_time(outcome, verdicts),
        *release_findings(outcome.ledger, outcome.releases),
    ]
    return Audit(tuple(findings), account(outcome, verdicts, findings, len(_owed(outcome))))


def _owed(outcome: Outcome) -> list[int]:
    """Parts whose trigger a living daemon was given: each must have its verdict."""
    spans = [(life.ready_ns + AT_START_NS, _vouched_until_ns(outcome, life)) for life in outcome.lives]
    return [n for n, at_ns in enumerate(outcome.belt.times_ns, 1) if any(a <= at_ns <= b for a, b in spans)]


def _vouched_until_ns(outcome: Outcome, life: Life) -> float:
    """Parts before this were committed when the daemon was killed; what waited for a disk that refused was not."""
    if life.ended_ns is None:
        return math.inf
    until_ns = life.ended_ns - AT_KILL_NS
    for fault in reversed(outcome.schedule.faults):
        begin_ns = outcome.belt.times_ns[0] + round(fault.begin_s * S)
        holds_up = fault.device == "ledger" or (fault.device, fault.kind) in {
            ("stage", "record"),
            ("process", "paused"),
        }
        if holds_up and begin_ns < life.ended_ns and begin_ns + round(fault.duration_s * S) > until_ns:
            until_ns = min(until_ns, begin_ns - AT_KILL_NS)
    return until_ns


def _every_trigger(outcome: Outcome, by_part: dict[int, list[dict[str, Any]]]) -> list[str]:
    findings = []
    if missing := [n for n in _owed(outcome) if n not in by_part]:
        findings.append(f"triggers without verdict: {missing[:10]} ({len(missing)})")
    # What was destroyed is not known to be committed any more: it may be written down again as interrupted.
    once = {n: [m for m in found if m["sequence"] not in outcome.destroyed] for n, found in by_part.items()}
    if twice := {n: len(found) for n, found in once.items() if len(found) > 1}:
        findings.append(f"triggers with more than one verdict: {dict(list(twice.items())[:10])}")
    if unknown := [n for n in by_part if not 1 <= n <= len(outcome.belt.times_ns)]:
        findings.append(f"verdicts on parts that never were: {unknown[:10]}")
    if outcome.lost_records or outcome.dropped.get("records") or outcome.dropped.get("dispatch"):
        findings.append(f"records were dropped: {outcome.lost_records}, {outcome.dropped}")
    return findings


def _delivered(outcome: Outcome) -> list[str]:
    committed = {m["sequence"]: m for m in outcome.ledger}
    at_subscriber = {m["sequence"]: m for m in outcome.delivered}
    findings = []
    if sorted(committed) != list(range(1, len(committed) + 1)) and outcome.schedule.ledger == "memory":
        findings.append("the record sequence has gaps")
    if outcome.left_behind:
        findings.append(f"stages that did not end: {outcome.left_behind}")
    if lost := [s for s in committed if s not in at_subscriber and s not in outcome.destroyed]:
        findings.append(f"committed but never delivered: {lost[:10]} ({len(lost)})")
    if invented := [s for s in at_subscriber if s not in committed]:
        findings.append(f"delivered but not in the ledger: {invented[:10]}")
    if altered := [s for s, m in at_subscriber.items() if s in committed and m != committed[s]]:
        findings.append(f"delivered otherwise than committed: {altered[:10]}")
    return findings


def _damage(outcome: Outcome) -> list[str]:
    told = sum(m.get("kind") == "ledger_damaged" for m in outcome.ledger)
    return [f"the ledger was damaged {outcome.damages} times, told of {told}"] if told < outcome.damages else []


def _gate(outcome: Outcome, by_part: dict[int, list[dict[str, Any]]]) -> list[str]:
    findings = []
    passed = [record.sequence for record in outcome.plc.gate_log if record.passed]
    # Of a ledger without one readable page, or that never took one, nobody knows what is missing: that is a record.
    told = [m["attributes"]["acknowledged"] for m in outcome.ledger if m.get("kind") == "parts_unknown"]
    beyond = max(told, default=0)
    if outcome.schedule.gate == "permit":
        if bad := [n for n in passed if not outcome.belt.would_pass(n)]:
            findings.append(f"bad parts passed the gate: {bad[:10]} ({len(bad)}), the first: {by_part.get(bad[0])}")
        silent = [n for n in passed if n > beyond and not any(_tells_of_passing(v) for v in by_part.get(n, []))]
        if silent:
            findings.append(f"parts passed the gate and no record says so: {silent[:10]} ({len(silent)})")
    unknown = [n for _, n in outcome.acknowledged if n not in by_part and n > beyond]
    if unknown:
        findings.append(f"the PLC acted upon parts of which no record tells: {unknown[:10]} ({len(unknown)})")
    return findings


def _tells_of_passing(verdict: dict[str, Any]) -> bool:
    return verdict["disposition"] == "PASS" or verdict["reason"] == "interrupted"


def _in_time(outcome: Outcome, verdicts: list[dict[str, Any]]) -> list[str]:
    """Without the processor no verdict can be in time; whatever else fails, it must be.

    But for a part without a frame, of which the next frame or the PLC's count tells, `trigger_timeout_ms` later.
    """
    if any(fault.device in {"stage", "process"} or fault.kind == "late" for fault in outcome.schedule.faults):
        return []
    most_ms = outcome.schedule.deadline_ms + LATE_NS / MS
    late = [m for m in verdicts if m["latency_ms"] > most_ms and m["reason"] not in {"interrupted", "trigger_lost"}]
    if not late:
        return []
    worst = max(late, key=lambda m: m["latency_ms"])
    return [
        f"{len(late)} verdicts after their deadline, the latest after {worst['latency_ms']:.0f} ms: {worst['reason']}"
    ]
