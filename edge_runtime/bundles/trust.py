"""Whether a release may be trusted: TUF's client workflow over any source, on a copy of what this device trusts.

`tuf` decides about signatures, versions, digests and expiry. What it leaves to its user is done here: its files are a
scratch copy, what counts is written anew and synced; damaged local trust is refused and never taken for an absent one;
the time is handed in and cannot lie before what was already seen signed; nothing larger than stated is ever read.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError, RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from edge_runtime.bundles.manifest import MANIFEST_LIMIT_BYTES, parse_release, to_domain
from edge_runtime.bundles.release_layout import METADATA_FOLDER, ROOTS_LIMIT, contents, file_length, target_path
from edge_runtime.bundles.trust_folder import ROOT_LIMIT_BYTES, LocalTrust, read_trust, write_trust
from edge_runtime.bundles.trust_refusals import LAST_S, expired, explain, moment
from edge_runtime.domain.errors import LocalTrustError, Refusal, TrustError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tuf.api.metadata import TargetFile

    from edge_runtime.bundles.release_source import ReleaseSource
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadRef
    from edge_runtime.domain.update import ReleaseTerms

SIGNED_AT: Final = "x-edge-signed-at"
"""Key in timestamp.json: when the station signed it, seconds since 1970. TUF ignores what it does not know."""

_ROLES: Final = (Timestamp.type, Snapshot.type, Targets.type)


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """A release whose `release.json` is signed; its payloads are not read yet."""

    release_json: bytes
    digest: str
    """SHA-256 of `release.json`, hexadecimal: the bundle digest."""
    manifest: ModelBundle
    """What `release_json` says; trust "production"."""
    terms: ReleaseTerms
    metadata: tuple[tuple[str, bytes], ...]
    """Metadata members of the device's own copy of the bundle file, in file order: member name and content."""
    payloads: tuple[PayloadRef, ...]
    """Every content once, in file order."""
    expected_length_bytes: int
    """Of the device's own copy of the bundle file; not one byte more is ever written."""
    trust_generation: int
    """Generation of the trust folder that was written for this verification."""
    root_version: int
    timestamp_version: int
    signed_s: int
    """When the newest metadata was signed, seconds since 1970 by the station's clock."""
    expires_s: int
    """After this the release is not accepted any more; one that is accepted goes on working."""


