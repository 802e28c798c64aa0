"""The station's repository: signed metadata and the files that it lists, in the layout of a TUF repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from edge_convert.release.files import read_file, write_blocks
from edge_runtime.bundles.release_layout import MANIFEST_NAME, target_path
from edge_runtime.bundles.trust import SIGNED_AT
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

METADATA: Final = "metadata"
TARGETS: Final = "targets"

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Standing:
    """What is signed at present."""

    roots: tuple[bytes, ...]
    """root.json from version 1 to the newest."""
    root: Root
    timestamp: Timestamp
    snapshot: Snapshot
    targets: Targets
    raw: dict[str, bytes]
    """`timestamp.json`, `snapshot.json` and `targets.json`, by these names."""

    @property
    def signed_s(self) -> int:
        """When timestamp.json was signed, seconds since 1970."""
        return int(self.timestamp.unrecognized_fields.get(SIGNED_AT, 0))

    @property
    def products(self) -> tuple[str, ...]:
        """Every product that has a release, sorted."""
        suffix = f"/{MANIFEST_NAME}"
        return tuple(sorted(path.removesuffix(suffix) for path in self.targets.targets if path.endswith(suffix)))


class Repository:
    """A folder with `metadata/` and `targets/`, which any web server can hand out as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    def read(self) -> Standing:
        """What is signed at present; timestamp.json leads to the rest.

        Raises:
            ConfigError: missing, or not readable.
        """
        roots = self.roots()
        raw = {}
        try:
            raw["timestamp.json"] = self._metadata("timestamp.json")
            timestamp = Metadata[Timestamp].from_bytes(raw["timestamp.json"]).signed
            raw["snapshot.json"] = self._metadata(f"{timestamp.snapshot_meta.version}.snapshot.json")
            snapshot = Metadata[Snapshot].from_bytes(raw["snapshot.json"]).signed
            raw["targets.json"] = self._metadata(f"{snapshot.meta['targets.json'].version}.targets.json")
            targets = Metadata[Targets].from_bytes(raw["targets.json"]).signed
            root = Metadata[Root].from_bytes(roots[-1]).signed
        except (RepositoryError, KeyError) as error:
            raise ConfigError(
                f"the metadata in {self.folder / METADATA} is damaged: {error}", "Restore the station from its backup."
            ) from error
        return Standing(roots, root, timestamp, snapshot, targets, raw)

    def roots(self) -> tuple[bytes, ...]:
        """Every root.json from version 1 on.

        Raises:
            ConfigError: there is none.
        """
        found: list[bytes] = []
        while (path := self.folder / METADATA / f"{len(found) + 1}.root.json").exists():
            found.append(read_file(path))
        if not found:
            raise ConfigError(
                f"{self.folder.parent} is no release station", "Name it with --station, or begin with `keys init`."
            )
        return tuple(found)

    def _metadata(self, name: str) -> bytes:
        return read_file(self.folder / METADATA / name)

    def in_force(self) -> Standing:
        """What is signed at present, if it is whole.

        Raises:
            ConfigError: a new root was published and nothing under it: its command was cut off.
        """
        now = self.read()
        timestamp = Metadata[Timestamp].from_bytes(now.raw["timestamp.json"])
        try:
            now.root.verify_delegate(Timestamp.type, timestamp.signed_bytes, timestamp.signatures)
        except RepositoryError as error:
            raise ConfigError(
                "the last `rotate-root` was cut off: its root is published, the rest is not signed under it",
                "Finish it with `edge-convert renew`.",
            ) from error
        return now

    def metadata_names(self) -> tuple[str, ...]:
        """Names of the metadata in force: every root, then timestamp, snapshot and targets."""
        now = self.read()
        roots = tuple(f"{version}.root.json" for version in range(1, len(now.roots) + 1))
        return (
            *roots,
            "timestamp.json",
            f"{now.snapshot.version}.snapshot.json",
            f"{now.targets.version}.targets.json",
        )

    def add_payload(self, digest: str, blocks: Iterable[bytes]) -> None:
        """Store a payload under its digest; one that is there already stays.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self.payload_path(digest)
        if not path.exists():
            write_blocks(path, blocks)

    def payload_path(self, digest: str) -> Path:
        """Where a payload lies, or would."""
        return self.folder / TARGETS / digest

    def add_manifest(self, product: str, digest: str, content: bytes) -> None:
        """Store a release.json where TUF looks for it.

        Raises:
            ConfigError: it cannot be written.
        """
        write_blocks(self._manifest_path(product, digest), [content])

    def manifests(self, product: str) -> list[bytes]:
        """Every release.json that was ever signed for a product and is still here."""
        folder = self.folder / TARGETS / product
        return [read_file(path) for path in sorted(folder.glob(f"*.{MANIFEST_NAME}"))]

    def was_published(self, product: str, digest: str, counter: int) -> bool:
        """The list of that version is in force or was, and names this release: others were begun and given up.

        Raises:
            ConfigError: the metadata is damaged.
        """
        path = self.folder / METADATA / f"{counter}.targets.json"
        if counter > self.read().targets.version or not path.exists():
            return False
        try:
            listed = Metadata[Targets].from_bytes(read_file(path)).signed.targets.get(target_path(product))
        except RepositoryError as error:
            raise ConfigError(f"{path} is damaged: {error}", "Restore the station from its backup.") from error
        return listed is not None and listed.hashes.get("sha256") == digest

    def _manifest_path(self, product: str, digest: str) -> Path:
        return self.folder / TARGETS / product / f"{digest}.{MANIFEST_NAME}"

    def publish(self, signed: Iterable[tuple[str, bytes]]) -> None:
        """Write metadata durably and in this order; timestamp.json has to come last, for it makes the others count.

        Raises:
            ConfigError: it cannot be written; what was in force stays so until timestamp.json is replaced.
        """
        for name, content in signed:
            write_blocks(self.folder / METADATA / name, [content])


class RepositorySource:
    """One product's release in the station's own repository. A `ReleaseSource`."""

    def __init__(self, repository: Repository, product: str, *, drafts: dict[str, bytes] | None = None) -> None:
        self._folder = repository.folder
        self._product = product
        self._drafts = drafts or {}

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def product(self) -> str:
        """As asked for."""
        return self._product

    def metadata(self, name: str, limit_bytes: int) -> bytes | None:
        """See `ReleaseSource`; metadata that is not written yet comes first."""
        if name in self._drafts:
            return self._drafts[name]
        path = self._folder / METADATA / name
        return read_file(path)[: limit_bytes + 1] if path.exists() else None

    def manifest(self, digest: str, size_bytes: int) -> bytes:
        """See `ReleaseSource`."""
        folder, name = target_path(self._product).split("/")
        return read_file(self._folder / TARGETS / folder / f"{digest}.{name}")[: size_bytes + 1]

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`."""
        with (self._folder / TARGETS / digest).open("rb") as file:
            while size_bytes > 0 and (piece := file.read(min(_CHUNK_BYTES, size_bytes))):
                size_bytes -= len(piece)
                yield piece


def render(metadata: Metadata[Any]) -> bytes:
    """Signed metadata as it is published: indented, keys sorted, one newline at the end."""
    return metadata.to_bytes(JSONSerializer(compact=False, validate=True)) + b"\n"
