"""Room that is kept for verdicts: a file without content beside the ledger, given back piece by piece at need.

Everything else on the disk meets its end earlier: evidence images keep further away from it, other programs cannot use
what a file occupies.
"""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
PIECES = 4
"""The reserve is given back in so many pieces."""


class Reserve:
    """The reserve of the ledger at `ledger`. Used by the record thread; the figures are readable from any."""

    def __init__(self, ledger: Path, size_bytes: int) -> None:
        """Take over what an earlier run has left; nothing is written before `hold`.

        Args:
            ledger: the database file.
            size_bytes: how much is to be kept; 0 for none.
        """
        self._path = ledger.with_name(ledger.name + ".reserve")
        self.size_bytes = size_bytes
        self.held_bytes = self._found_bytes()

    def is_low(self) -> bool:
        """The disk is full and half of the reserve or more is gone: what can be spared has to go."""
        if self.size_bytes == 0 or self.held_bytes * 2 > self.size_bytes:
            return False
        try:
            return self._free_bytes() * 2 < self.size_bytes
        except OSError:
            return False

    def hold(self) -> bool:
        """Occupy what is missing, if half of the size stays free besides; true if all of it is held. Never raises."""
        if self.held_bytes == self.size_bytes:
            return True
        try:
            if self._free_bytes() < self.size_bytes - self.held_bytes + self.size_bytes // 2:
                return False
            self._resize()
        except OSError as error:  # a file system without room or permission: the ledger works, without a reserve
            _log.warning("no room is reserved for the ledger: %s", error)
            self.held_bytes = self._found_bytes()
        return self.held_bytes == self.size_bytes

    def release(self) -> bool:
        """Give a piece back to the disk; false if there is none left."""
        left = max(0, self.held_bytes - max(1, self.size_bytes // PIECES))
        if left == self.held_bytes:
            return False
        try:
            if left:
                os.truncate(self._path, left)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("the reserve %s cannot be given back: %s", self._path, error)
            return False
        self.held_bytes = left
        return True

    def _resize(self) -> None:
        if self.size_bytes == 0:
            self._path.unlink(missing_ok=True)
        else:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.ftruncate(descriptor, min(self.held_bytes, self.size_bytes))
                os.posix_fallocate(descriptor, 0, self.size_bytes)
            finally:
                os.close(descriptor)
        self.held_bytes = self.size_bytes

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._path.parent).free

    def _found_bytes(self) -> int:
        """What is really occupied: a file with holes reserves nothing."""
        try:
            about = self._path.stat()
        except OSError:
            return 0
        return about.st_size if about.st_blocks * 512 >= about.st_size else 0
