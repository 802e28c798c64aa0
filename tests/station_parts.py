"""A small release station with cheap keys, and devices that trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle_parts import PAYLOADS, make_draft

from edge_convert.release.export import export
from edge_convert.release.keyring import KeyRing
from edge_convert.release.releasing import Released, release
from edge_convert.release.start import Quorum, make_station
from edge_convert.release.station import KEYS, Station
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.trust_folder import provision_trust
from edge_runtime.bundles.writer import write_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_runtime.bundles.writer import BundleDraft

NOW_S = 1_800_000_000
"""2027-01-15: every station and device in the tests begins here."""
PASSPHRASE = "correct horse battery"  # noqa: S105  (of keys that live as long as a test)
CHEAP = 2
"""scrypt's n for keys that guard nothing."""


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


def make_bench(folder: Path, *, targets: str = "2/3") -> Bench:
    """A station with fresh keys in `folder/station`: root 2 of 3, targets as said."""
    bench = Bench(folder)
    make_station(bench.station, Quorum(2, 3), Quorum.parse(targets), lambda _: PASSPHRASE, cost=CHEAP)
    return bench
