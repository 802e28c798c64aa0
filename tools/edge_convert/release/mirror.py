"""A folder that any web server can hand out: the releases in force, in the layout of a TUF repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_convert.release.files import read_file, write_blocks
from edge_convert.release.repository import METADATA, Repository, RepositorySource
from edge_runtime.bundles.release_blocks import checked
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.release.station import Station


@dataclass(frozen=True, slots=True)
class Served:
    """What the folder now offers."""

    products: tuple[str, ...]
    new_files: int
    new_bytes: int


def serve(station: Station, folder: Path) -> Served:
    """Bring a folder up to date, in an order in which a device never sees half a release.

    Payloads come first, the roots next to last, timestamp.json last; every file is replaced at once. Files that are no
    longer listed stay: a device may be in the middle of them.

    Raises:
        ConfigError: the folder cannot be written, or is the station's own.
        BundleError: what was written is not what a device would accept.
    """
    here, there = station.repository, Repository(folder)
    if folder.resolve() == here.folder.resolve():
        raise ConfigError(f"{folder} is the station's own repository", "Name another folder for the web server.")
    count = size = 0
    products = here.in_force().products
    for product in products:
        source = RepositorySource(here, product)
        verified = station.proved(source)
        for reference in verified.payloads:
            path = there.payload_path(reference.sha256)
            if not (path.exists() and path.stat().st_size == reference.size_bytes):
                write_blocks(path, checked(source, reference))
                count, size = count + 1, size + reference.size_bytes
        there.add_manifest(product, verified.digest, verified.release_json)
    names = here.metadata_names()
    for name in sorted(names, key=lambda name: (name == "timestamp.json", name.endswith(".root.json"))):
        write_blocks(folder / METADATA / name, [read_file(here.folder / METADATA / name)])
    for product in products:
        station.proved(RepositorySource(there, product))
    return Served(products, count, size)
