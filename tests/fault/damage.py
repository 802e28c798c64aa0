"""A ledger's file as a dying memory card leaves it: some pages overwritten. And what of it can still be read."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

MOST_PAGES = 3
"""So many are overwritten at a time."""

Records = dict[int, tuple[str, bytes]]
"""Sequence → channel and payload."""


@dataclass(slots=True)
class Damages:
    """What happened to a ledger's file in one run."""

    times: int = 0
    before: Records = field(default_factory=dict)
    """Everything that the damaged files had held."""

    def strike(self, ledger: Path, drawn: random.Random) -> None:
        """Damage the file."""
        self.times += 1
        self.before |= damage(ledger, drawn)

    def destroyed(self, ledger: Path, kept: Collection[int]) -> frozenset[int]:
        """Records that can be read nowhere any more.

        Args:
            ledger: the file's name; what was set aside lies beside it.
            kept: what the ledger in use holds.
        """
        left = set(kept)
        for aside in ledger.parent.glob(f"{ledger.name}.aside-*[0-9]"):
            left |= readable(aside, self.before)
        return frozenset(self.before.keys() - left)


def damage(ledger: Path, drawn: random.Random) -> Records:
    """Overwrite pages until SQLite itself calls the file malformed.

    Returns:
        What the file held before.
    """
    with closing(sqlite3.connect(ledger)) as database:
        with suppress(sqlite3.OperationalError):  # a full disk
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the log would mend the pages
        before = {
            row[0]: (row[1], row[2]) for row in database.execute("SELECT sequence, channel, payload FROM records")
        }
        size = int(database.execute("PRAGMA page_size").fetchone()[0])
    pages = ledger.stat().st_size // size
    while is_sound(ledger):
        with ledger.open("r+b") as file:
            for _ in range(drawn.randint(1, MOST_PAGES)):
                file.seek(drawn.randrange(pages) * size)
                file.write(drawn.randbytes(size))
    return before


def is_sound(ledger: Path) -> bool:
    """Whether SQLite finds nothing wrong with it; looks at a copy."""
    with tempfile.TemporaryDirectory(prefix="edge-damage-") as folder:
        copy = Path(folder) / "ledger.sqlite"
        shutil.copyfile(ledger, copy)
        try:
            with closing(sqlite3.connect(copy)) as database:
                return bool(database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.Error:
            return False


def readable(ledger: Path, before: Records) -> set[int]:
    """Which of the records that a damaged ledger held can still be read from it, one by one and unaltered."""
    found: set[int] = set()
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as database:
        for number, (_, payload) in before.items():
            with suppress(sqlite3.Error):
                row = database.execute("SELECT payload FROM records WHERE sequence = ?", (number,)).fetchone()
                if row is not None and row[0] == payload:
                    found.add(number)
    return found
