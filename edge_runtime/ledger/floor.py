"""The sequence floor: a small file beside the ledger, so that no sequence is ever given twice.

Subscribers drop what they have seen by (device, sequence). A new ledger that began at 1 again, because the old file was
damaged or moved away, would have its first verdicts dropped everywhere. So sequences are reserved in blocks in a second
file, and a new ledger begins above everything that was ever reserved.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ops.durable import put_in_place

if TYPE_CHECKING:
    from pathlib import Path

_NUMBER = re.compile(r"[0-9]{1,18}[ \t\r\n]*")
"""More digits than this no sequence has: SQLite's numbers end at 19."""
BLOCK = 10_000
"""Sequences reserved at a time: one more fsync in so many records."""


class SequenceFloor:
    """The highest sequence that may have been given; 0 if none was. One writer."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(ledger.name + ".floor")
        self._reserved = self._read()

    @property
    def reserved(self) -> int:
        """No sequence above this was ever given."""
        return self._reserved

    def reserve(self, sequence: int) -> None:
        """Make sure that `sequence` may be given: durable on return.

        Raises:
            OSError: the disk does not let us; the sequence must not be given.
        """
        if sequence <= self._reserved:
            return
        upto = sequence + BLOCK
        self._write(upto)
        self._reserved = upto

    def keep(self) -> None:
        """Write the file again where it was deleted or moved away; without it a new ledger would begin at 1.

        Where the disk does not let us, nothing is raised: it is tried again at the next look.
        """
        with contextlib.suppress(OSError):
            if self._reserved and not self._path.exists():
                self._write(self._reserved)

    def _write(self, upto: int) -> None:
        put_in_place(self._path, b"%d\n" % upto, self._path.with_name(self._path.name + ".new"))

    def _read(self) -> int:
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise self._unreadable(str(error)) from error
        if not _NUMBER.fullmatch(text):
            raise self._unreadable("it does not hold a number")
        return int(text)

    def _unreadable(self, why: str) -> LedgerError:
        return LedgerError(
            f"the sequence floor {self._path} cannot be read: {why}",
            "Write into it a whole number above the newest sequence that subscribers have seen from this device.",
        )
