"""Which files are new, and which of them are complete. Pure bookkeeping: no I/O, no clock, one thread."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.camera.folder.scanner import Entry

OPEN_WRITE_PATIENCE_NS = 30_000_000_000
"""A file that the kernel saw created but not closed is being written: so long must it rest before we doubt that."""

_SPARE_MARKS = 10_000
"""Marks of files that are gone: enough for names that begin again after 9999."""
_REST = struct.Struct("<qq")
"""Size and modification time; the digest's bytes come behind it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is remembered of a file that was dealt with."""

    size_bytes: int
    mtime_ns: int
    digest: str | None
    """Leading hexadecimal digits of the content's SHA-256, an even number; None for a file that was skipped unread."""


@dataclass(frozen=True, slots=True)
class _Sighting:
    entry: Entry
    since_ns: int
    patience_ns: int


class Intake:
    """Sorts sightings of files into known, waiting for stability, and ready.

    A file becomes ready at once when it is known to be complete (closed after writing, renamed into the folder), else
    when its size and modification time rest for `stable_ns`. Memory is bounded by what the folder holds.
    """

    def __init__(self, stable_ns: int) -> None:
        self._stable_ns = stable_ns
        self._known: dict[int, bytes] = {}
        """Hash of the path → the mark, packed: thousands of them are held. Paths with one hash would be taken for one
        file that changed, which is harmless."""
        self._waiting: dict[str, _Sighting] = {}
        self._ready: dict[str, Entry] = {}
        self._due_ns = math.inf

    def complete(self, entry: Entry) -> None:
        """The file was closed after writing or renamed into place: it is ready."""
        self._waiting.pop(entry.path, None)
        self._ready[entry.path] = entry

    def sight(self, entry: Entry, now_ns: int, patience_ns: int | None = None) -> None:
        """The file was seen; it becomes ready when it has rested (for `patience_ns` rather than the usual)."""
        if entry.path in self._ready or self.is_known(entry):
            return
        before = self._waiting.get(entry.path)
        if before is not None and before.entry == entry and patience_ns is None:
            return
        if patience_ns is None:
            patience_ns = self._stable_ns if before is None else before.patience_ns
        self._wait(entry, now_ns, patience_ns)

    def mature(self, now_ns: int, look: Callable[[str], Entry | None]) -> None:
        """Look again at what has waited long enough: unchanged files become ready, oldest first, then by name."""
        due = [sighting for sighting in self._waiting.values() if sighting.since_ns + sighting.patience_ns <= now_ns]
        rested = []
        for sighting in due:
            current = look(sighting.entry.path)
            if current == sighting.entry:
                rested.append(current)
            del self._waiting[sighting.entry.path]
            if current is not None and current != sighting.entry:
                self._wait(current, now_ns, sighting.patience_ns)
        self._due_ns = min((s.since_ns + s.patience_ns for s in self._waiting.values()), default=math.inf)
        for entry in sorted(rested, key=lambda entry: (entry.mtime_ns, entry.path)):
            self._ready[entry.path] = entry

    def next_due_ns(self) -> float:
        """When `mature` may have something to look at; infinity if nothing waits."""
        return self._due_ns

    def take(self) -> Entry | None:
        """The next ready file."""
        path = next(iter(self._ready), None)
        return None if path is None else self._ready.pop(path)

    def expects(self, path: str) -> bool:
        """Whether the file waits or is ready."""
        return path in self._waiting or path in self._ready

    def remember(self, path: str, mark: Mark) -> None:
        """The file in this state was dealt with."""
        digest = b"" if mark.digest is None else bytes.fromhex(mark.digest)
        self._known[hash(path)] = _REST.pack(mark.size_bytes, mark.mtime_ns) + digest

    def mark_of(self, path: str) -> Mark | None:
        """What was dealt with under this name before."""
        packed = self._known.get(hash(path))
        if packed is None:
            return None
        size_bytes, mtime_ns = _REST.unpack_from(packed)
        return Mark(size_bytes, mtime_ns, packed[_REST.size :].hex() or None)

    def is_known(self, entry: Entry) -> bool:
        """Whether the file was dealt with and has not changed since, as far as the directory shows."""
        packed = self._known.get(hash(entry.path))
        return packed is not None and _REST.unpack_from(packed) == (entry.size_bytes, entry.mtime_ns)

    def is_crowded(self, present: int) -> bool:
        """Whether far more is remembered than the folder holds, so that `forget` is worth a scan."""
        return len(self._known) > 2 * present + _SPARE_MARKS

    def forget(self, present: set[str]) -> None:
        """Drop what is remembered of files that are gone."""
        hashes = {hash(path) for path in present}
        self._known = {path: mark for path, mark in self._known.items() if path in hashes}

    def _wait(self, entry: Entry, now_ns: int, patience_ns: int) -> None:
        self._waiting[entry.path] = _Sighting(entry, now_ns, patience_ns)
        self._due_ns = min(self._due_ns, now_ns + patience_ns)
