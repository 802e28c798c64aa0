"""What a ledger keeps, and what is written down about the records that go.

Only delivered records go, and only the oldest without a gap: what is left is a chain that begins at the last one that
went. Its number and hash are themselves a record (`records_pruned`): whoever cuts off the beginning by hand lacks it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from edge_runtime.domain.records import EventRecord

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

PRUNED = "records_pruned"
"""Kind of the record that vouches for the new beginning of the chain."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Delivered records beyond any of these go, oldest first."""

    rows: int
    """The newest so many stay, as far as the other two allow."""
    size_bytes: int | None = None
    """Of the database in use; None: no limit."""
    since_wall_ns: int | None = None
    """Older ones go (UTC, nanoseconds since 1970); None: no limit."""
    size_limit: str = "bytes"
    """What the record says when `size_bytes` was exceeded: "bytes" (the quota) or "disk" (it is full)."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is configured, before it is applied to a moment."""

    rows: int
    size_bytes: int | None = None
    age_ns: int | None = None

    def at(self, wall_ns: int | None) -> Retention:
        """The limits now; without a clock that can be trusted (None) nothing is too old."""
        since_ns = None if self.age_ns is None or wall_ns is None else wall_ns - self.age_ns
        return Retention(self.rows, self.size_bytes, since_ns)


def time_ns(payload: bytes) -> int | None:
    """When a record says that it happened; None if it does not say."""
    try:
        stated = json.loads(payload)
    except ValueError:
        return None
    value = stated.get("time_ns") if isinstance(stated, dict) else None
    return value if isinstance(value, int) else None


def older_than(since_wall_ns: int, oldest_first: Iterable[tuple[int, bytes]]) -> list[int]:
    """Numbers of the records before the first one that is recent enough. One without a time counts as recent."""

    def is_old(row: tuple[int, bytes]) -> bool:
        when_ns = time_ns(row[1])
        return when_ns is not None and when_ns < since_wall_ns

    return [sequence for sequence, _ in takewhile(is_old, oldest_first)]


def used_and_spare_bytes(connection: sqlite3.Connection) -> tuple[int, int]:
    """What the database holds, and what it has free inside its file and will use first."""
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
    return (pages - free) * size, free * size


def pruned_event(through: int, digest: bytes, records: int, why: str, wall_ns: int) -> EventRecord:
    """The record of a pruning.

    Args:
        through: the newest record that went.
        digest: its hash; empty for one from before the chain.
        records: how many went.
        why: which limit: "rows", "bytes", "age", or "disk".
        wall_ns: now.
    """
    return EventRecord(
        PRUNED,
        "info",
        f"{records} delivered records up to {through} were dropped: more than the ledger keeps ({why})",
        wall_ns,
        {"through": through, "hash": digest.hex(), "records": records, "limit": why},
    )
