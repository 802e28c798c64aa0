"""What may be on a disk after a power cut, given the writes and syncs that came before it.

The model is harsher than ext4. A file's content is certain up to its last sync; of every write after that, each sector
of 512 bytes may have arrived or not, independently and in any order; so may each change of size. A folder's entries
(created, renamed, removed) are certain up to the folder's last sync; of later changes a first part has arrived.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

SECTOR = 512
_HEAD = struct.Struct("<cIIqQ")


@dataclass(frozen=True, slots=True)
class Operation:
    """One recorded call."""

    kind: str
    """w write, t truncate, s sync, c create, r rename, u unlink, d sync of a folder, m make a folder, k remove one."""
    path: str
    other: str
    at: int
    data: bytes


def read_operations(log: Path) -> Iterator[Operation]:
    """In the order in which they happened."""
    content, place = log.read_bytes(), 0
    while place < len(content):
        kind, first, second, at, size = _HEAD.unpack_from(content, place)
        place += _HEAD.size
        path, place = content[place : place + first].decode(), place + first
        other, place = content[place : place + second].decode(), place + second
        data, place = content[place : place + size], place + size
        yield Operation(kind.decode(), path, other, at, data)


@dataclass(slots=True)
class StoredFile:
    """A file's content: what is certain, and what was written since."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        """All of it is certain now."""
        for written in self.pending:
            _write(self.content, written)
        self.pending.clear()

    def whole(self) -> bytes:
        """All that was written, as a program sees it."""
        content = bytearray(self.content)
        for written in self.pending:
            _write(content, written)
        return bytes(content)

    def found(self, drawn: random.Random) -> bytes:
        """One of the contents that may be found after a power cut."""
        return bytes(_found(self, drawn))


class RecordedDisk:
    """A folder's files as they become, operation by operation."""

    def __init__(self) -> None:
        self._names: dict[str, StoredFile] = {}
        self._certain: dict[str, StoredFile] = {}
        self._changes: list[tuple[Operation, StoredFile | None]] = []

    def apply(self, operation: Operation) -> None:
        """The next operation."""
        match operation.kind:
            case "c" | "r" | "u":
                created = StoredFile() if operation.kind == "c" else None
                _change(self._names, operation, created)
                self._changes.append((operation, created))
            case "w" | "t":
                self._file(operation.path).pending.append(operation)
            case "s":
                self._file(operation.path).sync()
            case "d":
                self._certain = dict(self._names)
                self._changes.clear()

    def after_power_cut(self, drawn: random.Random) -> dict[str, bytes]:
        """Names below the root and contents, one of the ways in which the disk can be found."""
        names = dict(self._certain)
        for operation, created in self._changes[: drawn.randint(0, len(self._changes))]:
            _change(names, operation, created)
        return {name: file.found(drawn) for name, file in names.items()}

    def _file(self, path: str) -> StoredFile:
        """A file that was there before the recording began counts as created and empty."""
        name = Path(path).name
        if name not in self._names:
            self._names[name] = self._certain[name] = StoredFile()
        return self._names[name]


def _change(names: dict[str, StoredFile], operation: Operation, file: StoredFile | None) -> None:
    """Args: file: the created one; its content lives on its own, whether its name arrives or not."""
    name, other = Path(operation.path).name, Path(operation.other).name
    if operation.kind == "c" and file is not None:
        names[name] = file
    elif operation.kind == "u":
        names.pop(name, None)
    elif (moved := names.pop(name, None)) is not None:
        names[other] = moved


def _found(file: StoredFile, drawn: random.Random) -> bytearray:
    content = bytearray(file.content)
    share = drawn.choice((0.0, 0.5, 0.9, 1.0))
    for operation in file.pending:
        if operation.kind == "t":
            if drawn.random() < share:
                _write(content, operation)
            continue
        for start in range(0, len(operation.data), SECTOR):
            if drawn.random() < share:
                piece = operation.data[start : start + SECTOR]
                _write(content, Operation("w", "", "", operation.at + start, piece))
    return content


def _write(content: bytearray, operation: Operation) -> None:
    if operation.kind == "t":
        if operation.at <= len(content):
            del content[operation.at :]
        else:
            content.extend(bytes(operation.at - len(content)))
        return
    if operation.at > len(content):
        content.extend(bytes(operation.at - len(content)))
    content[operation.at : operation.at + len(operation.data)] = operation.data


def write_out(files: dict[str, bytes], folder: Path, leave_out: Sequence[str]) -> None:
    """Put the files into an empty folder; those that end as in `leave_out` are made anew by their program."""
    for name, content in files.items():
        if not name.endswith(tuple(leave_out)):
            (folder / name).write_bytes(content)
