"""What the record costs a disk: bytes, syncs and time per part, measured on the disk in question.

For memory cards, which wear out by what is written and not by what is stored.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.database import SqliteLedger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.ledger.port import Encoder, LedgerEntry

_IO = Path("/proc/self/io")
CHECKPOINT_PAGES = 1_000
"""SQLite moves its log into the database after so many pages; that takes two syncs more."""


@dataclass(frozen=True, slots=True)
class Wear:
    """Of one record, on the average; the log's way into the database included."""

    records: int
    per_commit: int
    written_bytes: float | None
    """What the kernel was given to write for this process; None where it does not say (`/proc/self/io`)."""
    stored_bytes: float
    """What it takes up in the ledger."""
    syncs: float
    """Waits for the disk: one per commit, and two per checkpoint by its usual interval."""
    commit_p50_ms: float
    commit_p99_ms: float
    records_per_s: float


def measure(folder: Path, entries: Sequence[LedgerEntry], per_commit: int, encoder: Encoder) -> Wear:
    """Commit `entries` to a ledger in a temporary folder inside `folder`, `per_commit` at a time.

    Raises:
        LedgerError: nothing can be written there.
    """
    try:
        with TemporaryDirectory(prefix=".ledger-wear-", dir=folder) as place:
            return _measure(Path(place) / "ledger.sqlite", entries, per_commit, encoder)
    except OSError as error:
        raise LedgerError(f"nothing can be written in {folder}: {error}", "Name a folder on the disk.") from error


def _measure(path: Path, entries: Sequence[LedgerEntry], per_commit: int, encoder: Encoder) -> Wear:
    batches = [entries[first : first + per_commit] for first in range(0, len(entries), per_commit)]
    with closing(SqliteLedger(path, "wear", encoder)) as ledger:
        before, empty_bytes, took_ns = _written_bytes(), path.stat().st_size, []
        for batch in batches:
            began_ns = time.monotonic_ns()
            ledger.append(batch)
            took_ns.append(time.monotonic_ns() - began_ns)
    after, count = _written_bytes(), len(entries)
    took_ns.sort()
    pages = 2 * len(batches) + (path.stat().st_size - empty_bytes) // 4_096
    return Wear(
        records=count,
        per_commit=per_commit,
        written_bytes=None if before is None or after is None else (after - before) / count,
        stored_bytes=(path.stat().st_size - empty_bytes) / count,
        syncs=(len(batches) + 2 * max(1, pages // CHECKPOINT_PAGES)) / count,
        commit_p50_ms=took_ns[len(took_ns) // 2] / 1e6,
        commit_p99_ms=took_ns[min(len(took_ns) - 1, round(len(took_ns) * 0.99))] / 1e6,
        records_per_s=count / max(sum(took_ns) / 1e9, 1e-9),
    )


def _written_bytes() -> int | None:
    """Bytes that this process has made dirty in the page cache, each of which goes to the disk."""
    try:
        lines = _IO.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)
