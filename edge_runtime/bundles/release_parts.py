"""A bundle file as a stick carries it: one file, or parts of it where the file system has no files over 4 GB."""

from __future__ import annotations

import io
import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

PARTS_LIMIT: Final = 999

_NUMBER: Final = 3
"""Digits behind the last dot of a part's name."""


def part_path(path: Path, number: int) -> Path:
    """Where part `number` (from 1) of a bundle lies: `part.bundle.001`."""
    return path.with_name(f"{path.name}.{number:0{_NUMBER}}")


def open_whole(path: Path) -> tuple[BinaryIO, int]:
    """Open a bundle file, or its parts as if they were one file.

    Args:
        path: the file, its first part (`….001`), or the name that the parts have in common.

    Returns:
        The file, read-only and seekable, and its size in bytes.

    Raises:
        BundleError: missing, not an ordinary file, or it cannot be opened.
    """
    whole = path.with_name(path.name[: -_NUMBER - 1]) if path.suffix == f".{1:0{_NUMBER}}" else path
    if whole == path and not part_path(path, 1).exists():
        file, size = _open_regular(path)
        return file, size
    with ExitStack() as undo:
        parts: list[tuple[BinaryIO, int]] = []
        while len(parts) < PARTS_LIMIT and (following := part_path(whole, len(parts) + 1)).exists():
            parts.append(_open_regular(following))
            undo.enter_context(parts[-1][0])
        if not parts:
            raise BundleError(f"the bundle {path} does not exist", "Check the path.")
        undo.pop_all()
    return io.BufferedReader(_Parts(parts)), sum(size for _, size in parts)


def _open_regular(path: Path) -> tuple[BinaryIO, int]:
    try:
        # O_NONBLOCK: a FIFO on a strange stick must not hold us
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BundleError(
            f"the bundle {path} cannot be opened: {error.strerror}", "Check the path and its permissions."
        ) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise BundleError(f"the bundle {path} is not an ordinary file", "Name a bundle made by `edge-convert`.")
    return os.fdopen(descriptor, "rb"), found.st_size


class _Parts(io.RawIOBase):
    """Files one behind the other."""

    def __init__(self, parts: Sequence[tuple[BinaryIO, int]]) -> None:
        super().__init__()
        self._parts = parts
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: sum(size for _, size in self._parts)}[whence]
        if base + offset < 0:
            raise OSError(22, "seek before the beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than Buffer
        begin = 0
        for file, size in self._parts:
            if self._position < begin + size:
                file.seek(self._position - begin)
                content = file.read(min(len(buffer), begin + size - self._position))
                buffer[: len(content)] = content
                self._position += len(content)
                return len(content)
            begin += size
        return 0

    def close(self) -> None:
        for file, _ in self._parts:
            file.close()
        super().close()
