"""Damaged sticks, a damaged store, and a disk that is full; ten thousand files are `updates_fuzz.py`'s."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from small_disks import fill, small_disk
from station_parts import MemorySource
from update_rig import PRODUCT, Device, make_sticks, memory_folder
from updates_fuzz import fuzz, fuzz_state

from edge_runtime.bundles.staging import Staging
from edge_runtime.domain.errors import TrustError, UpdateError
from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB = 1_000_000


def test_damaged_sticks_end_in_typed_errors_and_leave_nothing() -> None:
    """Two hundred files: refused, or what is signed was not damaged; each within a second."""
    with memory_folder() as folder:
        tally = fuzz(folder, files=200, seed=7)
    assert tally.findings == []
    assert tally.ends["BundleError"] > 100
    assert tally.ends["TrustError"] > 5


def test_a_damaged_store_starts_or_says_why_and_never_takes_an_old_stick() -> None:
    """Sixty damages to database, receipts, trust and stored releases."""
    with memory_folder() as folder:
        tally = fuzz_state(folder, rounds=60, seed=7)
    assert tally.findings == []
    assert len(tally.ends) > 2


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_disk_without_room_refuses_before_a_byte_is_copied(tmp_path: Path, kind: str) -> None:
    """The reserve stays untouched, what runs goes on, and with room the same stick is taken."""
    paths = make_sticks(tmp_path, 2, payload_bytes=2 * MB)
    with small_disk(kind, tmp_path) as disk:
        device = Device(disk / "state", reserve_bytes=4 * MB).provision(tmp_path / "root.json")
        device.take(paths[0])
        filler = fill(disk, leave_bytes=5 * MB)
        device.reached.clear()
        free = _free(disk)
        with pytest.raises(UpdateError, match="no room for the release"):
            device.install(paths[1])
        assert UpdateState.COPYING not in device.reached
        assert device.rubbish() == []
        assert free - _free(disk) < 100_000
        assert device.store.resolve_start(PRODUCT).version == "1.0"
        filler.unlink()
        assert device.take(paths[1]).version == "2.0"
        device.close()


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_disk_that_is_full_to_the_last_byte_changes_nothing(tmp_path: Path, kind: str) -> None:
    """Whatever cannot be written any more, metadata, copy or commit: a typed error, and the old release runs."""
    paths = make_sticks(tmp_path, 2, payload_bytes=2 * MB)
    with small_disk(kind, tmp_path) as disk:
        device = Device(disk / "state").provision(tmp_path / "root.json")
        device.take(paths[0])
        device.close()
        for leave in (1, 20_000, 300_000, 1_500_000):
            filler = fill(disk, leave_bytes=leave)
            device.start()
            with pytest.raises(Exception, match=r"room|space|full|written|write") as error:
                device.install(paths[1])
            assert type(error.value).__module__.startswith("edge_runtime"), error.value
            assert device.store.resolve_start(PRODUCT).version == "1.0"
            device.close()
            filler.unlink()
            device.start()
            assert device.store.resolve_start(PRODUCT).version == "1.0"
            assert device.rubbish() == []
            device.close()
        device.start()
        assert device.take(paths[1]).version == "2.0"
        device.close()


def test_a_disk_that_fills_while_the_release_is_copied(tmp_path: Path) -> None:
    """Something else takes the room in the middle: the copy stops, and gives back what it took."""
    paths = make_sticks(tmp_path, 2, payload_bytes=8 * MB)
    with small_disk("ext4", tmp_path) as disk:
        device = Device(disk / "state").provision(tmp_path / "root.json")

        class Filling(MemorySource):
            def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
                content = self.members[f"targets/{digest}"]
                yield content[: len(content) // 2]
                if size_bytes > MB:
                    fill(disk)
                yield content[len(content) // 2 :]

        with pytest.raises(UpdateError, match="it filled up"):
            device.install(Filling(MemorySource.of(paths[0]).members))
        (disk / "filler").unlink()
        device.close()
        device.start()
        device.store.sweep()
        assert device.rubbish() == []
        assert device.take(paths[1]).version == "2.0"
        device.close()


def test_data_without_end_never_get_past_the_signed_length(tmp_path: Path) -> None:
    """Nor may they end before it."""
    device = Device(tmp_path / "state")
    for number, (blocks, how) in enumerate([((bytes(600) for _ in iter(int, 1)), "goes on"), ([b"x"], "ends before")]):
        staging = Staging(device.store.files, f"{number:064x}", 5_000, 0)
        with pytest.raises(TrustError, match=how):
            staging.fill(blocks)
        assert staging.path.stat().st_size <= 5_000
    device.close()


def test_a_dying_disk_is_not_mistaken_for_a_full_one(tmp_path: Path) -> None:
    """An I/O error of our own disk comes through as what it is."""
    device = Device(tmp_path / "state")

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        Staging(device.store.files, "a" * 64, 5_000, 0).fill(broken())
    device.close()


def _free(disk: Path) -> int:
    about = os.statvfs(disk)
    return about.f_bavail * about.f_frsize
