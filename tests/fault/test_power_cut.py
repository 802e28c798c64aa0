"""Power cuts at the writes of a line's ledger; every prefix and more disks are `power_cut.py`'s."""

from __future__ import annotations

import shutil

import pytest
from dice import dice
from power_cut import cut_everywhere, record
from recorded_disk import Operation, RecordedDisk

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler (apt install gcc)")


@needs_compiler
def test_after_a_power_cut_the_ledger_holds_every_committed_record(tmp_path) -> None:
    """Every eighth write, one disk each: it opens, verifies, holds what was promised; what was acted upon reappears."""
    tally = cut_everywhere(record(tmp_path, 5, 5.0), tmp_path, seed=1, disks=1, every=8)
    assert tally.findings == []
    assert tally.cuts > 30


def _disk(*operations: tuple[str, str, bytes]) -> RecordedDisk:
    disk = RecordedDisk()
    for kind, name, data in operations:
        disk.apply(Operation(kind, f"/disk/{name}", "/disk/b" if kind == "r" else "", 0, data))
    return disk


def _found(disk: RecordedDisk) -> list[dict[str, bytes]]:
    drawn = dice("found")
    return [disk.after_power_cut(drawn) for _ in range(200)]


def test_what_is_synced_is_there_and_what_is_not_may_be() -> None:
    """The second write of 1,024 bytes has arrived whole, in part, or not at all; never the first one lost."""
    disk = _disk(("c", "a", b""), ("w", "a", b"1" * 1_024), ("s", "a", b""), ("d", "", b""), ("w", "a", b"2" * 1_024))
    contents = {files["a"] for files in _found(disk)}
    assert contents == {first * 512 + second * 512 for first in (b"1", b"2") for second in (b"1", b"2")}


def test_a_name_is_certain_only_after_a_sync_of_its_folder() -> None:
    """A renamed file is found under its old name, its new one, or (never synced) not at all."""
    made = (("c", "a", b""), ("w", "a", b"x"), ("s", "a", b""))
    assert {tuple(files) for files in _found(_disk(*made))} == {(), ("a",)}
    renamed = (*made, ("d", "", b""), ("r", "a", b""))
    assert {tuple(files) for files in _found(_disk(*renamed))} == {("a",), ("b",)}
    assert {tuple(files) for files in _found(_disk(*renamed, ("d", "", b"")))} == {("b",)}
