"""Files and names that survive a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: the file system refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file, or over it; its content is durable on return, its name is not yet.

    Raises:
        OSError: the disk is full or refuses.
    """
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(source: Path, target: Path) -> None:
    """Rename a synced file within its folder, durably.

    Raises:
        OSError: the file system refuses.
    """
    source.replace(target)
    sync_folder(target.parent)


def put_in_place(path: Path, content: bytes, draft: Path) -> None:
    """Replace a file as a whole: durable on return, and what it was before until then.

    Args:
        path: of the file.
        content: what it is to hold.
        draft: written first; in the same folder. May be left behind after an error.

    Raises:
        OSError: the disk is full or refuses.
    """
    write_synced(draft, content)
    replace_file(draft, path)
