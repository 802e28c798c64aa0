"""Evidence images on disk: a byte quota, oldest first; nothing else suffers when the disk is full."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.domain.errors import LedgerError
from edge_runtime.domain.text import writable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_AT_ONCE = 256
"""So many images make way in one go; the rest a moment later."""
MAX_NAME_CHARS = 120
DRAFT_SUFFIX = ".draft"
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


class _Kept(NamedTuple):
    name: str
    """Relative to the folder. Text and no Path, and a tuple: a full quota holds tens of thousands of them."""
    size_bytes: int


class EvidenceStore:
    """Keeps files under `folder` until together they exceed the quota; then the oldest go. Used by one thread."""

    def __init__(self, folder: Path, quota_bytes: int, keep_free_bytes: int) -> None:
        """Count what is there, by its directory entries alone.

        Args:
            folder: created if missing.
            quota_bytes: most bytes of content that stay.
            keep_free_bytes: nothing is saved that would leave less free space than this on the disk: the ledger is on
                it, too, and matters more.

        Raises:
            LedgerError: the folder cannot be made or read.
        """
        self._folder = folder
        self._quota_bytes = quota_bytes
        self._keep_free_bytes = keep_free_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = sorted(_survey(folder))
        except OSError as error:
            raise _refused(folder, error) from error
        self._kept = deque(kept for _, _, kept in found)
        self._used_bytes = sum(kept.size_bytes for kept in self._kept)
        self._trim(0)

    @property
    def used_bytes(self) -> int:
        """Bytes of content kept now."""
        return self._used_bytes

    @property
    def count(self) -> int:
        """Files kept now."""
        return len(self._kept)

    def save(self, name: str, content: bytes) -> Path:
        """Store one file; it appears complete or not at all. After a power cut a recent one may be missing or empty.

        Args:
            name: path relative to the folder, with forward slashes. Whatever it holds, the file stays inside the
                folder: see `safe_name`. An existing file of that name is replaced.
            content: the bytes, at most the quota.

        Returns:
            Where it is.

        Raises:
            LedgerError: larger than the quota, too little space, or the disk refuses. What was kept stays.
        """
        if len(content) > self._quota_bytes:
            raise LedgerError(
                f"evidence {name!r} has {len(content)} bytes, the whole quota is {self._quota_bytes}",
                "Raise evidence.quota_mb, or lower evidence.max_side_px.",
            )
        kept = _Kept(safe_name(name), len(content))
        target = self._folder / kept.name
        self._trim(len(content))
        replaces = target.exists()
        try:
            self._leave_room(len(content))
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, content)
        except OSError as error:
            raise _refused(self._folder, error) from error
        if replaces:
            self._forget(kept.name)
        self._kept.append(kept)
        self._used_bytes += kept.size_bytes
        return target

    def make_way(self) -> int:
        """Drop the oldest images until so much is free as is to be kept free; returns how many went.

        Raises:
            LedgerError: the disk refuses.
        """
        dropped = 0
        try:
            while self._kept and dropped < MOST_AT_ONCE and self._free_bytes() < self._keep_free_bytes:
                self._drop_oldest()
                dropped += 1
        except OSError as error:
            raise _refused(self._folder, error) from error
        return dropped

    def _trim(self, coming_bytes: int) -> None:
        try:
            while self._kept and self._used_bytes + coming_bytes > self._quota_bytes:
                self._drop_oldest()
        except OSError as error:
            raise _refused(self._folder, error) from error

    def _drop_oldest(self) -> None:
        oldest = self._kept[0]
        path = self._folder / oldest.name
        path.unlink(missing_ok=True)
        self._kept.popleft()
        self._used_bytes -= oldest.size_bytes
        self._drop_empty(path.parent)

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    def _drop_empty(self, folder: Path) -> None:
        while folder != self._folder:
            with suppress(OSError):  # not empty, or somebody else removed it: both are fine
                folder.rmdir()
            folder = folder.parent

    def _forget(self, name: str) -> None:
        for kept in self._kept:
            if kept.name == name:
                self._kept.remove(kept)
                self._used_bytes -= kept.size_bytes
                return

    def _leave_room(self, coming_bytes: int) -> None:
        for _ in range(MOST_AT_ONCE):
            if not self._kept or self._free_bytes() - coming_bytes >= self._keep_free_bytes:
                break
            self._drop_oldest()
        free = self._free_bytes()
        if free - coming_bytes < self._keep_free_bytes:
            raise LedgerError(
                f"only {free // 1_000_000} MB are free for {self._folder}: no evidence is kept",
                f"Free space on that disk ({self._keep_free_bytes // 1_000_000} MB stay free for the ledger), or "
                "lower evidence.quota_mb.",
            )


def safe_name(name: str) -> str:
    """`name` as a relative path of ordinary file names: letters, digits, dot, dash, underscore.

    Different names stay different: where a part had to be changed or cut, a digest of the original is added before
    its suffix. `..`, absolute paths, control characters, and names beyond the file system's length cannot come out.
    """
    parts = [_safe_part(part) for part in name.split("/") if part not in {"", "."}]
    return "/".join(parts) or _safe_part("")


def _safe_part(part: str) -> str:
    plain = _ODD.sub("_", part).lstrip(".")
    if plain == part and 0 < len(plain) <= MAX_NAME_CHARS and not plain.endswith(DRAFT_SUFFIX):
        return part
    stem, dot, suffix = plain.rpartition(".")
    stem, suffix = (stem, f".{suffix}") if dot and len(suffix) <= 5 else (plain, "")  # noqa: PLR2004  (".jpeg")
    mark = hashlib.sha256(writable(part).encode()).hexdigest()[:12]
    return f"{stem[: MAX_NAME_CHARS - len(suffix) - len(mark) - 1]}-{mark}{suffix}"


def _survey(folder: Path) -> Iterator[tuple[int, str, _Kept]]:
    """(mtime in ns, name, file) of everything kept; drafts of an interrupted save are removed."""
    for place, _, names in os.walk(folder):
        for file_name in names:
            path = folder.__class__(place, file_name)
            if file_name.endswith(DRAFT_SUFFIX):
                path.unlink(missing_ok=True)
                continue
            about = path.lstat()
            name = path.relative_to(folder).as_posix()
            yield about.st_mtime_ns, name, _Kept(name, about.st_size)


def _write(target: Path, content: bytes) -> None:
    draft = target.with_name(target.name + DRAFT_SUFFIX)
    try:
        # No fsync: an image is worth less than the wear and the stall on an SD card.
        draft.write_bytes(content)
        draft.replace(target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _refused(folder: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"evidence cannot be kept in {folder}: {error}", "Check that disk: space, permissions, mounted writable."
    )
