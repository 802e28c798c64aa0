"""At start-up: parts that the PLC acted upon and the ledger does not know."""

from __future__ import annotations

import json
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


UNRECONCILED_NOTE = "unreconciled"


@dataclass(frozen=True, slots=True)
class Owed:
    """A comparison that an earlier life of the daemon could not bring to its end."""

    part: int
    """Newest part committed when it fell due, 1…2³²−1; 0 where there was none, and nobody can say which are missing."""
    record: int
    """Newest record committed when it fell due."""
    told: frozenset[int] = frozenset()
    """Parts recorded since then, where the numbers are the PLC's. Empty where we count ourselves: the same numbers may
    then have been given to other parts since, and a part told of twice is better than one never told of."""

    def note(self) -> str:
        """As the ledger keeps it."""
        return json.dumps([self.part, self.record])


def read_owed(note: str | None) -> Owed | None:
    """What `Owed.note` made; None where nothing is owed."""
    return Owed(*json.loads(note)) if note else None


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
    owed: Owed | None = None,
) -> Reconciliation:
    """Compare the newest committed part with the last one that the PLC acknowledged.

    Args:
        committed: newest part sequence in the ledger; 0 in a new one.
        acknowledged: the PLC's word; None or 0 where it has none.
        owed: an earlier comparison that was never made: parts are then sought from there on.

    Returns:
        One REJECT/interrupted record per part that was acted upon but never committed.
    """
    if not acknowledged:
        return Reconciliation(committed, ())
    numbers = _between(committed, acknowledged, frozenset())
    last = committed if committed != 0 and numbers is None else acknowledged
    if owed is not None:
        since = _between(owed.part, acknowledged, owed.told)
        numbers = numbers if since is None else since
    records = [_interrupted(number, recipe, bundle, camera, now_ns, wall_ns) for number in numbers or ()]
    return Reconciliation(last, tuple(records))


def _between(committed: int, acknowledged: int, told: frozenset[int]) -> list[int] | None:
    """Numbers after `committed` up to `acknowledged`, without those told of; None where that is no plausible window."""
    ahead = (acknowledged - committed) % PART_SEQUENCE_MAX
    if committed == 0 or ahead > MAX_INTERRUPTED + len(told):
        return None
    numbers = []
    number = committed
    for _ in range(ahead):
        number = next_part_sequence(number)
        if number not in told:
            numbers.append(number)
    return numbers if len(numbers) <= MAX_INTERRUPTED else None


def _interrupted(
    number: int, recipe: Recipe, bundle: BundleIdentity, camera: str, now_ns: int, wall_ns: int
) -> VerdictRecord:
    trigger = Trigger(0, f"{camera}/interrupted-{number}", now_ns, wall_ns, part_sequence=number)
    part = Part(trigger, number, now_ns, None)
    detail = "acted upon before the daemon ended, not committed; found by the PLC's part sequence"
    verdict = fault_verdict(part, recipe, Reason.INTERRUPTED, detail, bundle, now_ns)
    return VerdictRecord(verdict, 0, camera, recipe.name)
