"""A stick for a device without a network: written, synced, read back and verified as a device does it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_convert.release.export import blocks_of
from edge_convert.release.files import write_blocks
from edge_runtime.bundles.release_parts import PARTS_LIMIT, part_path
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.durable import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_convert.release.station import Station

FOLDER: Final = "edge-updates"
PART_BYTES: Final = 4_000_000_000
"""Below the 4 GiB that a file on FAT32 can have."""


@dataclass(frozen=True, slots=True)
class Written:
    """One release on a stick."""

    product: str
    counter: int
    digest: str
    files: tuple[str, ...]
    size_bytes: int


def write_stick(
    station: Station, folder: Path, products: Sequence[str] = (), *, part_bytes: int = PART_BYTES
) -> list[Written]:
    """Put the current releases on a stick, with the metadata that is in force.

    Args:
        station: its repository; no key is needed.
        folder: where the stick is mounted; the files go into `edge-updates/` there. Older releases of the same
            products are removed from it once the new ones are verified.
        products: which ones; empty: all.
        part_bytes: larger files are written in parts.

    Raises:
        ConfigError: no such product, no room, or the stick cannot be written.
        BundleError: what was read back is not what was written: the stick is bad.
    """
    known = station.repository.in_force().products
    if absent := [name for name in products if name not in known]:
        raise ConfigError(f"{absent[0]!r} has no release", f"There are: {', '.join(known) or 'none'}.")
    if not known:
        raise ConfigError("nothing was released yet", "Sign a bundle first: `edge-convert release`.")
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder", "Mount the stick and name the folder where it is mounted.")
    return [_write(station, folder / FOLDER, name, part_bytes) for name in products or known]


def _write(station: Station, place: Path, product: str, part_bytes: int) -> Written:
    verified, blocks = blocks_of(station, product)
    size = verified.expected_length_bytes
    path = place / f"{product}-{verified.terms.counter}.bundle"
    try:
        place.mkdir(exist_ok=True)
        sync_folder(place.parent)
        _require_room(place, size)
    except OSError as error:
        raise ConfigError(f"{place} cannot be written: {error.strerror}", "Check the stick.") from error
    blocks = filter(None, blocks)
    paths = _write_parts(path, blocks, part_bytes) if size > part_bytes else [_write_one(path, blocks)]
    _read_back(station, paths, verified.digest)
    _remove_others(place, product, paths)
    return Written(
        product, verified.terms.counter, verified.digest, tuple(one.name for one in paths), sum(map(_size, paths))
    )


def _write_one(path: Path, blocks: Iterator[bytes]) -> Path:
    write_blocks(path, blocks)
    return path


def _write_parts(path: Path, blocks: Iterator[bytes], part_bytes: int) -> list[Path]:
    paths: list[Path] = []
    left = b""
    while True:
        first = left or next(blocks, b"")
        if not first:
            return paths
        if len(paths) == PARTS_LIMIT:
            raise ConfigError(f"{path.name} would need more than {PARTS_LIMIT} parts", "Choose larger parts.")
        part = _Part(first, blocks, part_bytes)
        paths.append(part_path(path, len(paths) + 1))
        write_blocks(paths[-1], part)
        left = part.left


class _Part:
    """Blocks up to a size; what does not fit is left for the next part."""

    def __init__(self, first: bytes, blocks: Iterator[bytes], size_bytes: int) -> None:
        self._next = first
        self._blocks = blocks
        self._room = size_bytes
        self.left = b""

    def __iter__(self) -> Iterator[bytes]:
        block = self._next
        while block:
            yield block[: self._room]
            self.left = block[self._room :]
            self._room -= min(self._room, len(block))
            if self.left or self._room == 0:
                return
            block = next(self._blocks, b"")


def _require_room(place: Path, size: int) -> None:
    free = shutil.disk_usage(place).free
    if free < size:
        raise ConfigError(
            f"{place} has {free // 1_000_000} MB free, {-(-size // 1_000_000)} MB are needed",
            "Remove what is not needed from the stick, or take a larger one.",
        )


def _read_back(station: Station, paths: Sequence[Path], digest: str) -> None:
    for path in paths:
        with path.open("rb") as file:  # out of the page cache, so that the medium itself answers
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with open_release_file(paths[0]) as source:
        if station.proved(source).digest != digest:
            raise ConfigError(f"{paths[0]} holds another release than was written", "Take another stick.")


def _remove_others(place: Path, product: str, keep: Sequence[Path]) -> None:
    pattern = re.compile(re.escape(product) + r"-[0-9]+\.bundle(\.[0-9]{3})?")
    for path in place.iterdir():
        if path not in keep and pattern.fullmatch(path.name):
            path.unlink()
    sync_folder(place)


def _size(path: Path) -> int:
    return path.stat().st_size
