"""Do the books of real processes agree? Triggers, ledger and its hash chain, subscriber, gate, and the truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from release_books import ReleaseFacts, release_account, release_findings

if TYPE_CHECKING:
    from plant_schedule import PlantSchedule

    from edge_runtime.app.soak.auditor import Auditor

SECOND_THOUGHTS = frozenset({"interrupted", "trigger_lost", "stopping"})
"""A part may get one of these and, when its file is found after a kill, its own verdict as well."""


@dataclass(frozen=True, slots=True)
class PlantFacts:
    """What is known after a run."""

    schedule: PlantSchedule
    truth: list[bool]
    """Of each part, first part first: whether the detector would let it pass."""
    messages: list[dict[str, Any]]
    """Everything that the ledger holds, and that damaged ones held, as published."""
    damages: int
    """How often the ledger's file was damaged."""
    destroyed: frozenset[int]
    """Records that can be read nowhere any more."""
    releases: ReleaseFacts
    passed: set[int]
    """Parts that went past the gate."""
    nobodys: list[int]
    """Parts that never had a picture and passed while no daemon was there to count them."""
    auditor: Auditor
    starts: int
    kills: int
    exit_code: int
    unverified: str | None
    """What `edge-runtime ledger verify` says when the chain does not hold."""


@dataclass(frozen=True, slots=True)
class PlantAudit:
    """What one run came to."""

    findings: tuple[str, ...]
    account: str


def audit(facts: PlantFacts) -> PlantAudit:
    """Compare the books."""
    verdicts = [m for m in facts.messages if "part_sequence" in m]
    by_part: dict[int, list[dict[str, Any]]] = {}
    for message in verdicts:
        by_part.setdefault(message["part_sequence"], []).append(message)
    findings = [*_triggers(facts, by_part), *_gate(facts, by_part), *release_findings(facts.messages, facts.releases)]
    sequences = [m["sequence"] for m in facts.messages if m["sequence"] not in facts.destroyed]
    if lost := [sequence for sequence in sequences if not facts.auditor.has_record(sequence)]:
        findings.append(f"committed but never delivered: {lost[:10]} ({len(lost)})")
    told = sum(m.get("kind") == "ledger_damaged" for m in facts.messages)
    if told < facts.damages:
        findings.append(f"the ledger was damaged {facts.damages} times, told of {told}")
    if facts.exit_code != 0:
        findings.append(f"the daemon ended with {facts.exit_code}")
    if facts.unverified is not None:
        findings.append(f"the ledger does not verify: {facts.unverified}")
    return PlantAudit(tuple(findings), _account(facts, verdicts, findings))


def _triggers(facts: PlantFacts, by_part: dict[int, list[dict[str, Any]]]) -> list[str]:
    findings = []
    parts = range(1, len(facts.truth) + 1)
    if missing := [n for n in parts if n not in by_part and n not in facts.nobodys]:
        findings.append(f"triggers without verdict: {missing[:10]} ({len(missing)})")
    known = {n: [v for v in by_part.get(n, []) if v["sequence"] not in facts.destroyed] for n in parts}
    own = {n: [v for v in known[n] if v["reason"] not in SECOND_THOUGHTS] for n in parts}
    if twice := [n for n, found in own.items() if len(found) > 1]:
        findings.append(f"triggers with more than one verdict: {twice[:10]}, the first: {own[twice[0]]}")
    return findings


def _gate(facts: PlantFacts, by_part: dict[int, list[dict[str, Any]]]) -> list[str]:
    findings = []
    if bad := sorted(n for n in facts.passed if not facts.truth[n - 1]):
        findings.append(f"bad parts passed the gate: {bad[:10]} ({len(bad)})")
    # Of a ledger without one readable page nobody knows what it held: then that is a record itself.
    told = [m["attributes"]["acknowledged"] for m in facts.messages if m.get("kind") == "parts_unknown"]
    beyond = max(told, default=0)
    untold = sorted(n for n in facts.passed if n > beyond and not any(_tells(v) for v in by_part.get(n, [])))
    if untold:
        findings.append(f"parts passed the gate and no record says so: {untold[:10]} ({len(untold)})")
    return findings


def _tells(verdict: dict[str, Any]) -> bool:
    return verdict["disposition"] == "PASS" or verdict["reason"] == "interrupted"


def _account(facts: PlantFacts, verdicts: list[dict[str, Any]], findings: list[str]) -> str:
    schedule, truth, auditor = facts.schedule, facts.truth, facts.auditor
    reasons = Counter(m["reason"] for m in verdicts)
    rejected = sum(truth) - sum(truth[n - 1] for n in facts.passed)
    lines = [
        f"plant seed {schedule.seed}: {'the books agree' if not findings else 'THE BOOKS DO NOT AGREE'}",
        f"  line       {schedule.line_s:.0f} s at {schedule.parts_per_s:g} parts/s, gate permit",
        *(f"  fault      {fault}" for fault in schedule.faults),
        f"  daemon     {facts.starts} starts, {facts.kills} kills",
        f"  triggers   {len(truth)}, {len(facts.nobodys)} of them nobody's; the detector would pass {sum(truth)}",
        f"  ledger     {len(verdicts)} verdicts on {len({m['part_sequence'] for m in verdicts})} parts"
        + (f"; damaged {facts.damages} times, {len(facts.destroyed)} records destroyed" if facts.damages else ""),
        f"  subscriber {auditor.distinct} distinct verdicts, {auditor.duplicates} duplicates",
        f"  gate       {len(facts.passed)} passed, {rejected} good ones rejected",
        *release_account(facts.messages, facts.releases),
        f"  reasons    {', '.join(f'{reason} {count}' for reason, count in reasons.most_common())}",
        *(f"  FINDING    {finding}" for finding in findings),
    ]
    return "\n".join(lines)