def verify_release(
    source: ReleaseSource, trust_dir: Path, copy_dir: Path, *, now_s: float, floor_s: int
) -> VerifiedRelease:
    """Verify a release against what this device trusts, and write what it would trust after it.

    Args:
        source: where the release comes from; nothing of it is trusted.
        trust_dir: what this device trusts; is only read.
        copy_dir: new trust folder, made and synced here; must not exist, its parent must. It counts for nothing until
            the caller commits to it; after any error it is gone.
        now_s: this device's clock, seconds since 1970.
        floor_s: the clock cannot truly stand before this: when this runtime was built.

    Raises:
        TrustError: not trusted; `refusal` says why.
        BundleError: the release is unreadable or its content makes no sense.
        LocalTrustError: what this device trusts is missing or damaged, or the copy cannot be written.
    """
    local = read_trust(trust_dir)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".tuf-", dir=copy_dir.parent))
    except OSError as error:
        raise LocalTrustError(
            f"nothing can be written in {copy_dir.parent}: {error.strerror}", "Check free space and permissions."
        ) from error
    try:
        return _verify_from(scratch, source, local, copy_dir, now_s, floor_s)
    except OSError as error:  # a source raises its own; this is our scratch copy
        raise LocalTrustError(
            f"nothing can be written in {copy_dir.parent}: {error.strerror}", "Check free space and permissions."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _verify_from(
    scratch: Path, source: ReleaseSource, local: LocalTrust, copy_dir: Path, now_s: float, floor_s: int
) -> VerifiedRelease:
    first, second = scratch / "1", scratch / "2"
    try:
        return _verify_in(first, source, local, copy_dir, now_s, max(now_s, floor_s, local.newest_s))
    except TrustError as error:
        # A new key for the timestamp is TUF's remedy for versions that ran ahead; times that ran ahead go with them.
        if error.refusal is not Refusal.EXPIRED or not _timestamp_key_replaced(first, local):
            raise
    return _verify_in(second, source, replace(local, newest_s=0), copy_dir, now_s, max(now_s, floor_s))


def _verify_in(
    folder: Path, source: ReleaseSource, local: LocalTrust, copy_dir: Path, now_s: float, reference_s: float
) -> VerifiedRelease:
    fetcher = _Fetcher(source)
    try:
        updater = _Updater(folder, local, fetcher, reference_s)
        updater.refresh()
        target = updater.get_targetinfo(target_path(source.product))
        manifest = _signed_manifest(source, target)
    except (RepositoryError, DownloadError) as error:
        raise explain(error, source.where, fetcher.seen, local, now_s, reference_s) from error
    trusted = _Trusted.read(folder)
    trusted.require_valid(source.where, now_s, max(reference_s, trusted.signed_s))
    verified = _release_of(source, manifest, trusted, local.generation + 1)
    _write_copy(copy_dir, verified, trusted, local)
    return verified


def _signed_manifest(source: ReleaseSource, target: TargetFile | None) -> bytes:
    if target is None or "sha256" not in target.hashes or target.length > MANIFEST_LIMIT_BYTES:
        raise TrustError(
            Refusal.NOT_LISTED,
            f"{source.where}: the signed list has no release for the product {source.product!r}",
            "Check the product's name, or have it released at the release station.",
        )
    content = source.manifest(target.hashes["sha256"], target.length)
    target.verify_length_and_hashes(content)
    return content


def _release_of(source: ReleaseSource, manifest: bytes, trusted: _Trusted, generation: int) -> VerifiedRelease:
    release = parse_release(manifest, source.where)
    digest = hashlib.sha256(manifest).hexdigest()
    model = to_domain(release, digest, "production")
    if model.release is None or model.release.product != source.product:
        raise TrustError(
            Refusal.MIXED,
            f"{source.where}: what is signed for {source.product!r} is not a release of it",
            "Do not use it, and tell whoever runs the release station.",
        )
    payloads = tuple(contents(model.payloads.values()))
    metadata = trusted.members()
    sizes = [*(len(content) for _, content in metadata), len(manifest), *(one.size_bytes for one in payloads)]
    return VerifiedRelease(
        release_json=manifest,
        digest=digest,
        manifest=model,
        terms=model.release,
        metadata=metadata,
        payloads=payloads,
        expected_length_bytes=file_length(sizes),
        trust_generation=generation,
        root_version=trusted.signed[Root.type].version,
        timestamp_version=trusted.signed[Timestamp.type].version,
        signed_s=trusted.signed_s,
        expires_s=min(int(one.expires.timestamp()) for one in trusted.signed.values()),
    )


def _write_copy(copy_dir: Path, verified: VerifiedRelease, trusted: _Trusted, local: LocalTrust) -> None:
    files = {f"{role}.json": trusted.raw[role] for role in (Root.type, *_ROLES)}
    newest = LocalTrust(verified.trust_generation, max(local.newest_s, trusted.signed_s), files)
    write_trust(copy_dir, newest)


class _Trusted:
    """What `tuf` left in its folder after a full refresh."""

    def __init__(self, raw: dict[str, bytes]) -> None:
        self.raw: Final = raw
        self.signed: Final = {role: _signed(content) for role, content in raw.items()}
        stated = self.signed[Timestamp.type].unrecognized_fields.get(SIGNED_AT)
        self.signed_s: Final = stated if isinstance(stated, int) and 0 < stated <= LAST_S else 0

    @classmethod
    def read(cls, folder: Path) -> _Trusted:
        return cls({role: (folder / f"{role}.json").read_bytes() for role in (Root.type, *_ROLES)})

    def require_valid(self, where: str, now_s: float, reference_s: float) -> None:
        """`tuf` has looked already; here the time that this very metadata states counts too."""
        for role, signed in self.signed.items():
            if signed.expires.timestamp() <= reference_s:
                raise expired(where, f"{role}.json", signed.expires, now_s, reference_s)

    def members(self) -> tuple[tuple[str, bytes], ...]:
        names = {
            Root.type: f"{self.signed[Root.type].version}.root.json",
            Timestamp.type: "timestamp.json",
            Snapshot.type: f"{self.signed[Snapshot.type].version}.snapshot.json",
            Targets.type: f"{self.signed[Targets.type].version}.targets.json",
        }
        return tuple((METADATA_FOLDER + name, self.raw[role]) for role, name in names.items())


def _timestamp_key_replaced(folder: Path, local: LocalTrust) -> bool:
    """The timestamp seen before is not valid any more under the root to which the release's chain has led."""
    if "timestamp.json" not in local.files:
        return False
    before = Metadata[Timestamp].from_bytes(local.files["timestamp.json"])
    root = Metadata[Root].from_bytes((folder / "root.json").read_bytes()).signed
    try:
        root.verify_delegate(Timestamp.type, before.signed_bytes, before.signatures)
    except RepositoryError:
        return True
    return False


def _signed(content: bytes) -> Signed:
    return Metadata.from_bytes(content).signed


class _Updater(Updater):
    """TUF's client at a given time, beginning with what the device trusts."""

    def __init__(self, folder: Path, local: LocalTrust, fetcher: FetcherInterface, reference_s: float) -> None:
        folder.mkdir()
        for name, content in local.files.items():
            if name != "root.json":
                (folder / name).write_bytes(content)
        config = UpdaterConfig(max_delegations=0, max_root_rotations=ROOTS_LIMIT, root_max_length=ROOT_LIMIT_BYTES)
        super().__init__(str(folder), "", fetcher=fetcher, config=config, bootstrap=local.files["root.json"])
        self._trusted_set.reference_time = moment(reference_s)


class _Fetcher(FetcherInterface):
    """Reads metadata from a source straight into memory, bounded."""

    def __init__(self, source: ReleaseSource) -> None:
        self._source = source
        self.seen: Final[dict[str, bytes]] = {}
        """What was handed out, by file name."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise DownloadError(f"{url} is never read without a limit")

    def download_bytes(self, url: str, max_length: int) -> bytes:
        name = url.lstrip("/")
        content = self._source.metadata(name, max_length)
        if content is None:
            raise DownloadHTTPError(f"{name} is missing", 404)
        if len(content) > max_length:
            raise DownloadLengthMismatchError(f"{name} has more than {max_length} bytes")
        self.seen[name] = content
        return content
