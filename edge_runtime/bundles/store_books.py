"""The store's tables as values. Every function works inside the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.bundles.store_schema import HISTORY_ROWS
from edge_runtime.domain.update import HistoryEntry, ReleaseTerms, StoredRelease, UpdateState

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = (
    "digest, product, counter, min_counter, hardware, name, version, revision, state, attempts, installed_ns, reason, "
    "pinned, confirmed, stored"
)


@dataclass(frozen=True, slots=True)
class ProductBook:
    """What is written down about a product."""

    product: str
    known_good: str = ""
    """Digest; empty: none."""
    min_counter: int = 0
    newest_counter: int = 0
    """The largest counter that was ever taken."""


def mark(connection: sqlite3.Connection, key: str) -> int:
    """One of the numbers that the store keeps: `revision`, `trust_generation`, `confirmations`."""
    return int(connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


def set_mark(connection: sqlite3.Connection, key: str, value: int) -> None:
    """Change one of them."""
    connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))


def products(connection: sqlite3.Connection) -> list[str]:
    """Every product of which anything is known."""
    return [str(row[0]) for row in connection.execute("SELECT DISTINCT product FROM releases ORDER BY product")]


def book(connection: sqlite3.Connection, product: str) -> ProductBook:
    """An empty one for a product that is not known."""
    row = connection.execute(
        "SELECT product, known_good, min_counter, newest_counter FROM products WHERE product = ?", (product,)
    ).fetchone()
    return ProductBook(product) if row is None else ProductBook(*row)


def write_book(connection: sqlite3.Connection, changed: ProductBook) -> None:
    """Write down a product."""
    connection.execute(
        "INSERT OR REPLACE INTO products (product, known_good, min_counter, newest_counter) VALUES (?, ?, ?, ?)",
        (changed.product, changed.known_good, changed.min_counter, changed.newest_counter),
    )


def releases(connection: sqlite3.Connection, product: str | None) -> list[StoredRelease]:
    """Newest counter first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM releases WHERE product = ?1 OR ?1 IS NULL ORDER BY product, counter DESC",  # noqa: S608
        (product,),
    )
    return [_release(row) for row in rows]


def release(connection: sqlite3.Connection, digest: str) -> StoredRelease | None:
    """One release."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM releases WHERE digest = ?", (digest,)).fetchone()  # noqa: S608
    return None if row is None else _release(row)


def write_release(connection: sqlite3.Connection, changed: StoredRelease) -> None:
    """Write down a release."""
    terms = changed.terms
    connection.execute(
        f"INSERT OR REPLACE INTO releases ({_COLUMNS}) VALUES ({', '.join('?' * 15)})",  # noqa: S608
        (
            changed.digest,
            terms.product,
            terms.counter,
            terms.min_counter,
            json.dumps(terms.hardware),
            changed.name,
            changed.version,
            changed.revision,
            changed.state.value,
            changed.attempts,
            changed.installed_ns,
            changed.reason,
            changed.pinned,
            changed.confirmed,
            changed.stored,
        ),
    )


def forget_release(connection: sqlite3.Connection, digest: str) -> None:
    """Remove a release from the books."""
    connection.execute("DELETE FROM releases WHERE digest = ?", (digest,))


def write_history(connection: sqlite3.Connection, entry: HistoryEntry) -> None:
    """Add to the history, whose oldest entries go."""
    newest = connection.execute(
        "INSERT INTO history (at_ns, kind, digest, text) VALUES (?, ?, ?, ?)",
        (entry.at_ns, entry.kind, entry.digest, entry.text),
    ).lastrowid
    connection.execute("DELETE FROM history WHERE id <= ?", ((newest or 0) - HISTORY_ROWS,))


def history(connection: sqlite3.Connection, limit: int) -> Sequence[HistoryEntry]:
    """Newest first."""
    rows = connection.execute("SELECT at_ns, kind, digest, text FROM history ORDER BY id DESC LIMIT ?", (limit,))
    return [HistoryEntry(*row) for row in rows]


def check(connection: sqlite3.Connection) -> None:
    """Read everything once.

    Raises:
        sqlite3.DatabaseError: something makes no sense.
    """
    for product in {release.terms.product for release in releases(connection, None)}:
        book(connection, product)
    history(connection, HISTORY_ROWS)


def _release(row: Sequence[object]) -> StoredRelease:
    try:
        return _read(row)
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a release in it makes no sense: {error}") from error


def _read(row: Sequence[object]) -> StoredRelease:
    digest, product, counter, minimum, hardware, name, version, revision, state, attempts, at_ns, *rest = row
    reason, pinned, confirmed, stored = rest
    return StoredRelease(
        digest=str(digest),
        terms=ReleaseTerms(str(product), int(str(counter)), int(str(minimum)), tuple(json.loads(str(hardware)))),
        name=str(name),
        version=str(version),
        revision=int(str(revision)),
        state=UpdateState(str(state)),
        attempts=int(str(attempts)),
        installed_ns=int(str(at_ns)),
        reason=str(reason),
        pinned=bool(pinned),
        confirmed=int(str(confirmed)),
        stored=bool(stored),
    )
