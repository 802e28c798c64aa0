"""Bytes of a release on their way into the store: never more than was signed, never into the disk's reserve, synced."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.bundles.store_files import BUNDLE
from edge_runtime.bundles.store_schema import give_to_owner
from edge_runtime.domain.errors import Refusal, TrustError, UpdateError
from edge_runtime.ops.durable import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge_runtime.bundles.store_files import StoreFiles

LOOK_BYTES: Final = 16 << 20
"""After so many bytes the free space is looked at again, and what came is on the disk."""


@dataclass(frozen=True, slots=True)
class Staging:
    """One release being copied into the store's file system, by who holds the store's lock."""

    files: StoreFiles
    digest: str
    length_bytes: int
    """Of the whole file, as it follows from what is signed."""
    reserve_bytes: int
    """Room on the disk that is left alone."""

    @property
    def path(self) -> Path:
        """Our copy."""
        return self.files.staging / self.digest / BUNDLE

    def require_room(self) -> None:
        """Before a byte is read.

        Raises:
            UpdateError: it would not leave the reserve.
            OSError: the disk does not answer.
        """
        free = shutil.disk_usage(self.files.root).free
        if free < self.length_bytes + self.reserve_bytes:
            raise self._full(f"{_mb(self.length_bytes)} are to be copied, and {_mb(free)} are free")

    def fill(self, blocks: Iterable[bytes]) -> None:
        """Copy and sync the file and its folder.

        Raises:
            TrustError: it does not end where what is signed ends.
            UpdateError: the disk is full, or fills up down to the reserve.
            OSError: the disk fails.
            BundleError: whatever `blocks` raises.
        """
        folder = self.path.parent
        folder.mkdir(mode=0o755)
        give_to_owner(folder)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            give_to_owner(self.path)
            try:
                self._write(file.fileno(), blocks)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise self._full("it filled up while the release was copied") from error
                raise
            os.fsync(file.fileno())
        sync_folder(folder)
        sync_folder(folder.parent)

    def place(self) -> Path:
        """Put it into the store under its digest; both parents are synced. The release's file there.

        Raises:
            OSError: the disk fails.
        """
        target = self.files.bundle(self.digest).parent
        self.path.parent.rename(target)
        sync_folder(target.parent)
        sync_folder(self.files.staging)
        return target / BUNDLE

    def _write(self, descriptor: int, blocks: Iterable[bytes]) -> None:
        written, look_at = 0, LOOK_BYTES
        for block in blocks:
            written += len(block)
            if written > self.length_bytes:
                raise self._other_length("goes on behind")
            view = memoryview(block)
            while view:
                view = view[os.write(descriptor, view) :]
            if written >= look_at:
                look_at = written + LOOK_BYTES
                os.fdatasync(descriptor)
                self._keep_reserve(written)
        if written != self.length_bytes:
            raise self._other_length("ends before")

    def _keep_reserve(self, written: int) -> None:
        free = shutil.disk_usage(self.files.root).free
        if free < self.length_bytes - written + self.reserve_bytes:
            raise self._full("something else is filling it")

    def _full(self, why: str) -> UpdateError:
        return UpdateError(
            f"the disk of {self.files.root} has no room for the release: {why}; {_mb(self.reserve_bytes)} stay free",
            "Free space there, or lower updates.disk_reserve_mb or updates.keep_versions. Nothing was changed.",
        )

    def _other_length(self, how: str) -> TrustError:
        return TrustError(
            Refusal.MIXED,
            f"the release {how} its signed length of {self.length_bytes} bytes",
            "Do not use it: copy it again from the release station.",
        )


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB"
