"""A bundle file, read in place: one uncompressed tar that is looked into, never unpacked. Formats 0 and 1."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from typing import TYPE_CHECKING, Final, Literal, Self

from edge_runtime.bundles.manifest import MANIFEST_LIMIT_BYTES, Release, parse_release, to_domain
from edge_runtime.bundles.members import BLOCK, Member, read_member, scan
from edge_runtime.bundles.release_layout import MANIFEST_NAME, PAYLOAD_FOLDER, contents, metadata_count
from edge_runtime.bundles.slice import check_layout
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from edge_runtime.domain.model_bundle import ModelBundle, PayloadRef

CHECKSUM_NAME: Final = "release.json.sha256"

_CHUNK_BYTES: Final = 1 << 20
_REMAKE: Final = "Copy the bundle again from where it was made; if that copy is refused too, make it again."


def checksum_text(manifest: bytes) -> bytes:
    """Content of `release.json.sha256`, as `sha256sum` writes it. Guards against damage, not against intent."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_NAME}\n".encode("ascii")


class ArchivePayloads:
    """Payloads of an open bundle, read in place and checked on every read. Thread-safe. A `PayloadReader`."""

    def __init__(self, file: BinaryIO, where: str, members: Mapping[str, Member]) -> None:
        self._file = file
        self._where = where
        self._members = members
        self._references: Mapping[str, PayloadRef] = {}
        self._lock = threading.Lock()  # seek and read belong together

    def expect(self, references: Mapping[str, PayloadRef]) -> None:
        """Say what the manifest promises; before this nothing can be read."""
        self._references = references

    def read(self, name: str) -> bytes:
        """The whole payload, its size and SHA-256 checked against the manifest.

        Raises:
            BundleError: unknown name, the content differs, the bundle was closed or cannot be read.
        """
        reference = self._references.get(name)
        if reference is None:
            raise BundleError(
                f"{self._where} has no payload {name!r}", f"It has: {', '.join(sorted(self._references)) or 'none'}."
            )
        content = read_member(self._file, self._members[name], self._where, self._lock)
        if hashlib.sha256(content).hexdigest() != reference.sha256:
            raise BundleError(f"{self._where}: {name!r} differs from its digest in the manifest", _REMAKE)
        return content


class OpenBundle:
    """A verified bundle. A context manager; `close` ends the reading of payloads, never the manifest's life."""

    def __init__(self, file: BinaryIO, manifest: ModelBundle, payloads: ArchivePayloads) -> None:
        self._file = file
        self.manifest: Final = manifest
        self.payloads: Final = payloads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()


def open_bundle(path: Path, *, trust: Literal["development", "production"]) -> OpenBundle:
    """Open a bundle and check all of it: layout, manifest, and the digest of every payload.

    With "development" a bundle of format 1 is opened without a look at its signatures.

    Raises:
        BundleError: missing, damaged, of another format, or `trust` is "production": then a bundle is not opened where
            it lies but installed (`open_release`).
    """
    where = str(path)
    with _opening(path) as file:
        members = scan(file, os.fstat(file.fileno()).st_size, where)
        signed = metadata_count([member.name for member in members]) > 0
        if trust == "production":
            _refuse_in_production(where, signed=signed)
        if signed:
            return _verify_release(file, members, where, trust, None)
        return _verify(file, members, where, trust)


