"""A small release station with cheap keys, and devices that trust it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bundle_parts import PAYLOADS, make_draft, members_of

from edge_convert.release.export import export
from edge_convert.release.keyring import KeyRing
from edge_convert.release.releasing import Released, release
from edge_convert.release.start import Quorum, make_station
from edge_convert.release.station import KEYS, Station
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.release_blocks import release_blocks
from edge_runtime.bundles.trust import VerifiedRelease, verify_release
from edge_runtime.bundles.trust_folder import provision_trust
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.domain.errors import BundleError, TrustError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge_runtime.bundles.release_source import ReleaseSource
    from edge_runtime.bundles.writer import BundleDraft

NOW_S = 1_800_000_000
"""2027-01-15: every station and device in the tests begins here."""
PASSPHRASE = "correct horse battery"  # noqa: S105  (of keys that live as long as a test)
CHEAP = 2
"""scrypt's n for keys that guard nothing."""


class MemorySource:
    """A release whose pieces a test has in its hands. A `ReleaseSource`."""

    where = "the tampered file"

    def __init__(self, members: Mapping[str, bytes], product: str = "part") -> None:
        self.members = dict(members)
        self.product = product

    @classmethod
    def of(cls, path: Path) -> MemorySource:
        """The pieces of a bundle file."""
        return cls(dict(members_of(path.read_bytes())))

    def metadata(self, name: str, limit_bytes: int) -> bytes | None:
        """See `ReleaseSource`."""
        content = self.members.get(f"metadata/{name}")
        if content is not None and len(content) > limit_bytes:
            raise BundleError(f"{name} is too large", "A test wanted it so.")
        return content

    def manifest(self, digest: str, size_bytes: int) -> bytes:
        """See `ReleaseSource`."""
        return self.members["release.json"]

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`; in pieces of seven bytes."""
        content = self.members[f"targets/{digest}"]
        for begin in range(0, len(content), 7):
            yield content[begin : begin + 7]


@dataclass
class Bench:
    """A station in a folder, and what a test does with it."""

    folder: Path
    now_s: int = NOW_S

    @property
    def station(self) -> Station:
        """The station as a fresh command sees it."""
        place = self.folder / "station"
        return Station(place, KeyRing([place / KEYS], [PASSPHRASE], None), self.now_s)

    @property
    def root(self) -> bytes:
        """root.json of the first version."""
        return self.station.repository.roots()[0]

    def release(
        self,
        product: str = "part",
        *,
        draft: BundleDraft | None = None,
        payloads: Mapping[str, bytes] = PAYLOADS,
        min_counter: int | None = None,
        hardware: tuple[str, ...] = (),
    ) -> Released:
        """Sign a bundle as the product's current release; the tiny one of `bundle_parts` by default."""
        path = self.folder / "unsigned.bundle"
        write_bundle(path, draft or make_draft(), payloads)
        with open_bundle(path, trust="development") as bundle:
            return release(self.station, bundle, product=product, hardware=hardware, min_counter=min_counter)

    def export(self, product: str = "part", name: str = "part.bundle") -> Path:
        """The product's current release as a file."""
        export(self.station, product, self.folder / name)
        return self.folder / name

    def provision(self, name: str = "trust-0") -> Path:
        """The trust folder of a new device."""
        provision_trust(self.root, self.folder / name)
        return self.folder / name

    def take(
        self, source: ReleaseSource | Path, old: int, *, now_s: float = NOW_S, floor_s: int = 0
    ) -> VerifiedRelease:
        """Verify against the trust folder `trust-<old>`, writing the next one."""
        if isinstance(source, Path):
            source = MemorySource.of(source)
        before, after = self.folder / f"trust-{old}", self.folder / f"trust-{old + 1}"
        return verify_release(source, before, after, now_s=now_s, floor_s=floor_s)

    def refused(self, source: ReleaseSource | Path, old: int, *, now_s: float = NOW_S, floor_s: int = 0) -> TrustError:
        """Why it is not trusted; no trace of it may be left."""
        names = {path.name for path in self.folder.iterdir()}
        with pytest.raises(TrustError) as error:
            self.take(source, old, now_s=now_s, floor_s=floor_s)
        assert {path.name for path in self.folder.iterdir()} == names
        return error.value


def make_bench(folder: Path, *, targets: str = "2/3", now_s: int = NOW_S) -> Bench:
    """A station with fresh keys in `folder/station`: root 2 of 3, targets as said."""
    bench = Bench(folder, now_s)
    make_station(bench.station, Quorum(2, 3), Quorum.parse(targets), lambda _: PASSPHRASE, cost=CHEAP)
    return bench


def copy_of(verified: VerifiedRelease, source: ReleaseSource) -> bytes:
    """The device's own copy; never more than the signed length, and all of it only if nothing was raised."""
    copied = bytearray()
    for block in release_blocks(verified, source):
        copied += block
        assert len(copied) <= verified.expected_length_bytes
    assert len(copied) == verified.expected_length_bytes
    return bytes(copied)
