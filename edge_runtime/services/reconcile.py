"""At start-up: parts that the PLC acted upon and the ledger does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.decision.judge import fault_verdict
from edge_runtime.domain.frame import Trigger
from edge_runtime.domain.part import PART_SEQUENCE_MAX, Part, next_part_sequence
from edge_runtime.domain.records import VerdictRecord
from edge_runtime.domain.verdict import BundleIdentity, Reason

if TYPE_CHECKING:
    from edge_runtime.domain.recipe import Recipe

MAX_INTERRUPTED = 20_000
"""The window: as many parts as may wait for a disk that refuses (`app.line.RECORD_CAPACITY`). More means another PLC or
another ledger."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Where numbering goes on, and what has to be written down first."""

    last_part_sequence: int
    interrupted: tuple[VerdictRecord, ...]


def reconcile(
    committed: int,
    acknowledged: int | None,
    recipe: Recipe,
    bundle: BundleIdentity,
    camera: str,
    now_ns: int,
    wall_ns: int,
) -> Reconciliation:
    """Compare the newest committed part with the last one that the PLC acknowledged.

    Args:
        committed: newest part sequence in the ledger; 0 in a new one.
        acknowledged: the PLC's word; None or 0 where it has none.

    Returns:
        One REJECT/interrupted record per part that was acted upon but never committed.
    """
    if not acknowledged:
        return Reconciliation(committed, ())
    ahead = (acknowledged - committed) % PART_SEQUENCE_MAX
    if committed == 0 or ahead == 0:
        return Reconciliation(acknowledged, ())
    if ahead > MAX_INTERRUPTED:
        return Reconciliation(committed, ())
    records = []
    number = committed
    for _ in range(ahead):
        number = next_part_sequence(number)
        records.append(_interrupted(number, recipe, bundle, camera, now_ns, wall_ns))
    return Reconciliation(acknowledged, tuple(records))


def _interrupted(
    number: int, recipe: Recipe, bundle: BundleIdentity, camera: str, now_ns: int, wall_ns: int
) -> VerdictRecord:
    trigger = Trigger(0, f"{camera}/interrupted-{number}", now_ns, wall_ns, part_sequence=number)
    part = Part(trigger, number, now_ns, None)
    detail = "acted upon before the daemon ended, not committed; found by the PLC's part sequence"
    verdict = fault_verdict(part, recipe, Reason.INTERRUPTED, detail, bundle, now_ns)
    return VerdictRecord(verdict, 0, camera, recipe.name)
