"""What lies in the watched folder: names that are images, regular files only, nothing that leads outside."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

TEMPORARY_SUFFIXES = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", "~")
"""Names under which copying programs write before they rename; never images, whatever the patterns say."""

_REMEMBERED_COMPLAINTS = 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as the directory shows it."""

    path: str
    """Relative to the watched folder, forward slashes, undecodable bytes as surrogates."""
    size_bytes: int
    mtime_ns: int


class FolderScanner:
    """Looks at the folder; keeps no list of files.

    Args:
        root: the watched folder.
        recursive: descend into subfolders (symbolic links to folders are never followed).
        patterns: file names that are images, case-insensitive.
        excluded: folders below `root` that are never entered (where inspected files go).
    """

    def __init__(self, root: Path, *, recursive: bool, patterns: tuple[str, ...], excluded: tuple[Path, ...]) -> None:
        self.root = root
        self.recursive = recursive
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._excluded = frozenset(os.path.realpath(folder) for folder in excluded)
        self._complained: set[str] = set()
        self._mount_point = _mount_point(root)

    def check_root(self) -> tuple[int, int]:
        """Device and inode of the folder, which change when another folder takes its place.

        Raises:
            OSError: the folder is gone, cannot be read, or its share is no longer mounted.
        """
        # An unmounted share leaves an empty folder behind that looks perfectly healthy.
        if not self._mount_point.is_mount():
            raise FileNotFoundError(2, "the share is not mounted", str(self._mount_point))
        status = self.root.stat()
        with os.scandir(self.root):
            return status.st_dev, status.st_ino

    def scan(self, subfolder: str = "") -> Iterator[Entry]:
        """Every image at this moment, in no particular order.

        Raises:
            OSError: the top folder cannot be read; a subfolder that cannot is logged once and left out.
        """
        folders = [subfolder]
        while folders:
            folder = folders.pop()
            try:
                listing = os.scandir(self.root / folder)
            except OSError as error:
                if not folder:
                    raise
                self.complain(folder, f"cannot be read: {error.strerror}")
                continue
            with listing:
                for item in listing:
                    path = f"{folder}/{item.name}" if folder else item.name
                    if self._is_subfolder(item, path):
                        folders.append(path)
                    elif self.matches(item.name) and (entry := self.look(path)) is not None:
                        yield entry

    def subfolders(self, subfolder: str = "") -> Iterator[str]:
        """`subfolder` and, when recursive, every folder below it that belongs to the source."""
        yield subfolder
        if not self.recursive:
            return
        folders = [subfolder]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self.root / folder) as listing:
                    paths = [(item, f"{folder}/{item.name}" if folder else item.name) for item in listing]
                    found = [path for item, path in paths if self._is_subfolder(item, path)]
            except OSError:
                continue  # vanished meanwhile; the next scan tells
            folders += found
            yield from found

    def matches(self, name: str) -> bool:
        """Whether a file of this name is an image by the patterns."""
        lowered = name.lower()
        if lowered.startswith(".") or lowered.endswith(TEMPORARY_SUFFIXES):
            return False
        return any(fnmatchcase(lowered, pattern) for pattern in self._patterns)

    def look(self, path: str) -> Entry | None:
        """One file as it is now; None if it is gone, no regular file, or a link that leads outside."""
        place = self.root / path
        try:
            status = place.lstat()
            if stat.S_ISLNK(status.st_mode):
                if not place.resolve().is_relative_to(self.root.resolve()):
                    self.complain(path, "is a symbolic link that leads out of the watched folder: refused")
                    return None
                status = place.stat()
        except (OSError, RuntimeError):  # RuntimeError: symbolic links in a circle
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return Entry(path, status.st_size, status.st_mtime_ns)

    def is_link(self, path: str) -> bool:
        """Whether the name is one of several for the file (a hard or symbolic link), which nobody writes through."""
        try:
            status = (self.root / path).lstat()
        except OSError:
            return False
        return stat.S_ISLNK(status.st_mode) or status.st_nlink > 1

    def complain(self, path: str, text: str) -> None:
        """Log once per path."""
        if path not in self._complained and len(self._complained) < _REMEMBERED_COMPLAINTS:
            self._complained.add(path)
            _log.warning("%s: %r %s", self.root, path, text)

    def takes_folder(self, path: str) -> bool:
        """Whether a folder, whose parent belongs to the source, belongs to it too."""
        if not self.recursive or path.rsplit("/", 1)[-1].startswith("."):
            return False
        return not self._excluded or os.path.realpath(self.root / path) not in self._excluded

    def _is_subfolder(self, item: os.DirEntry[str], path: str) -> bool:
        return item.is_dir(follow_symlinks=False) and self.takes_folder(path)


def _mount_point(folder: Path) -> Path:
    """The mount point that a folder is on."""
    place = folder.resolve()
    while not place.is_mount():
        place = place.parent
    return place
