"""What may be on a disk with folders after a power cut; files as in `recorded_disk`.

The model is harsher than ext4: each folder's entries are certain up to that very folder's last sync, and of its later
changes a first part has arrived, whatever became of other folders. A rename between two folders may have arrived in
either alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias

from recorded_disk import StoredFile

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from pathlib import Path

    from recorded_disk import Operation

Node: TypeAlias = "StoredFile | StoredFolder"
Found: TypeAlias = "Mapping[str, bytes | None]"
"""Path below the root → content; None: a folder."""


@dataclass(slots=True)
class StoredFolder:
    """A folder's entries: as programs see them, as they are certain, and the changes between the two."""

    now: dict[str, Node] = field(default_factory=dict)
    certain: dict[str, Node] = field(default_factory=dict)
    changes: list[dict[str, Node | None]] = field(default_factory=list)

    def apply(self, change: dict[str, Node | None]) -> None:
        """Entries that come (or go: None) in one step."""
        _apply(self.now, change)
        self.changes.append(change)

    def sync(self) -> None:
        """All entries are certain now."""
        self.certain = dict(self.now)
        self.changes.clear()


class RecordedTree:
    """A folder's files as they become, operation by operation."""

    def __init__(self, root: Path) -> None:
        self._root = PurePath(root)
        self._top = StoredFolder()

    def apply(self, operation: Operation) -> None:
        """The next operation."""
        path = PurePath(operation.path)
        match operation.kind:
            case "c":
                self._folder(path.parent).apply({path.name: StoredFile()})
            case "m":
                self._folder(path.parent).apply({path.name: StoredFolder()})
            case "u" | "k":
                self._folder(path.parent).apply({path.name: None})
            case "r":
                self._rename(path, PurePath(operation.other))
            case "w" | "t":
                self._file(path).pending.append(operation)
            case "s":
                self._file(path).sync()
            case "d":
                self._folder(path).sync()

    def as_it_is(self) -> Found:
        """What the next process finds: the same machine, or a killed program."""
        return _walk(self._top, "", None)

    def after_power_cut(self, drawn: random.Random) -> Found:
        """One of the ways in which the disk can be found."""
        return _walk(self._top, "", drawn)

    def _rename(self, old: PurePath, new: PurePath) -> None:
        source, target = self._folder(old.parent), self._folder(new.parent)
        node = source.now[old.name]
        if source is target:
            source.apply({old.name: None, new.name: node})
        else:
            target.apply({new.name: node})
            source.apply({old.name: None})

    def _folder(self, path: PurePath) -> StoredFolder:
        node = self._node(path)
        assert isinstance(node, StoredFolder), path
        return node

    def _file(self, path: PurePath) -> StoredFile:
        node = self._node(path)
        assert isinstance(node, StoredFile), path
        return node

    def _node(self, path: PurePath) -> Node:
        node: Node = self._top
        for name in path.relative_to(self._root).parts:
            assert isinstance(node, StoredFolder), path
            node = node.now[name]
        return node


def _apply(entries: dict[str, Node], change: Mapping[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _walk(folder: StoredFolder, prefix: str, drawn: random.Random | None) -> dict[str, bytes | None]:
    entries = folder.now
    if drawn is not None:
        entries = dict(folder.certain)
        for change in folder.changes[: drawn.randint(0, len(folder.changes))]:
            _apply(entries, change)
    found: dict[str, bytes | None] = {}
    for name, node in entries.items():
        if isinstance(node, StoredFolder):
            found[prefix + name] = None
            found |= _walk(node, f"{prefix}{name}/", drawn)
        else:
            found[prefix + name] = node.whole() if drawn is None else node.found(drawn)
    return found


def write_out_tree(found: Found, folder: Path) -> None:
    """Put it into an empty folder; SQLite's shared memory is made anew by SQLite."""
    for name, content in found.items():
        if content is None:
            (folder / name).mkdir()
        elif not name.endswith("-shm"):
            (folder / name).write_bytes(content)