def open_release(path: Path, *, digest: str) -> OpenBundle:
    """Open a bundle of format 1 in the device's store, whose signatures were checked when it was installed.

    Expiry plays no part: what was accepted goes on working.

    Args:
        path: the file in the store.
        digest: SHA-256 of the `release.json` that was accepted, hexadecimal; all payloads are checked against that.

    Raises:
        BundleError: missing, damaged, or another release.
    """
    with _opening(path) as file:
        members = scan(file, os.fstat(file.fileno()).st_size, str(path))
        return _verify_release(file, members, str(path), "production", digest)


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[BinaryIO]:
    """The open file; it stays open unless the block raises."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise BundleError(
            f"the bundle {path} cannot be opened: {error.strerror}",
            "Check the path (of a line: bundle.path) and its permissions.",
        ) from error
    try:
        yield file
    except OSError as error:
        file.close()
        raise BundleError(f"the bundle {path} cannot be read: {error.strerror}", "Check the storage medium.") from error
    except BaseException:
        file.close()
        raise


def _refuse_in_production(where: str, *, signed: bool) -> None:
    if signed:
        raise BundleError(
            f"{where} is signed, but this device uses only what it has verified and keeps itself",
            "Install it with `edge-runtime bundle install`, and name its product in [bundle] instead of a path.",
        )
    raise BundleError(
        f"{where} is a bundle of format 0, which is never signed, and this device trusts signed bundles only",
        'Use a signed bundle, or set trust = "development" in [bundle] on a device that is not in production.',
    )


def _verify(file: BinaryIO, members: Sequence[Member], where: str, trust: str) -> OpenBundle:
    release = _read_release(file, members, where)
    _check_members(release, members, where)
    manifest = to_domain(release, _file_digest(file), trust)
    return _opened(file, manifest, {member.name: member for member in members}, members, where)


def _verify_release(
    file: BinaryIO, members: Sequence[Member], where: str, trust: str, expected: str | None
) -> OpenBundle:
    place = check_layout(members, where)
    text = _read_manifest(file, members[place], where)
    digest = hashlib.sha256(text).hexdigest()
    if expected is not None and digest != expected:
        raise BundleError(f"{where} is not the release {expected[:16]}… that was accepted", _REMAKE)
    release = parse_release(text, where)
    if release.terms is None:
        raise BundleError(f"{where} holds a release.json that was never released", _REMAKE)
    manifest = to_domain(release, digest, trust)
    promised = [(PAYLOAD_FOLDER + one.sha256, one.size_bytes) for one in contents(manifest.payloads.values())]
    _compare_members(promised, [(member.name, member.size_bytes) for member in members[place + 1 :]], where)
    by_name = {member.name: member for member in members}
    places = {name: by_name[PAYLOAD_FOLDER + one.sha256] for name, one in manifest.payloads.items()}
    return _opened(file, manifest, places, members, where)


def _opened(
    file: BinaryIO, manifest: ModelBundle, places: Mapping[str, Member], members: Sequence[Member], where: str
) -> OpenBundle:
    payloads = ArchivePayloads(file, where, places)
    payloads.expect(manifest.payloads)
    for name in manifest.payloads:
        payloads.read(name)
    _check_padding(file, members, where)
    return OpenBundle(file, manifest, payloads)


def _read_release(file: BinaryIO, members: Sequence[Member], where: str) -> Release:
    if [member.name for member in members[:2]] != [MANIFEST_NAME, CHECKSUM_NAME]:
        raise BundleError(
            f"{where} does not begin with {MANIFEST_NAME} and {CHECKSUM_NAME}",
            "Name a bundle made by `edge-convert`; another kind of tar file cannot be used.",
        )
    text = _read_manifest(file, members[0], where)
    expected = checksum_text(text)
    if members[1].size_bytes != len(expected) or read_member(file, members[1], where, threading.Lock()) != expected:
        raise BundleError(f"{where}: {MANIFEST_NAME} differs from its checksum", _REMAKE)
    release = parse_release(text, where)
    if release.format != 0:
        raise BundleError(f"{where} has the layout of format 0 and a release.json of format {release.format}", _REMAKE)
    return release


def _read_manifest(file: BinaryIO, member: Member, where: str) -> bytes:
    if member.size_bytes > MANIFEST_LIMIT_BYTES:
        raise BundleError(
            f"{where}: {MANIFEST_NAME} has {member.size_bytes} bytes, more than {MANIFEST_LIMIT_BYTES}",
            "Do not use this file: no genuine manifest is that large.",
        )
    return read_member(file, member, where, threading.Lock())


def _check_members(release: Release, members: Sequence[Member], where: str) -> None:
    promised = [(payload.name, payload.size_bytes) for payload in release.payloads]
    _compare_members(promised, [(member.name, member.size_bytes) for member in members[2:]], where)


def _compare_members(promised: list[tuple[str, int]], found: list[tuple[str, int]], where: str) -> None:
    if promised == found:
        return
    if missing := [name for name, _ in promised if name not in {name for name, _ in found}]:
        raise BundleError(f"{where} lacks the payload {missing[0]!r} that its manifest lists", _REMAKE)
    if excess := [name for name, _ in found if name not in {name for name, _ in promised}]:
        raise BundleError(
            f"{where} contains {excess[0]!r}, which its manifest does not list", "Do not use this file: it was altered."
        )
    raise BundleError(f"{where}: order or sizes of the payloads differ from the manifest", _REMAKE)


def _check_padding(file: BinaryIO, members: Sequence[Member], where: str) -> None:
    for member in members:
        end = member.offset + member.size_bytes
        file.seek(end)
        if any(file.read(-end % BLOCK)):
            raise BundleError(f"{where}: bytes hide behind the end of {member.name!r}", _REMAKE)


def _file_digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
