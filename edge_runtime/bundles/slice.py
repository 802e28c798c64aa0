"""A format-1 bundle file as a source of a release: members are found by name and read in place, nothing is trusted."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Final, Self

from edge_runtime.bundles.manifest import MANIFEST_LIMIT_BYTES, parse_release
from edge_runtime.bundles.members import Member, read_member, scan
from edge_runtime.bundles.release_layout import MANIFEST_NAME, METADATA_FOLDER, PAYLOAD_FOLDER, metadata_count
from edge_runtime.bundles.release_parts import open_whole
from edge_runtime.domain.errors import BundleError, Refusal, TrustError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

CHUNK_BYTES: Final = 1 << 20

_RECOPY: Final = "Copy the file again from the release station; if that copy is refused too, do not use it."
_ALTERED: Final = "Do not use this file: it was altered, or not written by `edge-convert`."


class ReleaseFile:
    """A bundle file of format 1. A `ReleaseSource` and a context manager; the file stays open until `close`."""

    def __init__(self, file: BinaryIO, members: Sequence[Member], where: str) -> None:
        self._file = file
        self._members = {member.name: member for member in members}
        self._where = where
        self._lock = threading.Lock()
        self._manifest = self._whole(MANIFEST_NAME, MANIFEST_LIMIT_BYTES)
        terms = parse_release(self._manifest, where).terms
        if terms is None:
            raise BundleError(f"{where} holds a release.json that was never released", _ALTERED)
        self._product = terms.product

    @property
    def where(self) -> str:
        """The file."""
        return self._where

    @property
    def product(self) -> str:
        """As its release.json says."""
        return self._product

    @property
    def metadata_names(self) -> tuple[str, ...]:
        """Names of its metadata files, in file order."""
        return tuple(name.removeprefix(METADATA_FOLDER) for name in self._members if name.startswith(METADATA_FOLDER))

    def metadata(self, name: str, limit_bytes: int) -> bytes | None:
        """See `ReleaseSource`."""
        if METADATA_FOLDER + name not in self._members:
            return None
        return self._whole(METADATA_FOLDER + name, limit_bytes)

    def manifest(self, digest: str, size_bytes: int) -> bytes:
        """See `ReleaseSource`. Always the one that the file was opened with."""
        if len(self._manifest) != size_bytes or hashlib.sha256(self._manifest).hexdigest() != digest:
            raise TrustError(
                Refusal.MIXED,
                f"{self._where}: its release.json is not the one that is signed for {self._product!r}",
                _ALTERED,
            )
        return self._manifest

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`."""
        member = self._members.get(PAYLOAD_FOLDER + digest)
        if member is None:
            raise BundleError(f"{self._where} lacks a payload that its release.json lists ({digest[:16]}…)", _RECOPY)
        if member.size_bytes != size_bytes:
            raise BundleError(
                f"{self._where}: a payload has {member.size_bytes} bytes, {size_bytes} were signed", _ALTERED
            )
        for begin in range(0, size_bytes, CHUNK_BYTES):
            piece = Member(member.name, member.offset + begin, min(CHUNK_BYTES, size_bytes - begin))
            yield read_member(self._file, piece, self._where, self._lock)

    def _whole(self, name: str, limit_bytes: int) -> bytes:
        member = self._members[name]
        if member.size_bytes > limit_bytes:
            raise BundleError(
                f"{self._where}: {name} has {member.size_bytes} bytes, more than {limit_bytes}",
                "Do not use this file: no genuine one is that large.",
            )
        return read_member(self._file, member, self._where, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


def open_release_file(path: Path) -> ReleaseFile:
    """Open a bundle file of format 1 as a source; a file in parts (`part.bundle.001`, …) is read as one.

    Only headers, `release.json` and the layout are looked at; nothing is trusted and no payload is read.

    Raises:
        BundleError: missing, not of format 1, or its layout breaks the format's rules.
    """
    where = str(path)
    file, size = open_whole(path)
    try:
        members = scan(file, size, where)
        check_layout(members, where)
        return ReleaseFile(file, members, where)
    except OSError as error:
        file.close()
        raise BundleError(
            f"the bundle {where} cannot be read: {error.strerror}", "Check the storage medium."
        ) from error
    except BaseException:
        file.close()
        raise


def check_layout(members: Sequence[Member], where: str) -> int:
    """Metadata, `release.json`, payloads named by a digest, and nothing else.

    Returns:
        The number of metadata members at the beginning.

    Raises:
        BundleError: anything else.
    """
    names = [member.name for member in members]
    count = metadata_count(names)
    if count == 0:
        raise BundleError(
            f"{where} is not a signed bundle: it does not begin with metadata and {MANIFEST_NAME}",
            "Have it signed at the release station: `edge-convert release`.",
        )
    for name in names[count + 1 :]:
        digest = name.removeprefix(PAYLOAD_FOLDER)
        if digest == name or len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004 (SHA-256)
            raise BundleError(f"{where} contains {name!r}, which has no place in a bundle", _ALTERED)
    return count
