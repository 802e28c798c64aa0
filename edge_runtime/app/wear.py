"""Measuring what the record of typical parts costs a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.broker.encoding import encoder
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.domain.verdict import BundleIdentity, Disposition, Limits, Reason, Verdict
from edge_runtime.ledger.wear import Wear, measure

if TYPE_CHECKING:
    from pathlib import Path

_BUNDLE = BundleIdentity("bundle-of-usual-length", "1.0.0", "0" * 64, "production")
_WALL_NS = 1_800_000_000_000_000_000


def measure_wear(folder: Path, records: int, per_commit: int) -> Wear:
    """Commit so many typical verdicts, `per_commit` at a time, in a temporary ledger inside `folder`.

    Raises:
        LedgerError: nothing can be written there.
    """
    return measure(folder, [_typical(number) for number in range(1, records + 1)], per_commit, encoder("wear"))


def _typical(number: int) -> VerdictRecord:
    verdict = Verdict(
        part_id=f"conveyor/{number}",
        part_sequence=number,
        frame_sequence=number,
        disposition=Disposition.PASS,
        reason=Reason.BELOW_LIMIT,
        score=2.3456789012345678,
        limits=Limits(3.7805893875431722, 3.9791822019045897),
        bundle=_BUNDLE,
        triggered_ns=number,
        decided_ns=number,
        triggered_wall_ns=_WALL_NS + number,
    )
    return VerdictRecord(verdict, 12_345_678, "conveyor", "default")
