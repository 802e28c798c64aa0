"""Power cuts and kills while releases come and go; every operation and more disks are `updates_cut.py`'s."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dice import dice
from recorded_disk import Operation
from recorded_tree import RecordedTree
from update_rig import memory_folder
from updates_cut import cut_everywhere, record
from updates_kill import STATES, run

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler (apt install gcc)")


@needs_compiler
def test_after_a_cut_the_books_are_those_of_before_or_after_and_trust_never_falls() -> None:
    """Every thirtieth operation, killed and cut: old or new, hash-valid, tidy, the oldest stick refused."""
    with memory_folder() as folder:
        tally = cut_everywhere(record(folder), folder, seed=2, disks=1, every=30)
    assert tally.findings == []
    assert tally.syncs > 100
    assert tally.kills > 20


def test_a_kill_in_every_named_state_leaves_the_old_or_the_new_release() -> None:
    """Once in each: nothing is left over, trust never falls, the next stick is taken."""
    with memory_folder() as folder:
        kills = run(folder, rounds=1, seed=1)
    assert kills.findings == []
    assert tuple(kills.by_state) == STATES


def _tree(*operations: tuple[str, str, str, bytes]) -> RecordedTree:
    tree = RecordedTree(Path("/disk"))
    for kind, path, other, data in operations:
        tree.apply(Operation(kind, f"/disk/{path}".rstrip("/"), f"/disk/{other}", 0, data))
    return tree


def _found(tree: RecordedTree) -> set[frozenset[str]]:
    drawn = dice("tree")
    return {frozenset(tree.after_power_cut(drawn)) for _ in range(200)}


def test_a_folder_is_certain_only_after_a_sync_of_the_one_above() -> None:
    """A synced file in a folder whose own name was never synced may be gone with it."""
    made = (
        ("m", "a", "", b""),
        ("c", "a/f", "", b""),
        ("w", "a/f", "", b"x"),
        ("s", "a/f", "", b""),
        ("d", "a", "", b""),
    )
    assert _found(_tree(*made)) == {frozenset(), frozenset({"a", "a/f"})}
    assert _found(_tree(*made, ("d", "", "", b""))) == {frozenset({"a", "a/f"})}


def test_a_rename_between_folders_is_certain_only_after_both_were_synced() -> None:
    """Until then the file may be in either, in both, or in neither."""
    made = [("m", "a", "", b""), ("m", "b", "", b""), ("d", "", "", b""), ("c", "a/f", "", b""), ("d", "a", "", b"")]
    moved = [*made, ("r", "a/f", "b/f", b"")]
    assert len(_found(_tree(*moved))) == 4
    assert len(_found(_tree(*moved, ("d", "b", "", b"")))) == 2
    assert _found(_tree(*moved, ("d", "b", "", b""), ("d", "a", "", b""))) == {frozenset({"a", "b", "b/f"})}
    assert set(_tree(*moved).as_it_is()) == {"a", "b", "b/f"}
