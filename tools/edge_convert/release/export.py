"""A bundle file of format 1 out of the repository: with the whole chain of roots, so that any device can take it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_convert.release.files import read_file, write_blocks
from edge_convert.release.repository import METADATA, RepositorySource
from edge_runtime.bundles.release_blocks import release_blocks
from edge_runtime.bundles.release_layout import METADATA_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_convert.release.station import Station
    from edge_runtime.bundles.trust import VerifiedRelease


def export(station: Station, product: str, out: Path) -> VerifiedRelease:
    """Write the current release of a product as one file, verified before and while it is written.

    Raises:
        BundleError: the product has no release, or the repository is damaged.
        ConfigError: the file cannot be written.
    """
    verified, blocks = blocks_of(station, product)
    write_blocks(out, blocks)
    return verified


def blocks_of(station: Station, product: str) -> tuple[VerifiedRelease, Iterator[bytes]]:
    """The current release of a product, and the bytes of its file.

    Raises:
        BundleError: the product has no release, or the repository is damaged.
        ConfigError: a rotation of the root was cut off.
    """
    repository = station.repository
    repository.in_force()
    source = RepositorySource(repository, product)
    verified = station.proved(source)
    metadata = tuple(
        (METADATA_FOLDER + name, read_file(repository.folder / METADATA / name)) for name in repository.metadata_names()
    )
    return verified, release_blocks(replace(verified, metadata=metadata), source)
