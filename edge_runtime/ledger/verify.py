"""Whether a ledger's records are those that were committed: every hash, every number, the beginning and the end.

What this proves and what it does not is in docs/ledger.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerDamagedError
from edge_runtime.domain.records import Channel
from edge_runtime.ledger.chain import record_hash
from edge_runtime.ledger.port import Head
from edge_runtime.ledger.retention import PRUNED

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.ledger.reader import Extent, LedgerReader, StoredRecord

MOST_NAMED = 20
"""So many breaks are named one by one; the rest is counted."""


class Break(StrEnum):
    """What is wrong with a record."""

    ALTERED = "altered"
    """Its content, its hash or the hash before it is not the one that was committed."""
    MISPLACED = "misplaced"
    """It holds the record of another number: records were swapped or moved."""
    MISSING = "missing"
    """It is not there, and the ones behind it are."""
    UNREADABLE = "unreadable"
    """The file cannot be read from here on."""
    BEGINNING = "beginning"
    """The records before it were dropped, and no record says so."""
    END = "end"
    """It is not the record that the given anchor says."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One break of the chain."""

    sequence: int
    kind: Break
    detail: str


@dataclass(slots=True)
class Verification:
    """What was found. Filled while it runs."""

    first: int = 0
    """The oldest record that was looked at."""
    head: Head = field(default_factory=lambda: Head(0, b""))
    """The newest one: with no finding, an anchor for everything before it."""
    records: int = 0
    """How many were looked at."""
    unchained: int = 0
    """Of these, from before there was a chain: nothing is proved about them."""
    pruned_through: int = 0
    """The newest record that pruning has dropped; where numbering began, if nothing was."""
    anchored: bool = False
    """An anchor from outside was given, and it was met."""
    breaks: int = 0
    findings: list[Finding] = field(default_factory=list)
    """The first `MOST_NAMED` breaks, in order."""

    @property
    def is_sound(self) -> bool:
        """No break was found."""
        return self.breaks == 0

    def add(self, sequence: int, kind: Break, detail: str) -> None:
        """Count a break, and name it among the first."""
        self.breaks += 1
        if len(self.findings) < MOST_NAMED:
            self.findings.append(Finding(sequence, kind, detail))


class _Walk:
    """Goes through the records in order and remembers what the next one needs."""

    def __init__(self, reader: LedgerReader, extent: Extent, anchor: Head | None) -> None:
        self._reader = reader
        self._chain_after = extent.genesis.after
        self._genesis_hash = extent.genesis.hash()
        self._anchor = anchor
        self._vouched: set[tuple[object, object] | None] = set()
        self._bases = [extent.base]
        self._expected = extent.base.sequence + 1
        self._previous: bytes | None = extent.base.hash
        if extent.base.sequence == self._chain_after:
            self._previous = self._genesis_hash  # computed, not read: an altered genesis breaks the first record
        self.found = Verification(first=self._expected, pruned_through=extent.base.sequence)

    def take(self, row: StoredRecord) -> None:
        """Look at the next record."""
        sequence, channel, payload, digest = row
        if sequence != self._expected:
            self._skip(sequence)
        self.found.records += 1
        self._expected = sequence + 1
        if sequence <= self._chain_after:
            self.found.unchained += 1
            if digest:
                self.found.add(sequence, Break.ALTERED, "it is from before the chain, and has a hash")
            self._previous = self._genesis_hash
        else:
            self._check(sequence, channel, payload, digest)
            self._previous = digest
        self.found.head = Head(sequence, digest)
        if self._anchor is not None and sequence == self._anchor.sequence:
            self.found.anchored = digest == self._anchor.hash
            if not self.found.anchored:
                self.found.add(sequence, Break.END, f"its hash {digest.hex()} is not the anchor's")

    @property
    def overtaken(self) -> bool:
        """Records were pruned while we read."""
        return len(self._bases) > 1

    def finish(self) -> None:
        """All records have been taken: look at both ends."""
        for base in self._bases:
            self._check_beginning(base)
        anchor = self._anchor
        if anchor is not None and anchor.sequence > self.found.head.sequence:
            self.found.add(anchor.sequence, Break.END, "the anchor names it, and the ledger ends before it")

    def _check(self, sequence: int, channel: str, payload: bytes, digest: bytes) -> None:
        if self._previous is not None and digest != _computed(self._previous, sequence, channel, payload):
            says = _stated(payload).get("sequence")
            if isinstance(says, int) and says != sequence:
                self.found.add(sequence, Break.MISPLACED, f"it holds record {says}")
            else:
                self.found.add(sequence, Break.ALTERED, "its content does not have its hash")
        if channel == Channel.EVENT.value:
            self._vouched.add(_vouches_for(payload))

    def _skip(self, sequence: int) -> None:
        """Records are not there: pruned while we read, dropped between unsent ones before the chain, or missing."""
        base = self._reader.extent().base
        if base.sequence >= sequence - 1 and base != self._bases[-1]:
            self._bases.append(base)
            # If this very record is gone by now as well, there is nothing left to check it against.
            self._previous = base.hash if base.sequence == sequence - 1 else None
        elif self._expected <= self._chain_after:
            gone = max(0, sequence - self._chain_after - 1)
            if gone:
                self.found.add(self._chain_after + 1, Break.MISSING, f"{gone} records up to {sequence - 1} are gone")
            self._previous = None if gone else self._genesis_hash
        else:
            gone = sequence - self._expected
            self.found.add(self._expected, Break.MISSING, f"{gone} records up to {sequence - 1} are gone")
            self._previous = None  # nothing to check the next one against

    def _check_beginning(self, base: Head) -> None:
        if base.sequence <= self._chain_after or (base.sequence, base.hash.hex()) in self._vouched:
            return
        self.found.add(base.sequence + 1, Break.BEGINNING, "the records before it are gone, and no record says so")


def verify(
    reader: LedgerReader, anchor: Head | None = None, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Read every record once, in order, with bounded memory; a daemon may go on writing.

    Args:
        reader: the ledger.
        anchor: a head that was kept outside the device (status message, log, an earlier verification).
        progress: gets how many records are done and how many there are.

    Raises:
        LedgerError: the ledger cannot be read at all; breaks are findings.
    """
    extent = reader.extent()
    walk = _Walk(reader, extent, anchor)
    total = extent.newest - extent.base.sequence
    try:
        for row in reader.records(extent.base.sequence + 1, extent.newest):
            walk.take(row)
            if progress is not None:
                progress(walk.found.records, total)
        if walk.overtaken:  # by pruning: the record of it is behind what was there when we began
            for row in reader.records(extent.newest + 1, reader.extent().newest):
                walk.take(row)
    except LedgerDamagedError as error:
        walk.found.add(walk.found.head.sequence + 1, Break.UNREADABLE, error.what)
        return walk.found
    walk.finish()
    return walk.found


def _computed(previous: bytes, sequence: int, channel: str, payload: bytes) -> bytes | None:
    try:
        return record_hash(previous, sequence, channel, payload)
    except ValueError:  # a hand wrote a channel that is none
        return None


def _stated(payload: bytes) -> dict[str, object]:
    """What a message says, as far as it is one."""
    try:
        content = json.loads(payload)
    except (ValueError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}


def _vouches_for(payload: bytes) -> tuple[object, object] | None:
    """The number and hash of the last record that a pruning dropped, if this is the record of one."""
    stated = _stated(payload)
    attributes = stated.get("attributes")
    if stated.get("kind") != PRUNED or not isinstance(attributes, dict):
        return None
    return attributes.get("through"), attributes.get("hash")
