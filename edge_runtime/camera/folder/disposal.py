"""What happens to a file once its verdict is committed: keep, move or delete; faulty ones are always kept aside."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edge_runtime.config.camera import AfterInspection

if TYPE_CHECKING:
    from edge_runtime.camera.folder.health import FolderHealth
    from edge_runtime.domain.frame import FileIdentity

_log = logging.getLogger(__name__)


class Disposal:
    """Settles files; a failure is reported in the health and never raised. Thread-safe.

    Sound files are kept, moved to `done` or deleted. Faulty ones go to `faulty`: moved there, or copied where the
    watched folder is to stay as it is (`keep`). Nothing in `done` or `faulty` is ever overwritten. A file that was
    written again since it was inspected is a new part and stays.
    """

    def __init__(self, root: Path, after: AfterInspection, done: Path, faulty: Path, health: FolderHealth) -> None:
        self._root = root
        self._after = after
        self._done = done
        self._faulty = faulty
        self._health = health

    def settle(self, path: str, identity: FileIdentity, *, faulty: bool) -> None:
        """The verdict on this file is committed."""
        if self._after is AfterInspection.KEEP and not faulty:
            return
        try:
            status = (self._root / path).stat()
            if (status.st_size, status.st_mtime_ns) != (identity.size_bytes, identity.mtime_ns):
                _log.info("%s was written again since its inspection: left where it is as a new part", identity.path)
                return
            self._dispose(path, identity, faulty=faulty)
        except OSError as error:
            self._health.trouble(
                "disposal",
                f"{identity.path} could not be {self._intention(faulty=faulty)}: {error.strerror}"
                " (check the permissions and free space; it is tried again at the next start)",
            )
        else:
            self._health.mended("disposal")

    def _dispose(self, path: str, identity: FileIdentity, *, faulty: bool) -> None:
        source = self._root / path
        if faulty and self._after is AfterInspection.KEEP:
            _copy_aside(source, self._faulty, path, identity.digest)
        elif faulty:
            _move_aside(source, self._faulty, path, identity.digest)
        elif self._after is AfterInspection.MOVE:
            _move_aside(source, self._done, path, identity.digest)
        else:
            source.unlink()

    def _intention(self, *, faulty: bool) -> str:
        if faulty:
            return f"kept aside in {self._faulty}"
        return f"moved to {self._done}" if self._after is AfterInspection.MOVE else "deleted"


def _move_aside(source: Path, folder: Path, path: str, digest: str) -> None:
    target = _reserve(folder, path, digest)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            target.unlink(missing_ok=True)
            raise
        _copy_over(source, target)
        source.unlink()


def _copy_aside(source: Path, folder: Path, path: str, digest: str) -> None:
    _copy_over(source, _reserve(folder, path, digest))


def _copy_over(source: Path, target: Path) -> None:
    """Copy onto a reserved name, so that a power cut leaves no half file under it that looks whole."""
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.copy2(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
        raise


def _reserve(folder: Path, path: str, digest: str) -> Path:
    """An empty file of our own under a name that was free: the path, or the path with a suffix."""
    wanted = folder / PurePosixPath(path)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    suffixes = itertools.chain(("", f"-{digest[:8]}"), (f"-{digest[:8]}-{n}" for n in itertools.count(2)))
    for suffix in suffixes:
        target = wanted.with_name(f"{wanted.stem}{suffix}{wanted.suffix}")
        with contextlib.suppress(FileExistsError):
            target.touch(exist_ok=False)
            return target
    raise AssertionError  # unreachable: the count has no end
