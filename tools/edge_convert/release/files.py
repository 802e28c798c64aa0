"""Files of the release station: whole and durable, or not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.durable import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def write_new(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file that must not exist yet, durably.

    Raises:
        ConfigError: it exists, or cannot be written.
    """
    if path.exists():
        raise ConfigError(f"{path} exists", "Nothing was changed; choose another place.")
    write_blocks(path, [content], mode=mode)


def write_blocks(path: Path, blocks: Iterable[bytes], *, mode: int = 0o644) -> None:
    """Write a file or replace it, durably: afterwards it is the new one, or on any failure what it was before.

    Raises:
        ConfigError: it cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            for block in blocks:
                file.write(block)
            with contextlib.suppress(PermissionError):  # FAT has no modes
                os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, path)
        temporary = None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", "Check the folder, its permissions and free space."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def read_file(path: Path) -> bytes:
    """Content of a file of the station.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "Check the release station's folder.") from error


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the station: whoever comes second is told so.

    Raises:
        ConfigError: somebody else is at it, or the folder cannot be written.
    """
    try:
        file = (folder / ".lock").open("wb")
    except OSError as error:
        raise ConfigError(f"{folder} is no release station: {error.strerror}", "Name it with --station.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"somebody else is working with {folder}", "Wait until they are done.") from error
        yield
