"""From a file to what can be delivered: its bytes read unchanged, its identity, its pixels or the reason why not."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.camera.folder.intake import Mark
from edge_runtime.domain.errors import ImageError
from edge_runtime.domain.frame import Exposure, FileIdentity
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.camera.folder.scanner import Entry

MAX_FILE_BYTES = 1 << 30
"""Larger files are not images of parts; they are refused instead of being read into memory."""

_CHUNK_BYTES = 1 << 20
_MARK_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Content:
    """A file read from beginning to end while it did not change."""

    identity: FileIdentity
    data: bytes | None
    """None where the file is larger than `MAX_FILE_BYTES`."""

    @property
    def mark(self) -> Mark:
        """What the intake remembers of it."""
        file = self.identity
        return Mark(file.size_bytes, file.mtime_ns, file.digest[:_MARK_DIGITS])


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file ready for delivery: an exposure, or the reason why there is none."""

    path: str
    """As the file system knows it, relative to the watched folder."""
    part_id: str
    identity: FileIdentity
    exposure: Exposure | None
    fault: str


def read_content(root: Path, entry: Entry) -> Content | None:
    """Read a file; None if it differs from `entry` or changed while being read.

    Raises:
        OSError: it cannot be opened or read.
    """
    digest = hashlib.sha256()
    chunks: list[bytes] = []
    # Not blocking on a named pipe that took the file's place.
    descriptor = os.open(root / entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        size = 0
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if size <= MAX_FILE_BYTES:
                chunks.append(chunk)
        status = os.fstat(descriptor)
    if (size, status.st_size, status.st_mtime_ns) != (entry.size_bytes, entry.size_bytes, entry.mtime_ns):
        return None
    identity = FileIdentity(printable(entry.path), entry.size_bytes, entry.mtime_ns, digest.hexdigest())
    return Content(identity, b"".join(chunks) if size <= MAX_FILE_BYTES else None)


def decode_content(content: Content) -> tuple[Exposure | None, str]:
    """The pixels, or None and what is wrong with the file."""
    if content.data is None:
        return None, f"{content.identity.path} has {content.identity.size_bytes} bytes: too large for an image"
    try:
        return decode_image(content.data).array, ""
    except ImageError as error:
        return None, f"{content.identity.path}: {error.what} ({error.action})"


def part_id_for(identity: FileIdentity, *, again: bool) -> str:
    """The path; when it comes again with other content, a suffix keeps the part id unique."""
    return f"{identity.path}@{identity.digest[:8]}-{identity.mtime_ns:x}" if again else identity.path


def printable(path: str) -> str:
    r"""The path as valid Unicode: bytes that are no UTF-8 appear as \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
