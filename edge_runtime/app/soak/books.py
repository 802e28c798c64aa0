"""The books of a soak: triggers given, verdicts in the ledger, distinct ones at the subscriber, parts at the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.app.soak.auditor import NOT_PASSED, PASSED, UNSEEN
from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.records import Channel
from edge_runtime.ledger.reader import LedgerReader

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.app.soak.auditor import Auditor
    from edge_runtime.app.soak.belt import PictureBelt
    from edge_runtime.app.soak.plant import Gate

MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Books:
    """What the books say, and where they do not agree."""

    triggers: int
    ledger: int
    """Verdicts in the ledger."""
    subscriber: int
    """Distinct verdicts at the subscriber."""
    duplicates: int
    """Messages that came to the subscriber again."""
    gate_parts: int
    gate_passed: int
    bad_passed: int
    """Passed although the detector would have said otherwise."""
    good_rejected: int
    """Rejected although the detector would have let them pass."""
    findings: tuple[str, ...]
    """Empty: the books agree."""


def compare(ledger: Path, given: int, auditor: Auditor, gate: Gate, belt: PictureBelt) -> Books:
    """Compare them after the daemon has ended.

    Args:
        ledger: the ledger's file.
        given: number of the last trigger; parts are numbered from 1.
        auditor: the subscriber.
        gate: the PLC's end, read up to now.
        belt: the truth.
    """
    findings: list[str] = []
    committed, undelivered = _committed(ledger, auditor, findings)
    _name(findings, "committed records that the subscriber never got", undelivered)
    _name(findings, "triggers without verdict", [n for n in range(1, given + 1) if auditor.verdict(n) == UNSEEN])
    if not committed == given == auditor.distinct:
        findings.append(f"triggers {given}, ledger {committed}, subscriber {auditor.distinct}")
    truth = [False] + [belt.passes[belt.picture(n)] for n in range(1, given + 1)]
    passed = [n for n in range(1, min(given + 1, len(gate.passed))) if gate.passed[n]]
    bad = [n for n in passed if not truth[n]]
    _name(findings, "bad parts past the gate", bad)
    _name(findings, "parts past the gate without a PASS", [n for n in passed if auditor.verdict(n) == NOT_PASSED])
    _name(findings, "parts called PASS that the detector would not pass", _wrongly_passed(given, auditor, truth))
    return Books(
        triggers=given,
        ledger=committed,
        subscriber=auditor.distinct,
        duplicates=auditor.duplicates,
        gate_parts=min(gate.parts, given),
        gate_passed=len(passed),
        bad_passed=len(bad),
        good_rejected=sum(truth[n] and not gate.passed[n] for n in range(1, min(given + 1, len(gate.passed)))),
        findings=tuple(findings),
    )


def _committed(path: Path, auditor: Auditor, findings: list[str]) -> tuple[int, list[int]]:
    """How many verdicts the ledger holds, and which of its records are not at the subscriber."""
    verdicts, undelivered = 0, []
    try:
        reader = LedgerReader(path)
        try:
            extent = reader.extent()
            for sequence, channel, _, _ in reader.records(extent.base.sequence + 1, extent.newest):
                verdicts += channel == Channel.INSPECTION
                if not auditor.has_record(sequence):
                    undelivered.append(sequence)
        finally:
            reader.close()
    except LedgerError as error:
        findings.append(f"the ledger cannot be read: {error.what}")
    return verdicts, undelivered


def _wrongly_passed(given: int, auditor: Auditor, truth: list[bool]) -> list[int]:
    return [n for n in range(1, given + 1) if auditor.verdict(n) == PASSED and not truth[n]]


def _name(findings: list[str], what: str, numbers: list[int]) -> None:
    if numbers:
        more = " …" if len(numbers) > MOST_NAMED else ""
        findings.append(f"{len(numbers)} {what}: {', '.join(map(str, numbers[:MOST_NAMED]))}{more}")
