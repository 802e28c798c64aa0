"""Is the ledger still where it is looked for? SQLite goes on writing into a file that was deleted or moved away.

Nothing is lost by that at once, so the records go on; but a deleted file is gone with the process, and whoever looks
for the records looks in the wrong place. Only a person can tell a deletion from a move, so nothing is done by itself: a
new ledger in the place of one that is moved back a minute later would be overwritten, and its numbers given once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Place:
    """The files of an open ledger, as they were when it was opened."""

    def __init__(self, path: Path) -> None:
        """Remember the files of the ledger at `path`, which is open.

        Raises:
            OSError: they cannot be looked at.
        """
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._files = {file: _identity(file) for file in (path, self._log)}

    def lost(self) -> str | None:
        """What is no longer at its place, and what to do; None while all is. Never raises."""
        if not self._is_there(self._path):
            return (
                f"{self._path} was deleted, moved or replaced while it was in use: records still go into that file and "
                "are sent, but the audit trail is not at its place. If it was moved, move the same file back (no copy) "
                "before any restart. If it was deleted, restart once the backlog is 0: a new ledger begins, its "
                "numbers go on; older records are only with their subscribers"
            )
        if not self._is_there(self._log):
            return (
                f"{self._log} was deleted, moved or replaced while it was in use: a power cut would lose the newest "
                f"records. Restart the daemon: a clean stop writes them into {self._path.name}"
            )
        return None

    def _is_there(self, file: Path) -> bool:
        try:
            return _identity(file) == self._files[file]
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # the disk does not answer: what it refuses is told where records are written
            return True


def _identity(file: Path) -> tuple[int, int]:
    about = file.stat()
    return about.st_dev, about.st_ino
